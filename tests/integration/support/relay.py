# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP connections led from one address of this machine to others."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import typing as t


@contextlib.contextmanager
def relayed(port: int, targets: t.Sequence[tuple[str, int]], address: str = "127.0.0.1") -> t.Iterator[None]:
    """Listens at a port of an address of this machine, and leads each connection to one of the targets, in turns, as a
    Service does."""
    turns = itertools.cycle(targets)
    with socket.create_server((address, port)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _address = listener.accept()
                    threading.Thread(target=_relay, args=(client, next(turns)), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _relay(client: socket.socket, target: tuple[str, int]) -> None:
    with client, contextlib.suppress(OSError), socket.create_connection(target) as server:
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
