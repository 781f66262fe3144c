# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans and evaluates the proof of high availability; see the documentation of the module of the same name."""

from __future__ import annotations

import json
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..doc_fragments.k3s import ModuleDocFragment
from ..module_utils.documented_arguments import documented_arguments
from ..module_utils.host import whole_file
from ..module_utils.k3s.verify_ha import high_availability
from ..modules.k3s_verify_ha import DOCUMENTATION


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no type information
    _requires_connection = False
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec=documented_arguments(DOCUMENTATION, ModuleDocFragment.GROUPS)
        )
        if arguments["step"] == "plan":
            return {**result, **_plan(task_vars or {}, arguments)}
        return {**result, **self._judge(arguments)}

    def _judge(self, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        from tabulate import tabulate

        outcome = high_availability.judge(
            arguments["plan"], arguments["report"], arguments["failures"], gap_limit=arguments["gap_limit"]
        )
        summary = high_availability.summary(outcome.document)
        display = Display()
        for line in tabulate(outcome.rows, headers=high_availability.HEADINGS, tablefmt="plain").splitlines():
            display.display(line)
        for problem in outcome.problems:
            display.display(f"Problem: {problem}")
        display.display(summary)
        if arguments["file"] and not self._task.check_mode:
            whole_file.write(
                arguments["file"], json.dumps(outcome.document, ensure_ascii=False, indent=2) + "\n", mode=None
            )
        return {"changed": False, "document": outcome.document, "passed": not outcome.problems, "msg": summary}


def _plan(variables: dict[str, t.Any], arguments: dict[str, t.Any]) -> dict[str, t.Any]:
    groups, hostvars = variables["groups"], variables["hostvars"]
    servers = groups.get(arguments["servers_group"]) or []
    agents = [name for name in groups.get(arguments["agents_group"]) or [] if name not in servers]
    hosts = [_host(name, "server", hostvars[name]) for name in servers] + [
        _host(name, "agent", hostvars[name]) for name in agents
    ]
    request = high_availability.Request(
        confirmed=arguments["confirmed"],
        faults=arguments["faults"],
        servers=arguments["servers"],
        seconds=arguments["seconds"],
        writer=arguments["writer"],
        api_port=arguments["api_port"],
    )
    planned = high_availability.plan(hosts, request)
    if planned["problems"]:
        listed = "\n".join(f"{number}. {problem}" for number, problem in enumerate(planned["problems"], 1))
        return {
            "failed": True,
            "changed": False,
            "problems": [problem.as_dictionary() for problem in planned["problems"]],
            "msg": f"Nothing was done to the cluster:\n{listed}",
        }
    return {"changed": False, **planned}


def _host(name: str, role: str, variables: t.Any) -> high_availability.Host:
    node, fault = variables.get("k3s_node") or {}, variables.get("k3s_fault") or {}
    unread = "node" not in node or (role == "server" and "impossible" not in fault)
    k3s = (node.get("node") or {}).get("k3s") or {}
    return high_availability.Host(
        name=name,
        role=role,
        node_name=str(k3s.get("node_name") or variables.get("k3s_node_name") or name),
        problem=str(node.get("msg") or fault.get("msg") or "it was left out (--limit)") if unread else "",
        node=node.get("node") or {},
        cluster=node.get("cluster"),
        impossible=fault.get("impossible") or {},
        fault_active=bool(fault.get("active")),
    )
