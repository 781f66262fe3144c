# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`.gitignore` means what it means to git itself, which is asked in most of these tests."""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.gitignore import Ignores, ignores_above

SETTINGS = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")


def git(directory: Path, *arguments: str, given: bytes = b"") -> bytes:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | SETTINGS
    done = subprocess.run(
        ["git", *IDENTITY, "-C", str(directory), *arguments],
        input=given,
        capture_output=True,
        check=False,
        env=environment,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def make(directory: Path, *paths: str) -> None:
    """Files, and directories where the path ends with a slash."""
    for path in paths:
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).mkdir(exist_ok=True) if path.endswith("/") else (directory / path).touch()


def ours(root: Path) -> set[str]:
    """The paths below `root` that are ignored."""
    ignored: set[str] = set()
    place, above = ignores_above(root)

    def search(directory: Path, ignores: Ignores, is_ignored: bool) -> None:
        name = os.path.normpath(os.path.join(place, directory.relative_to(root))).removeprefix(".")
        ignores = ignores.entering(name, directory)
        for entry in directory.iterdir():
            path = entry.relative_to(root)
            if entry.name == ".git":
                continue
            is_directory = entry.is_dir() and not entry.is_symlink()
            named = is_ignored or ignores.names(os.path.join(place, path), is_directory=is_directory)
            if named:
                ignored.add(str(path))
            if is_directory:
                search(entry, ignores, named)

    search(root, above, False)
    return ignored


def gits(root: Path) -> set[str]:
    """The same, as git says."""
    paths = [os.fsencode(path.relative_to(root)) for path in root.rglob("*") if ".git" not in path.parts]
    found = git(root, "check-ignore", "-z", "--stdin", "--no-index", given=b"\0".join(paths) + b"\0")
    return {os.fsdecode(path) for path in found.split(b"\0") if path}


@pytest.mark.parametrize(
    "lines",
    [
        b"\xef\xbb\xbffoo\nab\n",  # a byte order mark
        b"obj\\\n",
        b"!\n",
        b"!\nfoo\n!\n",
        b"[z-a]\nfoo\n",
        b"a\\/b\n",
        b"foo\r\n*.log\r\n",
        b"foo\r",
        b"ab   \n",
        b"a b\\ \n",
        b"\\!\n\\#x\n",
        b"[\n[a\n[]\n",
        b"[[:bad:]]\nfoo\n",
        b"/\n//\n",
        b"*\n!*/\n!*.log\n",
        b"a/**\n!a/b\n",
        b"**/foo/**\n",
        b"fo**/x.log\n",
        b"\xc3\xa9\n",
        b"\xe9\n??\n",
        b"build/\n!build/foo\n",
    ],
)
def test_pattern_means_what_it_means_to_git(tmp_path: Path, lines: bytes) -> None:
    git(tmp_path, "init", "-q")
    make(
        tmp_path,
        "foo",
        "ab",
        "obj/foo",
        "obj\\",
        "!",
        "z",
        "a/b",
        "a/foo/b/",
        "a\\/b",
        "x.log",
        "a b ",
        "#x",
        "[",
        "[a",
    )
    make(tmp_path, "build/foo", "build/ab", "b/foo/x.log", "foox/y/x.log", "é", "ab ", "foo\r", "[]", "-")
    (tmp_path / os.fsdecode(b"\xe9")).touch()
    (tmp_path / "link").symlink_to("build")
    (tmp_path / ".gitignore").write_bytes(lines)
    assert ours(tmp_path) == gits(tmp_path)


_NAMES = ["a", "b", "ab", "foo", "x.log", "obj", "a b", " ", "[", "]", "!", "#x", "é", "z-a", "-", "a\\b", "*", "build"]
_PIECES = [
    "a", "b", "o", "f", "*", "**", "?", "/", "/", "\\", "[ab]", "[!a]", "[^b]", "[a-z]", "[z-a]", "[]a]", "[a",
    "[:alpha:]", "[[:alpha:]]", "[[:bad:]]", "[a\\]b]", "!", "#", " ", ".log", "**/", "/**", "/**/", "-", "\\*", "\\ ",
    "[a/b]", "foo", "ab", "é", "[é]", "\\/", "[!-]", "[a-\\b]", "\t", "\r", "[[:punct:]-z]", "]", "[[:space:]a]",
    "[[a]",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_random_patterns_mean_what_they_mean_to_git(tmp_path: Path, seed: int) -> None:
    """150 files of patterns for each seed, on a tree with the same odd names; a second file lies deeper."""
    choose = random.Random(seed)
    git(tmp_path, "init", "-q")
    for _index in range(120):
        path = tmp_path.joinpath(*(choose.choice(_NAMES) for _index in range(choose.randint(1, 4))))
        if not any(parent.is_file() for parent in path.parents) and not path.exists():
            make(path.parent, path.name + ("/" if choose.random() < 0.4 else ""))
    deeper = [path for path in sorted(tmp_path.rglob("*")) if path.is_dir() and ".git" not in path.parts]
    matched = 0
    for number in range(150):
        nearer = choose.choice(deeper) / ".gitignore"
        for file in (tmp_path / ".gitignore", nearer) if number % 3 == 0 else (tmp_path / ".gitignore",):
            lines = ["".join(choose.choices(_PIECES, k=choose.randint(1, 5))) for _index in range(choose.randint(1, 4))]
            end = choose.choice(["\n", "\n", "\r\n"])
            text = choose.choice(["", "", "\ufeff"]) + end.join(lines) + choose.choice(["", end])
            file.write_bytes(text.encode())
        expected = gits(tmp_path)
        assert ours(tmp_path) == expected, (tmp_path / ".gitignore").read_bytes()
        matched += len(expected)
        nearer.unlink(missing_ok=True)
    assert matched > 1000, "the patterns match enough for the comparison to mean something"


@pytest.mark.parametrize("pattern", ["*a" * 13 + "b", "**/a*" * 13 + "/b", "*" * 500 + "b", "a*?" * 40 + "b"])
def test_many_stars_take_no_long_time(tmp_path: Path, pattern: str) -> None:
    (tmp_path / ".gitignore").write_text(f"{pattern}\n")
    ignores = Ignores().entering("", tmp_path)
    began = time.monotonic()
    assert not ignores.names("/".join(["a" * 250] * 15), is_directory=False)
    assert time.monotonic() - began < 60, "backtracking would take years"


def test_file_of_the_repositorys_root_holds_for_a_project_below(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("*.log\n/apps/web/only-here\n/only-there\n")
    (tmp_path / ".git" / "info" / "exclude").write_text("mine\n*.txt\n")
    make(tmp_path, "apps/web/a.log", "apps/web/only-here", "apps/web/only-there", "apps/web/mine/x", "apps/web/b.txt")
    (tmp_path / "apps" / ".gitignore").write_text("!b.txt\n")
    assert ours(tmp_path / "apps/web") == {"a.log", "only-here", "mine", "mine/x"}
    assert ours(tmp_path) == gits(tmp_path)


def test_repository_that_ignores_the_project_does_not_empty_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("/generated\n*.py\n")
    make(tmp_path, "generated/web/app.py", "generated/web/a.log")
    (tmp_path / "generated" / "web" / ".gitignore").write_text("*.log\n")
    assert ours(tmp_path / "generated/web") == {"a.log"}


def test_worktree_and_submodule_have_their_repositorys_patterns(tmp_path: Path) -> None:
    """There `.git` is a file."""
    main, other = tmp_path / "main", tmp_path / "other"
    for place, line in ((main, "*.log"), (other, "*.txt")):
        place.mkdir()
        git(place, "init", "-q")
        (place / ".gitignore").write_text(f"{line}\n")
        git(place, "add", ".")
        git(place, "commit", "-q", "-m", "first")
    git(main, "worktree", "add", "-q", str(tmp_path / "tree"))
    git(main, "submodule", "--quiet", "add", str(other), "below")
    (main / ".git" / "info" / "exclude").write_text("excluded\n")
    for place in (main, main / "below", tmp_path / "tree"):
        make(place, "a.log", "a.txt", "excluded", "deep/a.log", "deep/a.txt")
    assert (tmp_path / "tree" / ".git").is_file() and (main / "below" / ".git").is_file()
    assert ours(tmp_path / "tree") == gits(tmp_path / "tree") == {"a.log", "excluded", "deep/a.log"}
    assert ours(main / "below") == gits(main / "below") == {"a.txt", "deep/a.txt"}
    assert ours(main / "below" / "deep") == {"a.txt"}
    expected = {"a.log", "excluded", "deep/a.log"} | {f"below/{path}" for path in gits(main / "below")}
    assert ours(main) == expected


def test_link_with_the_name_of_a_pattern_file_is_not_followed(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    make(tmp_path, "foo")
    (tmp_path / "patterns").write_text("foo\n")
    (tmp_path / ".gitignore").symlink_to("patterns")
    assert ours(tmp_path) == gits(tmp_path) == set()


@pytest.mark.parametrize("content", ["gitdir: nowhere\n", "", "no such line"])
def test_git_file_that_leads_nowhere_is_no_error(tmp_path: Path, content: str) -> None:
    (tmp_path / ".git").write_text(content)
    (tmp_path / ".gitignore").write_text("foo\n")
    make(tmp_path, "foo", "bar")
    assert ours(tmp_path) == {"foo"}


# ---- files that nobody writes

SEEDS = (
    b"*.o\n!keep.o\n/build/\n**/x/**/y\n[a-z]*\n[[:alpha:]]\\ \n#c\nfoo/**\na/**/b\n\\!x\n[!a]\n[]-]x\n",
    b"\xef\xbb\xbfnode_modules\r\n*.[oa]\r\n",
    b"****a****b***/c\n[z-a]\n[[.a.]]\n[[=a=]]\na\\/b\n\\",
)
PIECES = (
    *(
        b"*",
        b"**",
        b"/",
        b"[",
        b"]",
        b"!",
        b"^",
        b"\\",
        b"-",
        b"?",
        b"[:",
        b":]",
        b"[:alpha:]",
        b"\xff",
        b"\0",
        b"\n",
        b" ",
    ),
    *(b"\r", b"{a,b}", b"(?:", b")", b"+", b"|", b"$", b"**/", b"/**", b"a", b"z-a", b"\\\n"),
)


def mutated(seed: bytes, chance: random.Random) -> bytes:
    text = bytearray(seed)
    for _time in range(chance.randrange(1, 25)):
        place = chance.randrange(len(text) + 1)
        if chance.random() < 0.3:
            del text[place : place + chance.randrange(1, 9)]
        else:
            text[place:place] = chance.choice(PIECES) * chance.choice((1, 1, 2, 3, 50))
    return bytes(text)


def test_any_file_is_read_and_asked_in_time(tmp_path: Path) -> None:
    chance = random.Random(13)
    paths = (
        "a",
        "build",
        "x/y/z.o",
        "a" * 255,
        "/".join(["a"] * 100),
        "a b",
        "\u00fc/\u00e4",
        "a\nb",
        "]",
        "-",
        "ab" * 120,
    )
    started = time.monotonic()
    for _time in range(2000):
        (tmp_path / ".gitignore").write_bytes(mutated(chance.choice(SEEDS), chance))
        ignores = Ignores().entering("", tmp_path)
        for path in paths:
            ignores.names(path, is_directory=True)
    assert time.monotonic() - started < 300, "some 0.01 s for a file, without other load"


@pytest.mark.parametrize("piece", [b"*a", b"?", b"[a-z]", b"[!a]", b"[", b"a", b"**/a/", b" ", b"\\ "])
def test_a_line_that_is_longer_than_any_path_matches_nothing(tmp_path: Path, piece: bytes) -> None:
    (tmp_path / ".gitignore").write_bytes(piece * (500_000 // len(piece)) + b"\nb\n")
    started = time.monotonic()
    ignores = Ignores().entering("", tmp_path)
    assert ignores.names("b", is_directory=False) and not ignores.names("a", is_directory=False)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("content", [b"a" * (1 << 20) + b"\n", b"".join(b"%d\n" % number for number in range(10_001))])
def test_a_file_that_is_far_too_large_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".gitignore").write_bytes(content)
    with pytest.raises(OSError, match="it has more than 1048576 bytes or 10000 patterns") as caught:
        Ignores().entering("", tmp_path)
    assert caught.value.filename == str(tmp_path / ".gitignore")


def test_of_equal_lines_the_last_counts(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"a\n!a\n" * 20_000 + b"a\nb\n!b\nb\n!b\n")
    ignores = Ignores().entering("", tmp_path)
    assert ignores.names("a", is_directory=False) and not ignores.names("b", is_directory=False)
