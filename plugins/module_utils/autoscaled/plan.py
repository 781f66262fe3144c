# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings that all machines of an autoscaled group share, from the variables of the inventory; see the module
k3s_plan.

Each machine adds its own name, address and provider id: terraform/modules/node_group/files/join_cluster.py.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..k3s import paths
from ..k3s.config import config_check, configuration
from ..k3s.plan.configurations import configuration_problems
from ..k3s.plan.hosts import Host
from ..problems import Problem, raise_if_any

OF_THE_MACHINE = "(of the machine)"
"""The role node_bundle gives this value to variables that differ from machine to machine."""

OWN_ARGUMENTS = ("cloud-provider", "provider-id")
"""Arguments of the kubelet that join_cluster.py adds."""

OWN_KEYS = ("node-name", "node-ip")


@dataclasses.dataclass(frozen=True)
class AutoscaledGroup:
    """A group in Terraform's output `cluster`.

    Args:
        architecture: amd64 or arm64.
        labels: labels that its machines give themselves.
        taints: taints that its machines give themselves, with `key`, `value` and `effect`.
    """

    architecture: str
    labels: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    taints: t.Sequence[t.Mapping[str, str]] = ()


def plan_groups(groups: t.Sequence[tuple[Host, AutoscaledGroup]]) -> dict[str, t.Any]:
    """The variables of a host that the roles' templates read, for each group; see the module k3s_plan.

    Args:
        groups: each group with the host that stands for its machines.

    Raises:
        PlatformError: lists every problem with the variables of the groups.
    """
    problems = [problem for host, _group in groups for problem in configuration_problems(host)]
    raise_if_any(problems)
    plans = {host.name: _plan(host, group) for host, group in groups}
    raise_if_any([problem for name, plan in plans.items() for problem in _machine_problems(name, plan)])
    return {"hosts": plans, "messages": [text for host, group in groups for text in _messages(host, group)]}


def _plan(host: Host, group: AutoscaledGroup) -> dict[str, t.Any]:
    # Terraform's labels count where both have one; the settings of a group follow its label.
    config = configuration.build({**host.desired, "labels": {**(host.desired.get("labels") or {}), **group.labels}})
    kubelet = [
        argument for argument in config.get("kubelet-arg", []) if argument.partition("=")[0] not in OWN_ARGUMENTS
    ]
    config |= {
        "kubelet-arg": kubelet,
        # The machine adds the labels and taints that Terraform gives the group; here they would be duplicates.
        "node-label": [
            f"{key}={value}" for key, value in sorted(_labels(host, group).items()) if config_check.at_registration(key)
        ],
        "node-taint": [f"{taint['key']}={taint['value']}:{taint['effect']}" for taint in _taints(host, group)],
    }
    return {
        "role": "agent",
        "unit": paths.AGENT_UNIT,
        "action": "join",
        "node_name": host.name,
        "architecture": group.architecture,
        "config": {key: value for key, value in sorted(config.items()) if key not in OWN_KEYS and value != []},
    }


def _labels(host: Host, group: AutoscaledGroup) -> dict[str, str]:
    """The labels that the inventory adds. A label that Terraform sets too has Terraform's value, which the autoscaler
    expects."""
    wanted = host.desired.get("labels") or {}
    return {str(key): config_check.label_value(value) for key, value in wanted.items() if key not in group.labels}


def _taints(host: Host, group: AutoscaledGroup) -> list[dict[str, str]]:
    given = {(str(taint["key"]), str(taint["effect"])) for taint in group.taints}
    return [
        {
            "key": str(taint["key"]),
            "value": config_check.label_value(taint.get("value")),
            "effect": str(taint["effect"]),
        }
        for taint in host.desired.get("taints") or []
        if (str(taint["key"]), str(taint["effect"])) not in given
    ]


def _machine_problems(name: str, plan: t.Mapping[str, t.Any]) -> list[Problem]:
    return [
        Problem(
            name,
            f"{key} of config.yaml is made of a variable that only one machine has",
            "give the group a value of its own, in group_vars of its inventory group",
        )
        for key, value in plan["config"].items()
        if OF_THE_MACHINE in str(value)
    ]


def _messages(host: Host, group: AutoscaledGroup) -> list[str]:
    late = sorted(key for key in _labels(host, group) if not config_check.at_registration(key))
    if not late:
        return []
    return [(f"{host.name}: a node cannot give itself the label {', '.join(late)}; autoscaled nodes do not get it.")]
