# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges the paths in an archive: they come from anybody, and become paths on our disk."""

from __future__ import annotations

import re
import unicodedata

from .limits import ArchiveLimits, refused, too_large

_DRIVE = re.compile(r"[A-Za-z]:")
_SKIPPED_PARTS = frozenset({".git", "__MACOSX"})
_SKIPPED_FILES = frozenset({".DS_Store"})


class Paths:
    """The paths of one archive; each is told once."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._entries = 0
        self._files: dict[str, str] = {}
        self._directories: dict[str, str] = {}

    def file(self, name: str) -> str | None:
        """The relative path of a file, with `/` between its parts; None for one that is left out.

        Left out are repositories (`.git`, which may hold credentials) and what macOS adds.

        Raises:
            PlatformError: it leads elsewhere, is too long, or cannot lie beside the others on every disk.
        """
        parts = self._parts(name)
        if not parts:
            raise refused(f"{name!r} is no path of a file.")
        if _is_skipped(parts):
            return None
        path = "/".join(parts)
        for depth in range(1, len(parts)):
            self._directory("/".join(parts[:depth]))
        key = _key(path)
        if key in self._directories:
            raise refused(f"{path!r} is a file and a directory.")
        if self._files.setdefault(key, path) is not path:
            other = self._files[key]
            same = (
                f"{path!r} is there twice." if other == path else f"{path!r} and {other!r} are one file on some disks."
            )
            raise refused(same, "Rename or remove one of them.")
        return path

    def directory(self, name: str) -> None:
        """Judge the path of a directory; see `file`."""
        parts = self._parts(name)
        if parts and not _is_skipped(parts):
            for depth in range(1, len(parts) + 1):
                self._directory("/".join(parts[:depth]))

    def _directory(self, path: str) -> None:
        key = _key(path)
        if key in self._files:
            raise refused(f"{path!r} is a file and a directory.")
        other = self._directories.setdefault(key, path)
        if other != path:
            raise refused(f"{path!r} and {other!r} are one directory on some disks.", "Rename one of them.")

    def _parts(self, name: str) -> list[str]:
        self._entries += 1
        limits = self._limits
        if self._entries > limits.entries:
            raise too_large(f"it has more than {limits.entries} entries.")
        try:
            encoded = name.encode()
        except UnicodeEncodeError:
            raise refused(f"{name!r} is no UTF-8.", "Rename the file.") from None
        if any(ord(character) < 32 or ord(character) == 127 for character in name) or "\\" in name:
            raise refused(f"{name!r} has a control character or a backslash.", "Rename the file, or pack with `tar`.")
        if name.startswith("/") or _DRIVE.match(name):
            raise refused(f"{name!r} is an absolute path.")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise refused(f"{name!r} leads out of the project.")
        if (
            len(encoded) > limits.path_bytes
            or len(parts) > limits.depth
            or any(len(part.encode()) > limits.name_bytes for part in parts)
        ):
            raise refused(
                f"{name[:100]!r}… is too long: {limits.path_bytes} bytes in {limits.depth} parts of "
                f"{limits.name_bytes} bytes are the most.",
                "Shorten the path.",
            )
        return parts


def _is_skipped(parts: list[str]) -> bool:
    return not _SKIPPED_PARTS.isdisjoint(parts) or parts[-1] in _SKIPPED_FILES or parts[-1].startswith("._")


def _key(path: str) -> str:
    """The same for paths that some disk takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
