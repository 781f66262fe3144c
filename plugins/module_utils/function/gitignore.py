# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads `.gitignore` files as git does (git 2.39: gitignore(5), dir.c, wildmatch.c), without git.

Like git, it takes every pattern, and compares bytes. Paths are `/`-separated. What the user's own `core.excludesFile`
names is not left out, since it differs from one user to the next.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import typing as t
from pathlib import Path

GITIGNORE = ".gitignore"
GIT = ".git"

_LONGEST_PATTERN = 4096
"""Bytes. A longer line is passed over: no path has so many (Linux, limits.h, PATH_MAX)."""
_MOST_BYTES = 1 << 20
_MOST_PATTERNS = 10_000
"""Of one file; each path is compared with all of them."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPECIAL = frozenset("*?[\\")
_CLASSES: dict[str, t.Callable[[str], bool]] = {
    "alnum": str.isalnum,
    "alpha": str.isalpha,
    "blank": lambda character: character in " \t",
    "cntrl": lambda character: character < " " or character == "\x7f",
    "digit": str.isdigit,
    "graph": lambda character: " " < character < "\x7f",
    "lower": str.islower,
    "print": lambda character: " " <= character < "\x7f",
    "punct": lambda character: " " < character < "\x7f" and not character.isalnum(),
    "space": lambda character: character in " \t\n\r",
    "upper": str.isupper,
    "xdigit": lambda character: character in "0123456789abcdefABCDEF",
}
_NEVER = "(?!)"
_ANY = r"[^/]"


@dataclasses.dataclass(frozen=True)
class _Pattern:
    """One line: whether it excludes or brings back what it matches, and what it looks at."""

    excludes: bool
    directories_only: bool
    name_only: bool  # it looks at the last part of a path, else at the whole path below the directory of its file
    expression: re.Pattern[str]


@dataclasses.dataclass(frozen=True)
class Ignores:
    """What the `.gitignore` files on the way from the root of a repository to a directory say.

    Attributes:
        files: for each file the path of its directory, with `/` at its end or empty for the root, and its patterns;
            the nearest file last.
    """

    files: tuple[tuple[str, tuple[_Pattern, ...]], ...] = ()

    def entering(self, path: str, directory: Path) -> Ignores:
        """What holds inside of a directory; where another repository begins, nothing of the outer one does.

        Args:
            path: of the directory, in the same form as the paths that `names` gets; empty for the root.
            directory: where it is on disk.

        Raises:
            OSError: a file cannot be read.
        """
        files = self.files
        base = _as_bytes(f"{path}/" if path else "")
        if is_repository(directory):
            files = _with(base, _common_directory(directory / GIT) / "info" / "exclude", ())
        files = _with(base, directory / GITIGNORE, files)
        return self if files is self.files else Ignores(files)

    def names(self, path: str, *, is_directory: bool) -> bool:
        """Whether `path` is ignored; for a path in an ignored directory, ask for that directory first.

        A link to a directory is no directory.
        """
        if not self.files:
            return False
        path = _as_bytes(path)
        name = path.rpartition("/")[2]
        for base, patterns in reversed(self.files):
            below = path[len(base) :]
            for pattern in reversed(patterns):
                if (is_directory or not pattern.directories_only) and pattern.expression.fullmatch(
                    name if pattern.name_only else below
                ):
                    return pattern.excludes
        return False


_Files = tuple[tuple[str, tuple[_Pattern, ...]], ...]


def ignores_above(directory: Path) -> tuple[str, Ignores]:
    """The path of a directory inside of its repository (`""` for the root, and without a repository), and what the
    files above it say.

    They have no say where they ignore the directory itself: git does not know what is in it then.

    Raises:
        OSError: a file cannot be read.
    """
    real = Path(os.path.realpath(directory))
    root = repository_of(real)
    if root is None:
        return "", Ignores()
    ignores = Ignores()
    parts = real.relative_to(root).parts
    for index in range(len(parts)):
        ignores = ignores.entering("/".join(parts[:index]), root.joinpath(*parts[:index]))
        if ignores.names("/".join(parts[: index + 1]), is_directory=True):
            return "", Ignores()
    return "/".join(parts), ignores


def is_repository(directory: Path) -> bool:
    """Whether a directory is the root of a repository, of a worktree, or of a submodule (there `.git` is a file)."""
    return os.path.lexists(directory / GIT)


def repository_of(real_directory: Path) -> Path | None:
    """The root of the repository that a directory, named without symbolic links, lies in; None where it is in none."""
    return next((place for place in (real_directory, *real_directory.parents) if is_repository(place)), None)


def _with(base: str, path: Path, files: _Files) -> _Files:
    patterns = _patterns_of(path)
    return (*files, (base, patterns)) if patterns else files


def _common_directory(git: Path) -> Path:
    """The directory that all worktrees of a repository share (gitrepository-layout(5): gitfile, commondir)."""
    if not git.is_dir():
        git = git.parent / (_line(git).removeprefix("gitdir:").strip() or GIT)
    return git / (_line(git / "commondir") or ".")


def _line(path: Path) -> str:
    try:
        return os.fsdecode(path.read_bytes()[:4096]).partition("\n")[0].rstrip("\r")
    except OSError:
        return ""


def _patterns_of(path: Path) -> tuple[_Pattern, ...]:
    """The patterns of a file; none where it is missing, or is no regular file (git follows no link there).

    Raises:
        OSError: it cannot be read, or is far larger than such a file is.
    """
    if path.is_symlink() or not path.is_file():
        return ()
    with path.open("rb") as stream:
        content = stream.read(_MOST_BYTES + 1).removeprefix(_BYTE_ORDER_MARK)
    lines = {line.removesuffix(b"\r"): None for line in reversed(content.split(b"\n"))}  # of equal ones the last counts
    if len(content) > _MOST_BYTES or len(lines) > _MOST_PATTERNS:
        limit = f"it has more than {_MOST_BYTES} bytes or {_MOST_PATTERNS} patterns"
        raise OSError(errno.EFBIG, limit, str(path))
    kept = [line.decode("latin-1") for line in reversed(lines) if len(line) <= _LONGEST_PATTERN]
    return tuple(pattern for line in kept if (pattern := _pattern(line)))


def _pattern(line: str) -> _Pattern | None:
    if line.startswith("#"):
        return None
    line = _without_trailing_spaces(line)
    excludes = not line.startswith("!")
    text = line if excludes else line[1:]
    directories_only = text.endswith("/")
    text = text.removesuffix("/")
    if not text:
        return None
    name_only = "/" not in text
    if not name_only:
        text = text.removeprefix("/")
    return _Pattern(excludes, directories_only, name_only, re.compile(_expression(text), re.DOTALL))


def _without_trailing_spaces(line: str) -> str:
    end = 0
    position = 0
    while position < len(line):
        if line[position] == "\\":
            position += 1
            if position == len(line):
                return line  # ends with a backslash
            end = position + 1
        elif line[position] != " ":
            end = position + 1
        position += 1
    return line[:end]


def _expression(text: str) -> str:
    """A regular expression for `fullmatch`.

    A star takes as little as it can, and what it took stays taken (an atomic group) once the text up to the next star
    of its kind is found: later stars can make up for everything else. So the time does not grow with the power of the
    number of stars.
    """
    chunks = [_Chunk("")]  # the first one begins with no star
    # git compares what is before the first special character literally, and matches the rest as if it were all: a
    # `**` right after it counts as one at the beginning.
    start = next((index for index, character in enumerate(text) if character in _SPECIAL), len(text))
    chunks[-1].literal(text[:start])
    position = start
    while position < len(text):
        character = text[position]
        if character == "*":
            end = position
            while text[end : end + 1] == "*":
                end += 1
            following = text[end : end + 2]
            whole = (
                end - position > 1
                and (position == start or text[position - 1] == "/")
                and (not following or following[0] == "/" or following == "\\/")
            )
            if whole and following[:1] == "/":
                chunks.append(_Chunk("(?:.*/)?"))
                end += 1
            else:
                chunks.append(_Chunk(".*" if whole else f"{_ANY}*"))
            position = end
        elif character == "?":
            chunks[-1].text += _ANY
            position += 1
        elif character == "[":
            members, position = _bracket(text, position + 1)
            if not members:
                return _NEVER
            chunks[-1].text += members
        elif character == "\\":
            if position + 1 == len(text):
                return _NEVER
            chunks[-1].literal(text[position + 1])
            position += 2
        else:
            chunks[-1].literal(character)
            position += 1
    return _joined(chunks)


@dataclasses.dataclass
class _Chunk:
    """A star, and the expression up to the next one."""

    star: str
    text: str = ""

    @property
    def crosses_directories(self) -> bool:
        return self.star.startswith((".", "("))

    @property
    def lazy_star(self) -> str:
        return {"": "", ".*": ".*?", "(?:.*/)?": "(?:.*?/)??"}.get(self.star, f"{_ANY}*?")

    def literal(self, text: str) -> None:
        self.text += re.escape(text)


def _joined(chunks: list[_Chunk]) -> str:
    """Chunks as one expression: groups from one star that crosses directories to the next, and inside of them those of
    stars that do not."""
    groups: list[list[_Chunk]] = [[]]
    for chunk in chunks:
        if chunk.crosses_directories:
            groups.append([])
        groups[-1].append(chunk)
    joined = []
    for number, group in enumerate(groups):
        parts = [
            f"{chunk.lazy_star}{chunk.text}"
            if chunk is group[-1] or not chunk.star or chunk.crosses_directories
            else f"(?>{chunk.lazy_star}{chunk.text})"
            for chunk in group
        ]
        text = "".join(parts)
        joined.append(text if number == len(groups) - 1 else f"(?>{text})")
    return "".join(joined)


def _bracket(text: str, position: int) -> tuple[str, int]:
    """The expression of a set of characters, whose `[` is before `position`, and where the text goes on; an empty
    expression where the set is malformed, so that git matches nothing with it."""
    negated = text[position : position + 1] in ("!", "^")
    position += negated
    members: set[str] = set()
    previous = ""  # what a range may begin with
    first = True
    while first or text[position : position + 1] != "]":
        first = False
        character = text[position : position + 1]
        if not character:
            return "", position
        if character == "\\":
            position += 1
            character = text[position : position + 1]
            if not character:
                return "", position
            members.add(character)
            previous = character
        elif character == "-" and previous and text[position + 1 : position + 2] not in ("", "]"):
            position += 1
            last = text[position]
            if last == "\\":
                position += 1
                last = text[position : position + 1]
                if not last:
                    return "", position
            members.update(map(chr, range(ord(previous), ord(last) + 1)))
            previous = ""
        elif text.startswith("[:", position):
            end = text.find("]", position + 2)
            if end < 0:
                return "", position
            if end > position + 2 and text[end - 1] == ":":
                belongs = _CLASSES.get(text[position + 2 : end - 1])
                if belongs is None:
                    return "", position
                members.update(filter(belongs, map(chr, range(1, 128))))
                position = end
                previous = ""
            else:
                members.add("[")
                previous = "["
        else:
            members.add(character)
            previous = character
        position += 1
    return _set_expression(members, negated=negated), position + 1


def _set_expression(members: set[str], *, negated: bool) -> str:
    members = members | {"/"} if negated else members - {"/"}
    listed = "".join(re.escape(member) for member in sorted(members))
    return f"[{'^' if negated else ''}{listed}]" if listed else _NEVER


def _as_bytes(path: str) -> str:
    """One character for each byte."""
    return path if path.isascii() else os.fsencode(path).decode("latin-1")
