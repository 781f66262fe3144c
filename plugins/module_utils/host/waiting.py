# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits on a host for a condition. All code on hosts waits by this function: hosts have the standard library only, so
no tenacity."""

from __future__ import annotations

import time
import typing as t

Value = t.TypeVar("Value")


def wait_for(
    look: t.Callable[[], Value],
    *,
    seconds: float,
    interval: float = 0.5,
    longest_interval: float = 3.0,
    clock: t.Callable[[], float] = time.monotonic,
    sleep: t.Callable[[float], None] = time.sleep,
) -> Value:
    """The first true value of `look`, or its last value after `seconds`.

    `look` is called at least once, and once more at the end. The pauses grow by half from `interval` to
    `longest_interval` seconds. An exception of `look` ends the wait.
    """
    end = clock() + seconds
    while True:
        value = look()
        left = end - clock()
        if value or left <= 0:
            return value
        sleep(min(interval, left))
        interval = min(interval * 1.5, longest_interval)
