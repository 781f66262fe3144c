# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs programs on the host, without a shell and with a time limit."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import typing as t

from ..errors import PlatformError

TIMED_OUT = 124
"""Exit code of a program that exceeded its time limit, as with coreutils' timeout."""


@dataclasses.dataclass(frozen=True)
class Completed:
    """Exit code and output of a finished program."""

    exit_code: int
    output: str
    error: str


def run_command(
    arguments: t.Sequence[str],
    *,
    standard_input: str | None = None,
    seconds: float = 60.0,
    environment: dict[str, str] | None = None,
) -> Completed:
    """Run a program; input and output are UTF-8. After `seconds` it is killed, and its exit code is TIMED_OUT. Pass
    secrets by `standard_input`, never in `arguments`.

    Raises:
        PlatformError: there is no such program.
    """
    try:
        finished = subprocess.run(
            list(arguments),
            input=standard_input if standard_input is not None else "",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
        )
    except subprocess.TimeoutExpired as error:
        return Completed(
            TIMED_OUT,
            _text(error.stdout),
            f"{_text(error.stderr)}\n{arguments[0]} was ended after {seconds:g} s.".strip(),
        )
    except (FileNotFoundError, PermissionError) as error:
        raise PlatformError(
            f"{arguments[0]} cannot be run on this host: {error.strerror}.",
            next_step=f"Install {arguments[0]} there, or give its path.",
        ) from error
    return Completed(finished.returncode, finished.stdout, finished.stderr)


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
