# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talks to the front process of a function: HTTP over the Unix socket in the function's directory (see
roles/local_runtime/files/front.mjs)."""

from __future__ import annotations

import http.client
import json
import os
import socket
import typing as t
from pathlib import Path

SOCKET = "control.sock"
ANSWER_BYTES = 16 << 20
"""More than any answer of a front has."""


class ControlError(Exception):
    """The front refused a request; the text says why. `code` is Node's error code where there is one, such as
    EADDRINUSE."""

    def __init__(self, cause: str, code: str = "") -> None:
        super().__init__(cause)
        self.code = code


class _Connection(http.client.HTTPConnection):
    def __init__(self, directory: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._directory = directory

    def connect(self) -> None:
        # The address of a Unix socket is at most 107 bytes long (unix(7)); the path through the open directory is
        # always short enough.
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
        finally:
            os.close(descriptor)


def call(
    directory: Path, path: str, body: dict[str, t.Any] | None = None, *, timeout_seconds: float = 5
) -> dict[str, t.Any]:
    """Ask the front; POST with a body, else GET.

    Raises:
        OSError: no front listens there, or it did not answer in time.
        ControlError: it refused.
    """
    connection = _Connection(directory, timeout_seconds)
    try:
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body).encode())
        response = connection.getresponse()
        answer: dict[str, t.Any] = json.loads(response.read(ANSWER_BYTES))  # what is cut off is no JSON
    except (http.client.HTTPException, ValueError) as error:
        raise ConnectionError(f"the front ended while it answered {path}: {error}") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise ControlError(str(answer.get("cause", response.status)), str(answer.get("code") or ""))
    return answer


def status(directory: Path) -> dict[str, t.Any] | None:
    """What the front of the function in `directory` says of itself; None where none answers."""
    try:
        return call(directory, "/status")
    except (OSError, ControlError):
        return None
