# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What long work tells while it goes on: lines, and the stage that it is in.

Nobody listens in a module's own process, since Ansible shows what a module prints only at its end.
"""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t


class Listener(t.Protocol):
    """Gets what is told; from several threads, one call at a time."""

    def stage(self, name: str) -> None:
        """A stage begins, or ends where `name` is empty."""

    def line(self, text: str) -> None:
        """A line about the work of the current stage; it may hold any characters."""


_lock = threading.Lock()
_listeners: list[Listener] = []


@contextlib.contextmanager
def listening(listener: Listener) -> t.Iterator[None]:
    """Tell `listener` what all threads of this process do inside of the context."""
    with _lock:
        _listeners.append(listener)
    try:
        yield
    finally:
        with _lock:
            _listeners.remove(listener)


def is_shown() -> bool:
    """Whether anyone listens."""
    return bool(_listeners)


def tell(text: str) -> None:
    """Tell one line."""
    with _lock:
        for listener in _listeners:
            listener.line(text)


def tell_stage(name: str) -> None:
    """Tell that a stage begins, or ends where `name` is empty."""
    with _lock:
        for listener in _listeners:
            listener.stage(name)


class BytesSent:
    """Tells at most once in `interval` seconds how much of an upload is done.

    Args:
        total: bytes that may have to be sent.
        clock: gives seconds.
    """

    def __init__(self, total: int, *, interval: float = 1.0, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._total, self._interval, self._clock = total, interval, clock
        self._sent = 0
        self._told = clock()
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count bytes that were sent; negative where they are sent again."""
        with self._lock:
            self._sent += count
            now = self._clock()
            if count <= 0 or now - self._told < self._interval:
                return
            self._told = now
            text = f"{self._sent / 1e6:.1f} of {self._total / 1e6:.1f} MB sent"
        tell(text)
