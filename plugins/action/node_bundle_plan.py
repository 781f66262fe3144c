# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the settings that the machines of autoscaled groups share; see the module node_bundle_plan. Runs on the
controller and touches no host."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.wasmfaas.platform.plugins.module_utils.autoscaled.plan import AutoscaledGroup, plan_groups
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.inventory import host_of


class ActionModule(ActionBase):  # type: ignore[misc] # Ansible has no type information
    """See the module node_bundle_plan."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        result: dict[str, t.Any] = super().run(tmp, variables)
        self.validate_argument_spec(argument_spec={})
        hosts = variables["hostvars"]
        groups = []
        for name in variables["ansible_play_hosts"]:
            given = hosts[name]["node_bundle_group"]
            group = AutoscaledGroup(
                str(given["architecture"]), dict(given.get("labels") or {}), list(given.get("taints") or [])
            )
            groups.append((host_of(name, "agent", hosts[name], in_play=True), group))
        try:
            plan = plan_groups(groups)
        except PlatformError as error:
            return {**result, "failed": True, "msg": error.cause, "problems": error.facts.get("problems", [])}
        for message in plan["messages"]:
            self._display.warning(message)
        return {**result, "changed": False, **plan}
