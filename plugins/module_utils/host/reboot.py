# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a host should be rebooted, as its package manager and its installed kernels say. Only reads.

`root` is prepended to every path, for tests.
"""

from __future__ import annotations

import glob
import os
import re
import shutil

from .commands import run_command

REQUIRED = "/run/reboot-required"
"""Written where packages of Debian and Ubuntu want a reboot (unattended-upgrades 2.9: README.md)."""

NEEDS_RESTARTING = "needs-restarting"
"""Of dnf-utils, on RHEL and Amazon Linux: `-r` ends with 1 where core libraries or services are newer than the boot
(dnf-plugins-core 4.3: doc/needs_restarting.rst)."""

SECONDS = 60.0


def reboot_reason(root: str = "", *, running: str = "") -> str:
    """Why the host should be rebooted; "" where nothing says so.

    Args:
        running: release of the running kernel; uname's if empty.
    """
    if os.path.exists(root + REQUIRED):
        return f"packages ask for it{_packages(root)}"
    running = running or os.uname().release
    if newer := newer_kernel(running, root):
        return f"kernel {newer} is installed, {running} is running"
    program = shutil.which(NEEDS_RESTARTING)
    if program and run_command([program, "-r"], seconds=SECONDS).exit_code == 1:
        return "core libraries or services are newer than the boot"
    return ""


def newer_kernel(running: str, root: str = "") -> str:
    """Release of the newest installed kernel of the running one's flavour, such as `-cloud-amd64`; "" where that is the
    running one, or where it is not installed, as in a container."""
    installed = {os.path.basename(file).partition("-")[2] for file in glob.glob(f"{root}/boot/vmlinuz-*")}
    installed |= {file.split("/")[-2] for file in glob.glob(f"{root}/lib/modules/*/vmlinuz")}
    if running not in installed:
        return ""
    alike = [release for release in installed if _flavour(release) == _flavour(running)]
    newest = max(alike, key=_numbers)
    return newest if _numbers(newest) > _numbers(running) else ""


def _packages(root: str) -> str:
    """Which packages, where that is noted beside the file."""
    try:
        with open(f"{root}{REQUIRED}.pkgs", encoding="utf-8") as file:
            names = sorted(set(file.read().split()))
    except OSError:
        return ""
    return f": {', '.join(names)}" if names else ""


def _flavour(release: str) -> str:
    """What follows the last number of a release that stands alone: `6.1.0-18-cloud-amd64` has `cloud-amd64`."""
    return re.sub(r"^[\d.]+([-_.]\d[\w.]*)*-?", "", release)


def _numbers(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release[: len(release) - len(_flavour(release))])]
