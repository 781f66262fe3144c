# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of an archive."""

from __future__ import annotations

import dataclasses
import typing as t


def _nothing() -> t.Iterator[bytes]:
    return iter(())


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file or a directory as the archive names it; nothing of it is checked yet.

    Attributes:
        size: bytes that its header states.
        content: gives the bytes of a file in pieces, once.
    """

    name: str
    is_directory: bool = False
    is_executable: bool = False
    size: int = 0
    content: t.Callable[[], t.Iterator[bytes]] = _nothing
