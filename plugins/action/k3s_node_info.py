# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module k3s_node_info on a host, told which others it must reach, and compares its clock with this
machine's."""

from __future__ import annotations

import time
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.inventory import group_members, peer_of
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.reach import clock_difference, connections


class ActionModule(ActionBase):  # type: ignore[misc] # Ansible has no type information
    """See the module k3s_node_info."""

    TRANSFERS_FILES = False
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        result: dict[str, t.Any] = super().run(tmp, variables)
        arguments = dict(self._task.args)
        if "connections" not in arguments:
            arguments["connections"] = self._needed_connections(arguments, variables)
        before = time.time()
        result.update(self._execute_module(module_args=arguments, task_vars=variables))
        after = time.time()
        if "node" in result:
            result["clock"] = clock_difference(result["node"]["time"], before, after)
        return result

    def _needed_connections(self, arguments: dict[str, t.Any], variables: dict[str, t.Any]) -> list[str]:
        members = group_members(variables["groups"], arguments.get("servers_group"), arguments.get("agents_group"))
        peers = [peer_of(name, role, variables["hostvars"][name]) for name, role in members]
        own = next((peer for peer in peers if peer.name == variables["inventory_hostname"]), None)
        if own is None:
            return []
        desired = variables["hostvars"][own.name].get("k3s_desired") or {}
        return connections(own, peers, int(desired.get("api_port") or 6443))
