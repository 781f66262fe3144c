# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the inventory: groups, names, addresses, and hosts that would change their role or name."""

from __future__ import annotations

import itertools
import re
import typing as t

from ...problems import Problem
from ..config import config_check
from .hosts import Host


def group_problems(hosts: t.Sequence[Host]) -> list[Problem]:
    """Groups with which no plan can be made."""
    roles: dict[str, set[str]] = {}
    for host in hosts:
        roles.setdefault(host.name, set()).add(host.role)
    problems = [
        Problem(
            name,
            "it is in the servers' group and in the agents' group",
            "leave it in one of them: a server runs pods as well",
        )
        for name, found in roles.items()
        if len(found) > 1
    ]
    if "server" not in set().union(*roles.values()):
        problems.append(
            Problem(
                "",
                "the inventory has no server",
                "put at least one host into the group k3s_server",
            )
        )
    return problems


def foreign_problems(hosts: t.Sequence[Host]) -> list[Problem]:
    """Hosts whose k3s this collection did not install: it would overwrite their settings, or delete their data, without
    knowing the token, the flags and the datastore that they run with."""
    problems = []
    for host in hosts:
        if unit := host.k3s.get("foreign_unit"):
            script = "k3s-agent-uninstall.sh" if host.k3s.get("role") == "agent" else "k3s-uninstall.sh"
            problems.append(
                Problem(
                    host.name,
                    f"its k3s was not installed by this collection ({unit} is of another make, such as k3s's install "
                    "script), and cannot be taken over",
                    "use another host; or save what you need, remove that k3s with what installed it (k3s's install "
                    f"script leaves /usr/local/bin/{script}), and run this again",
                )
            )
    return problems


def inventory_problems(hosts: t.Sequence[Host]) -> list[Problem]:
    """Names, addresses and machine ids that several hosts have in common."""
    problems = _clashes(hosts, lambda host: [host.node_name], "the node name {}", "give each its own k3s_node_name")
    problems += _clashes(
        hosts,
        lambda host: (
            [machine]
            if host.known and (machine := host.node.get("machine_id")) not in ("", "uninitialized", None)
            else []
        ),
        "the machine id {}",
        "if they are clones, run rm /etc/machine-id && systemd-machine-id-setup on all but one, then reboot",
    )
    problems += _clashes(
        hosts,
        lambda host: [host.address] if host.known and host.address else [],
        "the address {}",
        "give each its own k3s_node_address or ansible_host",
    )
    for host in hosts:
        if host.in_play and not config_check.is_node_name(host.node_name):
            better = re.sub(r"[^a-z0-9.-]+", "-", host.node_name.lower()).strip("-.") or "node-1"
            problems.append(
                Problem(host.name, f"{host.node_name!r} cannot be the name of a node", f"set k3s_node_name: {better}")
            )
    return problems


RECOVER = "ansible-playbook wasmfaas.platform.recover -e survivor=NAME -e lost=NAME,NAME"


def unreachable_problems(hosts: t.Sequence[Host]) -> list[Problem]:
    """Hosts of this run that could not be examined."""
    servers = [host for host in hosts if host.role == "server"]
    holding = [host for host in servers if host.known and host.has_data]
    without_majority = (
        f"; if the majority of the servers is gone for good, run {RECOVER}"
        if holding and len(holding) <= len(servers) // 2 and not any(host.is_live_server for host in servers)
        else ""
    )
    return [
        Problem(
            host.name,
            f"it cannot be examined ({host.unreachable or 'no answer'})",
            f"bring it back; or leave it out this time: --limit 'all:!{host.name}'; or, if it is gone for good, take "
            "it out of the inventory and run with -e prune=true" + (without_majority if host.role == "server" else ""),
        )
        for host in hosts
        if host.in_play and not host.known
    ]


def role_problems(host: Host) -> list[Problem]:
    """A host that has been a node of the other role."""
    before = host.k3s.get("role") or ("server" if host.k3s.get("has_server_data") else host.role)
    if before == host.role:
        return []
    return [
        Problem(
            host.name,
            f"it is {article(before)}, and the inventory makes it {article(host.role)}",
            f"take it out of the cluster first: ansible-playbook wasmfaas.platform.remove_node -e node={host.name}; "
            "then run ansible-playbook wasmfaas.platform.site again",
        )
    ]


def identity_problems(host: Host) -> list[Problem]:
    """A node that is there already and would change its name, or has a datastore that cannot grow."""
    if not host.has_data or host.k3s.get("role") != host.role:
        return []
    problems = []
    before = str(host.k3s.get("node_name") or host.node_name)
    if before != host.node_name:
        problems.append(
            Problem(
                host.name,
                f"its node is called {before}, and the inventory calls it {host.node_name}",
                f"set k3s_node_name: {before}; or run ansible-playbook wasmfaas.platform.remove_node -e "
                f"node={host.name}, and let it join anew",
            )
        )
    if host.role == "server" and host.k3s.get("datastore") == "sqlite":
        problems.append(
            Problem(
                host.name,
                "its k3s keeps its data in SQLite, which one server alone can use",
                "convert it to etcd (start it once with cluster-init: true; docs.k3s.io/datastore/ha-embedded, "
                "existing single-node clusters), or run ansible-playbook wasmfaas.platform.reset",
            )
        )
    return problems


def _clashes(
    hosts: t.Sequence[Host], values: t.Callable[[Host], list[str]], what: str, next_step: str
) -> list[Problem]:
    pairs = sorted((value, position) for position, host in enumerate(hosts) for value in values(host))
    problems = []
    for value, group in itertools.groupby(pairs, key=lambda pair: pair[0]):
        names = [hosts[position].name for _value, position in group]
        if len(names) > 1:
            problems.append(Problem("", f"{', '.join(names)} have {what.format(value)} in common", next_step))
    return problems


def article(role: str) -> str:
    """The role with its article, such as `a server`."""
    return f"an {role}" if role == "agent" else f"a {role}"
