# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exception of this package, and helpers to call programs and to wait."""

from __future__ import annotations

import collections.abc
import subprocess
import time


class HostsError(Exception):
    """A test host could not do what was asked. The message says which host, why, and if possible what to do."""


def call(
    command: collections.abc.Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float = 120.0,
    allowed: tuple[int, ...] = (0,),
) -> str:
    """Run `command` and return its standard output.

    Raises:
        HostsError: its exit code is not in `allowed`, or it took longer than `timeout` seconds.
    """
    try:
        done = subprocess.run(list(command), input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError as error:
        raise HostsError(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise HostsError(f"{' '.join(command)} did not end within {timeout:.0f} s") from error
    if done.returncode not in allowed:
        raise HostsError(
            f"{' '.join(command)} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}"
        )
    return done.stdout


def wait_until(
    condition: collections.abc.Callable[[], bool], what: str, *, seconds: float, every: float = 0.05
) -> None:
    """Check `condition` every `every` seconds until it holds.

    Raises:
        HostsError: it does not hold within `seconds`.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise HostsError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)
