# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting on a host for something to become so. Hosts have the standard library only, hence no tenacity; all waiting
there goes through here."""

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
    """The first true value of `look`, or its last value once `seconds` are over; the caller says what a false one
    means.

    `look` is called at least once, and once more at the end. The pauses grow by half from `interval` to
    `longest_interval` seconds. What `look` raises ends the wait.
    """
    end = clock() + seconds
    while True:
        value = look()
        left = end - clock()
        if value or left <= 0:
            return value
        sleep(min(interval, left))
        interval = min(interval * 1.5, longest_interval)
