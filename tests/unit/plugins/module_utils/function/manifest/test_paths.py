# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the paths of a manifest may lead: to the source root, and no further."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import Manifest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.parse import read_manifest

from .minimal import MINIMAL

OUTSIDE = {
    # What is added to the smallest manifest, or replaced in it; the key of the path
    "source": ("", "a.wasm", "../../target/a.wasm", "component.a.source"),
    "files": ('files = [{ source = "../../web", destination = "/" }]', "", "", "component.a.files[0]"),
    "workdir": ('build = { command = "make", workdir = "../.." }', "", "", "component.a.build.workdir"),
    "watch": ('build = { command = "make", watch = ["../../web/*"] }', "", "", "component.a.build.watch[0]"),
    "dependency": (
        'dependencies = { "a:b/c" = { path = "../../b.wasm" } }',
        "",
        "",
        'component.a.dependencies."a:b/c".path',
    ),
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository whose project lies two levels down."""
    (tmp_path / "repository" / "apps" / "one").mkdir(parents=True)
    (tmp_path / "repository" / ".git").mkdir()
    return tmp_path / "repository"


def write(repository: Path, added: str = "", old: str = "", new: str = "") -> Path:
    """The manifest of the repository's project."""
    path = repository / "apps" / "one" / "spin.toml"
    path.write_text((MINIMAL.replace(f'"{old}"', f'"{new}"') if old else MINIMAL) + added)
    return path


def refused(path: Path, source_root: Path | None = None) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        read_manifest(path, source_root=source_root)
    return caught.value


@pytest.mark.parametrize("case", OUTSIDE)
def test_path_in_the_repository_around_the_project_is_accepted(repository: Path, case: str) -> None:
    manifest = read_manifest(write(repository, *OUTSIDE[case][:3]))
    assert (manifest.sources, manifest.covers_source_root) == (repository, True)


@pytest.mark.parametrize("case", OUTSIDE)
def test_path_that_leaves_the_project_is_refused_without_a_repository(repository: Path, case: str) -> None:
    (repository / ".git").rmdir()
    added, old, new, key = OUTSIDE[case]
    path = write(repository, added, old, new)
    error = refused(path)
    line = len(path.read_text().splitlines())
    assert error.cause.startswith(f"spin.toml:{line}: {key}: "), error.cause
    assert "leaves the directory of the manifest" in error.cause
    assert f"`-e source_root={repository}`" in error.next_step
    assert read_manifest(path, source_root=repository).sources == repository


@pytest.mark.parametrize("case", OUTSIDE)
def test_path_that_leaves_the_source_root_is_refused(repository: Path, tmp_path: Path, case: str) -> None:
    added, old, new, key = OUTSIDE[case]
    path = write(repository, added.replace("../..", "../../.."), old, new.replace("../..", "../../.."))
    error = refused(path)
    assert f": {key}: " in error.cause
    assert f"leaves the source root {repository}" in error.cause
    assert f"`-e source_root={tmp_path}`" in error.next_step
    assert read_manifest(path, source_root=tmp_path).sources == tmp_path
    (repository / "apps" / ".git").write_text("gitdir: elsewhere")  # a submodule
    assert f"leaves the source root {repository / 'apps'}" in refused(write(repository, *OUTSIDE[case][:3])).cause


def test_without_such_paths_only_the_project_counts(repository: Path) -> None:
    manifest = read_manifest(
        write(repository, 'files = ["assets/*"]\nbuild = { command = "make", watch = ["/etc"] }\n')
    )
    assert (manifest.sources, manifest.covers_source_root) == (manifest.directory, False)
    assert read_manifest(manifest.path, source_root=repository).sources == repository, "the user said so"
    there_and_back = read_manifest(write(repository, "", "a.wasm", "../one/a.wasm"))
    assert there_and_back.sources == there_and_back.directory


def test_link_may_lead_to_the_source_root_but_not_out_of_it(repository: Path, tmp_path: Path) -> None:
    for name, target in (("in", repository / "web"), ("out", tmp_path)):
        target.mkdir(exist_ok=True)
        (repository / "apps" / "one" / name).symlink_to(target)
    assert read_manifest(write(repository, "", "a.wasm", "in/a.wasm")).sources == repository
    error = refused(write(repository, "", "a.wasm", "out/a.wasm"))
    assert f'"out/a.wasm" leaves the source root {repository} through a symbolic link' in error.cause
    assert f"source_root={tmp_path}" in error.next_step


def test_pattern_that_leaves_the_project_is_refused_since_its_files_would_not_be_seen(repository: Path) -> None:
    for pattern in ("../../web/**/*", "../one/assets/*"):
        error = refused(write(repository, f'files = ["{pattern}"]\n'))
        assert f'spin.toml:9: component.a.files[0]: the pattern "{pattern}" leaves the directory' in error.cause
        assert "destination =" in error.next_step


def test_root_that_would_hold_nearly_everything_is_not_advised(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    error = refused(write(repository, "", "a.wasm", "../../../../../../../../etc/a.wasm"))
    assert error.next_step == "Let the build write the file into the directory of the manifest."
    error = refused(write(repository, "", "a.wasm", "../../../a.wasm"))
    assert "source_root" not in error.next_step


def test_wrong_source_root_is_refused(repository: Path, tmp_path: Path) -> None:
    path = write(repository)
    (tmp_path / "repository-2").mkdir()
    for root, cause in (
        (tmp_path / "missing", f"source_root: {tmp_path}/missing is no directory."),
        (path, f"source_root: {path} is no directory."),
        (tmp_path / "repository-2", f"source_root: {tmp_path}/repository-2 does not hold the project."),
        (repository / "apps" / "one" / "src", "is no directory."),
    ):
        error = refused(path, root)
        assert cause in error.cause
        assert error.next_step == f"Give the project directory {path.parent} or a directory above it."


def test_source_root_may_be_named_through_a_link(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(repository)
    path = write(tmp_path / "link", "", "a.wasm", "../../target/a.wasm")
    manifest: Manifest = read_manifest(path, source_root=tmp_path / "link")
    assert manifest.sources == repository
    assert manifest.absolute("../../target/a.wasm") == repository / "target" / "a.wasm"
