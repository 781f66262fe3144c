# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a deployment: written by its worker, read while it grows and afterwards: the interface, and files on this
machine."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ...plugins.module_utils.errors import printable
from ..masking import without_secrets
from .model import Deployment

MOST_BYTES = 8 << 20
"""Of a whole log: a build may print for ever."""

LONGEST_LINE = 4096
"""Characters of a line; of a longer one the end is kept, as progress bars have no line ends."""

_CUT = f"The log ends here: it has {MOST_BYTES >> 20} MiB. The build goes on."


class LogStore(t.Protocol):
    """Where the logs of deployments are."""

    def file(self, deployment: Deployment) -> Path:
        """Where the worker of a deployment writes its log, on the machine of the worker."""

    def read(self, deployment: Deployment, offset: int) -> bytes:
        """Some whole lines from a byte offset on; empty where there is nothing more, or it cannot be read now.

        Args:
            deployment: as it was read before.
        """

    def size(self, deployment: Deployment) -> int:
        """Bytes that `read` gives in all, as far as they are there now."""

    def keep(self, deployment: Deployment) -> None:
        """Keep what the worker wrote until now for as long as the deployment is kept; raises PlatformError."""

    def resume(self, deployment: Deployment) -> None:
        """Give `file` what an earlier worker on another machine kept, where that is more; raises PlatformError."""


class FileLogStore:
    """Logs as files that are there for all who read; see `LogStore`.

    Args:
        file: gives that of a deployment.
    """

    def __init__(self, file: t.Callable[[Deployment], Path]) -> None:
        self.file = file

    def read(self, deployment: Deployment, offset: int) -> bytes:
        return read_from(self.file(deployment), offset)

    def size(self, deployment: Deployment) -> int:
        return size_of(self.file(deployment))

    def keep(self, deployment: Deployment) -> None:
        """It is kept where it is."""

    def resume(self, deployment: Deployment) -> None:
        """It is there."""


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


def size_of(file: Path) -> int:
    """Bytes of a log; 0 where there is none."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
