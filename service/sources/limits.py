# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much an archive may hold, and the refusal of what is more."""

from __future__ import annotations

import dataclasses

from ...plugins.module_utils.errors import PlatformError

_SHOWN = 120
"""Characters of a name that a message shows."""

LEAVE_OUT = "Leave out what the build makes or fetches by itself, such as node_modules or target."
PACK_AGAIN = "Pack the directory again, as in `tar czf shop.tar.gz shop`, and upload that file."

NO_LINKS = (
    "Pack what the link leads to: `tar --dereference --hard-dereference -czf shop.tar.gz shop`; or leave it out, as "
    "`--exclude=node_modules` does."
)


@dataclasses.dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold at most.

    Attributes:
        entries: files and directories together, also directories that only appear in the paths of files.
        total_bytes: everything that comes out of the archive.
        file_bytes: one file.
        path_bytes: the path of one entry, in UTF-8.
        name_bytes: one part of a path, in UTF-8.
        depth: parts of a path.
        header_bytes: an extended header of a tar archive (PAX, GNU long name).
        ratio: bytes that come out for each that goes in.
        ratio_from_bytes: bytes that come out before the ratio counts.
    """

    entries: int = 20_000
    total_bytes: int = 512 << 20
    file_bytes: int = 256 << 20
    path_bytes: int = 1024
    name_bytes: int = 255
    depth: int = 32
    header_bytes: int = 256 << 10
    ratio: int = 200
    ratio_from_bytes: int = 10 << 20


LIMITS = ArchiveLimits()


class Meter:
    """Counts what goes into a decompressor and what comes out of it."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._taken = 0
        self._made = 0

    def take(self, size: int) -> None:
        """Count bytes that go in."""
        self._taken += size

    def make(self, size: int) -> None:
        """Count bytes that come out; raises PlatformError where they are too many."""
        self._made += size
        if self._made > self._limits.total_bytes:
            raise refused(f"The archive unpacks to more than {mebibytes(self._limits.total_bytes)}.", LEAVE_OUT)
        if self._made > self._limits.ratio_from_bytes and self._made > self._limits.ratio * self._taken:
            raise refused(
                f"The archive unpacks to more than {self._limits.ratio} times its size, as only hostile ones do.",
                "Leave out large files that hold nothing but repetition; make them in the build.",
            )


def refused(cause: str, next_step: str = PACK_AGAIN) -> PlatformError:
    """The error for an archive that is not taken."""
    return PlatformError(cause, next_step=next_step, stage="source")


def shown(name: str | bytes) -> str:
    """A name of an entry for a message: quoted, cut, and without anything that is not printable."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def mebibytes(size: int) -> str:
    """Bytes for a message, in MiB where they are that many."""
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size} bytes"
