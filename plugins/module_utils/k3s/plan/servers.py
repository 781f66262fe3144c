# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for the number of servers: etcd keeps its majority, and the number is odd."""

from __future__ import annotations

import typing as t

from ...problems import Problem
from .hosts import Host, Settings
from .live_cluster import RUNNING, Cluster


def quorum_problems(
    play: t.Sequence[Host],
    actions: t.Mapping[str, str],
    cluster: Cluster,
    gone: t.Sequence[t.Mapping[str, t.Any]],
    settings: Settings,
) -> list[Problem]:
    """Members that cannot leave, since etcd would lose its majority."""
    if cluster.state != RUNNING:
        return []
    replaced = {host.node_name for host in play if host.role == "server" and actions[host.name] == "replace"}
    leaving = replaced | {str(node["name"]) for node in gone if settings.prune}
    voters = {str(node["name"]): bool(node["alive"] and not node.get("member_problem")) for node in cluster.voters}
    # A cluster that answers has its majority. It does not lose it when a dead member leaves, or a stale node after a
    # restore.
    out = sorted(name for name in leaving if voters.get(name))
    staying = [alive for name, alive in voters.items() if name not in leaving]
    if not out or sum(staying) > len(staying) // 2:
        return []
    return [
        Problem(
            "",
            f"without {', '.join(out)}, {sum(staying)} of {len(staying)} servers would be left, which is not a "
            "majority",
            "bring a server back, or add one, before any other leaves; if they are lost for good, run "
            "ansible-playbook wasmfaas.platform.restore",
        )
    ]


def count_problems(
    hosts: t.Sequence[Host],
    actions: t.Mapping[str, str],
    cluster: Cluster,
    gone: t.Sequence[t.Mapping[str, t.Any]],
    settings: Settings,
) -> list[Problem]:
    """A change that leaves an even number of servers: one more server can fail, but the cluster survives no more
    failures."""
    servers = [host.name for host in hosts if host.role == "server"]
    staying = [str(node["name"]) for node in gone if node["control_plane"] and not settings.prune]
    leaving = [node for node in gone if node["control_plane"] and settings.prune]
    count = len(servers) + len(staying)
    changes = leaving or any(actions.get(name) in ("init", "join") for name in servers)
    if count % 2 or not changes or settings.even_servers_allowed or count == 0:
        return []
    counted = f" (with {', '.join(staying)}, which the inventory no longer has)" if staying else ""
    prune = "run with -e prune=true, or " if staying else ""
    return [
        Problem(
            "",
            f"there would be {count} servers{counted}: an even number survives the loss of {(count - 1) // 2}, as "
            f"{count - 1} would",
            f"{prune}use {count - 1} or {count + 1} servers (k3s_even_servers_allowed: true allows it, for a change in "
            "two steps)",
        )
    ]


def prune_problems(
    hosts: t.Sequence[Host], cluster: Cluster, gone: t.Sequence[t.Mapping[str, t.Any]], settings: Settings
) -> list[Problem]:
    """Nodes that might belong to a host that this run leaves out, since that host's node name is unknown."""
    addresses = {address for node in cluster.nodes.values() for address in node["addresses"]}
    unknown = [
        host.name
        for host in hosts
        if not host.known and host.node_name not in cluster.nodes and not host.own_names & addresses
    ]
    if not settings.prune or not gone or not unknown:
        return []
    nodes = ", ".join(str(node["name"]) for node in gone)
    return [
        Problem(
            "",
            f"whether the nodes {nodes} belong to {', '.join(unknown)} is unknown, so they are not removed",
            "run with prune and without --limit",
        )
    ]
