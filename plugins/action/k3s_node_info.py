# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of the module k3s_node_info: tells the host which others it must reach, compares its clock with
that of this machine, and reads registries.yaml, for which hosts have no parser and whose passwords stay here."""

from __future__ import annotations

import base64
import time
import typing as t

from ansible.plugins.action import ActionBase

from ..module_utils.k3s import paths
from ..module_utils.k3s.config.registry_trust import RegistryFile, examine
from ..module_utils.k3s.plan.inventory import group_members, peer_of
from ..module_utils.k3s.plan.reach import clock_difference, connections

DIAGNOSIS = "diagnosis"


class ActionModule(ActionBase):  # type: ignore[misc] # Ansible has no type information
    """See the module k3s_node_info."""

    _requires_connection = True
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        result: dict[str, t.Any] = super().run(tmp, variables)
        arguments = dict(self._task.args)
        registries = self._registries(variables) if DIAGNOSIS in (arguments.get("gather") or []) else None
        if registries:
            arguments.update(registry_endpoints=registries.endpoints, registry_files=registries.files)
        if "connections" not in arguments:
            arguments["connections"] = self._needed_connections(arguments, variables)
        before = time.time()
        result.update(self._execute_module(module_args=arguments, task_vars=variables))
        after = time.time()
        result.pop("invocation", None)
        if "node" in result:
            result["clock"] = clock_difference(result["node"]["time"], before, after)
        if registries and DIAGNOSIS in result:
            result[DIAGNOSIS]["registries"]["problems"] = registries.problems
        return result

    def _needed_connections(self, arguments: dict[str, t.Any], variables: dict[str, t.Any]) -> list[str]:
        members = group_members(variables["groups"], arguments.get("servers_group"), arguments.get("agents_group"))
        peers = [peer_of(name, role, variables["hostvars"][name]) for name, role in members]
        own = next((peer for peer in peers if peer.name == variables["inventory_hostname"]), None)
        if own is None:
            return []
        desired = variables["hostvars"][own.name].get("k3s_desired") or {}
        return connections(own, peers, int(desired.get("api_port") or 6443))

    def _registries(self, task_vars: dict[str, t.Any]) -> RegistryFile:
        # The connection shows at -vvv what comes back, unless the play's context says otherwise.
        context, shown = self._play_context, self._play_context.no_log
        context.no_log = True
        try:
            read = self._execute_module(
                "ansible.legacy.slurp", module_args={"src": paths.REGISTRIES}, task_vars=task_vars
            )
        finally:
            context.no_log = shown
        if read.get("failed"):
            return RegistryFile([], [], [])
        return examine(base64.b64decode(read["content"]).decode("utf-8", "replace"))
