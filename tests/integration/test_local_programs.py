# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WASI programs on the local target, with real processes."""

from __future__ import annotations

import collections.abc
import json
import os
import signal
import stat
import subprocess
import typing as t
from pathlib import Path

import httpx2
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.local import command, installation, state
from ansible_collections.wasmfaas.platform.plugins.module_utils.program import wasi_program_info, wasi_program_logs
from ansible_collections.wasmfaas.platform.plugins.module_utils.program.wasi_program import run
from ansible_collections.wasmfaas.platform.plugins.modules.wasi_program import argument_spec

from .support.examples import built_echo_wasi, copy_of_echo_wasi
from .support.function_project import component
from .support.playbooks import Playbooks, extra
from .support.servers import REPOSITORY, free_port, wait_until
from .support.wasi_programs import ENDS_WELL, FAILS, MODULE, TRAPS, binary

NAME = "hello"
RUN = "wasi:cli/run@0.2.0"


@pytest.fixture(scope="module")
def installed() -> installation.Installation:
    return installation.install(REPOSITORY / "roles" / "local_runtime" / "files")


@pytest.fixture(scope="module")
def module(installed: installation.Installation) -> bytes:
    return binary(MODULE, installed)


class Programs:
    """Deploys programs to this machine as the module does."""

    def __init__(self, home: Path, installed: installation.Installation) -> None:
        self.state = home / "state"
        self.file = home / f"{NAME}.wasm"
        self._installed = installed

    def parameters(self, **options: t.Any) -> dict[str, t.Any]:
        defaults = {name: option.get("default") for name, option in argument_spec().items()}
        given = {
            "source": str(self.file),
            "target": "local",
            "runtime_directory": str(self._installed.runtime_directory),
            "state_directory": str(self.state),
        }
        return {**defaults, **given, **options}

    def deploy(
        self, program: bytes | None = None, /, *, check_mode: bool = False, **options: t.Any
    ) -> dict[str, t.Any]:
        if program is not None:
            self.file.write_bytes(program)
        return run(self.parameters(**options), check_mode, set())

    def delete(self, *, check_mode: bool = False) -> dict[str, t.Any]:
        return run(self.parameters(state="absent", source=None, name=NAME), check_mode, set())

    def listed(self) -> dict[str, t.Any]:
        return wasi_program_info.run({**self.parameters(), "name": None, "namespace": None}, False, set())

    def status(self) -> str:
        (program,) = self.listed()["programs"]
        return str(program["status"])

    def log(self) -> list[str]:
        parameters = {**self.parameters(), "name": NAME, "lines": 100, "since": None}
        (log,) = wasi_program_logs.run(parameters, False, set())["logs"]
        return t.cast("list[str]", log["lines"])

    def written(self) -> dict[Path, int]:
        """When each file of this machine's programs was changed."""
        files = (self.state / "programs").rglob("*")
        return {path: path.stat().st_mtime_ns for path in files if path.is_file()}


@pytest.fixture
def programs(tmp_path: Path, installed: installation.Installation) -> collections.abc.Iterator[Programs]:
    made = Programs(tmp_path, installed)
    yield made
    made.delete()


def test_a_command_runs_once_and_a_second_run_changes_nothing(programs: Programs, module: bytes) -> None:
    options: dict[str, t.Any] = {"args": ["--loud"], "env": {"TARGET": "Zoë"}}
    planned = programs.deploy(module, check_mode=True, **options)
    assert (planned["changed"], planned["summary"].partition(" /")[0][:12]) == (True, "would be run")
    assert not programs.state.exists(), "check mode writes nothing"

    first = programs.deploy(**options)
    assert (first["changed"], first["url"], first["summary"].split()[0]) == (True, "", "ran")
    assert first["output"] == ["/hello.wasm\0--loud\0TARGET=Zoë\0"], "and no variable of this machine"
    assert first["details"]["status"] == "succeeded" and first["details"]["exit_code"] == 0
    assert programs.log() == first["output"]
    assert programs.status() == "succeeded"
    before = programs.written()

    for check_mode in (True, False):
        second = programs.deploy(check_mode=check_mode, **options)
        assert (second["changed"], second["diff"]) == (False, {"before": {}, "after": {}})
        assert second["output"] == first["output"]
    assert programs.written() == before

    other = programs.deploy(args=["--quiet"])
    assert other["changed"] is True and other["digest"] == first["digest"]
    assert other["output"] == ["/hello.wasm\0--quiet\0"], "the log is that of the last run"


def test_what_it_may_hold_is_of_this_user_alone(programs: Programs, module: bytes) -> None:
    programs.deploy(module)
    directory = programs.state / "programs" / "commands" / "default" / NAME
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE((directory / name).stat().st_mode) for name in ("log", "run.json")} == {0o600}


def test_a_command_that_fails_is_told_with_its_exit_code_and_run_again(programs: Programs, module: bytes) -> None:
    programs.deploy(module)
    with pytest.raises(PlatformError, match=r"ended with exit code 3\. Its last lines:\n/hello\.wasm") as caught:
        programs.deploy(args=["3"])
    assert (caught.value.stage, caught.value.facts["exit_code"]) == ("run", 3)
    assert "program_logs -e target=local -e name=hello" in caught.value.next_step
    assert programs.status() == "failed"
    assert programs.log() == ["/hello.wasm\x003\0"]
    planned = programs.deploy(check_mode=True, args=["3"])
    assert planned["diff"]["before"]["Run"]["status"] == "failed"
    with pytest.raises(PlatformError, match="ended with exit code 3"):
        programs.deploy(args=["3"])
    assert programs.deploy()["details"]["status"] == "succeeded"


def test_a_command_that_traps_ends_with_137(programs: Programs, module: bytes) -> None:
    with pytest.raises(PlatformError, match=r"exit code 137\.[\s\S]*unreachable") as caught:
        programs.deploy(module, args=["!"])
    assert "trapped" in caught.value.next_step


@pytest.mark.parametrize(("text", "exit_code"), [(ENDS_WELL, 0), (FAILS, 1), (TRAPS, 137)], ids=["ok", "err", "trap"])
def test_a_component_of_wasi_cli(
    programs: Programs, installed: installation.Installation, text: str, exit_code: int
) -> None:
    wasm = binary(text, installed)
    if exit_code == 0:
        assert programs.deploy(wasm)["details"]["exit_code"] == 0
        assert programs.deploy()["changed"] is False
        return
    with pytest.raises(PlatformError, match=f"ended with exit code {exit_code}"):
        programs.deploy(wasm)


def test_a_command_without_an_end_is_stopped(programs: Programs, module: bytes) -> None:
    with pytest.raises(PlatformError, match=r"has not ended after 2 s and was stopped") as caught:
        programs.deploy(module, args=["?"], wait_timeout=2)
    assert "wait_timeout" in caught.value.next_step
    directory = programs.state / "programs" / "commands" / "default" / NAME
    assert state.function_processes(directory) == []
    assert programs.status() == "failed"


def test_what_an_interrupted_run_left_is_stopped(
    programs: Programs, module: bytes, installed: installation.Installation
) -> None:
    programs.deploy(module)
    directory = programs.state / "programs" / "commands" / "default" / NAME
    (release,) = (directory / "releases").iterdir()
    script = str(installed.runtime_directory / "command.mjs")
    process = subprocess.Popen([installed.node, script, directory, release], stdin=subprocess.PIPE)
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps({"arguments": ["x", "?"], "environment": {}}).encode())
        process.stdin.close()
        wait_until(lambda: state.function_processes(directory) == [process.pid], seconds=60, what="it is found")
        programs.deploy(args=["again"])
        assert process.wait(60) != 0
    finally:
        process.kill()
        process.wait()


def test_a_damaged_state_file_means_that_it_is_run_again(programs: Programs, module: bytes) -> None:
    programs.deploy(module)
    (programs.state / "programs" / "commands" / "default" / NAME / "run.json").write_text("[1")
    assert programs.status() == "failed"
    assert programs.deploy()["changed"] is True
    assert programs.deploy()["changed"] is False


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"replicas": 2}, "replicas: has no effect with target=local"),
        ({"domain": "example.org", "memory": "64Mi"}, "domain, memory: has no effect with target=local"),
        ({"env_secrets": ["login"]}, "env_secrets: has no effect with target=local"),
        ({"run": "always"}, "run: the local target does not keep a command running"),
        ({"port": 7000}, "port: the local target runs no command that answers at a port of its own"),
        ({"port": 0}, "port: must be 1 or more"),
        ({"probe_path": "/health"}, "probe_path: has no effect, since the program is a command"),
        ({"runtime_directory": None}, "runtime_directory: the directory of the local runtime is not given"),
        ({"env": {"1": "x"}}, "env: '1' is no name of an environment variable"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_the_local_target_cannot_do_is_refused_before_anything_is_touched(
    programs: Programs, module: bytes, options: dict[str, t.Any], cause: str
) -> None:
    with pytest.raises(PlatformError) as caught:
        programs.deploy(module, **options)
    assert cause in caught.value.cause and caught.value.next_step
    assert not programs.state.exists()


def test_a_program_that_is_built_is_refused_before_it_is_pushed(
    programs: Programs, module: bytes, tmp_path: Path
) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "app.bin").write_bytes(module)
    source = {"source": str(tmp_path / "project"), "build": "cp app.bin hello.wasm", "wasm": "hello.wasm"}
    with pytest.raises(PlatformError, match="port: the local target runs no command"):
        programs.deploy(port=7000, **source)
    assert not (programs.state / "registry").exists()
    first = programs.deploy(**source)
    assert first["changed"] is True and "build" in first["stages"]
    assert programs.deploy(**source)["changed"] is False
    other = programs.deploy(args=["x"], **source)
    assert other["changed"] is True and "build" not in other["stages"], "it runs from the artifact pushed earlier"


# ---- a server


def test_echo_wasi_is_built_and_answers_as_a_server(programs: Programs, tmp_path: Path) -> None:
    source = {
        "source": str(copy_of_echo_wasi(tmp_path / "examples")),
        "build": "./build.sh",
        "wasm": "dist/echo-wasi.wasm",
        "name": NAME,
    }
    first = programs.deploy(**source)
    assert (first["changed"], first["details"]["kind"], first["output"]) == (True, "server", [])
    assert first["stages"]["build"] > 0
    with httpx2.Client(base_url=first["url"], trust_env=False, timeout=120) as client:
        answer = client.get("/a%20b?c=d", headers={"X-One": "1"})
        assert answer.status_code == 200 and answer.text.splitlines()[0] == "GET /a%20b?c=d"
        assert "X-One: 1" in answer.text.splitlines() and "Spin-" not in answer.text
        assert client.get("/.well-known/spin/info").text.startswith("GET /.well-known/spin/info\n")
        body = bytes(range(256)) * 4096
        answer = client.post("/", content=body, headers={"Content-Type": "image/png"})
        assert (answer.content, answer.headers["content-type"]) == (body, "image/png")
    second = programs.deploy(**source)
    assert (second["changed"], second["url"], second["diff"]) == (False, first["url"], {"before": {}, "after": {}})
    assert "build" not in second["stages"]


def test_a_server_is_updated_started_again_and_moved(programs: Programs, module: bytes) -> None:
    server = built_echo_wasi().read_bytes()
    planned = programs.deploy(server, check_mode=True)
    assert planned["changed"] is True and planned["diff"]["after"]["Server"]["running"] is True
    first = programs.deploy()
    assert programs.status() == "ready"
    updated = programs.deploy(env={"LEVEL": 3})
    assert (updated["changed"], updated["url"], updated["digest"]) == (True, first["url"], first["digest"])
    os.kill(updated["details"]["process_id"], signal.SIGKILL)
    wait_until(lambda: programs.status() == "stopped", seconds=60, what="it has ended")
    again = programs.deploy(env={"LEVEL": 3})
    assert again["changed"] is True and again["diff"]["before"]["Server"]["running"] is False
    port = free_port()
    assert programs.deploy(env={"LEVEL": 3}, port=port)["url"] == f"http://127.0.0.1:{port}"
    with pytest.raises(PlatformError, match="run: the program is a server"):
        programs.deploy(run="once")
    assert any(f"default/{NAME} answers at port {port}" in line for line in programs.log())

    assert programs.deploy(module, check_mode=True)["diff"]["after"]["Server"] == "deleted"
    programs.deploy()
    assert [program["details"]["kind"] for program in programs.listed()["programs"]] == ["command"]
    programs.deploy(server)
    assert [program["details"]["kind"] for program in programs.listed()["programs"]] == ["server"]


def test_a_server_that_jco_cannot_read_leaves_nothing(programs: Programs) -> None:
    with pytest.raises(PlatformError, match="cannot run here") as caught:
        programs.deploy(component())
    assert caught.value.next_step == command.ADVICE
    assert programs.listed()["table"] == ["no programs"]


def test_deletion(programs: Programs, module: bytes) -> None:
    assert programs.delete()["changed"] is False
    programs.deploy(module)
    assert programs.delete(check_mode=True)["changed"] is True
    assert programs.status() == "succeeded"
    assert programs.delete()["changed"] is True
    assert programs.listed()["table"] == ["no programs"]
    with pytest.raises(PlatformError, match=f"There is no program default/{NAME}"):
        programs.log()


def test_the_log_has_no_times(programs: Programs) -> None:
    parameters = {**programs.parameters(), "name": NAME, "lines": 1, "since": "1m"}
    with pytest.raises(PlatformError, match="since: the log of a local program has no times"):
        wasi_program_logs.run(parameters, False, set())


def test_the_plays(programs: Programs, module: bytes, tmp_path: Path) -> None:
    playbooks = Playbooks(tmp_path / "home")
    programs.file.write_bytes(module)
    where = extra(target="local", name=NAME, state_directory=programs.state)
    deploy = [
        "wasmfaas.platform.deploy_program",
        *extra(src=programs.file, arguments=["--loud"], env={"TARGET": "world"}),
        *where,
    ]
    assert playbooks.run(*deploy).changed >= 1, "and the runtime is installed, where it was not"
    second = playbooks.run(*deploy)
    assert second.changed == 0 and second.result_line.startswith("unchanged ")
    listed = playbooks.run("wasmfaas.platform.list_programs", *where).output
    assert NAME in listed and "succeeded" in listed
    assert "TARGET=world" in playbooks.run("wasmfaas.platform.program_logs", *where).output
    assert playbooks.run("wasmfaas.platform.delete_program", *where).changed == 1
