# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into the images: locked packages, toolchains, and the files of the collection."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.service_images import packages, pinned, tools
from ansible_collections.wasmfaas.platform.plugins.module_utils.service_images.base import parse_reference
from ansible_collections.wasmfaas.platform.plugins.module_utils.service_images.collection import Collection
from ansible_collections.wasmfaas.platform.plugins.module_utils.service_images.recipes import RECIPES, UNUSED_PACKAGES

PROJECT = Path(__file__).resolve().parents[5]
LOCK = (PROJECT / "requirements-service.lock").read_text(encoding="utf-8")
ARCHITECTURES = ("amd64", "arm64")


@pytest.mark.parametrize(
    ("python", "ansible"),
    [("3.11", "ansible-core==2.19."), ("3.12", "ansible-core==2.21."), ("3.13", "ansible-core==2.21.")],
)
def test_packages_are_those_for_the_python_of_the_image(python: str, ansible: str) -> None:
    found = {package.name: package.line for package in packages.locked(LOCK, python, "arm64")}
    assert found["ansible-core"].startswith(ansible)
    assert "colorama" not in found, "only for Windows"
    assert all(line.startswith(f"{name}==") and "--hash=sha256:" in line for name, line in found.items())
    assert set(found) > UNUSED_PACKAGES, "a name here that is not locked leaves nothing out"
    assert {"starlette", "uvicorn", "httpx2", "lightkube", *tools.NODE.packages} <= set(found)


def test_markers_speak_of_the_image_and_not_of_this_machine() -> None:
    lock = (
        "# made by a tool\n"
        "a==1 ; platform_machine == 'aarch64' \\\n    --hash=sha256:11 \\\n    --hash=sha256:22\n    # via b\n"
        "b==2 ; sys_platform == 'win32' --hash=sha256:33\n"
    )
    assert packages.locked(lock, "3.13", "amd64") == []
    assert packages.locked(lock, "3.13", "arm64") == [
        packages.Locked("a", "a==1 --hash=sha256:11      --hash=sha256:22")
    ]


def test_a_package_that_pip_cannot_get_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    wanted = [packages.Locked("nowhere", f"nowhere==1 --hash=sha256:{'0' * 64}")]
    with pytest.raises(PlatformError, match=r"for Python 3\.13 on aarch64: .*nowhere"):
        packages.install(wanted, tmp_path / "packages", python="3.13", architecture="arm64")


def test_every_archive_of_a_toolchain_has_a_recorded_checksum() -> None:
    urls = {
        url
        for recipe in RECIPES.values()
        for tool in recipe.tools
        for one in ARCHITECTURES
        for url in tool.archives(one)
    }
    assert all(len(tools.pinned_sha256(url)) == 64 for url in urls)
    assert len(urls) == len(pinned.TOOLS) == len(set(pinned.TOOLS.values()))
    assert {recipe.base for recipe in RECIPES.values()} == set(pinned.BASE_IMAGES)
    assert not any("docker.io" in base["image"] for base in pinned.BASE_IMAGES.values())


def test_what_is_downloaded_must_be_what_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlatformError, match=r"No checksum of other\.zip is recorded"):
        tools.fetch("http://127.0.0.1:9/other.zip", tmp_path, variable="go_url")
    content = b"a toolchain"
    monkeypatch.setitem(pinned.TOOLS, "some", hashlib.sha256(content).hexdigest())
    kept = tmp_path / "tools" / hashlib.sha256(content).hexdigest() / "some.zip"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    assert tools.fetch("http://127.0.0.1:9/some.zip", tmp_path, variable="go_url") == kept


def test_go_is_put_in_place(tmp_path: Path) -> None:
    archive = tmp_path / "v0.0.1-go1.linux-amd64.zip"
    top = "golang.org/toolchain@v0.0.1-go1.linux-amd64"
    with zipfile.ZipFile(archive, "w") as made:
        for path in ("bin/go", "pkg/tool/linux_amd64/link", "src/_go.mod", "test/big.go", "VERSION"):
            made.writestr(f"{top}/{path}", path)
    tools.unpack(archive, tmp_path / "go")
    found = {
        path.relative_to(tmp_path / "go").as_posix(): path for path in (tmp_path / "go").rglob("*") if path.is_file()
    }
    assert set(found) == {"bin/go", "pkg/tool/linux_amd64/link", "src/go.mod", "VERSION"}
    assert found["bin/go"].stat().st_mode & 0o777 == 0o755
    assert found["VERSION"].stat().st_mode & 0o111 == 0


def test_components_of_rust_are_put_into_one_directory(tmp_path: Path) -> None:
    for name, files in {
        "rustc": ("bin/rustc", "share/doc/x"),
        "rust-std": ("lib/rustlib/wasm32-wasip1/lib/core",),
    }.items():
        component = tmp_path / name / f"{name}-1" / name
        for file in files:
            (component / file).parent.mkdir(parents=True, exist_ok=True)
            (component / file).write_text(file)
        (component / "manifest.in").write_text(
            "file:bin/rustc\nfile:share/doc/x\n" if name == "rustc" else "dir:lib/rustlib/wasm32-wasip1\n"
        )
        if name == "rustc":
            (component / "bin/rustc").chmod(0o755)
        archive = tmp_path / f"{name}.tar.xz"
        with tarfile.open(archive, "w:xz") as made:
            made.add(tmp_path / name / f"{name}-1", f"{name}-1")
        tools.unpack(archive, tmp_path / "rust")
    found = sorted(p.relative_to(tmp_path / "rust").as_posix() for p in (tmp_path / "rust").rglob("*") if p.is_file())
    assert found == ["bin/rustc", "lib/rustlib/wasm32-wasip1/lib/core"]
    assert (tmp_path / "rust/bin/rustc").stat().st_mode & 0o111


@pytest.mark.parametrize("path", ["golang.org/toolchain@1/../../x", "golang.org/toolchain@1//x"])
def test_an_archive_cannot_write_elsewhere(tmp_path: Path, path: str) -> None:
    with zipfile.ZipFile(tmp_path / "go.zip", "w") as made:
        made.writestr(path, "x")
    with pytest.raises(PlatformError, match="holds the path"):
        tools.unpack(tmp_path / "go.zip", tmp_path / "go")


def test_a_damaged_archive_is_told(tmp_path: Path) -> None:
    for name in ("a.zip", "a.tar.xz"):
        (tmp_path / name).write_bytes(b"no archive")
        with pytest.raises(PlatformError, match="cannot be unpacked"):
            tools.unpack(tmp_path / name, tmp_path / "out")


def test_the_collection_without_what_python_and_tools_leave(tmp_path: Path) -> None:
    (tmp_path / "plugins/modules").mkdir(parents=True)
    for name in (
        "plugins/module_utils/a.py",
        "service/page/static/page.css",
        "service/__pycache__/a.pyc",
        "service/.x",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    with pytest.raises(PlatformError, match=r"has no requirements-service\.lock"):
        Collection(tmp_path)
    (tmp_path / "requirements-service.lock").touch()
    (tmp_path / "galaxy.yml").write_text("version: 1.2.3\n")
    collection = Collection(tmp_path)
    assert [path.as_posix() for path in collection.files()] == [
        "plugins/module_utils/a.py",
        "service/page/static/page.css",
    ]
    assert collection.version == "1.2.3"
    before = collection.digest()
    (tmp_path / "service/__pycache__/b.pyc").touch()
    assert collection.digest() == before
    (tmp_path / "service/page/static/page.css").write_text("changed")
    assert collection.digest() != before
    collection.copy(tmp_path / "copy")
    assert (tmp_path / "copy/service/page/static/page.css").read_text() == "changed"


def test_a_base_image_is_named_by_its_digest() -> None:
    digest = f"sha256:{'a' * 64}"
    assert parse_reference(f"host:5000/a/b:1@{digest}", "base_image").place == "host:5000/a/b:1"
    with pytest.raises(PlatformError, match="no image with a digest"):
        parse_reference("host/a/b:1", "base_image")
