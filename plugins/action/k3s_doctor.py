# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints what is wrong with a cluster by what was read of all its hosts; see the module of the same name."""

from __future__ import annotations

import json
import time
import typing as t

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..doc_fragments.k3s import ModuleDocFragment
from ..module_utils.documented_arguments import documented_arguments
from ..module_utils.host import whole_file
from ..module_utils.k3s.doctor.diagnosis import diagnose, summary
from ..module_utils.k3s.doctor.model import Host, Limits
from ..module_utils.problems import ERROR, INFO, WARNING, Problem
from ..module_utils.registry import ecr
from ..modules.k3s_doctor import DOCUMENTATION

COLOURS = {
    ERROR: constants.COLOR_ERROR,
    WARNING: constants.COLOR_WARN,
    INFO: constants.COLOR_OK,
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no type information
    _requires_connection = False
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec=documented_arguments(DOCUMENTATION, ModuleDocFragment.GROUPS)
        )
        variables = task_vars or {}
        hosts = _hosts(variables, arguments["servers_group"], arguments["agents_group"])
        limits = Limits(
            now=time.time(),
            clock=arguments["clock_difference"],
            snapshot_age=arguments["snapshot_age_hours"] * 3600,
            version=str(variables.get("k3s_version") or ""),
        )
        problems = diagnose(hosts, limits)
        errors, warnings = (sum(problem.severity == severity for problem in problems) for severity in (ERROR, WARNING))
        result.update(
            changed=False,
            problems=[problem.as_dictionary() for problem in problems],
            error_count=errors,
            warning_count=warnings,
            msg=summary(problems),
        )
        document = {"errors": errors, "warnings": warnings, "problems": result["problems"]}
        _show(problems, document, arguments["format"])
        if arguments["file"] and not self._task.check_mode:
            whole_file.write(arguments["file"], json.dumps(document, ensure_ascii=False, indent=2) + "\n", mode=None)
        return result


def _hosts(variables: dict[str, t.Any], servers: str, agents: str) -> list[Host]:
    groups, hostvars = variables["groups"], variables["hostvars"]
    named = [(name, "server") for name in groups.get(servers) or []]
    named += [(name, "agent") for name in groups.get(agents) or [] if name not in groups.get(servers, [])]
    return [_host(name, role, hostvars[name]) for name, role in named]


def _host(name: str, role: str, variables: t.Any) -> Host:
    node, read = variables.get("k3s_node") or {}, variables.get("k3s_diagnosis") or {}
    # The playbook says failed_when: false, which takes `failed` away: that a module ended well shows by what it
    # returns.
    unread = [one for one, key in ((node, "node"), (read, "diagnosis")) if key not in one]
    problem = _reason(unread[0]) if unread and node else ""
    k3s = (node.get("node") or {}).get("k3s") or {}
    return Host(
        name=name,
        role=role,
        node_name=str(k3s.get("node_name") or variables.get("k3s_node_name") or name),
        problem=problem,
        left_out=not node,
        unreachable=bool(node.get("unreachable") or read.get("unreachable")),
        node=node.get("node") or {},
        cluster=node.get("cluster"),
        diagnosis=dict(read.get("diagnosis") or {}),
        clock=(node.get("clock") or {}).get("offset"),
        ecr_registry=_ecr_registry(variables),
    )


def _ecr_registry(variables: t.Any) -> str:
    """Registry of Amazon ECR that the inventory's `registry` names, unless it says that nodes need no login there
    (roles/registries)."""
    registry, login = (variables.get(name, "") for name in ("registry", "registries_ecr_login"))
    return ecr.host_in(registry) if isinstance(registry, str) and str(login).lower() not in ("false", "no") else ""


def _reason(result: t.Any) -> str:
    # Ansible's own words in front of those of a connection say nothing.
    return str(result.get("msg") or "no reason given").removeprefix("Task failed: ")


def _show(problems: list[Problem], document: dict[str, t.Any], form: str) -> None:
    display = Display()
    if form == "json":
        display.display(json.dumps(document, ensure_ascii=False))
        return
    for problem in problems:
        display.display(problem.with_severity(), color=COLOURS[problem.severity])
    display.display(summary(problems))
