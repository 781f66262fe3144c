# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New leaf certificates for the k3s of this host.

Certificates are as old as their files, so a run after one that was cut off leaves hosts alone that are done.
"""

from __future__ import annotations

import os
import time
import typing as t

from ...errors import PlatformError
from .. import paths
from ..host.leaf_certificates import ages, ended, taken_away
from ..host.service import Options, Service
from .k3s_command import Run, last_line, run_on_host, tail
from .snapshot import moment

ROTATE = (paths.K3S_BINARY, "certificate", "rotate")
ROTATE_SECONDS = 120.0
JUST_MADE_SECONDS = 600.0
"""So old at most are certificates that a run which was cut off has made."""


def rotate(
    unit: str,
    *,
    node_name: str,
    minimum_age: float,
    timeout: float,
    check_mode: bool = False,
    run: Run = run_on_host,
    service: t.Callable[..., Service] | None = None,
) -> dict[str, t.Any]:
    """New keys and certificates for this host, unless they are younger than `minimum_age` seconds; the module's result.

    As k3s docs, cli/certificate.md want it: stop, `k3s certificate rotate`, start; a server only while all others are
    healthy.

    Raises:
        PlatformError: another server is not healthy, or k3s does not start.
    """
    make = service or Service
    begin = make(Options(unit=unit, state="started", node_name=node_name, timeout=timeout))
    made, ends = ages(unit)
    if time.time() - made < minimum_age:
        # An earlier run may have been cut off before the start.
        started = begin.manage(check_mode=check_mode)
        return {"changed": started["changed"], "rotated": False, "made": moment(made), "ends": moment(ends)}
    if check_mode:
        return {"changed": True, "rotated": True, "made": moment(made), "ends": moment(ends)}
    if begin.show()["ActiveState"] == "active" and unit == paths.SERVER_UNIT:
        begin.pass_gate()
    make(Options(unit=unit, state="stopped", node_name=node_name, timeout=timeout)).manage(check_mode=False)
    completed = run(ROTATE, ROTATE_SECONDS)
    begin.manage(check_mode=False)  # also where the rotation failed: the old certificates are as good as before
    if completed.exit_code != 0:
        raise PlatformError(
            f"k3s did not rotate the certificates of {node_name}: {last_line(completed)}",
            next_step="See the output of the task.",
            facts={"output": tail(completed)},
        )
    made, ends = ages(unit)
    return {"changed": True, "rotated": True, "made": moment(made), "ends": moment(ends)}


def renew_ended(
    unit: str,
    *,
    node_name: str,
    timeout: float,
    check_mode: bool = False,
    run: Run = run_on_host,
    service: t.Callable[..., Service] | None = None,
) -> dict[str, t.Any]:
    """New certificates for this host if one of them has ended; the module's result.

    Asks nobody else and waits for nobody: the API accepts no certificate that has ended, and servers whose certificates
    have ended form a majority only together. `rotated`: whether the caller must wait until k3s works, also after a run
    that was cut off before that.

    Raises:
        PlatformError: k3s does not stop, or does not rotate.
    """
    make = service or Service
    start = make(Options(unit=unit, state="started", node_name=node_name, timeout=timeout, wait=False))
    end = ended(unit)
    result = {"changed": False, "rotated": False, "ended": moment(end) if end else ""}
    if unit == paths.SERVER_UNIT and os.path.exists(paths.TOMBSTONE):
        return result  # the cluster removed it
    if end:
        result.update(changed=True, rotated=True)
        if check_mode:
            return result
        make(Options(unit=unit, state="stopped", node_name=node_name, timeout=timeout)).manage(check_mode=False)
        completed = run(ROTATE, ROTATE_SECONDS)
        start.manage(check_mode=False)  # it renews what has ended, also where the rotation failed
        if completed.exit_code != 0:
            raise PlatformError(
                f"k3s did not rotate the certificates of {node_name}, and was started with the old ones: "
                f"{last_line(completed)}",
                next_step="See the output of the task, and run it again.",
                facts={"output": tail(completed)},
            )
    elif taken_away(unit):
        result.update(changed=start.manage(check_mode=check_mode)["changed"], rotated=not check_mode)
    elif start.show()["ActiveState"] == "activating" and time.time() - ages(unit)[0] < JUST_MADE_SECONDS:
        result.update(rotated=True)
    return result
