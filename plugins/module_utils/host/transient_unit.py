# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service of systemd that lasts until the next boot at most: a program of ours that must go on, and end, without
us."""

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
    """Whether this host runs systemd (sd_booted(3)) and we may make services."""
    return os.path.isdir("/run/systemd/system") and os.geteuid() == 0


def source_of(program: types.ModuleType) -> str:
    """The text of one of our modules that is a program of its own; Ansible ships them in an archive, so it has no file
    of its own on a host."""
    loader = program.__spec__.loader if program.__spec__ else None
    text = loader.get_source(program.__name__) if loader is not None and hasattr(loader, "get_source") else None
    if text is None:
        raise PlatformError(
            f"The source of {program.__name__} is not there.", next_step="Install the collection again."
        )
    # Ansible's own loader gives bytes, against the documentation of get_source.
    return text.decode("utf-8") if isinstance(text, bytes) else str(text)


def command_line(*arguments: str) -> str:
    """Arguments of this Python as a value of Exec…=."""
    # systemd replaces % and $ (systemd.service(5), command lines).
    return " ".join(
        shlex.quote(argument).replace("%", "%%").replace("$", "$$") for argument in (sys.executable, *arguments)
    )


def start(name: str, text: str, *, seconds: float) -> str:
    """Write and start the unit. What systemd said where it did not start, else ""."""
    os.makedirs(UNIT_DIRECTORY, exist_ok=True)
    with open(f"{UNIT_DIRECTORY}/{name}.service", "w", encoding="utf-8") as file:
        file.write(text)
    run_command(["systemctl", "daemon-reload"])
    done = run_command(["systemctl", "start", f"{name}.service"], seconds=seconds)
    return "" if done.exit_code == 0 else done.error.strip() or f"exit code {done.exit_code}"


def is_active(name: str) -> bool:
    """Whether it runs, or is about to start or to end."""
    return run_command(["systemctl", "is-active", f"{name}.service"]).output.strip() in (
        "active",
        "activating",
        "deactivating",
        "reloading",
    )


def exists(name: str) -> bool:
    return os.path.exists(f"{UNIT_DIRECTORY}/{name}.service")


def remove(name: str, *, seconds: float = 120) -> bool:
    """Stop the unit, wait for its end, and forget it; False where there was none."""
    if not exists(name) and not is_active(name):
        return False
    run_command(["systemctl", "stop", f"{name}.service"], seconds=seconds)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{UNIT_DIRECTORY}/{name}.service")
    run_command(["systemctl", "reset-failed", f"{name}.service"])
    run_command(["systemctl", "daemon-reload"])
    return True
