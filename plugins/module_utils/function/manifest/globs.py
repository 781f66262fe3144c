# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File patterns with the meaning they have in Rust's `glob` crate 0.3, which Spin uses.

They differ from Python's: `*` and `?` match a leading dot, `**` stands only for whole path components and never for a
file at its end, and in a pattern matched against a whole path `*`, `?` and `[…]` match `/` too.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator

_RECURSIVE = "**"


class SymbolicLinkLoop(Exception):
    """A directory contains itself through a symbolic link; the argument is its path relative to the search's root."""


def looks_like_pattern(text: str) -> bool:
    """Whether Spin takes `text` for a pattern if no file has that name."""
    return any(character in "?*[]" for character in text)


def pattern_error(pattern: str) -> str | None:
    """Say why `pattern` is no valid pattern, or return None."""
    try:
        for part in (pattern, *pattern.split("/")):
            compile_pattern(part)
    except ValueError as error:
        return str(error)
    return None


@functools.lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Translate a pattern into a regular expression for `fullmatch`, which takes time in proportion to the lengths of
    pattern and path: many `*` could otherwise be tried in every combination.

    Raises:
        ValueError: the pattern is malformed.
    """
    stars = [""]  # what comes before each part: nothing, or a `*` or `**`
    parts = [""]
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "?":
            parts[-1] += "."
            position += 1
        elif character == "*":
            end = position
            while end < len(pattern) and pattern[end] == "*":
                end += 1
            if end - position > 2:
                raise ValueError('more than two "*" in a row')
            if end - position == 1:
                stars.append(".*")
            elif (position > 0 and pattern[position - 1] != "/") or (end < len(pattern) and pattern[end] != "/"):
                raise ValueError('"**" must be a whole path component')
            elif end + 1 < len(pattern):
                stars.append("(?:.*/)?")
                end += 1
            else:  # at the end of a pattern, with a slash or without, it matches everything
                stars.append(".*")
                end = len(pattern)
            parts.append("")
            position = end
        elif character == "[":
            first = position + 2 if pattern[position + 1 : position + 2] == "!" else position + 1
            # A "]" right after the opening stands for itself.
            end = pattern.find("]", first + 1)
            if end < 0:
                raise ValueError('a "[" is not closed')
            parts[-1] += _character_class(pattern[first:end], negated=first == position + 2)
            position = end + 1
        else:
            parts[-1] += re.escape(character)
            position += 1
    return re.compile(_expression(stars, parts), re.DOTALL)


def _expression(stars: list[str], parts: list[str]) -> str:
    # What a pattern has between its `*` and `**` has one length. So the first place where it fits is as good as any
    # later one, and is never left again (an atomic group); only the last part must reach to the end.
    first, *middle = parts
    if not middle:
        return first
    groups = (f"(?>{_SHORTEST[star]}{part})" for star, part in zip(stars[1:-1], middle[:-1], strict=True))
    return "".join((first, *groups, stars[-1], middle[-1]))


_SHORTEST = {".*": ".*?", "(?:.*/)?": "(?:.*?/)??"}


def _character_class(content: str, *, negated: bool) -> str:
    members = []
    position = 0
    while position < len(content):
        if content[position + 1 : position + 2] == "-" and position + 2 < len(content):
            first, last = content[position], content[position + 2]
            if first <= last:  # a reversed range matches nothing
                members.append(f"{re.escape(first)}-{re.escape(last)}")
            position += 3
        else:
            members.append(re.escape(content[position]))
            position += 1
    if not members:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{''.join(members)}]"


def matches_everything_below(pattern: str, directory: str) -> bool:
    """Whether `pattern`, matched against whole paths, matches every path below `directory`, since it ends in a sequence
    that does."""
    return pattern.endswith("*") and compile_pattern(pattern).fullmatch(f"{directory}/") is not None


def find_files(
    root: str, pattern: str, *, skip_directory: Callable[[str], bool] = lambda _directory: False
) -> Iterator[str]:
    """Find the files below `root` that match `pattern`, following symbolic links, in alphabetical order per directory.

    Args:
        root: an existing directory; taken literally.
        pattern: relative to `root`, `/`-separated.
        skip_directory: says of a relative directory path that nothing below it is wanted.

    Yields:
        Paths relative to `root`; a path can come twice.

    Raises:
        SymbolicLinkLoop: `**` would descend forever.
        OSError: a directory cannot be read.
    """
    parts = pattern.split("/")
    if parts[-1] == "":
        return  # a trailing slash asks for directories
    yield from _Search(root, skip_directory).search("", tuple(parts))


class _Search:
    """One search. Several `**` lead to a directory in many ways; it is searched once for each rest of the pattern."""

    def __init__(self, root: str, skip_directory: Callable[[str], bool]) -> None:
        self._root = root
        self._skip_directory = skip_directory
        self._begun: set[tuple[str, str, int]] = set()

    def _is_new(self, step: str, directory: str, parts: tuple[str, ...]) -> bool:
        key = (step, directory, len(parts))
        is_new = key not in self._begun
        self._begun.add(key)
        return is_new

    def search(self, directory: str, parts: tuple[str, ...]) -> Iterator[str]:
        """Match `parts`, which are not empty, against what is in `directory`."""
        if not self._is_new("search", directory, parts):
            return
        part, rest = parts[0], parts[1:]
        if not any(character in "?*[" for character in part):
            # "a//b" and "a/./b" are "a/b"; ".." is kept, as it is seen by `exclude_files`.
            found = directory if part in ("", ".") else _join(directory, part)
            if not rest:
                if part not in ("", ".", "..") and os.path.isfile(os.path.join(self._root, found)):
                    yield found
            elif os.path.isdir(os.path.join(self._root, found)):
                yield from self.search(found, rest)
        elif part == _RECURSIVE:
            while rest and rest[0] == _RECURSIVE:
                rest = rest[1:]
            if rest:
                yield from self._descend(directory, rest)
        else:
            if rest and part.startswith(".") and compile_pattern(part).fullmatch("."):
                yield from self.search(directory, rest)
            for entry in _entries(self._root, directory):
                yield from self._match(directory, entry, (part, *rest))

    def _descend(self, directory: str, parts: tuple[str, ...]) -> Iterator[str]:
        """Match `parts` against everything below `directory`, at any depth."""
        if not self._is_new("descend", directory, parts):
            return
        for entry in _entries(self._root, directory):
            found = _join(directory, entry.name)
            if entry.is_dir() and not self._skip_directory(found):
                if entry.is_symlink() and (os.path.realpath(os.path.join(self._root, directory)) + "/").startswith(
                    os.path.realpath(entry.path).rstrip("/") + "/"
                ):
                    raise SymbolicLinkLoop(found)
                yield from self._descend(found, parts)
            yield from self._match(directory, entry, parts)

    def _match(self, directory: str, entry: os.DirEntry[str], parts: tuple[str, ...]) -> Iterator[str]:
        if not compile_pattern(parts[0]).fullmatch(entry.name):
            return
        found = _join(directory, entry.name)
        if len(parts) == 1:
            if entry.is_file():
                yield found
        elif entry.is_dir() and not self._skip_directory(found):
            yield from self.search(found, parts[1:])


def _entries(root: str, directory: str) -> list[os.DirEntry[str]]:
    with os.scandir(os.path.join(root, directory)) as entries:
        # The glob crate passes over names that are not UTF-8, and Spin could not write them into the application.
        return sorted(
            (entry for entry in entries if _is_unicode(entry.name)), key=lambda entry: os.fsencode(entry.name)
        )


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name
