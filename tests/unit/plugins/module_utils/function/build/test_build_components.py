# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs real build commands: success, failure, time-out, output of every kind."""

from __future__ import annotations

import collections.abc
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import tracemalloc
import typing as t
from pathlib import Path

import psutil
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.build.components import (
    BuildOptions,
    built_components,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Build,
    Component,
    LocalSource,
    Manifest,
    RemoteSource,
)

Run = collections.abc.Callable[..., Path]


def build_all(manifest: Manifest, options: BuildOptions) -> list[str]:
    with built_components(manifest, options) as warnings:
        return warnings


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Builds one component with the given commands; gives the log file."""

    def build(
        *commands: str, workdir: str = ".", timeout: float = 600, source: str = "app.wasm", log_file: Path | None = None
    ) -> Path:
        (tmp_path / "project").mkdir(exist_ok=True)
        component = Component(id="c", source=LocalSource(source), build=Build(commands, workdir))
        options = BuildOptions(
            tmp_path / "cache", tmp_path / "outputs", log_file or tmp_path / "logs" / "c.log", timeout
        )
        build_all(Manifest(tmp_path / "project" / "spin.toml", "a", (), {"c": component}), options)
        return options.log_file

    return build


def test_command_runs_in_a_shell_in_the_project_directory(run: Run, tmp_path: Path) -> None:
    run('A=1; pwd > "app.wasm" && echo $A >> app.wasm')
    assert (tmp_path / "project" / "app.wasm").read_text() == f"{tmp_path / 'project'}\n1\n"


def test_command_runs_in_its_workdir(run: Run, tmp_path: Path) -> None:
    (tmp_path / "project" / "sub").mkdir(parents=True)
    run("pwd > ../app.wasm", workdir="sub")
    assert (tmp_path / "project" / "app.wasm").read_text() == f"{tmp_path / 'project' / 'sub'}\n"


def test_missing_workdir_is_named(run: Run) -> None:
    with pytest.raises(PlatformError, match=r"component\.c\.build\.workdir: .*/gone is not a directory"):
        run("true", workdir="gone")


def test_commands_run_one_after_the_other_until_one_fails(run: Run, tmp_path: Path) -> None:
    with pytest.raises(PlatformError):
        run("echo 1 >> steps", "echo 2 >> steps; false", "echo 3 >> steps")
    assert (tmp_path / "project" / "steps").read_text() == "1\n2\n"


def test_failure_tells_command_exit_code_last_lines_and_log(run: Run, tmp_path: Path) -> None:
    with pytest.raises(PlatformError) as caught:
        run("for number in $(seq 100); do echo line $number; done; echo at last >&2; exit 7")
    error = caught.value
    assert "failed with exit code 7" in error.cause
    assert error.cause.endswith("line 100\nat last")
    assert "line 61\n" not in error.cause and "line 62\n" in error.cause, "the last 40 lines"
    assert error.facts["exit_code"] == 7
    assert error.facts["command"].startswith("for number in")
    assert error.facts["log_file"] == str(tmp_path / "logs" / "c.log")
    assert "Run it by hand" in error.next_step
    log = (tmp_path / "logs" / "c.log").read_text()
    assert log.startswith("$ for number") and "line 1\n" in log and log.endswith("at last\n")


def test_end_by_a_signal_is_a_failure(run: Run) -> None:
    with pytest.raises(PlatformError, match=r"exit code -?[19]"):
        run("kill -9 $$")


def test_log_grows_while_the_command_runs(run: Run, tmp_path: Path) -> None:
    """The command itself waits until it sees its output in the log."""
    log = tmp_path / "logs" / "c.log"
    run(f'echo early; until grep -q "^early" "{log}"; do sleep 0.02; done; touch app.wasm', timeout=120)
    assert "early\n" in log.read_text()


def test_no_output_file_is_told(run: Run, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"`true` ended with exit code 0 but wrote no dist/app\.wasm") as caught:
        run("true", source="dist/app.wasm")
    assert "component.c.source" in caught.value.next_step


def test_directory_is_no_output_file(run: Run) -> None:
    with pytest.raises(PlatformError, match=r"wrote no app\.wasm"):
        run("mkdir app.wasm")


def test_component_with_a_remote_source_may_build_other_things(tmp_path: Path) -> None:
    component = Component(
        id="c", source=RemoteSource("https://example.com/a.wasm", "sha256:1"), build=Build(("mkdir dist",))
    )
    build_all(
        Manifest(tmp_path / "spin.toml", "a", (), {"c": component}),
        BuildOptions(tmp_path / "cache", tmp_path / "outputs", tmp_path / "log"),
    )
    assert (tmp_path / "dist").is_dir()


def test_components_build_in_order_and_the_first_failure_ends_it(tmp_path: Path) -> None:
    def component(name: str, command: str, **dependencies: t.Any) -> Component:
        return Component(
            id=name, source=LocalSource(f"{name}.wasm"), build=Build((command,)), dependencies=dependencies
        )

    components = [
        component("a", "cat b.wasm > a.wasm", b={"path": "b.wasm"}),
        component("b", "echo b > b.wasm"),
        component("c", "false"),
        component("d", "touch d.wasm"),
    ]
    with pytest.raises(PlatformError, match=r"component\.c\.build"):
        build_all(
            Manifest(tmp_path / "spin.toml", "a", (), {one.id: one for one in components}),
            BuildOptions(tmp_path / "cache", tmp_path / "outputs", tmp_path / "log"),
        )
    assert (tmp_path / "a.wasm").read_text() == "b\n"
    assert not (tmp_path / "d.wasm").exists()


def _ends(process_id: int) -> bool:
    """Whether it ends within a minute. One that nobody has waited for yet has ended too: not every first process of a
    machine waits for strays at once."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def test_time_out_ends_the_command_with_all_its_children(run: Run, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(PlatformError, match=r"did not end within 5 s and was stopped") as caught:
        run(
            "echo begun; sleep 600 & echo $! > child; (trap '' TERM HUP INT; sleep 600 & echo $! > grandchild; wait) "
            "& wait",
            timeout=5,
        )
    assert time.monotonic() - started < 120  # and not the 600 s that its children sleep
    assert caught.value.facts["exit_code"] is None
    assert "begun" in caught.value.facts["output"]
    assert "build_timeout" in caught.value.next_step
    for name in ("child", "grandchild"):
        assert _ends(int((tmp_path / "project" / name).read_text())), name


def test_time_out_counts_for_all_commands_of_a_component_together(run: Run) -> None:
    with pytest.raises(PlatformError, match="did not end within 2 s"):
        run(*(["sleep 1"] * 60), timeout=2)


def test_command_that_closed_its_output_is_stopped_in_time_too(run: Run) -> None:
    with pytest.raises(PlatformError, match="did not end within 1 s"):
        run("exec >&- 2>&-; sleep 600", timeout=1)


def test_interrupt_ends_the_command_with_its_children(run: Run, tmp_path: Path) -> None:
    child = tmp_path / "project" / "child"

    def interrupt() -> None:
        deadline = time.monotonic() + 120
        while not (child.exists() and child.read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    # A shell's background jobs, tests started as one included, begin with it ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run("sleep 600 & echo $! > child; wait")
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert _ends(int(child.read_text()))


def test_interrupt_while_the_command_is_being_started_ends_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes when the process is there and Popen has not returned yet."""
    started: list[int] = []
    original = subprocess.Popen

    def interrupted(*arguments: t.Any, **keywords: t.Any) -> t.Any:
        process = original(*arguments, **keywords)
        started.append(process.pid)
        os.kill(os.getpid(), signal.SIGINT)
        return process

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run("sleep 600")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert _ends(started[0])


def test_daemon_that_the_command_leaves_behind_is_not_waited_for(run: Run, tmp_path: Path) -> None:
    """As Gradle's or sccache's, which keep the command's output open."""
    started = time.monotonic()
    try:
        run("touch app.wasm; sleep 600 & echo $! > daemon", timeout=600)
        assert time.monotonic() - started < 300
    finally:
        os.kill(int((tmp_path / "project" / "daemon").read_text()), signal.SIGKILL)


def test_output_that_is_not_utf_8_is_shown_as_far_as_it_goes(run: Run, tmp_path: Path) -> None:
    with pytest.raises(PlatformError) as caught:
        run(r"printf 'caf\351 \303\244 end'; exit 1")
    assert caught.value.facts["output"] == "caf\ufffd ä end"
    assert (tmp_path / "logs" / "c.log").read_text().endswith("caf\ufffd ä end")


def test_letter_that_is_cut_between_two_writes_stays_whole(run: Run) -> None:
    with pytest.raises(PlatformError) as caught:
        run(r"printf '\303'; sleep 0.2; printf '\244'; exit 1")
    assert caught.value.facts["output"] == "ä"


def test_full_disk_is_told_as_that(run: Run) -> None:
    with pytest.raises(PlatformError) as caught:
        run("echo 'error: failed to write app.wasm: No space left on device (os error 28)' >&2; exit 101")
    assert "disk is full" in caught.value.next_step


def test_disk_that_is_full_for_the_log_is_told_and_ends_the_command(run: Run, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="/dev/full: No space left on device"):
        run("echo $$ > shell; while :; do echo x; done", log_file=Path("/dev/full"))
    process_id = int((tmp_path / "project" / "shell").read_text()) if (tmp_path / "project" / "shell").exists() else 0
    assert not process_id or not psutil.pid_exists(process_id)


def test_missing_program_is_told_as_that(run: Run) -> None:
    with pytest.raises(PlatformError, match="exit code 127") as caught:
        run("componentize-nothing app")
    assert "not installed" in caught.value.next_step


@pytest.mark.parametrize(
    ("lock_file", "install"),
    [
        (None, "npm install"),
        ("package-lock.json", "npm ci"),
        ("yarn.lock", "yarn install"),
        ("pnpm-lock.yaml", "pnpm install"),
    ],
)
@pytest.mark.parametrize("workdir", [".", "docs/site"])
def test_missing_package_of_a_javascript_project_is_told_as_that(
    run: Run, tmp_path: Path, lock_file: str | None, install: str, workdir: str
) -> None:
    project = tmp_path / "project"
    (project / workdir).mkdir(parents=True)
    (project / "package.json").write_text("{}")
    if lock_file:
        (project / lock_file).touch()
    with pytest.raises(PlatformError, match="exit code 127") as caught:
        run("vitepress build", workdir=workdir)
    assert f"`cd {project} && {install}`" in caught.value.next_step
    assert f'`build.command = ["{install}", "vitepress build"]`' in caught.value.next_step
    assert "requirements.txt" not in caught.value.next_step


def test_missing_package_is_told_by_npm_and_node_too(run: Run, tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    project = tmp_path / "project"
    project.mkdir()
    scripts = {"build": "some-bundler", "load": "node build.mjs"}
    (project / "package.json").write_text(json.dumps({"name": "a", "version": "1.0.0", "scripts": scripts}))
    (project / "build.mjs").write_text("import 'some-package';\n")
    for command in ("npm run build", "npm run load"):
        with pytest.raises(PlatformError) as caught:
            run(command)
        assert f"`cd {project} && npm install`" in caught.value.next_step
    (project / "build.mjs").write_text("import './nothing-here.mjs'; some error;\n")
    with pytest.raises(PlatformError) as caught:
        run("npm run load")
    assert "Run it by hand" in caught.value.next_step


def test_missing_npm_is_a_missing_program(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "package.json").write_text("{}")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(PlatformError) as caught:
        run("npm run build")
    assert caught.value.next_step.startswith("A program of the command is not installed")


def test_cause_before_a_long_backtrace_is_among_the_last_lines(run: Run) -> None:
    """As std (Rust 1.95), anyhow and color-eyre print it."""
    frames = "for n in $(seq 90); do printf '  %d: some::function\\n             at /src/lib.rs:%d:5\\n' $n $n; done"
    full = "for n in $(seq 90); do printf '  %d:     0x55d1a4c05b1a - some::function\\n' $n; done"
    hidden = "echo '   ⋮ 5 frames hidden ⋮'"
    for backtrace in (
        f"echo 'stack backtrace:'; {frames}",
        f"echo 'Stack backtrace:'; {full}",
        f"echo ' ━━ BACKTRACE ━━'; {hidden}; {frames}",
    ):
        with pytest.raises(PlatformError) as caught:
            run(f"echo 'the cause'; {backtrace}; echo 'note: the end'; seq 3; exit 101")
        lines = caught.value.facts["output"].splitlines()
        assert lines[0] == "the cause"
        assert lines[2].endswith("lines, see the log)")
        assert lines[3:] == ["note: the end", "1", "2", "3"]
    with pytest.raises(PlatformError) as caught:
        run("echo '  12: no frame'; exit 1")
    assert caught.value.facts["output"] == "  12: no frame"


@pytest.mark.parametrize(
    "command", ["yes 'one line of many' | head -c 20000000", "head -c 20000000 /dev/zero | tr '\\0' x"]
)
def test_huge_output_does_not_grow_memory(run: Run, tmp_path: Path, command: str) -> None:
    """Also as one line, which progress bars and minified code are."""
    tracemalloc.start()
    try:
        with pytest.raises(PlatformError) as caught:
            run(f"{command}; exit 1")
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert len(caught.value.facts["output"]) < 200_000
    assert (tmp_path / "logs" / "c.log").stat().st_size >= 20_000_000


def test_environment_of_ansible_does_not_reach_the_command(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "/of/ansible")
    monkeypatch.setenv("CARGO_HOME", "/kept")
    run("env > app.wasm")
    environment = (tmp_path / "project" / "app.wasm").read_text()
    assert "/of/ansible" not in environment
    assert "CARGO_HOME=/kept" in environment


def test_command_has_no_input_to_wait_for(run: Run) -> None:
    assert run("cat > app.wasm", timeout=30).is_file()


def test_command_that_the_system_refuses_is_told(run: Run) -> None:
    with pytest.raises(PlatformError, match="The build cannot go on"):
        run("true " + "x" * 300_000)
