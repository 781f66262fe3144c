# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one program of a build: its output goes to the log while it runs, and all that it started ends with it when its
time is up."""

from __future__ import annotations

import codecs
import collections
import contextlib
import os
import re
import selectors
import signal
import subprocess
import threading
import time
import types
import typing as t
from pathlib import Path

from ... import progress

LAST_LINES = 40
"""How many lines of the output are handed back."""

_LONGEST_LINE = (
    4096  # characters; of a longer one the end is handed back, as progress bars and minified code have no line ends
)
_POLL_SECONDS = 0.5
_BACKTRACE = re.compile(r"\W*(stack )?backtrace\b", re.IGNORECASE)
_FRAME = re.compile(r"\s*\d+: +\S|\s+at \S|\W*\d+ frames? hidden\W*$")
"""Lines of a backtrace as Rust's std, anyhow and color-eyre print it."""


def announce(command: str, log: t.TextIO) -> None:
    """Write into the log, and tell, which command runs next."""
    log.write(f"$ {command}\n")
    log.flush()
    progress.tell(f"$ {command}")


def run_command(
    command: t.Sequence[str], directory: Path, environment: dict[str, str], log: t.TextIO, deadline: float
) -> tuple[int | None, str]:
    """Run `command` and give its exit code (None: out of time) and the last lines of its output.

    Args:
        deadline: on the clock `time.monotonic`.

    Raises:
        OSError, ValueError: it cannot be started, or the log cannot be written.
    """
    last_lines = _LastLines()
    with _held_interrupts() as deliver_interrupts:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its children end with it
        )
        if process.stdout is None:
            raise AssertionError("stdout is a pipe")
        ended = False
        try:
            deliver_interrupts()
            for line in _lines(process, process.stdout.fileno(), log, deadline):
                progress.tell(line)
                last_lines.add(line)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
                ended = True
        finally:
            if not ended:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            process.stdout.close()
    return (process.returncode if ended else None), last_lines.text


class _LastLines:
    """The last lines of an output without the frames of backtraces, before which the cause stands."""

    def __init__(self) -> None:
        self._lines: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
        self._left_out: int | None = None  # None: outside of a backtrace

    def add(self, line: str) -> None:
        if self._left_out is not None and _FRAME.match(line):
            self._left_out += 1
            return
        self._end_backtrace()
        self._lines.append(line)
        if _BACKTRACE.match(line):
            self._left_out = 0

    def _end_backtrace(self) -> None:
        if self._left_out:
            self._lines.append(f"  ({self._left_out} lines, see the log)")
        self._left_out = None

    @property
    def text(self) -> str:
        self._end_backtrace()
        return "\n".join(self._lines)


@contextlib.contextmanager
def _held_interrupts() -> t.Iterator[t.Callable[[], None]]:
    """Hold back Ctrl-C and what else Python handles until the given function is called: raised inside of Popen, it
    would leave a process that nobody ends."""
    came: list[tuple[int, types.FrameType | None]] = []
    handlers: dict[int, t.Callable[[int, types.FrameType | None], t.Any]] = {}
    if threading.current_thread() is threading.main_thread():  # only there Python runs handlers
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                handlers[number] = handler
                signal.signal(number, lambda received, frame: came.append((received, frame)))

    def deliver() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        while came:
            number, frame = came.pop(0)
            handlers[number](number, frame)

    try:
        yield deliver
    finally:
        deliver()


def _lines(process: subprocess.Popen[bytes], descriptor: int, log: t.TextIO, deadline: float) -> t.Iterator[str]:
    """The ends of the lines that the process writes, each as soon as it is whole; all of its output goes to the log at
    once."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    for data in _output(process, descriptor, deadline):
        text = decoder.decode(data)
        log.write(text)
        log.flush()
        *lines, rest = (rest + text).split("\n")
        yield from (line[-_LONGEST_LINE:] for line in lines)
        rest = rest[-_LONGEST_LINE:]
    if rest:
        yield rest


def _output(process: subprocess.Popen[bytes], descriptor: int, deadline: float) -> t.Iterator[bytes]:
    """What the process writes, until it ends or its time is up."""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while (remaining := deadline - time.monotonic()) > 0:
            if selector.select(timeout=min(remaining, _POLL_SECONDS)):
                data = os.read(descriptor, 65536)
                if not data:
                    return
                yield data
            elif process.poll() is not None:
                return  # a daemon that it left behind (Gradle, sccache) still holds the pipe
