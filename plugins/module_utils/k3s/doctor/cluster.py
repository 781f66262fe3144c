# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the cluster as a whole: its API, and the members of etcd."""

from __future__ import annotations

import typing as t

from ...problems import Problem, count
from ..plan.inventory_checks import RECOVER
from ..plan.machine_checks import RENEW
from .model import SITE, Host, Limits, Nodes, error, info, is_active, one_line, owner, remove_node, warning


def no_api(hosts: t.Sequence[Host]) -> t.Iterator[Problem]:
    """Why no server's API answers."""
    servers = [host for host in hosts if host.role == "server"]
    if not servers:
        yield error("cluster", "api-down", "the inventory has no server", "Put hosts into the group k3s_server")
        return
    with_data = [host for host in servers if host.k3s.get("has_data")]
    running = [host for host in with_data if is_active(host)]
    if not with_data:
        yield error(
            "cluster", "api-down", "no server of the inventory that was examined holds a cluster", f"Run {SITE}"
        )
        return
    if ended := [host.name for host in running if host.certificates_ended]:
        yield error(
            "cluster",
            "api-down",
            f"no server's API answers; the certificates of {', '.join(ended)} have ended",
            f"Run {RENEW}",
        )
        return
    majority = len(servers) // 2 + 1
    yield error(
        "cluster",
        "api-down",
        f"no server's API answers; k3s runs on {len(running)} of {len(servers)} servers, {majority} are needed for a "
        "majority",
        _way_out(len(with_data), len(running), majority),
    )


def _way_out(with_data: int, running: int, majority: int) -> str:
    if running < majority <= with_data:
        return f"Run {SITE}, which starts them"
    first = "See the lines of these servers" if running >= majority else "Bring back the other servers"
    return (
        f"{first}; if the majority of the cluster's servers is lost for good, run {RECOVER}, which keeps the data of "
        "one that is left, or ansible-playbook wasmfaas.platform.restore with a backup"
    )


def quorum(hosts: t.Sequence[Host], nodes: Nodes, _limits: Limits) -> t.Iterator[Problem]:
    """How many servers may fail."""
    servers = _servers(nodes)
    learners = [node for node in servers if node.get("learner")]
    voters = [node for node in servers if node.get("voter") is not False]
    down = _stopped(hosts)
    up = [node for node in voters if node["ready"] and not node.get("member_problem") and node["name"] not in down]
    spare = len(up) - (len(voters) // 2 + 1)
    state = (
        f"{count(len(servers), 'server')}, {count(len(voters), 'voter')} ({len(up)} up), "
        f"{count(len(learners), 'learner')}; {max(spare, 0)} more may fail"
    )
    if len(voters) >= 3 and spare <= 0:
        yield error(
            "cluster",
            "quorum",
            state,
            "Bring the failed servers back before anything else; never stop or remove another one meanwhile",
        )
    else:
        yield info("cluster", "quorum", state)
    if len(voters) > 1 and len(voters) % 2 == 0:
        yield warning(
            "cluster",
            "even-servers",
            f"{len(voters)} voters tolerate no more failures than {len(voters) - 1}",
            f"Add a server to the inventory and run {SITE}, or remove one: {remove_node('NAME')}",
        )


def members(hosts: t.Sequence[Host], nodes: Nodes, _limits: Limits) -> t.Iterator[Problem]:
    """Whether the etcd member of each server votes and answers."""
    hosts_by_node, down = {host.node_name: host for host in hosts}, _stopped(hosts)
    for node in _servers(nodes):
        where, host = owner(hosts, node["name"]), hosts_by_node.get(node["name"])
        if node.get("learner"):
            yield warning(
                where,
                "learner",
                "its etcd member is still a learner and has no vote",
                "Wait until it has caught up; else see journalctl -u k3s on it, and the speed of its disk",
            )
        # Other checks report a server that is down.
        if not node["ready"] or node["name"] in down or (host and (host.unreachable or host.k3s.get("tombstone"))):
            continue
        if node.get("member_problem") and node.get("voter"):
            yield error(
                where,
                "etcd-member",
                f"its etcd member does not answer: {one_line(node['member_problem'])}",
                "See journalctl -u k3s on it, port 2379 between the servers, and the speed of its disk",
            )
        elif node.get("member_problem"):
            yield error(
                where,
                "etcd-member",
                f"it has no member in etcd: {one_line(node['member_problem'])}",
                f"Run {remove_node(node['name'])}, then {SITE}: it joins anew",
            )


def _servers(nodes: Nodes) -> list[dict[str, t.Any]]:
    return [node for node in nodes.values() if node.get("control_plane")]


def _stopped(hosts: t.Sequence[Host]) -> set[str]:
    """Nodes on whose hosts k3s does not run. The API still calls them Ready for a while."""
    return {host.node_name for host in hosts if host.k3s and not is_active(host)}
