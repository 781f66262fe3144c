# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the hosts of the two groups out of Ansible's variables. Runs on the controller only."""

from __future__ import annotations

import typing as t

from .hosts import Host
from .reach import Peer

SERVERS_GROUP = "k3s_server"
AGENTS_GROUP = "k3s_agent"

CONFIG_VARIABLES = {
    "server": ("k3s_config", "k3s_server_config", "k3s_node_config"),
    "agent": ("k3s_config", "k3s_agent_config", "k3s_node_config"),
}
"""Variables with keys of config.yaml, the later over the earlier (roles/k3s, tasks/plan.yml)."""


def group_members(
    groups: t.Mapping[str, t.Sequence[str]], servers_group: str | None = None, agents_group: str | None = None
) -> list[tuple[str, str]]:
    """Name and role of all hosts of the two groups, servers first, in the order of the inventory."""
    servers = groups.get(servers_group or SERVERS_GROUP) or []
    agents = groups.get(agents_group or AGENTS_GROUP) or []
    return [*((name, "server") for name in servers), *((name, "agent") for name in agents)]


def peer_of(name: str, role: str, variables: t.Mapping[str, t.Any]) -> Peer:
    """A host as the others reach it, as far as the inventory tells."""
    desired = variables.get("k3s_desired") or {}
    address = str(desired.get("address") or "").partition(",")[0].strip()
    return Peer(name, role, address or reach_of(name, variables))


def reach_of(name: str, variables: t.Mapping[str, t.Any]) -> str:
    """Name or address that Ansible reaches a host by; "" for one that it reaches by no network."""
    if variables.get("ansible_connection") in ("local", "ansible.builtin.local"):
        return ""
    return str(variables.get("ansible_host") or name)


def host_of(
    name: str, role: str, variables: t.Mapping[str, t.Any], *, in_play: bool, info_variable: str = "k3s_node"
) -> Host:
    """A host with what it shall be (k3s_desired) and what k3s_node_info found (`info_variable`)."""
    info = variables.get(info_variable) or {}
    lost = bool(info.get("unreachable") or info.get("failed")) or not info.get("node")
    reason = str(info.get("msg") or "").strip().partition("\n")[0].removeprefix("Task failed: ")
    return Host(
        name=name,
        role=role,
        desired=dict(variables.get("k3s_desired") or {}) if in_play else {},
        info={} if lost or not in_play else dict(info),
        in_play=in_play,
        unreachable=(reason or "no answer") if lost and in_play else "",
        reach=reach_of(name, variables),
        node_name_hint=str(variables.get("k3s_node_name") or name),
        sources=_sources(role, variables),
    )


def _sources(role: str, variables: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The variable that a key was last set in; a role's defaults are not among a host's variables, but they are
    empty."""
    found: dict[str, str] = {}
    for variable in CONFIG_VARIABLES[role]:
        content = variables.get(variable)
        if isinstance(content, dict):
            found.update({str(key): variable for key in content})
    return found
