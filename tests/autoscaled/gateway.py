# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the hosts and the moto server: lets them through, or spoils their connections."""

from __future__ import annotations

import contextlib
import enum
import socket
import socketserver
import threading
import time

SLOW_BYTES = 4096
DENIED = (
    b'HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nConnection: close\r\n\r\n<?xml version="1.0" '
    b'encoding="UTF-8"?>\n'
    b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
)


class Fault(enum.Enum):
    """What happens to a connection."""

    NONE = "none"
    SLOW = "slow"  # some kilobytes a second, without an end
    DENIED = "denied"  # S3's answer to a role without the permission
    CUT = "cut"  # in the middle of a big answer


class Gateway:
    """A port that leads to the moto server. `fault` may change at any time, for connections to come."""

    def __init__(self, address: str, target: tuple[str, int]) -> None:
        self.fault = Fault.NONE
        self.connections = 0
        gateway = self

        class Connection(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                gateway.connections += 1
                gateway.serve(self.request, target, gateway.fault)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server((address, 0), Connection)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, client: socket.socket, target: tuple[str, int], fault: Fault) -> None:
        with contextlib.suppress(OSError):
            if fault is Fault.DENIED:
                client.recv(65536)
                client.sendall(DENIED)
                return
            with socket.create_connection(target) as server:
                upward = threading.Thread(target=_copy, args=(client, server), daemon=True)
                upward.start()
                _copy(server, client, fault)
                client.shutdown(socket.SHUT_RDWR)


def _copy(source: socket.socket, target: socket.socket, fault: Fault = Fault.NONE) -> None:
    passed = 0
    with contextlib.suppress(OSError):
        while data := source.recv(SLOW_BYTES if fault is Fault.SLOW else 1 << 20):
            target.sendall(data)
            passed += len(data)
            if fault is Fault.SLOW:
                time.sleep(1)  # the fault itself: SLOW_BYTES a second
            if fault is Fault.CUT and passed > 1 << 20:
                return
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def target_of(url: str) -> tuple[str, int]:
    """Host and port."""
    host, _colon, port = url.removeprefix("http://").partition(":")
    return host, int(port)
