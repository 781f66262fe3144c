# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives what k3s_node_info found on all hosts to the decisions in module_utils/k3s/plan/lifecycle.py."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan import lifecycle
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.hosts import Host
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.inventory import (
    AGENTS_GROUP,
    SERVERS_GROUP,
    group_members,
    host_of,
)


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no type information
    """See the documentation of the module of the same name."""

    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        task_vars = task_vars or {}
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "purpose": {
                    "type": "str",
                    "required": True,
                    "choices": ["serve", "change_all", "remove", "reset", "restore"],
                },
                "servers_group": {"type": "str", "default": SERVERS_GROUP},
                "agents_group": {"type": "str", "default": AGENTS_GROUP},
                "nodes": {"type": "list", "elements": "str", "default": []},
                "keep_hosts": {"type": "bool", "default": False},
                "confirm": {"type": "str", "default": ""},
                "backup": {"type": "dict", "default": {}},
                "identity": {"type": "str", "default": ""},
                "restore_host": {"type": "str", "default": ""},
            }
        )
        cluster = lifecycle.Cluster(hosts(task_vars, arguments["servers_group"], arguments["agents_group"]))
        try:
            result.update(decide(cluster, arguments), changed=False)
        except PlatformError as error:
            result.update(failed=True, msg=error.cause, **error.facts)  # each problem has its own next step
        return result


def decide(cluster: lifecycle.Cluster, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
    purpose = arguments["purpose"]
    if purpose == "remove":
        return lifecycle.remove(cluster, arguments["nodes"], keep_hosts=arguments["keep_hosts"])
    if purpose == "reset":
        return lifecycle.reset(cluster, arguments["confirm"])
    if purpose == "restore":
        return lifecycle.restore(
            cluster,
            arguments["backup"],
            arguments["confirm"],
            identity=arguments["identity"],
            chosen=arguments["restore_host"],
        )
    return lifecycle.change_all(cluster) if purpose == "change_all" else lifecycle.serve(cluster)


def hosts(task_vars: dict[str, t.Any], servers_group: str, agents_group: str) -> list[Host]:
    """All hosts of the two groups, with what the tasks before have found on them, `k3s_node` and
    `k3s_restore_memory`."""
    playing = set(task_vars.get("ansible_play_hosts_all") or [])
    found: list[Host] = []
    for name, role in group_members(task_vars["groups"], servers_group, agents_group):
        variables = task_vars["hostvars"][name]
        host = host_of(name, role, variables, in_play=name in playing)
        memory = (variables.get("k3s_restore_memory") or {}).get("in_progress") or {}
        found.append(dataclasses.replace(host, info={**host.info, "restore": memory}))
    return found
