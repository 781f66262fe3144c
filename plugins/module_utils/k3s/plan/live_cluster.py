# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster that is there already, as the hosts that were examined know it."""

from __future__ import annotations

import dataclasses
import typing as t

from ...problems import Problem
from ..version import is_version, version_order
from .hosts import Host, is_autoscaled, url_host

NEW, RUNNING, STOPPED = "new", "running", "stopped"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What there is already.

    Args:
        state: `new` (no server has data), `running` (a server's API is ready) or `stopped` (there is data, and no
            server is ready).
        live: servers whose API is ready; the first one's view counts.
        nodes: the cluster's nodes by name, empty unless it runs.
        ca_sha256: of its certificate authority; "" for a new one.
        version: newest among its servers; "" where it cannot be told.
    """

    state: str
    live: tuple[Host, ...] = ()
    nodes: dict[str, dict[str, t.Any]] = dataclasses.field(default_factory=dict)
    ca_sha256: str = ""
    version: str = ""

    @property
    def voters(self) -> list[dict[str, t.Any]]:
        """etcd's members that have a vote, in the order of their names."""
        return [
            node for node in self.nodes.values() if node["voter"] or (node["control_plane"] and node["voter"] is None)
        ]


def observe(hosts: t.Sequence[Host]) -> tuple[Cluster, list[Problem]]:
    """The cluster as the hosts that were looked at know it, decided by which servers live and not by their order in the
    inventory."""
    servers = [host for host in hosts if host.role == "server" and host.known]
    live = [host for host in servers if host.is_live_server]
    holding = live or [host for host in servers if host.has_data]
    problems = _different_clusters([host for host in servers if host.has_data or host.is_live_server])
    if not holding:
        return Cluster(NEW), problems
    nodes = {str(node["name"]): node for node in live[0].info["cluster"]["nodes"]} if live else {}
    versions = [str(node["version"]) for node in nodes.values() if node["control_plane"]] or [
        own_version(host) for host in holding
    ]
    version = max(filter(is_version, versions), key=version_order, default="")
    return Cluster(
        RUNNING if live else STOPPED, tuple(live), nodes, str(holding[0].k3s.get("ca_sha256") or ""), version
    ), problems


def scope_problems(hosts: t.Sequence[Host], cluster: Cluster) -> list[Problem]:
    """What cannot be decided because hosts are missing in this run: without a server that is ready, it is unknown what
    they hold."""
    left_out = [host.name for host in hosts if host.role == "server" and not host.in_play]
    if not left_out or cluster.state == RUNNING:
        return []
    servers = [host for host in hosts if host.role == "server"]
    holding = [host for host in servers if host.known and host.has_data]
    if cluster.state == STOPPED and len(holding) > len(servers) // 2:
        return []
    return [
        Problem(
            "",
            f"no server of this run is ready, and {', '.join(left_out)} {'is' if len(left_out) == 1 else 'are'} not "
            "part of it",
            "run without --limit, or add a server that is ready to it: it knows the cluster",
        )
    ]


def gone_nodes(hosts: t.Sequence[Host], cluster: Cluster) -> list[dict[str, t.Any]]:
    """Nodes of the cluster that no host of the inventory stands for, by name or address, and that did not join by
    themselves."""
    names = {host.node_name for host in hosts}
    left_out = set().union(*(host.own_names for host in hosts if not host.known))
    return [
        {"name": name, "control_plane": bool(node["control_plane"]), "ready": bool(node["ready"])}
        for name, node in cluster.nodes.items()
        if name not in names and not left_out & {name, *node["addresses"]} and not is_autoscaled(node)
    ]


def is_foreign(host: Host, cluster: Cluster) -> bool:
    own = str(host.k3s.get("ca_sha256") or "")
    if not own or not cluster.ca_sha256 or own == cluster.ca_sha256 or host.role == "server":
        return False  # servers: _different_clusters has said it
    known = {name for server in cluster.live for name in server.own_names}
    return url_host(str(host.k3s.get("server_url") or "")) not in known


def own_version(host: Host) -> str:
    return str(host.k3s.get("version_running") or host.k3s.get("version") or "")


def present_version(host: Host, cluster: Cluster) -> str:
    """Version of k3s that runs on a host, or would if it were started."""
    if not host.has_data and not host.runs:
        return ""
    member = cluster.nodes.get(host.node_name) or {}
    return (
        str(member.get("version") or "")
        if is_version(str(member.get("version") or "")) and host.runs
        else own_version(host)
    )


def _different_clusters(servers: t.Sequence[Host]) -> list[Problem]:
    by_authority: dict[str, list[str]] = {}
    for host in servers:
        if host.k3s.get("ca_sha256"):
            by_authority.setdefault(str(host.k3s["ca_sha256"]), []).append(host.name)
    if len(by_authority) < 2:
        return []
    groups = "; ".join(", ".join(names) for names in by_authority.values())
    return [
        Problem(
            "",
            f"the servers belong to {len(by_authority)} different clusters ({groups})",
            "make one inventory for each cluster; where one of them is there by mistake, ansible-playbook "
            "wasmfaas.platform.reset with an inventory that has only its hosts",
        )
    ]
