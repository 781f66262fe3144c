# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files the guest sees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.files import expand_files
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.globs import (
    compile_pattern,
    looks_like_pattern,
    pattern_error,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Component,
    FilesMount,
    LocalSource,
    Manifest,
)

TREE = [
    "spin.toml",
    "assets/.hidden",
    "assets/a.png",
    "assets/B.PNG",
    "assets/deep/er/c.png",
    "assets/deep/d.txt",
    "other/a.png",
    "x[1].txt",
    "secrets/key",
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    for name in TREE:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(name)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    return directory


def expand(project: Path, *files: str | FilesMount, exclude: tuple[str, ...] = ()) -> dict[str, str]:
    """Map guest paths to source paths relative to the project."""
    component = Component("a", LocalSource("a.wasm"), files=files, exclude_files=exclude)
    expanded = expand_files(Manifest(project / "spin.toml", "a", (), {"a": component}), component)
    assert [file.path for file in expanded] == sorted(file.path for file in expanded)
    return {file.path: str(file.source.relative_to(project)) for file in expanded}


def same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("assets/*", ["assets/.hidden", "assets/B.PNG", "assets/a.png"]),
        ("assets/*.png", ["assets/a.png"]),
        ("**/*.png", ["assets/a.png", "assets/deep/er/c.png", "other/a.png"]),
        (
            "assets/**/*",
            ["assets/.hidden", "assets/B.PNG", "assets/a.png", "assets/deep/d.txt", "assets/deep/er/c.png"],
        ),
        ("assets/**", []),  # directories only
        ("**/deep/**/c.png", ["assets/deep/er/c.png"]),
        ("**/**/d.txt", ["assets/deep/d.txt"]),
        ("./assets/*.png", ["assets/a.png"]),
        ("[ao]*/?.png", ["assets/a.png", "other/a.png"]),
        ("[!a]*/a.png", ["other/a.png"]),
        ("assets/[A-B]*", ["assets/B.PNG"]),
        ("assets/b.*", []),  # case counts
        ("assets/*/", []),
        ("nothing/*", []),
        ("x[1].txt", ["x[1].txt"]),  # a file of that name
        ("x[[]1[]].*", ["x[1].txt"]),
        ("assets/a.png", ["assets/a.png"]),
        ("./assets//a.png", ["assets/a.png"]),
    ],
)
def test_patterns(project: Path, pattern: str, found: list[str]) -> None:
    assert expand(project, pattern) == same(*found)


def test_a_detour_is_not_seen_by_the_guest(project: Path) -> None:
    assert list(expand(project, "other/../assets/a*")) == ["assets/a.png"]


def test_lone_directory_repeats_its_name_as_in_spin(project: Path) -> None:
    assert expand(project, "other") == {"other/other/a.png": "other/a.png"}
    assert expand(project, "./assets/deep/") == {
        "assets/deep/assets/deep/d.txt": "assets/deep/d.txt",
        "assets/deep/assets/deep/er/c.png": "assets/deep/er/c.png",
    }


@pytest.mark.parametrize(
    ("source", "destination", "expected"),
    [
        ("other", "/", {"a.png": "other/a.png"}),
        ("other", "", {"a.png": "other/a.png"}),
        ("./assets/deep", "/x/y/", {"x/y/d.txt": "assets/deep/d.txt", "x/y/er/c.png": "assets/deep/er/c.png"}),
        ("other/a.png", "/img/b.png", {"img/b.png": "other/a.png"}),
        ("other/a.png", "b", {"b": "other/a.png"}),
    ],
)
def test_placements(project: Path, source: str, destination: str, expected: dict[str, str]) -> None:
    assert expand(project, FilesMount(source, destination)) == expected


def test_whole_directory(project: Path) -> None:
    assert expand(project, FilesMount(".", "/")) == same(*TREE)


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        (("assets/*",), ["other/a.png"]),  # "*" matches "/" here
        (("**/*.png",), ["assets/.hidden", "assets/B.PNG", "assets/deep/d.txt"]),
        (("assets/**",), ["other/a.png"]),
        (("assets/?eep?d.txt", "*.PNG"), ["assets/.hidden", "assets/a.png", "assets/deep/er/c.png", "other/a.png"]),
        (
            ("assets",),
            [
                "assets/.hidden",
                "assets/B.PNG",
                "assets/a.png",
                "assets/deep/d.txt",
                "assets/deep/er/c.png",
                "other/a.png",
            ],
        ),
    ],
)
def test_exclude_files(project: Path, exclude: tuple[str, ...], left: list[str]) -> None:
    assert expand(project, "assets/**/*", "other/*", exclude=exclude) == same(*left)


def test_exclude_files_does_not_touch_a_file_named_by_itself(project: Path) -> None:
    assert expand(project, "secrets/key", exclude=("secrets/*",)) == same("secrets/key")


def test_later_mounts_win(project: Path) -> None:
    assert expand(project, FilesMount("assets/a.png", "/a"), FilesMount("other/a.png", "a")) == {"a": "other/a.png"}
    assert expand(project, FilesMount("other/a.png", "a"), FilesMount("assets/a.png", "/a")) == {"a": "assets/a.png"}


def test_special_characters_of_the_project_directory_have_no_meaning(tmp_path: Path) -> None:
    directory = tmp_path / "we[i]rd*"
    directory.mkdir()
    (directory / "a").touch()
    assert expand(directory, "*") == same("a")


def test_links_inside_are_followed(project: Path) -> None:
    (project / "other" / "link").symlink_to("../assets/deep")
    (project / "other" / "file").symlink_to("../secrets/key")
    (project / "other" / "dangling").symlink_to("nowhere")
    found = expand(project, "other/**/*")
    assert list(found) == ["other/a.png", "other/file", "other/link/d.txt", "other/link/er/c.png"]


def refuse(project: Path, *files: str | FilesMount, exclude: tuple[str, ...] = ()) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        expand(project, *files, exclude=exclude)
    return caught.value


@pytest.mark.parametrize("mount", ["other/*", "other/link", FilesMount("other", "/"), FilesMount("other/link", "/x")])
@pytest.mark.parametrize("target", ["secret", "."])
def test_links_that_leave_the_directory(project: Path, mount: str | FilesMount, target: str) -> None:
    if mount == "other/*" and target == ".":
        mount = "other/*/*"
    (project / "other" / "link").symlink_to(project.parent / "outside" / target)
    error = refuse(project, mount)
    assert "leaves the directory of the manifest through a symbolic link" in error.cause
    assert error.cause.startswith("spin.toml: component.a.files[0]: ")


def test_links_that_leave_the_directory_may_be_excluded(project: Path) -> None:
    (project / "other" / "link").symlink_to("/")
    assert expand(project, "other/**/*", exclude=("other/link/*",)) == same("other/a.png")


@pytest.fixture
def workspace(project: Path) -> Path:
    """The directory above the project, with files outside of the project."""
    for name in ("web/index.html", "web/js/app.js", "web/js/app.js.map", "notes.txt"):
        (project.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (project.parent / name).write_text(name)
    return project.parent


def expand_in(workspace: Path, *files: str | FilesMount, exclude: tuple[str, ...] = ()) -> dict[str, str]:
    """Map guest paths to source paths relative to the workspace."""
    component = Component("a", LocalSource("a.wasm"), files=files, exclude_files=exclude)
    manifest = Manifest(workspace / "project" / "spin.toml", "a", (), {"a": component}, source_root=workspace)
    return {file.path: str(file.source.resolve().relative_to(workspace)) for file in expand_files(manifest, component)}


def test_only_what_is_named_comes_from_outside_of_the_project(workspace: Path) -> None:
    """Exclusions see the path from the project directory, as in Spin (crates/loader/src/local.rs, copy_glob)."""
    assert expand_in(workspace, FilesMount("../web", "/site"), exclude=("**/*.map",)) == {
        "site/index.html": "web/index.html",
        "site/js/app.js": "web/js/app.js",
    }
    assert expand_in(workspace, FilesMount("../web/js/app.js", "/app.js")) == {"app.js": "web/js/app.js"}
    assert "js/app.js" not in expand_in(workspace, FilesMount("../web", "/"), exclude=("../web/js/*",))


def test_link_may_lead_to_the_source_root_but_not_out_of_it(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (workspace / "project" / "other" / "link").symlink_to("../../web")
    assert expand_in(workspace, "other/link/*.html") == {"other/link/index.html": "web/index.html"}
    secret = tmp_path_factory.mktemp("elsewhere") / "secret"
    secret.touch()
    (workspace / "web" / "secret").symlink_to(secret)
    with pytest.raises(PlatformError, match=f'"../web/secret" leaves the source root {workspace} through a symbolic'):
        expand_in(workspace, FilesMount("../web", "/"))


def test_link_loop_is_named_by_its_whole_path_so_that_the_next_step_works(project: Path) -> None:
    (project / "assets" / "deep" / "old").symlink_to("..")
    for mount in (FilesMount("assets/deep", "/"), "assets/deep", "assets/deep/**/*", "assets/**/*"):
        with pytest.raises(PlatformError) as caught:
            expand(project, mount)
        error = caught.value
        assert '"assets/deep/old" is a symbolic link' in error.cause
        assert 'add "assets/deep/old/*" to exclude_files' in error.next_step
        assert "assets/deep/d.txt" in expand(project, mount, exclude=("assets/deep/old/*",)).values()


def test_link_loop(project: Path) -> None:
    (project / "other" / "loop").symlink_to(".")
    error = refuse(project, "other/**/*")
    assert "is a symbolic link to a directory that contains it" in error.cause
    assert "/*" in error.next_step
    assert expand(project, "other/**/*", exclude=("*/loop/*",)) == same("other/a.png")


def test_missing(project: Path) -> None:
    (project / "spin.toml").write_text('[component.a]\nfiles = [\n"x",\n"no/such"]')
    error = refuse(project, "assets/a.png", "no/such")
    assert error.cause == 'spin.toml:4: component.a.files[1]: "no/such" does not exist.'
    assert '"no/such" does not exist' in refuse(project, FilesMount("no/such", "/")).cause


@pytest.mark.parametrize("destination", ["/", "", "x/", "/x/.", ".."])
def test_file_onto_a_directory(project: Path, destination: str) -> None:
    error = refuse(project, FilesMount("other/a.png", destination))
    assert "is a directory" in error.cause
    assert "a.png" in error.next_step


def test_file_and_directory_of_one_name(project: Path) -> None:
    error = refuse(project, FilesMount("other/a.png", "x"), FilesMount("assets", "x"))
    assert '"x" is a file by one mount and a directory by another' in error.cause


def test_special_file(project: Path) -> None:
    os.mkfifo(project / "other" / "fifo")
    assert "neither a file nor a directory" in refuse(project, "other/fifo").cause
    assert expand(project, "other/*") == same("other/a.png")


def test_names_that_are_not_unicode_are_passed_over(project: Path) -> None:
    (project / "other" / os.fsdecode(b"\xff.png")).touch()
    assert expand(project, "other/*") == same("other/a.png")


def test_unreadable_directory(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(path: str) -> None:  # root, as which the tests may run, could read any directory
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert "cannot be read" in refuse(project, "other/*").cause


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        # From the rules of Rust's glob crate 0.3; a table of 60,000 random cases agreed with it.
        ("*", ".a/b", True),
        ("a?b", "a/b", True),
        ("a[!x]b", "a/b", True),
        ("**", "a/b", True),
        ("**/", "a", True),
        ("**/a", "a", True),
        ("**/a", "b/c/a", True),
        ("**/a", "ba", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("[]]", "]", True),
        ("[!]]", "]", False),
        ("[a-]", "-", True),
        ("[z-a]", "m", False),
        ("[!z-a]", "m", True),
        ("[^a]", "^", True),
        ("[a-c-e]", "-", True),
        ("a.b", "axb", False),
        ("*", "a\nb", True),
        ("A", "a", False),
        ("[[:x]]", "[]", True),
    ],
)
def test_pattern_rules(pattern: str, path: str, matches: bool) -> None:
    assert (compile_pattern(pattern).fullmatch(path) is not None) is matches


@pytest.mark.parametrize("pattern", ["***", "a**", "**a", "a/**b", "[", "[]", "[!]", "[a/b]"])
def test_malformed_patterns(pattern: str) -> None:
    assert pattern_error(pattern)


@pytest.mark.parametrize(("text", "is_pattern"), [("a*", True), ("a]", True), ("{a,b}", False), ("!a", False)])
def test_what_looks_like_a_pattern(text: str, is_pattern: bool) -> None:
    assert looks_like_pattern(text) is is_pattern
