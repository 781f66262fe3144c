# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 of files, remembered for large ones: a run that changes nothing must not read 128 MB of binaries again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import typing as t

from . import whole_file

REMEMBERED = "/run/wasmfaas/digests.json"
REMEMBER_FROM_BYTES = 1024 * 1024
SETTLED_SECONDS = 2.0
"""A file that changed more recently than this may change again within one tick of the file system's clock without new
times (git calls such an entry racy)."""
BLOCK_BYTES = 1024 * 1024


def sha256(path: str) -> str:
    """SHA-256 of a file of any size, in hexadecimal digits, read each time.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return sha256_of(file)


def sha256_of(file: t.BinaryIO) -> str:
    """SHA-256 of an open file from its position on, in hexadecimal digits, read block by block."""
    digest = hashlib.sha256()
    for block in iter(lambda: file.read(BLOCK_BYTES), b""):
        digest.update(block)
    return digest.hexdigest()


class Digests:
    """SHA-256 by path. A remembered value counts only for the same inode, size, modification and change time. Losing
    the memory costs nothing but time."""

    def __init__(self, remembered: str = REMEMBERED) -> None:
        """`remembered`: the JSON file. Its directory is created with the mode 0700, if that is allowed."""
        self.remembered = remembered
        self._known: dict[str, list[t.Any]] | None = None

    def of(self, path: str) -> str:
        """SHA-256 in hexadecimal digits; symbolic links are followed.

        Raises:
            OSError: the file cannot be read.
        """
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            key = [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
            if status.st_size < REMEMBER_FROM_BYTES:
                return hashlib.sha256(file.read()).hexdigest()
            entry = self._entries().get(path)
            if entry is not None and entry[:4] == key:
                return str(entry[4])
            digest = sha256_of(file)
        if time.time() - max(status.st_mtime, status.st_ctime) > SETTLED_SECONDS:
            self._remember(path, [*key, digest])
        return digest

    def _entries(self) -> dict[str, list[t.Any]]:
        if self._known is None:
            self._known = {}
            with (
                contextlib.suppress(OSError, ValueError, AttributeError),
                open(self.remembered, encoding="utf-8") as file,
            ):
                read = json.load(file)
                self._known = {
                    path: entry for path, entry in read.items() if isinstance(entry, list) and len(entry) == 5
                }
        return self._known

    def _remember(self, path: str, entry: list[t.Any]) -> None:
        known = self._entries()
        known[path] = entry
        partial = f"{self.remembered}.{os.getpid()}"
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(self.remembered), mode=0o700, exist_ok=True)
            whole_file.write(
                self.remembered,
                json.dumps({name: value for name, value in known.items() if os.path.exists(name)}),
                partial=partial,
            )
