# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a deployment: written by its worker, read while it grows and afterwards."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ...plugins.module_utils.errors import printable
from ..masking import without_secrets

MOST_BYTES = 8 << 20
"""Of a whole log: a build may print for ever."""

LONGEST_LINE = 4096
"""Characters of a line; of a longer one the end is kept, as progress bars have no line ends."""

_CUT = f"The log ends here: it has {MOST_BYTES >> 20} MiB. The build goes on."


class LogWriter:
    """Appends lines; without terminal commands, without secrets, and up to MOST_BYTES.

    Args:
        secrets: gives what to black out.
    """

    def __init__(self, file: Path, secrets: t.Callable[[], set[str]]) -> None:
        self._secrets = secrets
        self._stream = open(file, "ab")  # noqa: SIM115 (closed by close)
        self._left = MOST_BYTES - self._stream.tell()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def line(self, text: str) -> None:
        """Append one line."""
        if self._left <= 0:
            return
        shown = printable(text.rstrip("\r\n").rpartition("\r")[2]).replace("\n", " ").rstrip()
        data = without_secrets(shown, self._secrets())[-LONGEST_LINE:].encode() + b"\n"
        if len(data) >= self._left:
            data = _CUT.encode() + b"\n"
            self._left = 0
        self._left -= len(data)
        self._stream.write(data)
        self._stream.flush()


def read_from(file: Path, offset: int, *, most: int = 1 << 16) -> bytes:
    """The whole lines of a log from a byte offset on, at most about `most` bytes; empty where there is nothing more."""
    try:
        with open(file, "rb") as stream:
            if offset >= os.fstat(stream.fileno()).st_size:
                return b""  # file systems refuse to seek to numbers far behind the end
            stream.seek(offset)
            data = stream.read(max(most, 2 * LONGEST_LINE * 4))
    except FileNotFoundError:
        return b""
    return data[: data.rfind(b"\n") + 1]
