# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an earlier build wrote is never taken for what this one did, and never lost."""

from __future__ import annotations

import collections.abc
import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.build import outputs as module
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.build.components import (
    BuildOptions,
    built_components,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.build.outputs import (
    EarlierOutputs,
    built_outputs,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Build,
    Component,
    LocalSource,
    Manifest,
    RemoteSource,
)

BuildProject = collections.abc.Callable[..., list[str]]
EARLIER = "of an earlier build\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def component(name: str, *commands: str, source: str = "", **dependencies: t.Any) -> Component:
    return Component(
        id=name,
        source=LocalSource(source or f"dist/{name}.wasm"),
        build=Build(commands) if commands else None,
        dependencies=dependencies,
    )


def manifest_of(project: Path, *components: Component) -> Manifest:
    return Manifest(project / "spin.toml", "a", (), {one.id: one for one in components})


@pytest.fixture
def build(project: Path, tmp_path: Path) -> BuildProject:
    def run(*components: Component, timeout: float = 60) -> list[str]:
        options = BuildOptions(tmp_path / "cache", tmp_path / "outputs", tmp_path / "log", timeout)
        with built_components(manifest_of(project, *components), options) as warnings:
            return warnings

    return run


def put(path: Path, content: str = EARLIER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def kept(tmp_path: Path) -> list[Path]:
    """What lies in our directory."""
    return [path for path in (tmp_path / "outputs").glob("*") if path.suffix != ".lock"]


# ---- an output that this build did not write


def test_build_that_fails_with_exit_code_0_deploys_nothing_of_an_earlier_one(
    build: BuildProject, project: Path, tmp_path: Path
) -> None:
    """As j2w does: bytecodealliance/ComponentizeJS#113."""
    output = put(project / "dist" / "c.wasm")
    with pytest.raises(PlatformError) as caught:
        build(component("c", "echo SyntaxError: Unexpected token >&2; exit 0"))
    error = caught.value
    assert error.cause.startswith("spin.toml: component.c.build: `echo SyntaxError")
    assert (
        "ended with exit code 0 but wrote no dist/c.wasm. The c.wasm of an earlier build is not deployed" in error.cause
    )
    assert error.cause.endswith("Its last lines:\nSyntaxError: Unexpected token")
    assert str(tmp_path / "log") in error.next_step and "`component.c.source`" in error.next_step
    assert error.facts == {
        "command": error.facts["command"],
        "exit_code": 0,
        "output": "SyntaxError: Unexpected token",
        "log_file": str(tmp_path / "log"),
    }
    assert output.read_text() == EARLIER
    assert kept(tmp_path) == []


def test_build_that_says_nothing_and_writes_nothing_is_told_too(build: BuildProject) -> None:
    with pytest.raises(PlatformError, match=r"wrote no dist/c\.wasm\. Its last lines:\n\(no output\)"):
        build(component("c", "true"))


@pytest.mark.parametrize(
    "command",
    ["test ! -e dist/c.wasm && echo new > dist/c.wasm", "rm -rf dist && mkdir dist && echo new > dist/c.wasm"],
)
def test_new_output_takes_the_place_of_the_earlier_one(
    build: BuildProject, project: Path, tmp_path: Path, command: str
) -> None:
    put(project / "dist" / "c.wasm")
    assert build(component("c", command)) == []
    assert (project / "dist" / "c.wasm").read_text() == "new\n"
    assert kept(tmp_path) == []


@pytest.mark.parametrize("command", ["false", "rm -r dist; false", "sleep 600"])
def test_failed_build_leaves_the_earlier_output_where_it_was(
    build: BuildProject, project: Path, tmp_path: Path, command: str
) -> None:
    output = put(project / "dist" / "c.wasm")
    output.chmod(0o640)
    with pytest.raises(PlatformError, match=r"exit code 1|did not end within"):
        build(component("c", command), timeout=1)
    assert output.read_text() == EARLIER
    assert output.stat().st_mode & 0o777 == 0o640
    assert kept(tmp_path) == []


def test_packages_that_can_not_be_installed_leave_the_earlier_output_where_it_was(
    build: BuildProject, project: Path
) -> None:
    output = put(project / "dist" / "c.wasm")
    put(project / "requirements.txt", "--no-index\nno-such-package==1\n")
    with pytest.raises(PlatformError, match=r"packages cannot be installed"):
        build(component("c", "true"))
    assert output.read_text() == EARLIER


def test_what_a_failed_build_wrote_stays(build: BuildProject, project: Path, tmp_path: Path) -> None:
    output = put(project / "dist" / "c.wasm")
    with pytest.raises(PlatformError):
        build(component("c", "echo new > dist/c.wasm", "false"))
    assert output.read_text() == "new\n"
    assert kept(tmp_path) == []


def test_link_is_set_aside_as_a_link(build: BuildProject, project: Path) -> None:
    target = put(project / "elsewhere.wasm")
    (project / "dist").mkdir()
    (project / "dist" / "c.wasm").symlink_to(target)
    with pytest.raises(PlatformError, match="wrote no"):
        build(component("c", "true"))
    assert (project / "dist" / "c.wasm").readlink() == target
    assert target.read_text() == EARLIER


def test_output_outside_of_the_project_is_set_aside_too(build: BuildProject, project: Path) -> None:
    """As cargo's of a workspace."""
    output = put(project.parent / "target" / "release" / "c.wasm")
    with pytest.raises(PlatformError, match=r"wrote no \.\./target/release/c\.wasm"):
        build(component("c", "true", source="../target/release/c.wasm"))
    assert output.read_text() == EARLIER


# ---- which files are outputs


def test_given_file_without_a_build_stays_in_place(build: BuildProject, project: Path) -> None:
    put(project / "given.wasm")
    assert (
        build(
            component("given", source="given.wasm"), component("c", "cp given.wasm dist-c.wasm", source="dist-c.wasm")
        )
        == []
    )


def test_one_command_may_build_the_outputs_of_all_components_in_any_order(build: BuildProject, project: Path) -> None:
    put(project / "dist" / "a.wasm")
    put(project / "dist" / "b.wasm")
    assert build(component("a", "true"), component("b", "for name in a b; do echo new > dist/$name.wasm; done")) == []
    assert {(project / "dist" / f"{name}.wasm").read_text() for name in "ab"} == {"new\n"}
    with pytest.raises(
        PlatformError,
        match=r"component\.b\.build: `echo new > dist/a\.wasm` ended with exit code 0 but wrote no dist/b\.wasm",
    ):
        build(component("a", "true"), component("b", "echo new > dist/a.wasm"))
    assert (project / "dist" / "b.wasm").read_text() == "new\n"


def test_components_may_share_a_source(build: BuildProject, project: Path) -> None:
    put(project / "dist" / "c.wasm")
    twice = "test -e dist/c.wasm || echo new > dist/c.wasm"  # the second build finds it up to date
    components = [
        component("a", twice, source="dist/c.wasm"),
        component("b", twice, source="./dist//c.wasm"),
        component("d", source="dist/c.wasm"),
    ]
    assert build(*components) == []
    assert (project / "dist" / "c.wasm").read_text() == "new\n"


def test_one_output_that_is_reached_in_two_ways_is_one(build: BuildProject, project: Path) -> None:
    put(project / "dist" / "c.wasm")
    (project / "link").symlink_to("dist")
    assert (
        build(
            component("a", "echo new > dist/c.wasm", source="dist/c.wasm"),
            component("b", "true", source="link/../link/c.wasm"),
            timeout=60,
        )
        == []
    )
    assert (project / "dist" / "c.wasm").read_text() == "new\n"


def test_component_that_needs_another_ones_output_is_not_built_without_it(build: BuildProject, project: Path) -> None:
    put(project / "library.wasm")
    needing = component(
        "a", "touch built; mkdir -p dist; cp library.wasm dist/a.wasm", **{"x:y/z": {"path": "library.wasm"}}
    )
    with pytest.raises(
        PlatformError, match=r"component\.library\.build: `true` ended with exit code 0 but wrote no library\.wasm"
    ):
        build(needing, component("library", "true", source="library.wasm"))
    assert not (project / "built").exists()


def test_dependency_in_a_directory_of_outputs_is_built_anew_or_told(build: BuildProject, project: Path) -> None:
    dependency = put(project / "target" / "library.wasm")
    needing = {"x:y/z": {"path": "target/library.wasm"}}
    wrote = "mkdir -p dist; echo new > dist/a.wasm"
    warnings = build(component("a", wrote, **needing))
    assert len(warnings) == 1 and 'component.a.dependencies."x:y/z".path: the build did not write' in warnings[0]
    assert dependency.read_text() == EARLIER
    assert (
        build(component("a", f"test ! -e target/library.wasm && echo new > target/library.wasm; {wrote}", **needing))
        == []
    )
    assert dependency.read_text() == "new\n"


def test_outputs_are_what_builds_write(project: Path) -> None:
    components = [
        component(
            "a",
            "make",
            q={"path": "given/q.wasm"},
            r={"path": "build/r.wasm"},
            s={"url": "https://e", "digest": "sha256:1"},
        ),
        component("given", t={"path": "build/t.wasm"}),
        Component(id="remote", source=RemoteSource("https://e", "sha256:1"), build=Build(("make",))),
    ]
    assert {
        str(path.relative_to(project)): output.key
        for path, output in built_outputs(manifest_of(project, *components)).items()
    } == {
        "dist/a.wasm": "component.a.source",
        "build/r.wasm": 'component.a.dependencies."r".path',
    }


def test_file_in_version_control_may_be_given_and_is_deployed_with_a_warning(
    build: BuildProject, project: Path
) -> None:
    """As spin_static_fs.wasm beside a build of static files, which Spin runs a build command of the component for."""
    output = put(project / "static.wasm")
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    with pytest.raises(PlatformError, match="wrote no"):
        build(component("c", "true", source="static.wasm"))
    subprocess.run(["git", "add", "static.wasm"], cwd=project, check=True)
    warnings = build(component("c", "mkdir -p assets", source="static.wasm"))
    assert len(warnings) == 1 and f"component.c.source: the build did not write {output}" in warnings[0]
    assert output.read_text() == EARLIER
    assert build(component("c", "echo new > static.wasm", source="static.wasm")) == []


def test_output_in_a_directory_that_may_not_be_written_is_deployed_with_a_warning(
    build: BuildProject, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what a link leads to in the stores of Nix and Bazel; Permission is refused here by hand, as tests may run as
    root."""
    put(project / "dist" / "c.wasm")
    real = os.replace

    def refuse(source: Path, target: Path) -> None:
        if Path(source).parent == project / "dist":
            raise PermissionError(errno.EACCES, "Permission denied")
        real(source, target)

    monkeypatch.setattr(module.os, "replace", refuse)
    assert len(build(component("c", "true"))) == 1
    assert build(component("c", "mv dist store; mkdir dist; echo new > dist/c.wasm")) == []


# ---- nothing is lost


def test_other_file_system_is_no_hindrance(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = put(project / "c.wasm")
    output.chmod(0o750)
    real = os.replace

    def other_file_system(source: Path, target: Path) -> None:
        if Path(source).parent != Path(target).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(module.os, "replace", other_file_system)
    with EarlierOutputs([output], tmp_path / "outputs") as earlier:
        assert not output.exists()
        assert earlier.was_there(output) and not earlier.is_written(output)
    assert output.read_text() == EARLIER
    assert output.stat().st_mode & 0o777 == 0o750
    assert kept(tmp_path) == []


def test_interrupt_puts_the_earlier_output_back(project: Path, tmp_path: Path) -> None:
    output = put(project / "c.wasm")
    with pytest.raises(KeyboardInterrupt), EarlierOutputs([output], tmp_path / "outputs"):
        raise KeyboardInterrupt
    assert output.read_text() == EARLIER


def test_output_that_can_not_be_put_back_is_told_with_its_place(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = put(project / "c.wasm")
    failure = PlatformError("the build failed.", next_step="look.")

    def full(*_paths: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fail() -> None:
        with EarlierOutputs([output], tmp_path / "outputs"):
            monkeypatch.setattr(module.os, "replace", full)
            raise failure

    with pytest.raises(PlatformError) as caught:
        fail()
    assert caught.value is failure
    assert caught.value.cause == f"the build failed. {output} could not be put back: No space left on device."
    place = kept(tmp_path)[0]
    assert f"mv {place} {output}" in caught.value.next_step
    assert place.read_text() == EARLIER


KILLED = """
import sys
from pathlib import Path
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.build.components import (
    BuildOptions, built_components
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Build, Component, LocalSource, Manifest
)
root = Path(sys.argv[1])
component = Component(id="c", source=LocalSource("dist/c.wasm"), build=Build((sys.argv[2],)))
manifest = Manifest(root / "project" / "spin.toml", "a", (), {"c": component})
with built_components(manifest, BuildOptions(root / "cache", root / "outputs", root / "log")):
    pass
"""


def kill_while_it_builds(root: Path, command: str) -> None:
    """Run a build in a process of its own, and end that with SIGKILL once the command wrote the file `begun`."""
    begun = root / "project" / "begun"
    arguments = [str(root), f"{command}; echo $$ > begun.part; mv begun.part begun; exec sleep 600"]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    try:
        deadline = time.monotonic() + 120
        while not begun.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(begun.read_text()), signal.SIGKILL)
    begun.unlink()


@pytest.mark.parametrize("command", ["true", "rm -r dist"])
def test_run_after_a_killed_one_puts_the_earlier_output_back(
    build: BuildProject, project: Path, tmp_path: Path, command: str
) -> None:
    output = put(project / "dist" / "c.wasm")
    kill_while_it_builds(tmp_path, command)
    assert not output.exists() and len(kept(tmp_path)) == 1
    with pytest.raises(PlatformError, match="exit code 0 but wrote no"):
        build(component("c", "true"))
    assert output.read_text() == EARLIER
    assert kept(tmp_path) == []


def test_run_after_a_killed_one_builds(build: BuildProject, project: Path, tmp_path: Path) -> None:
    """What the killed one had written itself is an earlier output as well, and newer than the one before it."""
    output = put(project / "dist" / "c.wasm")
    kill_while_it_builds(tmp_path, "echo half > dist/c.wasm")
    with pytest.raises(PlatformError, match="exit code 0 but wrote no"):
        build(component("c", "true"))
    assert output.read_text() == "half\n"
    assert build(component("c", "echo new > dist/c.wasm")) == []
    assert output.read_text() == "new\n"
    assert kept(tmp_path) == []


def test_two_runs_do_not_build_one_output_at_the_same_time(project: Path, tmp_path: Path) -> None:
    """The second would take away what the first is about to pack."""
    output = put(project / "c.wasm")
    link = tmp_path / "link"
    link.symlink_to(project)
    entered = threading.Event()

    def second() -> None:
        with EarlierOutputs(
            built_outputs(manifest_of(link, component("c", "true", source="c.wasm"))), tmp_path / "outputs"
        ):
            entered.set()

    thread = threading.Thread(target=second)
    with EarlierOutputs([output], tmp_path / "outputs"):
        output.write_text("new")
        thread.start()
        assert not entered.wait(0.5)
        assert output.read_text() == "new"
    assert entered.wait(60)
    thread.join()
    assert output.read_text() == "new"


# ---- with real builders


def cargo_runs() -> bool:
    """Whether cargo can be run: that of rustup finds no compiler where HOME is another than at its installation."""
    cargo = shutil.which("cargo")
    return cargo is not None and subprocess.run([cargo, "--version"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not cargo_runs(), reason="cargo is not installed, or has no compiler")
def test_cargo_links_an_output_that_is_up_to_date_and_missing(build: BuildProject, project: Path) -> None:
    put(project / "Cargo.toml", '[package]\nname = "c"\nversion = "0.1.0"\nedition = "2021"\n[workspace]\n')
    put(project / "src" / "main.rs", "fn main() {}\n")
    cargo = component("c", "cargo build --offline --release", source="target/release/c")
    assert build(cargo) == []
    first = (project / "target" / "release" / "c").read_bytes()
    assert build(cargo) == []
    assert (project / "target" / "release" / "c").read_bytes() == first


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_makes_an_output_that_is_missing(build: BuildProject, project: Path) -> None:
    put(project / "Makefile", "dist/c.wasm: source\n\tmkdir -p dist && cp source $@\n")
    put(project / "source", "1")
    for _run in range(2):
        assert build(component("c", "make")) == []
