# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command client/wasmfaas.py as users run it, against a stand-in for the service."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import gzip
import io
import ipaddress
import json
import os
import socket
import stat
import subprocess
import sys
import tarfile
import threading
import typing as t
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .service_stand_in import TOKEN, URL, Plan, StandIn, serve

COMMAND = Path(__file__).resolve().parents[3] / "client/wasmfaas.py"
MANIFEST = """
spin_manifest_version = 2

[application]
name = "shop"

[[trigger.http]]
route = "/..."
component = "main"

[component.main]
source = "main.wasm"
files = ["assets/*"]
"""


@dataclasses.dataclass
class Done:
    """What a run of the command gave."""

    code: int
    out: str
    error: str


@dataclasses.dataclass
class Wasmfaas:
    """Runs the command for a user with a home directory of its own."""

    home: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str | Path, stdin: str = "", **environment: str) -> Done:
        done = subprocess.run(
            [sys.executable, COMMAND, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env={**self.environment, **environment},
            check=False,
            timeout=120,
        )
        assert TOKEN not in done.stdout + done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    @property
    def credentials(self) -> Path:
        return self.home / "wasmfaas/credentials.json"


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def url(stand_in: StandIn) -> collections.abc.Iterator[str]:
    with serve(stand_in) as found:
        yield found


@pytest.fixture
def wasmfaas(tmp_path: Path) -> Wasmfaas:
    home = tmp_path / "home"
    kept = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    return Wasmfaas(home, {**kept, "XDG_CONFIG_HOME": str(home)})


@pytest.fixture
def logged_in(wasmfaas: Wasmfaas, url: str) -> Wasmfaas:
    assert wasmfaas("login", url, stdin=f"{TOKEN}\n").code == 0
    return wasmfaas


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "shop"
    (directory / "assets").mkdir(parents=True)
    (directory / "spin.toml").write_text(MANIFEST)
    (directory / "main.wasm").write_bytes(b"\0asm")
    (directory / "assets/page.html").write_text("page")
    return directory


def git(directory: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    subprocess.run(["git", *identity, "-C", directory, *arguments], check=True, capture_output=True, timeout=60)


def uploaded(stand_in: StandIn) -> dict[str, tarfile.TarInfo]:
    """The members of the last archive."""
    data = gzip.decompress(list(stand_in.archives.values())[-1])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive.getmembers()}


# Logins


def test_login_keeps_the_token_for_this_user_alone(wasmfaas: Wasmfaas, url: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    done = wasmfaas("login", f"{url}/", "--token-file", file)
    assert done == Done(0, f"Logged in at {url} as laptop (deploy, tenant user1).\n", "")
    assert stat.S_IMODE(wasmfaas.credentials.stat().st_mode) == 0o600
    assert stat.S_IMODE(wasmfaas.credentials.parent.stat().st_mode) == 0o700
    assert wasmfaas("list").out == "no functions\n"


def test_wrong_token_is_not_kept(wasmfaas: Wasmfaas, url: str) -> None:
    done = wasmfaas("login", url, stdin="wrong\n")
    assert (done.code, done.out) == (4, "")
    assert done.error == "Error: The token is unknown.\nNext: Get another.\n"
    assert not wasmfaas.credentials.exists()


def test_logout_forgets_the_token(logged_in: Wasmfaas) -> None:
    assert logged_in("logout").out == "Logged out.\n"
    assert TOKEN not in logged_in.credentials.read_text()
    assert logged_in("list").code == 2


def test_environment_replaces_a_login(wasmfaas: Wasmfaas, url: str) -> None:
    done = wasmfaas("list", WASMFAAS_SERVICE=url, WASMFAAS_TOKEN=TOKEN)
    assert done == Done(0, "no functions\n", "")
    assert not wasmfaas.credentials.exists()


def test_token_that_others_may_read_is_refused(logged_in: Wasmfaas, stand_in: StandIn) -> None:
    logged_in.credentials.chmod(0o644)
    before = len(stand_in.requests)
    done = logged_in("list")
    assert done.code == 2 and "chmod 600" in done.error
    assert len(stand_in.requests) == before


@pytest.mark.parametrize("address", ["http://api.example.com", "ftp://localhost", "https://user:x@localhost", "shop"])
def test_token_is_sent_only_where_it_is_safe(wasmfaas: Wasmfaas, address: str) -> None:
    assert wasmfaas("login", address, stdin=TOKEN).code == 2
    assert wasmfaas("list", WASMFAAS_SERVICE=address, WASMFAAS_TOKEN=TOKEN).code == 2


def test_redirect_is_not_followed(logged_in: Wasmfaas, stand_in: StandIn) -> None:
    other = StandIn()
    with serve(other) as elsewhere:
        stand_in.answers["GET", "/v1/tenants/user1/functions"] = [(307, {"Location": elsewhere}, {})]
        done = logged_in("list")
    assert done.code == 4 and elsewhere in done.error
    assert other.requests == []


def self_signed(file: Path) -> Path:
    """A PEM file with a certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "service")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


def test_certificate_is_checked(wasmfaas: Wasmfaas, stand_in: StandIn, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path / "service.pem")
    with serve(stand_in, certificate) as url:
        done = wasmfaas("login", url, stdin=TOKEN)
        assert done.code == 4 and "certificate" in done.error and "--ca-file" in done.error
        assert stand_in.requests == []
        assert wasmfaas("login", url, "--ca-file", certificate, stdin=TOKEN).code == 0
        assert wasmfaas("list").code == 0


def test_nobody_answers(wasmfaas: Wasmfaas) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        done = wasmfaas("login", f"http://127.0.0.1:{held.getsockname()[1]}", stdin=TOKEN)
    assert done.code == 4 and "cannot be reached" in done.error and "Next: " in done.error


# Deployments


def test_deploys_once(logged_in: Wasmfaas, stand_in: StandIn, project: Path) -> None:
    done = logged_in("deploy", project)
    assert (done.code, done.out) == (0, f"{URL}\n")
    assert done.error.splitlines() == [
        "deployment 1 of user1/shop",
        "--- build",
        "compiling",
        "ready in 1.6 s (queue 0.1 s, build 1.5 s)",
    ]
    assert len(stand_in.made("PUT")) == 1
    done = logged_in("deploy", project)
    assert done == Done(0, f"{URL}\n", "unchanged\n")
    assert len(stand_in.made("PUT")) == 1


def test_settings_reach_the_service(logged_in: Wasmfaas, stand_in: StandIn, project: Path) -> None:
    assert logged_in("deploy", project, "--profile", "release", "--timeout", "5", "--name", "other").code == 0
    assert stand_in.deployments["other"][0]["settings"] == {"profile": "release", "timeout": 5}


def test_result_as_json(logged_in: Wasmfaas, project: Path) -> None:
    assert json.loads(logged_in("deploy", project, "--json").out)["phase"] == "Ready"
    assert json.loads(logged_in("list", "--json").out)["functions"][0]["name"] == "shop"
    assert json.loads(logged_in("status", "none", "--json").out)["error"]["code"] == "not_found"


def test_failure_says_why_once(logged_in: Wasmfaas, stand_in: StandIn, project: Path) -> None:
    log = ("--- build", "error[E0425]", "failed: The build failed.", "next: Correct it.")
    stand_in.plans = [Plan(log, "Failed", "The build failed.", "Correct it.")]
    done = logged_in("deploy", project)
    assert (done.code, done.out) == (1, "")
    assert done.error.splitlines()[1:] == [
        "--- build",
        "error[E0425]",
        "failed: The build failed.",
        "Next: Correct it.",
    ]
    assert logged_in("logs", "shop", "--build").out.splitlines() == list(log)


def test_build_may_print_what_the_service_does(logged_in: Wasmfaas, stand_in: StandIn, project: Path) -> None:
    stand_in.plans = [Plan(("failed: 0 tests", "ready to go", f"ready {URL}"))]
    assert logged_in("deploy", project).error.splitlines()[1:3] == ["failed: 0 tests", "ready to go"]


def test_cancelled_deployment_has_a_code_of_its_own(logged_in: Wasmfaas, stand_in: StandIn, project: Path) -> None:
    stand_in.plans = [Plan((), "Cancelled", "It was cancelled by laptop.")]
    assert logged_in("deploy", project).code == 3


def test_place_in_the_queue_is_told(logged_in: Wasmfaas, stand_in: StandIn, project: Path) -> None:
    stand_in.plans = [Plan(queued=2)]
    assert logged_in("deploy", project).error.splitlines()[1:3] == ["queued, 2 in the queue", "queued, the next one"]


@pytest.mark.parametrize("cut_after", [0, 1, 2])
def test_log_goes_on_after_a_lost_connection(
    logged_in: Wasmfaas, stand_in: StandIn, project: Path, cut_after: int
) -> None:
    log = ("--- build", "größer", "three", f"ready {URL}")
    stand_in.plans = [Plan(log, cut_after=cut_after)]
    done = logged_in("deploy", project)
    assert done.code == 0
    assert done.error.splitlines()[1:4] == list(log[:3])


def test_deployment_is_not_waited_for(logged_in: Wasmfaas, project: Path) -> None:
    assert logged_in("deploy", project, "--no-wait") == Done(0, "deployment 1 of user1/shop\n", "")
    assert logged_in("cancel", "shop").code == 0


def test_busy_service_is_asked_again(logged_in: Wasmfaas, stand_in: StandIn, project: Path) -> None:
    path = "/v1/tenants/user1/functions/shop/deployments"
    status, headers, content = stand_in.problem(429, "too_many", "Too many wait.", "Try later.")
    stand_in.answers["POST", path] = [(status, {**headers, "Retry-After": "0"}, content)]
    assert logged_in("deploy", project).code == 0
    assert stand_in.made("POST") == [path, path]


def test_source_that_was_forgotten_is_sent_again(logged_in: Wasmfaas, stand_in: StandIn, project: Path) -> None:
    assert logged_in("deploy", project).code == 0
    path = "/v1/tenants/user1/functions/shop/deployments"
    stand_in.answers["POST", path] = [stand_in.problem(404, "not_found", "There is no source.", "Upload it.")]
    assert logged_in("deploy", project).code == 0
    assert len(stand_in.made("PUT")) == 2


def test_refusal_before_the_whole_upload_is_read(wasmfaas: Wasmfaas, project: Path) -> None:
    """As a proxy answers that looks only at Content-Length."""
    (project / "assets/big").write_bytes(os.urandom(20_000_000))
    answer = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve_both() -> None:
            for reply in (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", answer):
                connection, _address = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 20):
                        pass

        thread = threading.Thread(target=serve_both)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        done = wasmfaas("deploy", project, "--tenant", "user1", WASMFAAS_SERVICE=url, WASMFAAS_TOKEN=TOKEN)
        thread.join()
    assert done.code == 1
    assert "The upload of 20.0 MB is too large" in done.error


# What is packed


def test_git_says_what_is_packed(logged_in: Wasmfaas, stand_in: StandIn, project: Path) -> None:
    (project / ".gitignore").write_text("*.wasm\nignored\ntracked\n")
    for name in ("ignored", "tracked", "new"):
        (project / name).write_text(name)
    (project / "node_modules").mkdir()
    (project / "node_modules/module.js").write_text("")
    git(project, "init")
    git(project, "add", "--force", "tracked")
    assert logged_in("deploy", project).code == 0
    needed = {"main.wasm"} if sys.version_info >= (3, 11) else set()
    assert set(uploaded(stand_in)) == {".gitignore", "spin.toml", "assets/page.html", "tracked", "new"} | needed


def test_outside_of_git_the_usual_directories_are_left_out(
    logged_in: Wasmfaas, stand_in: StandIn, project: Path
) -> None:
    (project / "Cargo.toml").write_text("")
    for name in (".git/config", "node_modules/a.js", "target/b.o", ".spin/c", "e/__pycache__/d.pyc", "env/pyvenv.cfg"):
        (project / name).parent.mkdir(parents=True)
        (project / name).write_text("")
    (project / "dist").mkdir()
    (project / "dist/index.html").write_text("")
    assert logged_in("deploy", project).code == 0
    assert set(uploaded(stand_in)) == {"spin.toml", "main.wasm", "assets/page.html", "Cargo.toml", "dist/index.html"}


def test_same_files_make_the_same_archive(logged_in: Wasmfaas, stand_in: StandIn, project: Path) -> None:
    (project / "run.sh").write_text("")
    (project / "run.sh").chmod(0o755)
    (project / "link").symlink_to("assets/page.html")
    assert logged_in("deploy", project).code == 0
    members = uploaded(stand_in)
    assert members["run.sh"].mode == 0o755 and members["spin.toml"].mode == 0o644
    assert members["link"].isfile() and members["link"].size == 4
    assert {(member.mtime, member.uid, member.uname) for member in members.values()} == {(0, 0, "")}
    for file in project.rglob("*"):
        os.utime(file, (1, 1))
    (project / "spin.toml").chmod(0o600)
    assert logged_in("deploy", project).error == "unchanged\n"
    assert len(stand_in.archives) == 1


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "assets", "missing"])
def test_link_to_no_file_of_the_project_is_refused(
    logged_in: Wasmfaas, stand_in: StandIn, project: Path, target: str
) -> None:
    (project.parent / "outside").write_text("secret")
    (project / "link").symlink_to(target)
    done = logged_in("deploy", project)
    assert done.code == 2 and "link is no file of the project" in done.error
    assert stand_in.made("PUT") == []


@pytest.mark.parametrize(
    ("manifest", "message"),
    [("not TOML [", "cannot be read"), ('[application]\nversion = "1"', "has no name"), (None, "cannot be read")],
)
def test_directory_without_a_project_is_wrong_usage(
    logged_in: Wasmfaas, tmp_path: Path, manifest: str | None, message: str
) -> None:
    if manifest is not None:
        (tmp_path / "spin.toml").write_text(manifest)
    done = logged_in("deploy", tmp_path)
    assert done.code == 2 and message in done.error


@pytest.mark.parametrize(
    "manifest",
    [
        MANIFEST,
        "[variables]\nname = 'other'\n[ application ] # the application\n  name = 'shop' # its name\n",
        'spin_manifest_version = "1"\nname = "shop"\n[[component]]\nname = "other"\n',
        'application.name = "shop"\n',
    ],
)
def test_name_is_read_without_a_reader_of_toml(
    logged_in: Wasmfaas, stand_in: StandIn, project: Path, manifest: str
) -> None:
    """As before Python 3.11."""
    (project / "spin.toml").write_text(manifest)
    program = "import runpy, sys; sys.modules['tomllib'] = None; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    subprocess.run(
        [sys.executable, "-c", program, COMMAND, "deploy", project],
        env=logged_in.environment,
        check=True,
        timeout=120,
    )
    assert list(stand_in.functions) == ["shop"]


def test_name_that_no_function_may_have(logged_in: Wasmfaas, stand_in: StandIn, project: Path) -> None:
    (project / "spin.toml").write_text(MANIFEST.replace('"shop"', '"My Shop"'))
    done = logged_in("deploy", project)
    assert done.code == 2 and "--name" in done.error


# What runs


def test_shows_and_changes_what_runs(logged_in: Wasmfaas, stand_in: StandIn, project: Path) -> None:
    assert logged_in("deploy", project).code == 0
    assert logged_in("list").out.splitlines()[1].split()[:3] == ["shop", "ready", URL]
    assert "1 Ready" in logged_in("status", "shop").out
    assert logged_in("versions", "shop").out.splitlines()[1].startswith("1       Ready")
    assert logged_in("logs", "shop").out == "one\ntwo red\n"
    assert logged_in("rollback", "shop", "--to", "1").out == f"{URL}\n"
    asked = [request for request in stand_in.requests if request.path.endswith("/rollback")]
    assert [json.loads(request.body) for request in asked] == [{"to": 1}]
    assert logged_in("delete", "shop", "--keep-data").out == "deleted\n"
    assert stand_in.requests[-1].query == {"keep_data": "true"}
    assert logged_in("delete", "shop").code == 1


def test_terminal_commands_of_a_build_are_not_obeyed(logged_in: Wasmfaas, stand_in: StandIn, project: Path) -> None:
    stand_in.plans = [Plan(("\x1b]0;title\x07harmless \x1b[2Jtext\x9b31m",))]
    assert "\nharmless text31m\n" in logged_in("deploy", project).error


def test_variables_and_secrets(logged_in: Wasmfaas, stand_in: StandIn) -> None:
    assert logged_in("variables", "set", "shop", "greeting=hi=you", "empty=").code == 0
    done = logged_in("secrets", "set", "shop", "password", stdin="hunter2\n")
    assert done.code == 0 and "hunter2" not in done.out + done.error
    assert stand_in.variables == {"greeting": (False, "hi=you"), "empty": (False, ""), "password": (True, "hunter2")}
    assert logged_in("variables", "list", "shop").out.splitlines()[1:] == [
        "greeting  hi=you",
        "empty",
        "password  (secret)",
    ]
    assert logged_in("variables", "unset", "shop", "empty").code == 0
    assert logged_in("secrets", "unset", "shop", "password").code == 0
    assert stand_in.made("DELETE")[-1].endswith("/secrets/password")
    assert set(stand_in.variables) == {"greeting"}
    assert logged_in("variables", "set", "shop", "greeting").code == 2


def test_tokens(logged_in: Wasmfaas, stand_in: StandIn) -> None:
    done = logged_in("token", "create", "ci", "--tenant", "user1", "--expires", "2027-01-31T12:00:00Z")
    assert done.out == "wfs_new\n"
    wanted = {"name": "ci", "tenant": "user1", "role": "deploy", "expires": "2027-01-31T12:00:00Z"}
    assert json.loads(stand_in.requests[-1].body) == wanted
    assert "laptop" in logged_in("token", "list").out
    assert logged_in("token", "delete", "ci").code == 0
    assert logged_in("token", "create", "ci").code == 2


def test_interrupt_leaves_the_deployment(logged_in: Wasmfaas, stand_in: StandIn, project: Path) -> None:
    stand_in.plans = [Plan(queued=1_000_000)]
    process = subprocess.Popen(
        [sys.executable, COMMAND, "deploy", project],
        env=logged_in.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process, t.cast("t.IO[str]", process.stderr) as lines:
        assert any(line.startswith("queued") for line in lines)
        process.send_signal(2)
        rest = lines.read()
        assert process.wait(60) == 130
    assert "`wasmfaas cancel shop`" in rest
    assert stand_in.made("DELETE") == []
