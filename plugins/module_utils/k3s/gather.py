# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module k3s_node_info gathers on a host: the host itself, its cluster, and what may be wrong."""

from __future__ import annotations

import typing as t

from .doctor import node_diagnosis
from .host import node_info

NODE, CLUSTER, DIAGNOSIS = "node", "cluster", "diagnosis"
SUBJECTS = (NODE, CLUSTER, DIAGNOSIS)


def run(parameters: dict[str, t.Any], _check_mode: bool, _hidden: set[str]) -> dict[str, t.Any]:
    """The module `k3s_node_info`: its options to its result."""
    gather, result = parameters["gather"], {}
    if NODE in gather or CLUSTER in gather:
        read = node_info.read(
            ask=CLUSTER in gather,
            ports=parameters["ports"],
            connections=parameters["connections"] or [],
            disk_paths=parameters["disk_paths"],
        )
        result.update(read)
    if DIAGNOSIS in gather:
        result[DIAGNOSIS] = node_diagnosis.read(
            registry_endpoints=parameters["registry_endpoints"],
            registry_files=parameters["registry_files"],
            registry_timeout=parameters["registry_timeout"],
        )
    return {"changed": False, **result}
