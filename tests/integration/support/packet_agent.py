# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accepts TCP connections at the ports that it is given, and calls others, in the network namespace where it runs.

Each line of its input is a JSON list of calls, each `[ADDRESS, PORT]`; its answer is a line with a list of booleans: a
call reaches its target if that sends its greeting. It ends with its input, and so with whoever started it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import socket
import sys
import threading
import typing as t

GREETING = b"here"
SECONDS = 3.0
"""After which a call has reached nobody. A refused one ends at once."""


def main() -> None:
    for port in sys.argv[1:]:
        threading.Thread(target=_greet, args=(socket.create_server(("", int(port)), backlog=64),), daemon=True).start()
    print("ready", flush=True)
    with concurrent.futures.ThreadPoolExecutor(max_workers=32) as pool:
        for line in sys.stdin:
            print(json.dumps(list(pool.map(_reaches, json.loads(line)))), flush=True)


def _greet(listener: socket.socket) -> None:
    while True:
        connection, _caller = listener.accept()
        with connection, contextlib.suppress(OSError):  # the caller is gone
            connection.sendall(GREETING)


def _reaches(target: list[t.Any]) -> bool:
    try:
        with socket.create_connection((target[0], target[1]), timeout=SECONDS) as connection:
            return connection.recv(len(GREETING)) == GREETING
    except OSError:
        return False


if __name__ == "__main__":
    main()
