# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a build: for its owner alone, since builds print what they are given, and bounded, since a build that
prints without end must not fill the disk."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

MOST_BYTES = 64 << 20
LEFT_OUT = f"\n(The log has {MOST_BYTES >> 20} MiB here; the rest of the output is left out.)\n"


def open_log(path: Path, *, most_bytes: int = MOST_BYTES) -> io.TextIOWrapper:
    """Begin the log anew, and make its directory.

    Args:
        most_bytes: what is written beyond it is dropped, after a line that says so.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The mode counts for a new file only. One of before is closed before it is written, as far as it is a file.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    file = os.fdopen(descriptor, "wb")
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, 0o600)
            os.ftruncate(descriptor, 0)
    except OSError:
        file.close()
        raise
    return _Bounded(file, most_bytes)


class _Bounded(io.TextIOWrapper):
    """A text file that takes so many bytes."""

    def __init__(self, file: io.BufferedWriter, most_bytes: int) -> None:
        super().__init__(file, encoding="utf-8", errors="replace")
        self._left = most_bytes

    def write(self, text: str, /) -> int:
        """See `io.TextIOBase`; the length is that of the whole text, also of what is dropped."""
        if self._left > 0:
            data = text.encode("utf-8", "replace")
            if len(data) <= self._left:
                self._left -= len(data)
                super().write(text)
            else:
                super().write(data[: self._left].decode("utf-8", "ignore") + LEFT_OUT)
                self._left = 0
        return len(text)
