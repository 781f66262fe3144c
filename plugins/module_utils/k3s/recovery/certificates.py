# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New leaf certificates for the k3s of this host.

Certificates are as old as their files, so a run after one that was cut off leaves hosts alone that are done.
"""

from __future__ import annotations

import contextlib
import glob
import os
import time
import typing as t

from ...errors import PlatformError
from .. import paths
from ..host import certificates as certificate_files
from ..host.service import Options, Service
from .k3s_command import Run, last_line, run_on_host, tail
from .snapshot import moment

AUTHORITY_SUFFIXES = ("-ca.crt", "-ca.nochain.crt")


def leaves(unit: str) -> list[str]:
    """Files of the certificates that k3s makes anew where they are missing. Those of the authorities are not among
    them."""
    directory = f"{paths.SERVER_DIRECTORY}/tls" if unit == paths.SERVER_UNIT else paths.AGENT_DIRECTORY
    found = [*glob.glob(f"{directory}/*.crt"), *glob.glob(f"{directory}/etcd/*.crt")]
    return sorted(path for path in found if not path.endswith(AUTHORITY_SUFFIXES))


def ages(unit: str) -> tuple[float, float]:
    """When the oldest leaf certificate was made, and when the first one ends, in seconds since 1970; zeros where there
    are none.

    A certificate's own beginning does not tell: k3s sets it to that of its authority (rancher/dynamiclistener,
    cert.NewSignedCert).
    """
    made, ends = [], []
    for path in leaves(unit):
        with contextlib.suppress(OSError, certificate_files.NotACertificate), open(path, "rb") as file:
            ends.append(certificate_files.end_of_first(file.read()))
            made.append(os.path.getmtime(path))
    return (min(made), min(ends)) if made else (0.0, 0.0)


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
    completed = run([paths.K3S_PROGRAM, "certificate", "rotate"], 120)
    begin.manage(check_mode=False)  # also where the rotation failed: the old certificates are as good as before
    if completed.exit_code != 0:
        raise PlatformError(
            f"k3s did not rotate the certificates of {node_name}: {last_line(completed)}",
            next_step="See the output of the task.",
            facts={"output": tail(completed)},
        )
    made, ends = ages(unit)
    return {"changed": True, "rotated": True, "made": moment(made), "ends": moment(ends)}
