# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build hands back, as an honest and as a hostile one does."""

from __future__ import annotations

import io
import json
import os
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import Manifest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.parse import read_manifest
from ansible_collections.wasmfaas.platform.service.builds.result import NamedFiles, take_result, write_result

WASM = b"\0asm\x0d\0\x01\0"
MANIFEST = """
spin_manifest_version = 2
[application]
name = "hello"
[[trigger.http]]
route = "/..."
component = "hello"
[component.hello]
source = "target/app.wasm"
files = ["assets/**/*"]
[component.hello.build]
command = "true"
"""


def project(directory: Path) -> Manifest:
    (directory / "assets").mkdir(parents=True)
    (directory / "spin.toml").write_text(MANIFEST)
    (directory / "assets/old.txt").write_text("old")
    (directory / "main.py").write_text("source")
    return read_manifest(directory, source_root=directory)


@pytest.fixture
def here(tmp_path: Path) -> Manifest:
    """The source as the worker has it."""
    return project(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Manifest:
    """The source in the pod."""
    return project(tmp_path / "there")


def handed_back(there: Manifest, here: Manifest, build: t.Callable[[Path], object], tmp_path: Path) -> list[str]:
    """Build there and take the result here; gives the warnings."""
    before = NamedFiles(there)
    (there.directory / "target").mkdir()
    (there.directory / "target/app.wasm").write_bytes(WASM)
    build(there.directory)
    archive = tmp_path / "result.tar"
    write_result(there, before, {}, ["careful"], archive)
    return take_result(archive, here, tmp_path / "taken")


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()
    }


def test_named_files_come_over_and_nothing_else(here: Manifest, there: Manifest, tmp_path: Path) -> None:
    def build(directory: Path) -> None:
        (directory / "assets/old.txt").unlink()
        (directory / "assets/deep").mkdir()
        (directory / "assets/deep/new.txt").write_text("new")
        (directory / "package-lock.json").write_text("{}")
        (directory / "main.py").write_text("changed")
        (directory / "other.txt").write_text("other")

    assert handed_back(there, here, build, tmp_path) == ["careful"]
    assert tree(here.directory) == {
        "assets/deep/new.txt": b"new",
        "main.py": b"source",
        "package-lock.json": b"{}",
        "spin.toml": MANIFEST.encode(),
        "target/app.wasm": WASM,
    }


def test_a_link_comes_over_as_a_file(here: Manifest, there: Manifest, tmp_path: Path) -> None:
    def build(directory: Path) -> None:
        (directory / "assets/a.txt").symlink_to("old.txt")
        (directory / "more").mkdir()
        (directory / "more/b.txt").write_text("b")
        (directory / "assets/more").symlink_to("../more")

    handed_back(there, here, build, tmp_path)
    found = tree(here.directory)
    assert (found["assets/a.txt"], found["assets/more/b.txt"]) == (b"old", b"b")
    assert not any(path.is_symlink() for path in here.directory.rglob("*"))


def test_a_pipe_in_the_place_of_a_component_is_told(here: Manifest, there: Manifest, tmp_path: Path) -> None:
    def build(directory: Path) -> None:
        (directory / "target/app.wasm").unlink()
        os.mkfifo(directory / "target/app.wasm")

    with pytest.raises(PlatformError, match=r"cannot be packed.*it is no file"):
        handed_back(there, here, build, tmp_path)


def archive_of(*entries: tuple[str, bytes] | tarfile.TarInfo, about: t.Any = None) -> bytes:
    stream = io.BytesIO()
    told = {"warnings": [], "removed": [], "guest_files": ""} if about is None else about
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for entry in (("result.json", json.dumps(told).encode()), *entries):
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
            else:
                member = tarfile.TarInfo(entry[0])
                member.size = len(entry[1])
                tar.addfile(member, io.BytesIO(entry[1]))
    return stream.getvalue()


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo("project/target/app.wasm")
    member.type, member.linkname = kind, target
    return member


COMPONENT = ("project/target/app.wasm", WASM)
FORGED: dict[str, tuple[bytes, str]] = {
    "link": (archive_of(special(tarfile.SYMTYPE, "/etc/passwd")), "link"),
    "hard-link": (archive_of(special(tarfile.LNKTYPE, "result.json")), "link"),
    "pipe": (archive_of(special(tarfile.FIFOTYPE)), ""),
    "device": (archive_of(special(tarfile.CHRTYPE)), ""),
    "traversal": (archive_of(("project/../../outside", b"x")), "leads out"),
    "absolute": (archive_of(("/tmp/outside", b"x")), "absolute"),
    "unnamed": (archive_of(COMPONENT, ("project/other.txt", b"x")), "'other.txt', which spin.toml does not name"),
    "source": (archive_of(COMPONENT, ("project/main.py", b"x")), "'main.py', which spin.toml does not name"),
    "manifest": (archive_of(COMPONENT, ("project/spin.toml", b"x")), "'spin.toml', which spin.toml does not name"),
    "directory-for-file": (archive_of(("project/main.py/a", b"x")), ""),
    "no-wasm": (archive_of(("project/target/app.wasm", b"#!/bin/sh\n")), "no Wasm"),
    "empty": (b"", "cut off"),
    "cut": (archive_of(COMPONENT)[:700], ""),
    "no-about": (archive_of(COMPONENT, about=[]), "result.json is not what is expected"),
    "deep-about": (archive_of(COMPONENT, about={"warnings": {}, "removed": [], "guest_files": ""}), "result.json"),
    "no-tar": (b"\0" * 10240, ""),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_result_is_refused(here: Manifest, tmp_path: Path, case: str) -> None:
    content, part = FORGED[case]
    archive = tmp_path / "result.tar"
    archive.write_bytes(content)
    with pytest.raises(PlatformError) as caught:
        take_result(archive, here, tmp_path / "taken")
    assert "What the build handed back is not taken" in caught.value.cause
    assert part in caught.value.cause
    assert caught.value.next_step
    assert not (tmp_path / "outside").exists()


def test_what_was_removed_is_removed_only_where_the_manifest_names_it(here: Manifest, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.touch()
    removed = ["main.py", "spin.toml", "../outside.txt", str(outside)]
    archive = tmp_path / "result.tar"
    archive.write_bytes(archive_of(COMPONENT, about={"warnings": [], "removed": removed, "guest_files": "x"}))
    with pytest.raises(PlatformError, match="not those that they were"):
        take_result(archive, here, tmp_path / "taken")
    assert outside.exists()
    assert {"main.py", "spin.toml"} <= tree(here.directory).keys()


def test_a_download_must_have_its_digest(tmp_path: Path) -> None:
    digest = "sha256:" + "0" * 64
    directory = tmp_path / "here"
    directory.mkdir()
    source = f'source = {{ url = "https://example.com/a.wasm", digest = "{digest}" }}'
    (directory / "spin.toml").write_text(MANIFEST.replace('source = "target/app.wasm"', source))
    (directory / "assets").mkdir()
    (directory / "assets/a").touch()
    archive = tmp_path / "result.tar"
    for entries, part in (((), "does not hold what https"), (((f"downloads/{'0' * 64}", WASM),), "has the digest")):
        archive.write_bytes(archive_of(*entries))
        with pytest.raises(PlatformError, match=part):
            take_result(archive, read_manifest(directory, source_root=directory), tmp_path / part[:3])
