# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all measurements share: a row of the table in docs/performance.md, and programs that are run."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import typing as t
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
ANSIBLE_PLAYBOOK = str(Path(sys.executable).parent / "ansible-playbook")
MODULE = "ansible_collections.wasmfaas.platform.plugins.modules."


@dataclasses.dataclass(frozen=True)
class Row:
    """One result; `met` is None where the issue sets no goal, or where it could not be measured."""

    what: str
    result: str
    goal: str
    met: bool | None


@dataclasses.dataclass(frozen=True)
class Table:
    """Numbers without a goal, with columns of their own."""

    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


Entry = Row | Table | str
"""What a part reports: rows, which share one table, tables, and paragraphs."""


class NotMeasuredError(Exception):
    """Something that a measurement needs is not here, or what was to be measured failed."""


class ProgramMissingError(NotMeasuredError):
    """A program that a measurement compares with is not installed."""


def program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ProgramMissingError(f"{name} is not installed (Debian package {package})")
    return found


def environment() -> dict[str, str]:
    """The environment in which the collection is found and which README's commands have."""
    return {
        **os.environ,
        "ANSIBLE_HOME": str(REPOSITORY / ".ansible"),
        "PYTHONPATH": str(REPOSITORY / ".ansible" / "collections"),
    }


def medians(
    *commands: list[str], runs: int = 10, warmup: int = 2, variables: dict[str, str] | None = None
) -> list[float]:
    """The median wall time of each command in seconds. The commands run by turns, so that what else the machine does
    meanwhile concerns all of them; `variables` are the whole environment, if not `environment()`.

    Raises:
        subprocess.CalledProcessError: a command failed.
    """
    seconds: list[list[float]] = [[] for _command in commands]
    for run in range(-warmup, runs):
        for command, taken in zip(commands, seconds, strict=True):
            started = time.monotonic()
            subprocess.run(command, cwd=REPOSITORY, env=variables or environment(), check=True, capture_output=True)
            if run >= 0:
                taken.append(time.monotonic() - started)
    return [statistics.median(taken) for taken in seconds]


def module_command(name: str, parameters: dict[str, t.Any], directory: Path) -> list[str]:
    """How to run a module as a program of its own, as Ansible does on the machine, but for the packing into one
    file."""
    arguments = directory / f"{name}-{len(list(directory.iterdir()))}.json"
    arguments.write_text(
        json.dumps({"ANSIBLE_MODULE_ARGS": {key: value for key, value in parameters.items() if value is not None}})
    )
    return [sys.executable, "-m", MODULE + name, str(arguments)]


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` percent of the values lie."""
    return statistics.quantiles(values, n=100, method="inclusive")[int(share) - 1]
