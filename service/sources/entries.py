# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads an archive as a sequence of entries: what tar and zip have in common."""

from __future__ import annotations

import dataclasses
import typing as t

CHUNK = 64 << 10
"""Bytes that are read or made at once."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A regular file or a directory in an archive; everything else is refused by the readers.

    Attributes:
        name: as the archive gives it, not checked.
        size: bytes of its content.
        content: its bytes in pieces; may be read until the next entry is asked for, wholly or not at all.
    """

    name: bytes
    is_directory: bool
    is_executable: bool
    size: int
    content: t.Iterator[bytes]
