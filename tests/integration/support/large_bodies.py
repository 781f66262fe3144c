# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies that pass through a local function, and what its processes grow by meanwhile."""

from __future__ import annotations

import collections.abc
import hashlib
import http.client
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def streamed(port: int, size: int) -> bool:
    """Send `size` bytes to the path /stream of the workbench, which gives them back, and read the answer meanwhile;
    whether it is the same."""
    block = os.urandom(1 << 16)
    sent, received = hashlib.sha256(), hashlib.sha256()

    def blocks() -> collections.abc.Iterator[bytes]:
        for start in range(0, size, len(block)):
            piece = block[: size - start]
            sent.update(piece)
            yield piece

    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection, ThreadPoolExecutor() as pool:
        head = f"POST /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode())

        def send() -> None:
            for piece in blocks():
                connection.sendall(piece)

        sending = pool.submit(send)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        while piece := answer.read(1 << 16):
            received.update(piece)
        sending.result()
    return sent.digest() == received.digest()


def memory_growth(process_ids: list[int], work: collections.abc.Callable[[], object]) -> dict[int, int]:
    """By how many bytes each process grew at most while `work` ran (proc_pid_status(5))."""

    def resident(process_id: int, field: str) -> int:
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith(f"{field}:"))) << 10

    before = {process_id: resident(process_id, "VmRSS") for process_id in process_ids}
    for process_id in process_ids:
        Path(f"/proc/{process_id}/clear_refs").write_text("5")  # sets the peak back
    work()
    return {process_id: resident(process_id, "VmHWM") - was for process_id, was in before.items()}
