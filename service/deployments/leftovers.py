# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds and ends what a killed worker left running: build commands have sessions of their own."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from .model import Deployment

MARK = "WASMFAAS_DEPLOYMENT"
"""Environment variable of what a build runs: its processes are found by it if the worker is killed."""


def mark(deployment: Deployment) -> str:
    """The value of MARK for what a deployment's build runs."""
    return "/".join(map(str, deployment.key))


def end_leftovers(deployment: Deployment) -> int:
    """Kill this user's processes that a build of the deployment started; gives their number."""
    wanted = f"{MARK}={mark(deployment)}".encode()
    ended = 0
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if wanted in Path(entry.path, "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
                ended += 1
    return ended
