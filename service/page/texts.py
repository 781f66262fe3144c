# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page says, in each of its languages; `{name}` stands for a value."""

from __future__ import annotations

LANGUAGES = ("en", "ko")
"""The first is shown where a browser asks for none of them."""

TEXTS: dict[str, tuple[str, str]] = {
    "language.name": ("English", "한국어"),
    "language.switch": ("Language", "언어"),
    "product": ("wasmfaas", "wasmfaas"),
    "skip": ("Skip to the content", "본문으로 건너뛰기"),
    "navigation": ("Main", "주 메뉴"),
    "breadcrumb": ("Where you are", "현재 위치"),
    "signed_in": ("Signed in as {name} ({role})", "{name} 계정으로 로그인함 ({role})"),
    "role.read": ("read only", "읽기 전용"),
    "role.deploy": ("may deploy", "배포 가능"),
    "role.admin": ("administrator", "관리자"),
    "cancel": ("Back", "뒤로"),
    # Sign in
    "sign_in": ("Sign in", "로그인"),
    "sign_in.token": ("Token", "토큰"),
    "sign_in.help": (
        "The administrator of the service gives you a token. It stays in this browser until you sign out or close it.",
        "토큰은 서비스 관리자가 발급합니다. 로그아웃하거나 브라우저를 닫을 때까지 이 브라우저에 유지됩니다.",
    ),
    "sign_in.refused": (
        "The token is unknown, was revoked or has ended. Ask the administrator of the service for another one.",
        "알 수 없거나 취소되었거나 만료된 토큰입니다. 서비스 관리자에게 새 토큰을 요청하세요.",
    ),
    "sign_out": ("Sign out", "로그아웃"),
    # Tenants and functions
    "tenants": ("Tenants", "테넌트"),
    "tenants.choose": ("Choose a tenant", "테넌트 선택"),
    "tenants.open": ("Open", "열기"),
    "tenants.none": (
        "No tenant has functions yet. Enter the name of one.",
        "아직 함수가 있는 테넌트가 없습니다. 이름을 입력하세요.",
    ),
    "functions": ("Functions", "함수"),
    "functions.of": ("Functions of {tenant}", "{tenant}의 함수"),
    "functions.none": ("No functions yet.", "아직 함수가 없습니다."),
    "functions.new": ("New function", "새 함수"),
    "tokens": ("Tokens", "토큰"),
    "tokens.of": ("Tokens of {tenant}", "{tenant}의 토큰"),
    "tokens.none": ("There is no token for this tenant.", "이 테넌트의 토큰이 없습니다."),
    "tokens.new": ("New token", "새 토큰"),
    "tokens.help": (
        "After who uses it, as in alice-laptop: a-z, 0-9 and -.",
        "사용하는 사람이나 기기의 이름입니다(예: alice-laptop). a-z, 0-9, -만 쓸 수 있습니다.",
    ),
    "tokens.may_deploy": ("It may deploy; else it may only read", "배포 허용(선택하지 않으면 읽기 전용)"),
    "tokens.last_day": ("Last day (UTC); empty for no end", "마지막 날(UTC), 비워 두면 만료되지 않음"),
    "tokens.make": ("Make the token", "토큰 만들기"),
    "tokens.made": ("The token {name} is made", "{name} 토큰을 만들었습니다"),
    "tokens.once": (
        "Copy it now: it is not shown again.",
        "지금 복사하세요. 다시 표시되지 않습니다.",
    ),
    "tokens.revoke": ("Revoke {name}", "{name} 취소"),
    "tokens.ended": ("ended", "만료됨"),
    "column.role": ("Role", "역할"),
    "column.last_day": ("Last day", "마지막 날"),
    "column.name": ("Name", "이름"),
    "column.state": ("State", "상태"),
    "column.url": ("URL", "URL"),
    "column.version": ("Version", "버전"),
    "column.age": ("Created", "생성"),
    "column.deployment": ("Last deployment", "최근 배포"),
    "column.number": ("Number", "번호"),
    "column.source": ("Source", "소스"),
    "column.by": ("By", "요청자"),
    "column.action": ("Action", "작업"),
    "column.value": ("Value", "값"),
    "status.ready": ("Ready", "준비됨"),
    "status.progressing": ("In progress", "진행 중"),
    "status.failed": ("Failed", "실패"),
    "status.sleeping": ("Sleeping", "대기 중"),
    "status.stopped": ("Stopped", "중지됨"),
    "age.now": ("just now", "방금"),
    "age.minutes": ("{n} min ago", "{n}분 전"),
    "age.hours": ("{n} h ago", "{n}시간 전"),
    "age.days": ("{n} d ago", "{n}일 전"),
    # New function
    "new.name": ("Name of the function", "함수 이름"),
    "new.name.help": (
        "Lower-case letters, digits and -; it becomes part of the URL.",
        "영문 소문자, 숫자, - 만 사용할 수 있으며 URL의 일부가 됩니다.",
    ),
    "new.upload": ("Upload a project", "프로젝트 업로드"),
    "new.template": ("Start from a template", "템플릿으로 시작"),
    "new.template.help": (
        "You can edit its files here before they are deployed.",
        "배포하기 전에 이 페이지에서 파일을 편집할 수 있습니다.",
    ),
    "upload.archive": ("Archive (.zip, .tar.gz or .tar)", "압축 파일 (.zip, .tar.gz 또는 .tar)"),
    "upload.directory": ("Or a directory", "또는 디렉터리"),
    "upload.drop": ("Drop a directory or an archive here.", "디렉터리나 압축 파일을 여기에 놓으세요."),
    "upload.limit": (
        (
            "At most {limit}; spin.toml is at the top. .git, node_modules, target, .venv and caches are left out of a "
            "directory."
        ),
        (
            "최대 {limit}. spin.toml은 최상위에 있어야 합니다. 디렉터리의 .git, node_modules, target, .venv와 캐시는 "
            "제외됩니다."
        ),
    ),
    "upload.chosen": ("{files} files, {size}", "파일 {files}개, {size}"),
    "upload.sending": ("Uploading: {percent} %", "업로드 중: {percent} %"),
    "upload.too_large": ("This is larger than the limit of {limit}.", "제한 크기 {limit}를 초과합니다."),
    "upload.lost": (
        "The connection to the service was lost. Try again.",
        "서비스와의 연결이 끊어졌습니다. 다시 시도하세요.",
    ),
    "upload.nothing": (
        "Nothing was chosen. Choose an archive or a directory.",
        "선택한 항목이 없습니다. 압축 파일이나 디렉터리를 선택하세요.",
    ),
    "deploy": ("Deploy", "배포"),
    "settings": ("Settings", "설정"),
    "settings.profile": ("Build profile", "빌드 프로필"),
    "settings.timeout": ("Seconds for one request", "요청 하나의 제한 시간(초)"),
    "settings.build_timeout": ("Seconds for the build", "빌드 제한 시간(초)"),
    "settings.probe_path": ("Path that must answer", "응답해야 하는 경로"),
    "settings.help": ("Leave a field empty for the default.", "비워 두면 기본값을 사용합니다."),
    "editor": ("Edit {template}", "{template} 편집"),
    "editor.more": ("Taken as they are: {files}", "그대로 사용되는 파일: {files}"),
    # Function
    "function.url.command": ("Command that calls the function", "함수를 호출하는 명령"),
    "copy": ("Copy", "복사"),
    "copied": ("Copied", "복사됨"),
    "function.none": ("Not deployed.", "배포되지 않음."),
    "versions": ("Versions", "버전"),
    "versions.live": ("live", "사용 중"),
    "versions.roll_back": ("Roll back", "롤백"),
    "versions.roll_back.to": ("Roll back to deployment {number}", "배포 {number}(으)로 롤백"),
    "canary": ("Canary", "카나리"),
    "canary.help": ("A part of the requests goes to the newest version.", "요청의 일부가 최신 버전으로 전달됩니다."),
    "canary.promote": ("Promote: send all requests to it", "승격: 모든 요청을 전달"),
    "upload.version": ("Upload a new version", "새 버전 업로드"),
    "variables": ("Variables and secrets", "변수와 시크릿"),
    "variables.help": (
        "Names as in [variables] of spin.toml. A change deploys the function again. A secret is never shown again.",
        (
            "이름은 spin.toml의 [variables]와 같아야 합니다. 변경하면 함수가 다시 배포됩니다. 시크릿은 다시 표시되지 "
            "않습니다."
        ),
    ),
    "variables.none": ("None is set.", "설정된 값이 없습니다."),
    "variables.secret": ("secret, not shown", "시크릿, 표시 안 함"),
    "variables.is_secret": ("It is a secret", "시크릿임"),
    "variables.set": ("Set", "설정"),
    "variables.remove": ("Remove {name}", "{name} 제거"),
    "logs": ("Logs", "로그"),
    "logs.of": ("Logs of {function}", "{function}의 로그"),
    "logs.none": ("The function has written nothing yet.", "함수가 아직 아무것도 출력하지 않았습니다."),
    "logs.reload": ("Reload", "새로 고침"),
    "delete": ("Delete", "삭제"),
    "delete.of": ("Delete {function}", "{function} 삭제"),
    "delete.question": (
        "The function stops answering, and its versions and variables are removed. This cannot be undone.",
        "함수가 더 이상 응답하지 않으며 버전과 변수가 제거됩니다. 되돌릴 수 없습니다.",
    ),
    "delete.keep_data": ("Keep its key-value and SQLite data", "키-값 및 SQLite 데이터 유지"),
    # Deployment
    "deployment": ("Deployment {number}", "배포 {number}"),
    "deployment.of": ("Deployment {number} of {function}", "{function}의 배포 {number}"),
    "deployment.stages": ("Stages", "단계"),
    "deployment.facts": ("Details", "세부 정보"),
    "deployment.log": ("Build log", "빌드 로그"),
    "deployment.log.whole": ("Whole log", "전체 로그"),
    "deployment.log.end": ("The end of the log is shown.", "로그의 끝부분만 표시됩니다."),
    "deployment.cancel": ("Cancel the deployment", "배포 취소"),
    "deployment.cancelling": ("It is being cancelled.", "취소하는 중입니다."),
    "deployment.position": ("Number {position} in the queue", "대기열 {position}번째"),
    "deployment.unchanged": (
        "Nothing to change: the function was there already.",
        "변경 없음: 이미 배포된 함수입니다.",
    ),
    "deployment.failed": ("The deployment failed", "배포에 실패했습니다"),
    "deployment.reason": ("Reason", "사유"),
    "deployment.command": ("Command", "명령"),
    "deployment.created": ("Requested", "요청 시각"),
    "deployment.artifact": ("Artifact", "아티팩트"),
    "deployment.attempt": ("Attempt", "시도"),
    "next": ("Next", "다음 단계"),
    "phase.Queued": ("Waiting in the queue", "대기열에서 대기 중"),
    "phase.Building": ("Building", "빌드 중"),
    "phase.Packing": ("Packing", "패키징 중"),
    "phase.Publishing": ("Publishing", "게시 중"),
    "phase.RollingOut": ("Rolling out", "롤아웃 중"),
    "phase.Ready": ("Ready", "준비됨"),
    "phase.Failed": ("Failed", "실패"),
    "phase.Cancelled": ("Cancelled", "취소됨"),
    "stage.queue": ("Queue", "대기열"),
    "stage.build": ("Build", "빌드"),
    "stage.pack": ("Pack", "패키징"),
    "stage.publish": ("Publish", "게시"),
    "stage.rollout": ("Roll out", "롤아웃"),
    "stage.state.done": ("done", "완료"),
    "stage.state.current": ("in progress", "진행 중"),
    "stage.state.failed": ("failed", "실패"),
    "stage.state.pending": ("not begun", "시작 전"),
    "seconds": ("{n} s", "{n}초"),
    # Errors
    "error": ("Error {status}", "오류 {status}"),
    "error.origin": (
        "The request did not come from this page.",
        "이 페이지에서 보낸 요청이 아닙니다.",
    ),
    "error.origin.next": ("Open the page again and repeat it there.", "페이지를 다시 열고 다시 시도하세요."),
    "error.internal": ("The service made a mistake.", "서비스 내부 오류가 발생했습니다."),
    "error.internal.next": (
        "Try again; if it fails again, tell the administrator of the service.",
        "다시 시도하고, 계속 실패하면 서비스 관리자에게 알리세요.",
    ),
    "error.expired": (
        "The session has ended. Sign in again.",
        "세션이 종료되었습니다. 다시 로그인하세요.",
    ),
}


def text(language: str, key: str, **values: object) -> str:
    """What the page says for a key.

    Raises:
        KeyError: there is no such key, or a value is missing.
    """
    return TEXTS[key][LANGUAGES.index(language)].format(**values)
