# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A systemd service that lasts until the next boot at most, for a program that must run and end without Ansible."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import types

from ..errors import PlatformError
from .commands import run_command

UNIT_DIRECTORY = "/run/systemd/system"


def available() -> bool:
    """Whether this host runs systemd (sd_booted(3)) and we may create services."""
    return os.path.isdir("/run/systemd/system") and os.geteuid() == 0


def source_of(program: types.ModuleType) -> str:
    """The source of one of our Python modules that runs as a program. Ansible packs modules into an archive, so there
    is no file of it on a host."""
    loader = program.__spec__.loader if program.__spec__ else None
    text = loader.get_source(program.__name__) if loader is not None and hasattr(loader, "get_source") else None
    if text is None:
        raise PlatformError(f"The source of {program.__name__} is missing.", next_step="Install the collection again.")
    # Ansible's loader returns bytes, although get_source is documented to return a text.
    return text.decode("utf-8") if isinstance(text, bytes) else str(text)


def command_line(*arguments: str) -> str:
    """A command of this Python as the value of ExecStart= and the like."""
    # systemd replaces % and $ (systemd.service(5), command lines).
    return " ".join(
        shlex.quote(argument).replace("%", "%%").replace("$", "$$") for argument in (sys.executable, *arguments)
    )


def start(name: str, text: str, *, seconds: float) -> str:
    """Write and start the unit. Returns systemd's error if it did not start, else ""."""
    os.makedirs(UNIT_DIRECTORY, exist_ok=True)
    with open(f"{UNIT_DIRECTORY}/{name}.service", "w", encoding="utf-8") as file:
        file.write(text)
    run_command(["systemctl", "daemon-reload"])
    done = run_command(["systemctl", "start", f"{name}.service"], seconds=seconds)
    return "" if done.exit_code == 0 else done.error.strip() or f"exit code {done.exit_code}"


def is_active(name: str) -> bool:
    """Whether it runs, starts or stops."""
    return run_command(["systemctl", "is-active", f"{name}.service"]).output.strip() in (
        "active",
        "activating",
        "deactivating",
        "reloading",
    )


def exists(name: str) -> bool:
    return os.path.exists(f"{UNIT_DIRECTORY}/{name}.service")


def remove(name: str, *, seconds: float = 120) -> bool:
    """Stop the unit, wait until it has ended, and delete it. Returns False if there was none."""
    if not exists(name) and not is_active(name):
        return False
    run_command(["systemctl", "stop", f"{name}.service"], seconds=seconds)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{UNIT_DIRECTORY}/{name}.service")
    run_command(["systemctl", "reset-failed", f"{name}.service"])
    run_command(["systemctl", "daemon-reload"])
    return True
