# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what each host needs so that the inventory becomes the cluster; see the module k3s_plan. Runs on the
controller and touches no host."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.cluster_plan import make_plan
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.hosts import Settings
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.inventory import (
    AGENTS_GROUP,
    SERVERS_GROUP,
    group_members,
    host_of,
)


class ActionModule(ActionBase):  # type: ignore[misc] # Ansible has no type information
    """See the module k3s_plan."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        result: dict[str, t.Any] = super().run(tmp, variables)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "servers_group": {"type": "str", "default": SERVERS_GROUP},
                "agents_group": {"type": "str", "default": AGENTS_GROUP},
                "prune": {"type": "bool", "default": False},
                "purpose": {"type": "str", "choices": ["site", "upgrade"], "default": "site"},
            }
        )
        play = set(variables.get("ansible_play_hosts_all") or [])
        members = group_members(variables["groups"], arguments["servers_group"], arguments["agents_group"])
        hosts = [host_of(name, role, variables["hostvars"][name], in_play=name in play) for name, role in members]
        try:
            plan = make_plan(hosts, Settings.of(hosts, prune=arguments["prune"], purpose=arguments["purpose"]))
        except PlatformError as error:
            return {**result, "failed": True, "msg": error.cause, "problems": error.facts.get("problems", [])}
        for message in plan["messages"]:
            self._display.warning(message)
        return {**result, "changed": False, **plan}
