# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dependencies on their way from one build to the next: what is taken, what is refused, and which builds share them."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.parse import read_manifest
from ansible_collections.wasmfaas.platform.service.builds import dependencies
from ansible_collections.wasmfaas.platform.service.builds.dependencies import (
    cache_key,
    pack_dependencies,
    take_dependencies,
)

IMAGE = "registry.example/wasmfaas/builder-javascript:1.2.0"
PACKAGE = ".npm/_cacache/content-v2/sha512/ab/cd/ef"
MANIFEST = """
spin_manifest_version = 2
[application]
name = "hello"
[[trigger.http]]
route = "/..."
component = "hello"
[component.hello]
source = "app.wasm"
[component.hello.build]
command = "true"
"""


def home(directory: Path, files: dict[str, str]) -> Path:
    """A HOME with these files."""
    directory.mkdir()
    for path, content in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(content)
    return directory


def packed(directory: Path, files: dict[str, str], known: frozenset[str] = frozenset()) -> Path | None:
    """The archive of a HOME with these files; None where there is none."""
    archive = directory / "packed.tar"
    return archive if pack_dependencies(home(directory / "packing", files), known, archive) else None


def key(directory: Path, files: dict[str, str], image: str = IMAGE) -> str:
    project = home(directory, {"spin.toml": MANIFEST, **files})
    return cache_key(read_manifest(project, source_root=project), image)


def test_what_package_managers_downloaded_comes_to_the_next_build_and_nothing_else(tmp_path: Path) -> None:
    downloaded = {
        PACKAGE: "a",
        ".cache/pip/http-v2/1/2/body": "b",
        ".cargo/registry/cache/index.crates.io/serde.crate": "c",
        "go/pkg/mod/cache/download/example.com/!a/@v/v1.zip": "d",
    }
    others = {".npmrc": "token", ".cargo/credentials.toml": "token", ".npm/_logs/debug.log": "x"}
    archive = packed(tmp_path, {**downloaded, **others})
    assert archive is not None
    there = home(tmp_path / "there", {})
    assert take_dependencies(archive, there, tmp_path / "unpacked") == downloaded.keys()
    found = {str(path.relative_to(there)): path.read_text() for path in there.rglob("*") if path.is_file()}
    assert found == downloaded


def test_a_build_that_downloaded_nothing_hands_nothing_on(tmp_path: Path) -> None:
    assert packed(tmp_path, {".npmrc": ""}) is None


def test_what_is_known_already_is_not_handed_on_again_but_with_what_is_new(tmp_path: Path) -> None:
    files = {PACKAGE: "a"}
    assert packed(tmp_path, files, known=frozenset(files)) is None
    archive = tmp_path / "again.tar"
    known = frozenset({".cache/pip/x"})
    assert pack_dependencies(tmp_path / "packing", known, archive)
    with tarfile.open(archive) as tar:
        assert tar.getnames() == [PACKAGE]


def test_the_same_files_make_the_same_archive(tmp_path: Path) -> None:
    for name, time in (("one", 1_000_000), ("two", 2_000_000)):
        place = home(tmp_path / name, {PACKAGE: "a", ".cache/pip/x": "b"})
        os.utime(place / PACKAGE, (time, time))
        assert pack_dependencies(place, frozenset(), tmp_path / f"{name}.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_too_many_bytes_are_not_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "MOST_BYTES", 20_000)
    with pytest.raises(PlatformError, match="are kept"):
        packed(tmp_path, {PACKAGE: "a" * 20_000})


def test_an_archive_is_never_larger_than_was_counted(tmp_path: Path) -> None:
    """Else the endpoint would refuse it."""
    path = f"{dependencies.DIRECTORIES[0]}/{'/'.join(['d' * 200] * 4)}/{'f' * 150}"
    archive = packed(tmp_path, {path: "a" * 513})
    assert archive is not None
    assert archive.stat().st_size <= dependencies._packed_size(513) + tarfile.RECORDSIZE


def test_links_and_pipes_are_not_packed(tmp_path: Path) -> None:
    place = home(tmp_path / "packing", {PACKAGE: "a"})
    (place / ".npm/_cacache/link").symlink_to("/etc/passwd")
    os.mkfifo(place / ".npm/_cacache/pipe")
    archive = tmp_path / "packed.tar"
    assert pack_dependencies(place, frozenset(), archive)
    with tarfile.open(archive) as tar:
        assert tar.getnames() == [PACKAGE]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("../../outside", tarfile.REGTYPE), ("/outside", tarfile.REGTYPE), (".npm/_cacache/link", tarfile.SYMTYPE)],
)
def test_a_hostile_archive_changes_nothing(tmp_path: Path, name: str, kind: bytes) -> None:
    archive = tmp_path / "hostile.tar"
    with tarfile.open(archive, "w") as tar:
        good = tarfile.TarInfo(PACKAGE)
        good.size = 1
        tar.addfile(good, io.BytesIO(b"a"))
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc"
        tar.addfile(entry)
    place = home(tmp_path / "home", {})
    with pytest.raises(PlatformError):
        take_dependencies(archive, place, tmp_path / "unpacked")
    assert list(place.iterdir()) == list((tmp_path / "unpacked").iterdir()) == []
    assert not (tmp_path / "outside").exists()


def test_an_archive_cannot_set_up_the_package_managers(tmp_path: Path) -> None:
    archive = tmp_path / "poisoned.tar"
    with tarfile.open(archive, "w") as tar:
        for name in (".npmrc", ".config/pip/pip.conf", ".cargo/config.toml", PACKAGE):
            tar.addfile(tarfile.TarInfo(name))
    place = home(tmp_path / "home", {})
    assert take_dependencies(archive, place, tmp_path / "unpacked") == {PACKAGE}
    assert [path.name for path in place.rglob("*") if path.is_file()] == ["ef"]


def test_a_project_without_a_lock_file_shares_no_dependencies(tmp_path: Path) -> None:
    assert key(tmp_path / "one", {"package.json": "{}", "main.js": ""}) == ""


def test_lock_files_and_tools_say_who_shares_dependencies(tmp_path: Path) -> None:
    locked = {"package-lock.json": "{}"}
    one = key(tmp_path / "one", {**locked, "main.js": "1"})
    assert one == key(tmp_path / "two", {**locked, "main.js": "2"})
    others = [
        key(tmp_path / "three", locked, image=f"{IMAGE}-2"),
        key(tmp_path / "four", {"package-lock.json": '{"x": 1}'}),
        key(tmp_path / "five", {**locked, "web/package-lock.json": "{}"}),
        key(tmp_path / "six", {"requirements.txt": "spin-sdk==3.4.1"}),
    ]
    assert len({one, *others}) == 5
