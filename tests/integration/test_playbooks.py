# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks with the real ansible-playbook, as a user runs them: what they do, what they print, and what they must
not show."""

from __future__ import annotations

import collections.abc
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import typing as t
from pathlib import Path

import httpx2
import psutil
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import SPIN_APP

from .support.deployment import Deployment
from .support.fixtures import Registry
from .support.function_project import FunctionProject
from .support.marks import needs_skopeo
from .support.playbooks import ANOTHER_PYTHON_NAME, Playbooks, extra
from .support.registries import skopeo
from .support.servers import REPOSITORY, wait_until, write_private

NAMESPACE = "user1"
RESULT_KEYS = {"changed", "name", "namespace", "url", "image", "digest", "source_digest", "stages"}
RESULT_LINE = (
    r"(deployed|unchanged|pushed) \S+ sha256:[0-9a-f]{12} \(\d+\.\d\d s(: \w+ \d+\.\d\d s(, \w+ \d+\.\d\d s)*)?\)"
)
SECRET = "s3cret-value-0f-a-variable"
AS_MODULE = extra(ansible_python_interpreter=ANOTHER_PYTHON_NAME)
"""Only of modules that it executes Ansible tells the system's log."""
USER_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@pytest.fixture
def playbooks(tmp_path: Path) -> Playbooks:
    return Playbooks(tmp_path / "home")


@pytest.fixture
def cluster(deployment: Deployment, project: FunctionProject) -> list[str]:
    """The arguments that every deployment to the test cluster needs."""
    deployment.remember(project.name, namespace=NAMESPACE)
    return [
        *extra(
            namespace=NAMESPACE, registry=f"docker://{deployment.registry.host}/functions", registry_plain_http=True
        ),
        *extra(probe_address=deployment.front, domain="127.0.0.1.nip.io"),
        *extra(kubeconfig=deployment.control_plane.kubeconfig),
    ]


def kubeconfig_of(deployment: Deployment) -> list[str]:
    return extra(kubeconfig=deployment.control_plane.kubeconfig)


# ---- what a user does


def test_the_life_of_a_function(
    playbooks: Playbooks,
    cluster: list[str],
    deployment: Deployment,
    project: FunctionProject,
    api: KubernetesApi,
    tmp_path: Path,
) -> None:
    file = tmp_path / "results" / "deploy.json"
    deploy = ["deploy-function.yml", *extra(src=project.directory, result_file=file), *cluster]
    named = extra(name=project.name, namespace=NAMESPACE)

    planned = playbooks.run(*deploy, "--check", "--diff")
    assert (planned.exit_code, planned.changed) == (0, 1), planned.output
    for line in (
        r"-\s+source_digest: null",
        r"\+\s+SpinApp:",
        r"\+\s+replicas: 1",
        r"\+\s+build:\n\+\s+- python3 build\.py",
    ):
        assert re.search(f"^{line}$", planned.output, re.MULTILINE), line
    assert planned.result_line.startswith("would be deployed ")
    assert api.get(SPIN_APP, NAMESPACE, project.name) is None and not (project.directory / "app.wasm").exists()
    assert httpx2.get(f"{deployment.registry.url}/v2/functions/{project.name}/tags/list").status_code == 404

    first = playbooks.run(*deploy)
    assert (first.exit_code, first.changed) == (0, 1), first.output
    assert re.fullmatch(RESULT_LINE, first.result_line), first.result_line
    result = json.loads(file.read_text())
    assert set(result) == RESULT_KEYS
    assert (result["changed"], result["name"], result["namespace"]) == (True, project.name, NAMESPACE)
    assert result["url"] == f"http://{project.name}.{NAMESPACE}.127.0.0.1.nip.io" and result["url"] in first.result_line
    assert result["image"] == f"{deployment.registry.host}/functions/{project.name}@{result['digest']}"
    assert {"manifest", "source_digest", "build", "registry", "apply", "rollout", "probe"} <= set(result["stages"])
    assert deployment.call(result).json()["image"] == result["image"]

    second = playbooks.run(*deploy)
    assert (second.exit_code, second.changed) == (0, 0), second.output
    assert second.result_line.startswith("unchanged ")
    again = json.loads(file.read_text())
    assert again["changed"] is False and "build" not in again["stages"]
    assert {key: again[key] for key in RESULT_KEYS - {"changed", "stages"}} == {
        key: result[key] for key in RESULT_KEYS - {"changed", "stages"}
    }

    live = api.get(SPIN_APP, NAMESPACE, project.name)
    unchanged = playbooks.run(*deploy, "--check", "--diff")
    assert (unchanged.exit_code, unchanged.changed) == (0, 0), unchanged.output
    project.write("second")
    scaled = playbooks.run(*deploy, *extra(replicas=2), "--check", "--diff")
    assert (scaled.exit_code, scaled.changed) == (0, 1), scaled.output
    for line in (r"-\s+replicas: 1", r"\+\s+replicas: 2", r"\+\s+- python3 build\.py"):
        assert re.search(f"^{line}$", scaled.output, re.MULTILINE), line
    assert api.get(SPIN_APP, NAMESPACE, project.name) == live

    listed = playbooks.run("wasmfaas.platform.list_functions", *extra(namespace=NAMESPACE), *kubeconfig_of(deployment))
    assert listed.exit_code == 0 and listed.changed == 0
    (line,) = [line for line in listed.output.splitlines() if f" {project.name} " in line]
    assert "ready" in line and "1/1" in line and result["url"] in line and result["digest"][7:19] in line

    delete = ["wasmfaas.platform.delete_function", *named, *kubeconfig_of(deployment)]
    assert playbooks.run(*delete, "--check").changed == 1
    assert api.get(SPIN_APP, NAMESPACE, project.name) == live
    deleted = playbooks.run(*delete)
    assert (deleted.exit_code, deleted.changed) == (0, 1), deleted.output
    assert deleted.result_line.startswith(f"{NAMESPACE}/{project.name} removed")
    assert api.get(SPIN_APP, NAMESPACE, project.name) is None
    assert deployment.call(result).status_code == 404
    assert playbooks.run(*delete).changed == 0


@needs_skopeo
def test_what_was_pushed_is_read_byskopeo(
    playbooks: Playbooks, cluster: list[str], project: FunctionProject, tmp_path: Path
) -> None:
    file = tmp_path / "pushed.json"
    pushes = [
        playbooks.run("deploy-function.yml", *extra(src=project.directory, state="pushed", result_file=file), *cluster)
        for _time in range(2)
    ]
    assert [(push.exit_code, push.changed) for push in pushes] == [(0, 1), (0, 0)], pushes[0].output
    result = json.loads(file.read_text())
    assert result["image"] in pushes[1].result_line and result["url"] == ""

    raw = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{result['image']}"))
    assert [layer["mediaType"] for layer in raw["layers"]][-1] == "application/vnd.fermyon.spin.application.v1+config"
    layout = f"oci:{tmp_path / 'layout'}:copy"
    skopeo("copy", "--src-tls-verify=false", f"docker://{result['image']}", layout)
    assert json.loads(skopeo("inspect", layout))["Digest"] == result["digest"]
    copied = result["image"].partition("@")[0] + "-copied:1"
    skopeo("copy", "--dest-tls-verify=false", layout, f"docker://{copied}")
    assert json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{copied}"))["Digest"] == result["digest"]


def test_paths_are_the_users(playbooks: Playbooks, tmp_path: Path) -> None:
    """Relative ones are relative to where the user stands; `~` and blanks are fine."""
    project = FunctionProject(playbooks.home / "my functions" / "the shop", "shop")
    pushed = [*extra(state="pushed", registry=f"oci:{tmp_path}/an image layout")]
    relative = playbooks.run(
        "deploy-function.yml",
        *extra(src="the shop", result_file="result of it.json"),
        *pushed,
        directory=project.directory.parent,
    )
    assert (relative.exit_code, relative.changed) == (0, 1), relative.output
    assert set(json.loads((project.directory.parent / "result of it.json").read_text())) == RESULT_KEYS
    here = playbooks.run("deploy-function.yml", "-e", "src=.", *pushed, directory=project.directory)
    assert (here.exit_code, here.changed) == (0, 0), here.output
    of_home = playbooks.run(
        "deploy-function.yml", *extra(src="~/my functions/the shop", result_file="~/result.json"), *pushed
    )
    assert (of_home.exit_code, of_home.changed) == (0, 0), of_home.output
    assert (playbooks.home / "result.json").exists()
    assert not list(REPOSITORY.glob("result*.json"))


# ---- errors


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (
            lambda project: project.manifest(more='sorce = "app.wasm"'),
            r"Stage:\s+manifest\s+Where:\s+spin\.toml:\d+: component\.main\.sorce\s+Problem:\s+unknown key",
        ),
        (
            lambda project: project.manifest(command="echo the reason >&2; exit 3"),
            r"  build     the reason\n.*Stage:\s+build\s+Problem: .* failed with exit code 3 \(see above\)",
        ),
        (lambda project: shutil.rmtree(project.directory), r"Stage:\s+manifest\s+Problem: .*\n.*spin\.toml"),
        (lambda project: project.manifest(behaviour="crash"), r"Stage:\s+rollout\s+Problem: .*CrashLoopBackOff"),
    ],
    ids=["unknown key", "failing build", "no directory", "crashing function"],
)
def test_errors_are_readable(
    playbooks: Playbooks,
    cluster: list[str],
    project: FunctionProject,
    spoil: t.Callable[[FunctionProject], None],
    expected: str,
) -> None:
    spoil(project)
    run = playbooks.run("deploy-function.yml", *extra(src=project.directory), *cluster)
    assert run.exit_code == 2 and "failed=1" in run.output
    assert re.search(expected, run.output, re.DOTALL), run.output
    assert len(re.findall(r"^  Next step:   \S", run.output, re.MULTILINE)) == 1
    assert "[ERROR]" not in run.output
    assert "Traceback" not in run.output


def test_no_source_at_all(playbooks: Playbooks, cluster: list[str]) -> None:
    run = playbooks.run("deploy-function.yml", *cluster)
    assert run.exit_code == 2 and "source" in run.output and "Traceback" not in run.output


def test_an_interrupt_from_the_keyboard(
    playbooks: Playbooks, cluster: list[str], deployment: Deployment, project: FunctionProject, tmp_path: Path
) -> None:
    hold, file = tmp_path / "hold", tmp_path / "result.json"
    deploy = ["deploy-function.yml", *extra(src=project.directory, result_file=file), *cluster]
    assert playbooks.run(*deploy).exit_code == 0
    first = json.loads(file.read_text())
    hold.touch()
    project.manifest(
        command=f"if test -e '{hold}'; then echo $$ > '{tmp_path}/process'; sleep 600; fi; python3 build.py"
    )
    project.write("second")
    process = playbooks.start(*deploy)
    wait_until((tmp_path / "process").exists, seconds=60, what="the build runs")
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does
    run = playbooks.finish(process, seconds=30)
    assert run.exit_code not in (0, 2)
    assert "Traceback" not in run.output
    psutil.wait_procs(children, timeout=10)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert deployment.call(first).json()["image"] == first["image"]
    hold.unlink()
    assert playbooks.run(*deploy).changed == 1
    second = json.loads(file.read_text())
    assert deployment.call(second).json()["image"] == second["image"] != first["image"]
    assert playbooks.run(*deploy).changed == 0


# ---- secrets


class SeenArguments:
    """The command lines of all processes of this machine, while it is entered."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._stop = threading.Event()

    def __enter__(self) -> SeenArguments:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.01):
            for name in os.listdir("/proc"):
                if name.isdigit():
                    with contextlib.suppress(OSError):
                        self.seen.add(Path(f"/proc/{name}/cmdline").read_bytes())


def _has_listener(device: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        try:
            client.connect(str(device))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True


@pytest.fixture
def system_log() -> collections.abc.Iterator[t.Callable[[], str]]:
    """Gives what was sent to the system's log since; Ansible tells it about every module with its arguments."""
    device = Path("/dev/log")
    started = time.time()
    if _has_listener(device):
        if shutil.which("journalctl") is None:
            pytest.skip("the system's log cannot be read: there is no journalctl")
        yield (
            lambda: (
                subprocess.run(
                    ["journalctl", "--no-pager", f"--since=@{started:.0f}"], check=True, capture_output=True, text=True
                ).stdout
            )
        )
        return
    if os.geteuid() != 0:
        pytest.skip("there is no system log, and only root can play one at /dev/log")
    device.unlink(missing_ok=True)  # left by a session that was killed
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(device))
        listener.setblocking(False)
        received: list[str] = []

        def read() -> str:
            with contextlib.suppress(BlockingIOError):
                while True:
                    received.append(listener.recv(1 << 20).decode(errors="replace"))
            return "\n".join(received)

        stop = threading.Event()

        def drain() -> None:
            while not stop.wait(0.02):  # a full queue makes the sender wait
                read()

        thread = threading.Thread(target=drain, daemon=True)
        thread.start()
        try:
            yield lambda: "\n".join(received)
        finally:
            stop.set()
            thread.join()
            device.unlink()


def _too_open(directory: Path, secret: str, *, given: Path) -> list[str]:
    """Files below `directory` that hold the secret and that others may read; `given` is where the user wrote it."""
    files = [file for file in directory.rglob("*") if file.is_file() and not file.is_symlink() and file != given]
    return [
        f"{file} {file.stat().st_mode:o}"
        for file in files
        if secret.encode() in file.read_bytes() and file.stat().st_mode & 0o077
    ]


def test_a_secret_variable_is_shown_nowhere(
    playbooks: Playbooks,
    cluster: list[str],
    deployment: Deployment,
    project: FunctionProject,
    system_log: t.Callable[[], str],
    tmp_path: Path,
) -> None:
    project.manifest(
        variables='token = { required = true, secret = true }\ngreeting = { default = "hi" }',
        component_variables='variables = { token = "{{ token }}", greeting = "{{ greeting }}" }',
    )
    file = tmp_path / "result.json"
    given = write_private(
        playbooks.home / "shop.yml", json.dumps({"variables": {"token": SECRET, "greeting": "hello there"}})
    )
    deploy = [
        "deploy-function.yml",
        *extra(src=project.directory, result_file=file),
        *cluster,
        "-e",
        f"@{given}",
        "-vvv",
        "--diff",
    ]
    with SeenArguments() as arguments:
        runs = [playbooks.run(*deploy, "--check"), playbooks.run(*deploy), playbooks.run(*deploy)]
        result = file.read_text()
        project.manifest(
            behaviour="crash",
            variables="token = { required = true, secret = true }",
            component_variables='variables = { token = "{{ token }}" }',
        )
        given.write_text(json.dumps({"variables": {"token": SECRET}}))
        runs.append(playbooks.run(*deploy))
        project.manifest(component_variables='variables = { token = "{{ nowhere }}" }')
        runs.append(playbooks.run(*deploy))
        runs.append(playbooks.run(*deploy, *extra(replicas="many")))
        runs.append(playbooks.run(*deploy, *AS_MODULE))
    assert [run.exit_code for run in runs] == [0, 0, 0, 2, 2, 2, 2]
    assert "replicas" in runs[-2].output, "an error of an argument, before the work begins"
    assert [run.changed for run in runs[:3]] == [1, 1, 0]
    assert "hello there" in runs[1].output, "what is no secret is shown"
    for run in runs:
        assert SECRET not in run.output
    assert any(b"ansible-playbook" in line for line in arguments.seen)
    assert not [line for line in arguments.seen if SECRET.encode() in line]
    assert SECRET not in result
    assert not file.exists(), "a run that fails leaves no result of an earlier one"
    log = system_log()
    assert "spin_function" in log and SECRET not in log
    assert _too_open(tmp_path, SECRET, given=given) == []
    assert deployment.call(json.loads(result)).status_code == 200


def test_the_password_of_a_registry_is_shown_nowhere(
    playbooks: Playbooks,
    registry_with_token_auth: Registry,
    registry_with_tls: Registry,
    project: FunctionProject,
    system_log: t.Callable[[], str],
    tmp_path: Path,
) -> None:
    password = registry_with_token_auth.password
    given = write_private(
        playbooks.home / "registry.yml",
        json.dumps({"registry_username": registry_with_token_auth.username, "registry_password": password}),
    )
    pushed = ["deploy-function.yml", *extra(src=project.directory, state="pushed"), "-e", f"@{given}", "-vvv"]
    by_token = extra(registry=f"{registry_with_token_auth.host}/team", registry_plain_http=True)
    by_authority = extra(registry=f"{registry_with_tls.host}/team", registry_ca_file=registry_with_tls.authority_file)
    with SeenArguments() as arguments:
        runs = [playbooks.run(*pushed, *where) for where in (by_token, by_token, by_authority, by_authority)]
        runs.append(playbooks.run(*pushed, *by_authority, *AS_MODULE))
        given.write_text(json.dumps({"registry_username": "somebody", "registry_password": password}))
        refused = playbooks.run(*pushed, *by_token)
    assert [(run.exit_code, run.changed) for run in runs] == [(0, 1), (0, 0), (0, 1), (0, 0), (0, 0)], runs[0].output
    assert refused.exit_code == 2 and "registry: " in refused.output and "docker login" in refused.output
    for run in (*runs, refused):
        assert password not in run.output and "Traceback" not in run.output
    assert not [line for line in arguments.seen if password.encode() in line]
    assert "spin_function" in system_log() and password not in system_log()
    assert _too_open(tmp_path, password, given=given) == []


# ---- the local target


def test_a_function_on_this_machine(playbooks: Playbooks, tmp_path: Path) -> None:
    """The example hello-python: its real build, the real runtime."""
    directory = tmp_path / "hello"
    shutil.copytree(
        REPOSITORY / "examples" / "functions" / "hello-python",
        directory,
        ignore=shutil.ignore_patterns("app.wasm", "__pycache__"),
    )
    (directory / "greeting.py").write_text((directory / "greeting.py").read_text().replace("Hello", "Good day"))
    state, file = tmp_path / "state", tmp_path / "result.json"
    where = extra(state_directory=state)
    environment = {"XDG_CACHE_HOME": str(USER_CACHE)}  # the npm packages and componentize-py, once for all tests

    def run(playbook: str, **variables: object) -> t.Any:
        return playbooks.run(playbook, *extra(**variables), *where, inventory="local", environment=environment)

    def processes() -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if any(str(state) in word for word in process.info["cmdline"] or [])
        ]

    try:
        first = run("deploy-function.yml", src=directory, name="hello", result_file=file)
        assert first.exit_code == 0, first.output
        result = json.loads(file.read_text())
        assert set(result) == RESULT_KEYS and result["changed"] is True
        answer = httpx2.get(f"{result['url']}/", timeout=10, trust_env=False)
        assert answer.status_code == 200 and "Good day" in answer.text
        assert processes()
        second = run("deploy-function.yml", src=directory, name="hello", result_file=file)
        assert (second.exit_code, second.changed) == (0, 0), second.output
        assert result["url"] in run("wasmfaas.platform.list_functions").output
    finally:
        deleted = run("wasmfaas.platform.delete_function", name="hello")
    assert (deleted.exit_code, deleted.changed) == (0, 1), deleted.output
    assert processes() == []
    left = [path.relative_to(state) for path in state.rglob("*") if path.is_file()]
    assert {path.parts[0] for path in left if path.suffix != ".lock"} <= {
        "logs",
        "outputs",
        "record-key",
        "registry",
    }, "but for logs, the registry with the key of its records, what is remembered of builds, and empty lock files"
    assert run("wasmfaas.platform.delete_function", name="hello").changed == 0
