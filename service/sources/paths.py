# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the paths of an archive's entries, each by itself and against the others."""

from __future__ import annotations

import re
import typing as t
import unicodedata

from .limits import LEAVE_OUT, ArchiveLimits, refused, shown

_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that make a name look like another one."""

_DRIVE = re.compile(r"[A-Za-z]:")
_RENAME = "Rename it, and pack the directory again."


class Paths:
    """Takes the paths of one archive's entries; holds each directory and file once, by its parent."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._entries = 0
        self._nodes: dict[tuple[int, str], tuple[int, str, bool]] = {}

    def add(self, name: bytes, *, directory: bool) -> tuple[str, ...]:
        """Check the path of an entry and keep it; gives its parts, none for the root itself or what is left out.

        Left out are `.git`, which no build needs and which may hold credentials, and what macOS adds to archives.

        Args:
            name: as the archive gives it.

        Raises:
            PlatformError: the path leads out of the tree, is no text, is too long, or collides with another one.
        """
        self._entries += 1
        if self._entries > self._limits.entries:
            raise self._too_many()
        parts = self._parts(name)
        if not parts and not directory:
            raise refused(f"A file in the archive has the name {shown(name)}, which is none.", _RENAME)
        if _is_left_out(parts):
            return ()
        parent = 0
        for depth, part in enumerate(parts, 1):
            parent = self._node(parent, part, directory or depth < len(parts), name, is_last=depth == len(parts))
        return parts

    def _node(self, parent: int, part: str, directory: bool, name: bytes, *, is_last: bool) -> int:
        key = parent, _folded(part)
        known = self._nodes.get(key)
        if known is None:
            if len(self._nodes) >= self._limits.entries:
                raise self._too_many()
            self._nodes[key] = known = len(self._nodes) + 1, part, directory
            return known[0]
        number, known_part, known_directory = known
        if known_part != part:
            raise refused(
                f"The archive holds {shown(known_part)} and {shown(part)} (in {shown(name)}), which are the same name "
                "on systems that ignore case or write accents differently.",
                "Rename one of them, and pack the directory again.",
            )
        if known_directory != directory:
            raise refused(f"The archive holds {shown(part)} (in {shown(name)}) as a file and as a directory.")
        if is_last and not directory:
            raise refused(f"The archive holds {shown(name)} twice.")
        return number

    def _parts(self, name: bytes) -> tuple[str, ...]:
        try:
            text = name.decode("utf-8")
        except UnicodeDecodeError as error:
            raise refused(f"The name of the entry {shown(name)} is not UTF-8.", _RENAME) from error
        if _NOT_IN_NAMES.search(text):
            raise refused(f"The name of the entry {shown(name)} holds control characters.", _RENAME)
        if "\\" in text:
            raise refused(f"The name of the entry {shown(name)} holds a backslash.")
        if text.startswith("/") or _DRIVE.match(text):
            raise refused(f"The entry {shown(name)} has an absolute path.", "Pack the directory by a relative path.")
        parts = tuple(part for part in text.split("/") if part not in ("", "."))
        if ".." in parts:
            raise refused(f"The entry {shown(name)} leads out of the directory.", "Pack one directory, without `..`.")
        if len(parts) > self._limits.depth:
            raise refused(f"The entry {shown(name)} lies deeper than {self._limits.depth} directories.", LEAVE_OUT)
        if len("/".join(parts).encode()) > self._limits.path_bytes:
            raise refused(f"The path {shown(name)} is longer than {self._limits.path_bytes} bytes.", LEAVE_OUT)
        if any(len(part.encode()) > self._limits.name_bytes for part in parts):
            raise refused(f"A name in {shown(name)} is longer than {self._limits.name_bytes} bytes.", _RENAME)
        return parts

    def _too_many(self) -> Exception:
        return refused(f"The archive holds more than {self._limits.entries:,} files and directories.", LEAVE_OUT)


def leading_directory(paths: t.Iterable[tuple[str, ...]]) -> str | None:
    """The one directory that holds all files, where it is the project: spin.toml is in it. `tar czf shop.tar.gz shop`
    and GitHub make such archives."""
    top: str | None = None
    holds_manifest = False
    for parts in paths:
        if len(parts) < 2 or top not in (None, parts[0]):
            return None
        top = parts[0]
        holds_manifest |= parts[1:] == ("spin.toml",)
    return top if holds_manifest else None


def _is_left_out(parts: tuple[str, ...]) -> bool:
    return (
        ".git" in parts
        or parts[:1] == ("__MACOSX",)
        or any(part == ".DS_Store" or part.startswith("._") for part in parts)
    )


def _folded(part: str) -> str:
    """The same text for names that some file system takes for one (canonical caseless matching, Unicode 3.13)."""
    if part.isascii():
        return part.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", part).casefold())
