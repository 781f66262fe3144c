# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which dependencies are composed, and which are refused. The stand-in wac_stub has wac's command line and nothing of
its work."""

from __future__ import annotations

import dataclasses
import os
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact import composition
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.composition import compose
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Component,
    LocalSource,
    Manifest,
    Trigger,
)

WAC_STUB = """#!{python}
'''wac_stub: takes exactly `plug --plug FILE… SOCKET -o OUTPUT`, and writes what the test laid ready.'''
import os, pathlib, shutil, sys, time
arguments = sys.argv[1:]
assert arguments.pop(0) == "plug", sys.argv
plugs = []
while arguments[:1] == ["--plug"]:
    plugs.append(arguments[1])
    del arguments[:2]
assert plugs, "wac wants one plug or more"
socket, option, output = arguments
assert option == "-o"
for file in (*plugs, socket):
    assert pathlib.Path(file).read_bytes()[:4] == b"\\0asm", file
here = pathlib.Path(__file__).parent
(here / "calls").write_text("\\n".join([*plugs, socket, output]))
if (here / "error").exists():
    sys.exit((here / "error").read_text())
if (here / "hang").exists():
    time.sleep(600)
shutil.copy(here / "output.wasm", output)
"""


class WacStub:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def calls(self) -> list[str]:
        return (self.directory / "calls").read_text().splitlines()


@pytest.fixture
def wac_stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wasm: t.Any) -> WacStub:
    directory = tmp_path / "programs"
    directory.mkdir()
    (directory / "wac_stub").write_text(WAC_STUB.format(python=sys.executable))
    (directory / "wac_stub").chmod(0o755)
    (directory / "wac").symlink_to("wac_stub")
    (directory / "output.wasm").write_bytes(wasm.component(imports=["wasi:cli/stdout@0.2.0"]))
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    return WacStub(directory)


@pytest.fixture
def manifest(tmp_path: Path, wasm: t.Any) -> Manifest:
    directory = tmp_path / "project"
    directory.mkdir()
    for name in ("socket.wasm", "plug.wasm", "other.wasm"):
        (directory / name).write_bytes(wasm.component())
    return Manifest(
        directory / "spin.toml",
        "a",
        (Trigger("t", "http", "c", {"route": "/..."}),),
        {"c": Component(id="c", source=LocalSource("socket.wasm"))},
    )


def run(
    manifest: Manifest,
    dependencies: dict[str, t.Any],
    *,
    inherit: bool = True,
    fetch: t.Callable[[str, str], Path] | None = None,
) -> Path:
    component = dataclasses.replace(
        manifest.components["c"], dependencies=dependencies, dependencies_inherit_configuration=inherit
    )

    def no_download(url: str, digest: str) -> Path:
        raise AssertionError(f"{url} {digest} is not to be downloaded")

    return compose(
        manifest,
        component,
        manifest.directory / "socket.wasm",
        work_directory=manifest.directory.parent / "work",
        fetch=fetch or no_download,
    )


def test_component_without_dependencies_stays_as_it_is(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert run(manifest, {}) == manifest.directory / "socket.wasm"


def test_trap_6_without_wac_a_component_with_dependencies_is_refused(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PlatformError, match=r"component.c.dependencies: a:b/c must be composed") as caught:
        run(manifest, {"a:b/c": {"path": "plug.wasm"}})
    assert "cargo install wac-cli" in caught.value.next_step


def test_wac_gets_every_dependency_and_the_component(manifest: Manifest, wac_stub: WacStub, tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def fetch(url: str, digest: str) -> Path:
        asked.append((url, digest))
        return manifest.directory / "other.wasm"

    composed = run(
        manifest,
        {"a:b/c": {"path": "plug.wasm"}, "d:e/f@1.0.0": {"url": "https://example.com/e.wasm", "digest": "sha256:1"}},
        fetch=fetch,
    )
    assert composed == tmp_path / "work" / "c.composed.wasm"
    assert composed.read_bytes() == (wac_stub.directory / "output.wasm").read_bytes()
    assert wac_stub.calls == [str(manifest.directory / name) for name in ("plug.wasm", "other.wasm", "socket.wasm")] + [
        str(composed)
    ]
    assert asked == [("https://example.com/e.wasm", "sha256:1")]


def test_file_that_satisfies_two_imports_is_given_once(manifest: Manifest, wac_stub: WacStub) -> None:
    """wac 0.12 refuses one that is given twice: "argument … has already been passed to the instantiation"."""
    run(manifest, {"a:b/c": {"path": "plug.wasm"}, "a:b/d": {"path": "plug.wasm"}})
    assert len(wac_stub.calls) == 3


def test_one_dependency_may_inherit_by_itself(manifest: Manifest, wac_stub: WacStub) -> None:
    assert run(manifest, {"a:b/c": {"path": "plug.wasm", "inherit_configuration": True}}, inherit=False).is_file()


@pytest.mark.parametrize("inherit", [None, False, [], ["allowed_outbound_hosts"]])
def test_dependency_that_is_not_trusted_with_everything_is_refused(
    manifest: Manifest, wac_stub: WacStub, inherit: t.Any
) -> None:
    """wac would give it all that the component may do; Spin fences it off with an adapter of its own."""
    dependency = {"path": "plug.wasm"} | ({} if inherit is None else {"inherit_configuration": inherit})
    with pytest.raises(PlatformError, match="a:b/c does not inherit") as caught:
        run(manifest, {"a:b/c": dependency}, inherit=False)
    assert "dependencies_inherit_configuration = true" in caught.value.next_step


def test_dependency_from_a_component_registry_is_refused(manifest: Manifest, wac_stub: WacStub) -> None:
    with pytest.raises(PlatformError, match="a:b/c comes from a component registry"):
        run(manifest, {"a:b/c": {"version": "^1.0"}})


def test_dependency_by_another_export_is_refused(manifest: Manifest, wac_stub: WacStub) -> None:
    with pytest.raises(PlatformError, match="takes the export x:y/z"):
        run(manifest, {"a:b/c": {"path": "plug.wasm", "export": "x:y/z"}})


@pytest.mark.parametrize("left", ["a:b/c@1.2.0", "a:b/c", "a:b/other@1.2.0"])
def test_trap_6_import_that_wac_left_open_is_refused(
    manifest: Manifest, wac_stub: WacStub, wasm: t.Any, left: str
) -> None:
    """wac ends well as soon as one of two dependencies fits."""
    (wac_stub.directory / "output.wasm").write_bytes(wasm.component(imports=["wasi:cli/stdout@0.2.0", left]))
    name = "a:b" if left.startswith("a:b/other") else "a:b/c"
    with pytest.raises(PlatformError, match=rf"{name} does not export {left}"):
        run(manifest, {name: {"path": "plug.wasm"}})


def test_failure_of_wac_is_told_with_its_own_words(manifest: Manifest, wac_stub: WacStub) -> None:
    (wac_stub.directory / "error").write_text("no matching import")
    with pytest.raises(PlatformError, match="no matching import") as caught:
        run(manifest, {"a:b/c": {"path": "plug.wasm"}})
    assert caught.value.facts["exit_code"] == 1
    assert caught.value.facts["command"][1] == "plug"


def test_wac_that_hangs_is_stopped(manifest: Manifest, wac_stub: WacStub, monkeypatch: pytest.MonkeyPatch) -> None:
    (wac_stub.directory / "hang").touch()
    monkeypatch.setattr(composition, "TIMEOUT_SECONDS", 1)
    with pytest.raises(PlatformError, match="did not end within 1 s"):
        run(manifest, {"a:b/c": {"path": "plug.wasm"}})
