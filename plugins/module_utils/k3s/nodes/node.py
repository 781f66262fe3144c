# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module k3s_node, on a server of the cluster: drains nodes, lets them take pods again, or removes them."""

from __future__ import annotations

import socket
import typing as t

from ...kubernetes.kubectl import host_kubectl
from .drain import MARGIN_SECONDS, Drain
from .removal import Removal


def run(parameters: dict[str, t.Any], check_mode: bool, _hidden: set[str]) -> dict[str, t.Any]:
    """The module `k3s_node`: its options to its result."""
    program, timeout, reason = parameters["k3s_binary"], parameters["drain_timeout"], parameters["reason"]
    kubectl = host_kubectl(program)
    drain = Drain(
        kubectl,
        host_kubectl(program, seconds=timeout + MARGIN_SECONDS),
        timeout=timeout,
        delete_unmanaged_pods=parameters["delete_unmanaged_pods"],
    )
    if parameters["state"] == "absent":
        removal = Removal(
            kubectl,
            drain,
            this_node=parameters["this_node"] or socket.gethostname().lower(),
            force=parameters["force"],
            wait=parameters["wait"],
        )
        return removal.remove(parameters["nodes"], check_mode=check_mode)
    change = drain.drain_for if parameters["state"] == "drained" else drain.restore
    changed = [name for name in parameters["nodes"] if change(name, reason, check_mode=check_mode)]
    return {"changed": bool(changed), "changed_nodes": changed}
