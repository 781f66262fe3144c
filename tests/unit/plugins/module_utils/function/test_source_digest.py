# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source digest covers all that the result depends on, and nothing else."""

from __future__ import annotations

import collections.abc
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function import source_digest as module
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Build,
    Component,
    LocalSource,
    Manifest,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.parse import read_manifest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.source_digest import (
    _hash_files,
    _inputs,
    source_digest,
)
from hypothesis import given, settings
from hypothesis import strategies as st

Digest = collections.abc.Callable[[], str]

BUILT = '[component.hello.build]\ncommand = "make"\n'
FILES: dict[str, bytes | str] = {
    "src/app.py": "print(1)",
    "src/lib/a.py": "a = 1",
    "requirements.txt": "spin-sdk==3.4.1",
    "run.sh": "#!/bin/sh",
    "assets/index.html": "<html>",
    "assets/.hidden": "h",
}


@pytest.fixture
def directory(make_project: t.Callable[..., Manifest]) -> Path:
    return make_project(None, FILES, extra=BUILT).directory


@pytest.fixture
def digest(directory: Path) -> Digest:
    return lambda: source_digest(read_manifest(directory))


def git(directory: Path, *arguments: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    subprocess.run(["git", "-C", str(directory), *arguments], check=True, env=environment)


def inputs(directory: Path) -> list[str]:
    return _inputs(read_manifest(directory))[0]


def test_digest_looks_like_one(digest: Digest) -> None:
    assert digest().startswith("sha256:")
    assert len(digest()) == 71


# No change


def test_touched_times_are_no_change(directory: Path, digest: Digest) -> None:
    before = digest()
    for number, path in enumerate(directory.rglob("*")):
        os.utime(path, (number, number))
    assert digest() == before


def test_rights_beside_the_execute_bit_are_no_change(directory: Path, digest: Digest) -> None:
    before = digest()
    (directory / "src" / "app.py").chmod(0o640)
    (directory / "src").chmod(0o700)
    assert digest() == before


def test_empty_directory_is_no_change(directory: Path, digest: Digest) -> None:
    before = digest()
    (directory / "src" / "empty" / "deeper").mkdir(parents=True)
    assert digest() == before


def test_place_of_the_project_is_no_matter(directory: Path, digest: Digest, tmp_path: Path) -> None:
    shutil.copytree(directory, tmp_path / "somewhere" / "else")
    assert source_digest(read_manifest(tmp_path / "somewhere" / "else")) == digest()


def test_order_in_which_files_are_made_is_no_matter(
    digest: Digest, make_project: t.Callable[..., Manifest], tmp_path: Path
) -> None:
    other = make_project(None, dict(reversed(FILES.items())), extra=BUILT, directory=tmp_path / "other")
    assert source_digest(other) == digest()


def test_name_by_which_the_directory_is_reached_is_no_matter(
    make_project: t.Callable[..., Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a symbolic link, by a relative path, or by the manifest file."""
    manifest = make_project(
        None,
        {"app.wasm": "x", "assets/a": "1", "generated/b": "2", ".gitignore": "generated"},
        extra='files = ["assets/*", "generated/*"]',
    )
    (tmp_path / "link").symlink_to(manifest.directory)
    monkeypatch.chdir(tmp_path)
    digests = {
        source_digest(read_manifest(path))
        for path in (manifest.directory, tmp_path / "link", Path("project"), Path("link/spin.toml"))
    }
    assert len(digests) == 1
    assert all(not path.startswith("..") for path in _inputs(read_manifest(tmp_path / "link"))[0])


@pytest.mark.parametrize(
    "path",
    [
        ".git/HEAD",
        ".git/objects/aa/bb",
        ".hg/x",
        ".svn/x",
        ".spin/logs/hello.txt",
        ".venv/bin/python",
        "venv/lib/x.py",
        "node_modules/left-pad/index.js",
        "src/node_modules/x/y.js",
        "src/__pycache__/app.cpython-311.pyc",
        "src/app.pyc",
        ".mypy_cache/x",
        ".pytest_cache/x",
        ".ruff_cache/x",
        ".DS_Store",
        "spin-dependencies.wit",
        "src/spin-dependencies.wit",
        ".cache/x",
        ".tox/x",
    ],
)
def test_what_tools_leave_behind_is_no_change(directory: Path, digest: Digest, path: str) -> None:
    before = digest()
    (directory / path).parent.mkdir(parents=True, exist_ok=True)
    (directory / path).write_text("made by a tool")
    assert digest() == before


def test_target_directory_of_a_cargo_workspace_is_no_change(make_project: t.Callable[..., Manifest]) -> None:
    """Cargo (1.95: src/cargo/util/important_paths, paths::create_dir_all_excluded_from_backups_atomic) tags it."""
    manifest = make_project(None, {"Cargo.toml": "[workspace]"}, extra=BUILT)
    before = source_digest(manifest)
    (manifest.directory / "target" / "debug").mkdir(parents=True)
    (manifest.directory / "target" / "debug" / "x").touch()
    assert source_digest(manifest) != before
    tag = manifest.directory / "target" / "CACHEDIR.TAG"
    tag.write_text("Signature: 8a477f597d28d172789f06886806bc55\n# by cargo")
    assert source_digest(manifest) == before
    tag.write_text("cache")
    assert source_digest(manifest) != before


def test_virtual_environment_of_any_name_is_no_change(directory: Path, digest: Digest) -> None:
    import venv

    before = digest()
    venv.create(directory / "src" / "my environment", with_pip=False)
    assert digest() == before


# Changes


def test_each_changed_byte_is_a_change(directory: Path, digest: Digest) -> None:
    seen = {digest()}
    for path in [*FILES, "spin.toml"]:
        content = (directory / path).read_bytes()
        (directory / path).write_bytes(content + b"\n")
        seen.add(digest())
        (directory / path).write_bytes(content)
    assert len(seen) == len(FILES) + 2


@pytest.mark.parametrize("path", ["src/new.py", "new", ".env", "src/.config", "Cargo.lock", "package-lock.json"])
def test_new_file_is_a_change(directory: Path, digest: Digest, path: str) -> None:
    before = digest()
    (directory / path).touch()
    assert digest() != before
    (directory / path).unlink()
    assert digest() == before


def test_removed_and_renamed_files_are_changes(directory: Path, digest: Digest) -> None:
    seen = {digest()}
    (directory / "src" / "app.py").rename(directory / "src" / "main.py")
    seen.add(digest())
    (directory / "src" / "main.py").unlink()
    seen.add(digest())
    assert len(seen) == 3


def test_two_files_that_swap_their_contents_are_a_change(directory: Path, digest: Digest) -> None:
    before = digest()
    one, other = directory / "src" / "app.py", directory / "src" / "lib" / "a.py"
    one_content, other_content = one.read_bytes(), other.read_bytes()
    one.write_bytes(other_content)
    other.write_bytes(one_content)
    assert digest() != before


def test_execute_bit_is_a_change(directory: Path, digest: Digest) -> None:
    before = digest()
    (directory / "run.sh").chmod(0o755)
    assert digest() != before


def test_link_target_is_a_change(directory: Path, digest: Digest) -> None:
    (directory / "link").symlink_to("src")
    (directory / "dangling").symlink_to("nowhere")
    before = digest()
    for link, target in (("link", "assets"), ("dangling", "nowhere-else")):
        (directory / link).unlink()
        (directory / link).symlink_to(target)
        assert digest() != before
        before = digest()


def test_content_behind_a_link_to_a_file_is_a_change(directory: Path, digest: Digest, tmp_path: Path) -> None:
    (tmp_path / "shared.py").write_text("1")
    (directory / "shared.py").symlink_to(tmp_path / "shared.py")
    before = digest()
    (tmp_path / "shared.py").write_text("2")
    assert digest() != before


def test_build_profile_is_a_change(make_project: t.Callable[..., Manifest]) -> None:
    manifest = make_project(None, extra='[component.hello.profile.debug]\nenvironment = { D = "1" }')
    assert source_digest(manifest) != source_digest(read_manifest(manifest.directory, profile="debug"))


def test_name_of_the_manifest_is_a_change(directory: Path, digest: Digest) -> None:
    shutil.copy(directory / "spin.toml", directory / "other.toml")
    assert source_digest(read_manifest(directory / "other.toml")) != digest()


def test_wasm_that_nobody_builds_is_a_source(make_project: t.Callable[..., Manifest]) -> None:
    manifest = make_project(None, {"app.wasm": "1", ".gitignore": "*.wasm"})
    before = source_digest(manifest)
    (manifest.directory / "app.wasm").write_text("2")
    assert source_digest(manifest) != before


def test_dependency_by_path_is_a_source(make_project: t.Callable[..., Manifest]) -> None:
    lines = (
        'dependencies_inherit_configuration = true\n[component.hello.dependencies]\n"a:b/c" = { path = '
        '"dist/plug.wasm" }\n' + BUILT
    )
    manifest = make_project(None, {"dist/plug.wasm": "1", ".gitignore": "dist"}, extra=lines)
    before = source_digest(manifest)
    (manifest.directory / "dist" / "plug.wasm").write_text("2")
    assert source_digest(manifest) != before


@pytest.mark.parametrize("name", ["build", "dist", "out", "target"])
def test_directory_with_the_name_of_an_output_is_a_source(make_project: t.Callable[..., Manifest], name: str) -> None:
    """Also where a build writes its Wasm file there."""
    manifest = make_project(
        None,
        {"Cargo.toml": "", f"{name}/helper.py": "1", f"{name}/assets/logo.svg": "1"},
        extra='[component.hello.build]\ncommand = "make"\n'
        f'[component.hello.dependencies]\n"a:b/c" = {{ path = "{name}/plug.wasm" }}',
    )
    toml = manifest.path.read_text().replace('source = "app.wasm"', f'source = "{name}/app.wasm"')
    manifest.path.write_text(toml)
    assert read_manifest(manifest.directory).components["hello"].source == LocalSource(f"{name}/app.wasm")
    seen = set()
    for path in (f"{name}/helper.py", f"{name}/assets/logo.svg"):
        seen.add(source_digest(read_manifest(manifest.directory)))
        (manifest.directory / path).write_text("2")
    seen.add(source_digest(read_manifest(manifest.directory)))
    assert len(seen) == 3
    (manifest.directory / name / "app.wasm").write_text("built")
    assert source_digest(read_manifest(manifest.directory)) in seen


# What git tracks


def test_file_that_git_tracks_is_a_source_wherever_it_lies(directory: Path, digest: Digest) -> None:
    paths = ["dist/logo.svg", "node_modules/vendored/index.js", "note.log", "venv/x", "src/caf\u00e9.log", "pruned/a"]
    for path in paths:
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text("1")
    (directory / "pruned" / "pyvenv.cfg").touch()
    (directory / ".gitignore").write_text("dist/\n*.log\n")
    without = digest()
    git(directory, "init", "-q")
    git(directory, "add", "--force", *paths)
    seen = {without, digest()}
    for path in paths:
        (directory / path).write_text("2")
        seen.add(digest())
    (directory / paths[0]).unlink()
    seen.add(digest())
    assert len(seen) == len(paths) + 3
    before = digest()
    (directory / "dist" / "untracked").touch()
    assert digest() == before


def test_repository_of_git_in_the_environment_is_not_asked(
    directory: Path, digest: Digest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As git sets it while it runs a hook, such as one that deploys."""
    git(directory, "init", "-q")
    before = digest()
    (tmp_path / "other").mkdir()
    git(tmp_path / "other", "init", "-q")
    (tmp_path / "other" / "new.log").touch()
    git(tmp_path / "other", "add", "new.log")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    (directory / ".gitignore").write_text("")
    (directory / ".gitignore").unlink()
    assert digest() == before


# What .gitignore names


def test_ignored_files_are_no_change(directory: Path, digest: Digest) -> None:
    (directory / ".gitignore").write_text("*.log\n/generated/\n# comment\n\nsecret.*\n")
    before = digest()
    for path in ("a.log", "src/deep.log", "generated/x.py", "src/secret.key"):
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text("x")
    assert digest() == before
    (directory / "src" / "generated").mkdir()
    (directory / "src" / "generated" / "x.py").touch()
    assert digest() != before, "the pattern with a slash in front holds for the top only"


def test_gitignore_itself_is_a_source(directory: Path, digest: Digest) -> None:
    before = digest()
    (directory / ".gitignore").write_text("nothing\n")
    assert digest() != before


def test_negation_brings_a_file_back(directory: Path) -> None:
    (directory / ".gitignore").write_text("*.log\n!keep.log\ncache/*\n!cache/keep/\n")
    for path in ("a.log", "keep.log", "cache/a", "cache/keep/b"):
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).touch()
    assert {"keep.log", "cache/keep/b"} <= set(inputs(directory))
    assert not {"a.log", "cache/a"} & set(inputs(directory))


def test_nothing_below_an_ignored_directory_comes_back(directory: Path) -> None:
    """As in git: "It is not possible to re-include a file if a parent directory of that file is excluded"."""
    (directory / ".gitignore").write_text("cache/\n!cache/keep\n")
    (directory / "cache").mkdir()
    (directory / "cache" / "keep").touch()
    assert "cache/keep" not in inputs(directory)


def test_nearer_gitignore_wins(directory: Path) -> None:
    (directory / ".gitignore").write_text("*.txt\n!/src/top.txt\n")
    (directory / "src" / ".gitignore").write_text("!*.txt\ntop.txt\n")
    (directory / "src" / "lib" / ".gitignore").write_text("b.txt\n")
    for path in ("a.txt", "src/a.txt", "src/top.txt", "src/lib/a.txt", "src/lib/b.txt"):
        (directory / path).touch()
    assert [path for path in inputs(directory) if path.endswith(".txt") and path != "requirements.txt"] == [
        "src/a.txt",
        "src/lib/a.txt",
    ]


def test_gitignore_with_all_but_some_is_read_as_git_does(directory: Path) -> None:
    (directory / ".gitignore").write_text("*\n!*/\n!*.py\n!/spin.toml\n")
    assert inputs(directory) == ["spin.toml", "src/app.py", "src/lib/a.py"]


# Files that the manifest mounts


def test_mounted_file_is_a_source_even_where_it_is_ignored(make_project: t.Callable[..., Manifest]) -> None:
    manifest = make_project(
        None, {"app.wasm": "x", "generated/a.json": "1", ".gitignore": "generated"}, extra='files = ["generated/*"]'
    )
    before = source_digest(manifest)
    (manifest.directory / "generated" / "a.json").write_text("2")
    assert source_digest(manifest) != before


def test_mounted_directory_of_a_component_without_a_build_is_a_source(make_project: t.Callable[..., Manifest]) -> None:
    manifest = make_project(
        None,
        {"app.wasm": "x", "dist/a.js": "1", ".gitignore": "dist"},
        extra='files = [{ source = "dist", destination = "/" }]',
    )
    before = source_digest(manifest)
    (manifest.directory / "dist" / "a.js").write_text("2")
    assert source_digest(manifest) != before


def test_mount_that_is_missing_is_an_error_where_nothing_builds_it(make_project: t.Callable[..., Manifest]) -> None:
    with pytest.raises(PlatformError, match='"data" does not exist'):
        source_digest(make_project(None, {"app.wasm": "x"}, extra='files = [{ source = "data", destination = "/" }]'))


# A project whose manifest names what lies outside of it


MEMBERS: dict[str, bytes | str] = {
    "Cargo.toml": "[workspace]",
    "Cargo.lock": "1",
    "common/lib.rs": "1",
    "apps/one/src/lib.rs": "1",
    "apps/two/src/lib.rs": "1",
    ".gitignore": "/target/\n/notes/\n",
}


@pytest.fixture
def workspace(make_project: t.Callable[..., Manifest], tmp_path: Path) -> Path:
    """A git repository with a project whose build writes into a directory at its top."""
    for path, content in MEMBERS.items():
        (tmp_path / "workspace" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "workspace" / path).write_text(str(content))
    git(tmp_path / "workspace", "init", "-q")
    project = make_project(None, extra=BUILT, directory=tmp_path / "workspace" / "apps" / "one")
    project.path.write_text(project.path.read_text().replace('"app.wasm"', '"../../target/app.wasm"'))
    return tmp_path / "workspace"


def workspace_digest(workspace: Path, source_root: Path | None = None) -> str:
    return source_digest(read_manifest(workspace / "apps" / "one", source_root=source_root))


def test_each_file_of_the_workspace_counts_but_what_git_ignores_does_not(workspace: Path) -> None:
    seen = {workspace_digest(workspace)}
    for path in [*MEMBERS, "apps/one/spin.toml", "new"]:
        before = (workspace / path).read_text() if (workspace / path).exists() else ""
        (workspace / path).write_text(f"{before}\n")
        seen.add(workspace_digest(workspace))
    assert len(seen) == len(MEMBERS) + 3
    for path in ("target/app.wasm", "target/debug/x", "notes/today", "common/node_modules/x/y.js"):
        (workspace / path).parent.mkdir(parents=True, exist_ok=True)
        (workspace / path).touch()
    assert workspace_digest(workspace) in seen
    assert inputs(workspace / "apps" / "one") == sorted([*MEMBERS, "apps/one/spin.toml", "new"])


def test_workspace_counts_only_if_a_path_leads_there_or_the_user_says_so(workspace: Path) -> None:
    manifest = workspace / "apps" / "one" / "spin.toml"
    manifest.write_text(manifest.read_text().replace("../../target/app.wasm", "app.wasm"))
    alone, named = workspace_digest(workspace), workspace_digest(workspace, workspace)
    (workspace / "common" / "lib.rs").write_text("2")
    assert workspace_digest(workspace) == alone
    assert workspace_digest(workspace, workspace) != named


def test_place_of_the_workspace_and_the_way_to_it_are_no_matter(workspace: Path, tmp_path: Path) -> None:
    before = workspace_digest(workspace)
    shutil.copytree(workspace, tmp_path / "elsewhere" / "clone")
    assert workspace_digest(tmp_path / "elsewhere" / "clone") == before
    (tmp_path / "link").symlink_to(workspace / "apps")
    assert source_digest(read_manifest(tmp_path / "link" / "one")) == before
    assert workspace_digest(workspace, workspace) == before
    shutil.rmtree(workspace / ".git")
    assert workspace_digest(workspace, workspace) == before


def test_functions_of_one_workspace_have_digests_of_their_own(workspace: Path) -> None:
    shutil.copy(workspace / "apps" / "one" / "spin.toml", workspace / "apps" / "two" / "spin.toml")
    assert source_digest(read_manifest(workspace / "apps" / "two")) != workspace_digest(workspace)


@pytest.mark.parametrize("own_repository", [True, False])
def test_project_that_the_repository_ignores_counts_still(workspace: Path, own_repository: bool) -> None:
    (workspace / ".gitignore").write_text("/target/\n/apps/\n")
    project = workspace / "apps" / "one"
    (project / "kept.log").touch()
    if own_repository:
        git(project, "init", "-q")
        git(project, "add", "kept.log")
    (project / ".gitignore").write_text("*.log\n")
    before = workspace_digest(workspace, workspace)
    for path, counts in (("src/lib.rs", True), ("kept.log", own_repository), ("../two/src/lib.rs", False)):
        (project / path).write_text("2")
        now = workspace_digest(workspace, workspace)
        assert (now != before) is counts, path
        before = now


def test_file_that_another_run_moves_away_meanwhile_is_no_error(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = workspace_digest(workspace)

    def seen_before(manifest: Manifest) -> tuple[list[str], frozenset[str], frozenset[str]]:
        paths, named, directories = _inputs(manifest)
        return [*paths, "dist/two.wasm", "common/lib.rs/two.wasm"], named, directories

    monkeypatch.setattr(module, "_inputs", seen_before)
    assert workspace_digest(workspace) == before


def test_wasm_outside_that_nobody_builds_is_a_source_even_where_it_is_ignored(workspace: Path) -> None:
    manifest = workspace / "apps" / "one" / "spin.toml"
    manifest.write_text(manifest.read_text().replace(BUILT, ""))
    (workspace / "target").mkdir()
    seen = set()
    for content in ("1", "2"):
        (workspace / "target" / "app.wasm").write_text(content)
        seen.add(workspace_digest(workspace))
    assert len(seen) == 2
    assert "target/app.wasm" in inputs(workspace / "apps" / "one")


def test_mounted_files_outside_count_even_where_they_are_ignored(workspace: Path) -> None:
    manifest = workspace / "apps" / "one" / "spin.toml"
    mount = 'files = [{ source = "../../notes", destination = "/" }]\n'
    manifest.write_text(manifest.read_text().replace("[component.hello]\n", f"[component.hello]\n{mount}"))
    (workspace / "notes").mkdir()
    (workspace / "notes" / "today").write_text("1")
    before = workspace_digest(workspace)
    (workspace / "notes" / "today").write_text("2")
    assert workspace_digest(workspace) != before


def test_file_that_may_not_be_read_advises_a_smaller_source_root(
    without_privileges: t.Any, workspace: Path, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory() as outside:
        os.chmod(outside, 0o755)
        copy = Path(outside) / "workspace"
        shutil.copytree(workspace, copy)
        (copy / "common" / "lib.rs").chmod(0)
        with without_privileges(), pytest.raises(PlatformError, match=r"lib\.rs: Permission denied") as caught:
            workspace_digest(copy)
        assert "source_root" in caught.value.next_step


# Odd files


def test_pipe_and_socket_are_not_read(directory: Path, digest: Digest) -> None:
    before = digest()
    os.mkfifo(directory / "pipe")
    os.mkfifo(directory / "src" / ".gitignore")
    with socket.socket(socket.AF_UNIX) as listener, tempfile.TemporaryDirectory() as short:
        listener.bind(f"{short}/s")
        os.rename(f"{short}/s", directory / "socket")
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(digest()), daemon=True)
        thread.start()
        thread.join(timeout=60)
    assert found and found[0] != before


def test_file_that_may_not_be_read_is_named(without_privileges: t.Any, make_project: t.Callable[..., Manifest]) -> None:
    with tempfile.TemporaryDirectory() as outside:
        os.chmod(outside, 0o755)
        manifest = make_project(
            None, {"app.wasm": "x", "secret": "s", "closed/a": "a"}, directory=Path(outside) / "project"
        )
        for closed, name in ((manifest.directory / "secret", "secret"), (manifest.directory / "closed", "closed")):
            closed.chmod(0)
            with without_privileges(), pytest.raises(PlatformError, match=f"{name}: Permission denied") as caught:
                source_digest(manifest)
            assert ".gitignore" in caught.value.next_step
            closed.chmod(0o755)


def test_names_in_any_encoding_and_with_any_signs(directory: Path, digest: Digest) -> None:
    seen = {digest()}
    for name in (b"caf\xe9", "café".encode(), b"line\nbreak", b" ", b"-rf", b"file a\t"):
        Path(os.fsdecode(os.fsencode(directory) + b"/src/" + name)).touch()
        seen.add(digest())
    assert len(seen) == 7


def test_large_files_are_covered_to_the_last_byte(directory: Path, digest: Digest) -> None:
    """Above 4 MiB the files are hashed in threads."""
    for name in ("large-1", "large-2"):
        (directory / name).write_bytes(bytes(5 << 20))
    before = digest()
    assert digest() == before
    with (directory / "large-2").open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"x")
    assert digest() != before


def test_whoever_stops_listening_does_not_wait_for_a_large_file(tmp_path: Path) -> None:
    """As after Ctrl-C."""
    (tmp_path / "small").write_bytes(b"x")
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(1_000_000_000_000)  # takes no room, but many minutes to read
    lines = _hash_files(tmp_path, ["small", "large"], [1, 1_000_000_000_000])
    assert next(lines).startswith(b"file small")
    begun = time.monotonic()
    t.cast("t.Generator[bytes]", lines).close()
    assert time.monotonic() - begun < 60


def test_five_hundred_files_are_read_each(make_project: t.Callable[..., Manifest]) -> None:
    manifest = make_project(None, {f"src/{number}.py": str(number) for number in range(500)}, extra=BUILT)
    assert len(_inputs(manifest)[0]) == 501
    before = source_digest(manifest)
    (manifest.directory / "src" / "499.py").write_text("x")
    assert source_digest(manifest) != before


_trees = st.dictionaries(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join), st.binary(max_size=4), max_size=6
)


def _write(directory: Path, tree: dict[str, bytes]) -> dict[str, bytes]:
    written = {}
    for path, content in tree.items():
        target = directory / "src" / path
        if any(parent.is_file() for parent in target.parents) or target.is_dir():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        written[path] = content
    return written


@settings(max_examples=60, deadline=None)
@given(one=_trees, other=_trees)
def test_digests_are_equal_exactly_where_the_trees_are(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    component = Component(id="c", source=LocalSource("app.wasm"), build=Build(("make",)))
    with tempfile.TemporaryDirectory() as outside:
        digests, trees = [], []
        for name, tree in (("one", one), ("other", other)):
            directory = Path(outside) / name
            directory.mkdir()
            (directory / "spin.toml").touch()
            trees.append(_write(directory, tree))
            digests.append(source_digest(Manifest(directory / "spin.toml", "a", (), {"c": component})))
        assert (digests[0] == digests[1]) == (trees[0] == trees[1])
