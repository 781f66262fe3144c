# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each host needs: to begin the cluster, join, start again, stay, or replace a dead node."""

from __future__ import annotations

import typing as t

from ...problems import Problem
from .hosts import Host
from .live_cluster import NEW, STOPPED, Cluster, is_foreign

ACTING = ("init", "join", "replace", "start")
ENTERING = ("init", "join", "replace")


def first_server(hosts: t.Sequence[Host]) -> str:
    """The server that begins a new cluster: one that has begun already, as in a run that was cut off, else the first of
    the inventory."""
    servers = [host for host in hosts if host.role == "server" and host.in_play and host.known]
    begun = [host for host in servers if host.k3s.get("cluster_init") and host.runs] or [
        host for host in servers if host.k3s.get("cluster_init")
    ]
    return next((host.name for host in [*begun, *servers]), "")


def decide(host: Host, cluster: Cluster, first: str) -> tuple[str, list[Problem]]:
    """What a host needs (`init`, `join`, `start`, `keep` or `replace`), and the problems that prevent it."""
    member = cluster.nodes.get(host.node_name)
    if cluster.state == NEW:
        return _decide_new(host, first)
    if host.has_data and is_foreign(host, cluster):
        return "keep", [_foreign(host)]
    if cluster.state == STOPPED and host.role == "server" and host.k3s.get("tombstone"):
        return "keep", [
            Problem(
                host.name,
                "it holds the data of a member that the cluster, which is stopped, no longer has",
                "take it out of the inventory and run again; once the cluster answers, put it back, and run "
                f"ansible-playbook wasmfaas.platform.remove_node -e node={host.name}, which cleans it",
            )
        ]
    if cluster.state == STOPPED:
        return ("keep" if host.runs and host.role == "agent" else "start") if host.has_data else "join", []
    if not host.has_data:
        return _decide_blank(host, member)
    if host.role == "server" and (host.k3s.get("tombstone") or (member is None and not host.runs)):
        return "join", [
            Problem(
                host.name,
                "it holds the data of a member that the cluster no longer has",
                f"clean it: ansible-playbook wasmfaas.platform.remove_node -e node={host.name}; if it stays in the "
                "inventory, ansible-playbook wasmfaas.platform.site then lets it join anew",
            )
        ]
    if member is None:
        return "join", []
    return "keep" if host.runs else "start", []


def _decide_new(host: Host, first: str) -> tuple[str, list[Problem]]:
    if host.role == "server":
        return "init" if host.name == first else "join", []
    if host.has_data:
        return "join", [
            Problem(
                host.name,
                "it belongs to a cluster already, but no server of the inventory holds one",
                "if the servers were lost, run ansible-playbook wasmfaas.platform.restore; if it comes from another "
                "cluster, run ansible-playbook wasmfaas.platform.reset with an inventory that has only this host",
            )
        ]
    return "join", []


def _decide_blank(host: Host, member: dict[str, t.Any] | None) -> tuple[str, list[Problem]]:
    if member is None:
        return "join", []
    if member["alive"]:
        return "replace", [
            Problem(
                host.name,
                f"the cluster has a node {host.node_name} that is alive and is not this host",
                "give this host another k3s_node_name; if it was just made anew under the old name, wait a "
                "minute and run again",
            )
        ]
    return "replace", []


def _foreign(host: Host) -> Problem:
    return Problem(
        host.name,
        f"it is an agent of another cluster ({host.k3s.get('server_url') or 'unknown server'})",
        f"take it out of this inventory, or let it forget the other: ansible-playbook wasmfaas.platform.remove_node -e "
        f"node={host.name}",
    )
