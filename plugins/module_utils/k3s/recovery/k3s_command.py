# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs commands of k3s on this host, and reads what they said."""

from __future__ import annotations

import re
import typing as t

from ...host.commands import Completed, run_command

Run = t.Callable[[t.Sequence[str], float], Completed]
"""Runs a program for at most so many seconds."""


def run_on_host(arguments: t.Sequence[str], seconds: float) -> Completed:
    """Run a program; give what it said and its exit code, also after a failure."""
    return run_command(arguments, seconds=seconds)


def last_line(completed: Completed) -> str:
    """What k3s said last, without its time and level."""
    lines = [line.strip() for line in f"{completed.output}\n{completed.error}".splitlines() if line.strip()]
    fatal = [line for line in lines if "level=fatal" in line or line.startswith(("FATA", "Error", "ERRO"))]
    line = (fatal or lines or ["nothing, its exit code was " + str(completed.exit_code)])[-1]
    message = re.search(r'msg="((?:[^"\\]|\\.)*)"', line)
    return (
        message[1].replace('\\"', '"') if message else re.sub(r"^(?:FATA|ERRO|INFO|WARN)\[[^]]*\]\s*", "", line)
    ).rstrip(".") + "."


def tail(completed: Completed, lines: int = 20) -> str:
    """The last lines that it said."""
    return "\n".join(f"{completed.output}\n{completed.error}".strip().splitlines()[-lines:])
