# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets a host inject a fault into its own k3s for a while, and ensures that it ends. Runs on the host;
fault_program.py injects the fault."""

from __future__ import annotations

import json
import os
import shutil
import typing as t

from ...errors import PlatformError
from ...host import transient_unit
from ...host.commands import run_command
from ...host.waiting import wait_for
from .. import paths
from . import fault_program

UNIT = "wasmfaas-verify-ha-fault"
DIRECTORY = f"{paths.RUN_DIRECTORY}/verify-ha-fault"
FAULTS = ("kill", "pause", "cut", "disk_full")
PORTS = (6443, 2379, 2380)
FULL_BYTES = 64 * 2**30
"""A larger file system is not filled: that takes too long, and such a disk is rarely there for k3s alone."""
SPARE_SECONDS = 60
"""Seconds after its planned end at which systemd ends a fault."""


def run(parameters: dict[str, t.Any], check_mode: bool, _hidden: set[str]) -> dict[str, t.Any]:
    """What the module k3s_fault does; see its documentation."""
    state = parameters["state"]
    if state == "examined":
        return {
            "changed": False,
            "active": transient_unit.is_active(UNIT),
            "impossible": impossible(parameters["unit"], fill_root=parameters["fill_root"]),
        }
    if state == "present":
        return begin(parameters, check_mode=check_mode)
    if state == "ended":
        await_end()
    return {"changed": remove(check_mode=check_mode)}


def begin(parameters: dict[str, t.Any], *, check_mode: bool = False) -> dict[str, t.Any]:
    """Inject the fault, which is in effect once this returns.

    Raises:
        PlatformError: it is impossible; nothing of it is left.
    """
    fault, seconds = parameters["fault"], parameters["seconds"]
    reason = impossible(parameters["unit"], fill_root=parameters["fill_root"]).get(fault, "")
    if reason:
        raise PlatformError(
            f"{fault} is not done on this host: {reason}.",
            next_step="Leave it out: -e '{verify_ha_faults: [kill, pause]}'.",
        )
    if transient_unit.is_active(UNIT):
        raise PlatformError(
            "A fault is still being done on this host.", next_step=f"Wait for its end, or: systemctl stop {UNIT}"
        )
    if check_mode:
        return {"changed": True}
    remove()
    os.makedirs(DIRECTORY, mode=0o700)
    program, state = f"{DIRECTORY}/fault_program.py", f"{DIRECTORY}/state.json"
    with open(program, "w", encoding="utf-8") as file:
        file.write(transient_unit.source_of(fault_program))
    fault_program.write(
        state,
        {
            "fault": fault,
            "seconds": seconds,
            "unit": parameters["unit"],
            "ports": parameters["ports"],
            "peers": parameters["peers"],
            "path": data_directory(),
        },
    )
    said = transient_unit.start(UNIT, unit_text(fault, program, state, seconds), seconds=120)
    if said:
        why = _recorded_error(state) or said
        remove()
        raise PlatformError(
            f"{fault} could not be done on this host: {why}.",
            next_step=f"See there: journalctl -u {UNIT}. Nothing of it was left.",
        )
    return {"changed": True}


def unit_text(fault: str, program: str, state: str, seconds: int) -> str:
    """The service: `hold` reports when the fault is in effect, and `undo` follows it whatever happens."""
    return "\n".join(
        [
            "[Unit]",
            f"Description=wasmfaas verify_ha: {fault} of k3s for {seconds} s, then undone",
            "[Service]",
            "Type=notify",
            f"ExecStart={transient_unit.command_line(program, 'hold', state)}",
            f"ExecStopPost={transient_unit.command_line(program, 'undo', state)}",
            f"RuntimeMaxSec={seconds + SPARE_SECONDS}",
            "TimeoutStartSec=90",
            "TimeoutStopSec=90",
            "OOMScoreAdjust=-900",
            "",
        ]
    )


def await_end() -> None:
    """Wait until the host has ended the fault by itself."""
    recorded = _state(f"{DIRECTORY}/state.json")
    seconds = float(recorded.get("seconds", 0)) + SPARE_SECONDS + 90
    wait_for(lambda: not transient_unit.is_active(UNIT), seconds=seconds, interval=0.5, longest_interval=1.0)


def remove(*, check_mode: bool = False) -> bool:
    """End a fault now and remove its traces. Returns whether there was one."""
    if check_mode:
        return transient_unit.exists(UNIT) or os.path.isdir(DIRECTORY)
    removed = transient_unit.remove(UNIT)
    state = f"{DIRECTORY}/state.json"
    if os.path.exists(state) and not _state(state).get("undone"):
        # The service never came to its undoing, as when the unit file was removed by hand.
        fault_program.undo(state)
    if os.path.isdir(DIRECTORY):
        shutil.rmtree(DIRECTORY)
        removed = True
    return removed


def impossible(unit: str, *, fill_root: bool) -> dict[str, str]:
    """Why a fault is impossible here, by fault; only the impossible ones are listed."""
    reasons: dict[str, str] = {}
    if not transient_unit.available():
        return dict.fromkeys(FAULTS, "it needs systemd and root")
    if "LoadState=loaded" not in run_command(["systemctl", "show", f"{unit}.service", "--property=LoadState"]).output:
        return dict.fromkeys(FAULTS, f"this host has no unit {unit}")
    if not any(fault_program.program(name) for name in ("nft", "iptables", "ip")):
        reasons["cut"] = "there is neither nft nor iptables nor ip"
    why = "" if fill_root else not_to_be_filled(data_directory())
    if why:
        reasons["disk_full"] = why
    return reasons


def data_directory() -> str:
    """The directory of k3s' data whose file system etcd writes to."""
    directory = os.path.dirname(paths.ETCD_DIRECTORY)
    return directory if os.path.isdir(directory) else paths.DATA_DIRECTORY


def not_to_be_filled(directory: str) -> str:
    """Why the file system of `directory` must not be filled without verify_ha_fill_root; "" if it may be."""
    try:
        status = os.statvfs(directory)
        alone = os.stat(directory).st_dev != os.stat("/").st_dev
    except OSError as error:
        return str(error)
    size = status.f_blocks * status.f_frsize
    if not alone:
        return (
            f"{directory} has no file system of its own, all of the host would have no space "
            "(verify_ha_fill_root=true allows it)"
        )
    if size > FULL_BYTES:
        return (
            f"the file system of {directory} has {size / 2**30:.0f} GiB, more than {FULL_BYTES // 2**30} "
            "(verify_ha_fill_root=true allows it)"
        )
    if file_system_type(directory) in ("tmpfs", "ramfs"):
        return f"the file system of {directory} is in memory, filling it takes that"
    return ""


def file_system_type(directory: str) -> str:
    """Type of the file system that holds a directory, as of findmnt(8); "" where there is no findmnt."""
    try:
        return run_command(["findmnt", "--noheadings", "--output", "FSTYPE", "--target", directory]).output.strip()
    except PlatformError:
        return ""


def _recorded_error(path: str) -> str:
    return str(_state(path).get("error", ""))


def _state(path: str) -> dict[str, t.Any]:
    try:
        with open(path, encoding="utf-8") as file:
            return dict(json.load(file))
    except (OSError, ValueError):
        return {}
