# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the cluster's nodes: whether they are those of the inventory, are Ready, and have versions that fit."""

from __future__ import annotations

import re
import typing as t

from ...problems import Problem
from ..plan.cluster_plan import KEEP_OUT
from ..plan.hosts import is_autoscaled
from .model import SITE, UPGRADE, Host, Limits, Nodes, error, is_active, minor, owner, remove_node, step, warning, why

KUBELET_SKEW = 3
"""Minor versions by which a kubelet may be older than the API server (kubernetes.io, version skew policy)."""


def unlisted(hosts: t.Sequence[Host], nodes: Nodes, _limits: Limits) -> t.Iterator[Problem]:
    """Nodes that no host of the inventory has."""
    listed = {host.node_name for host in hosts}
    for name, node in nodes.items():
        if name not in listed and not is_autoscaled(node):
            yield warning(
                name,
                "node-not-in-inventory",
                f"the cluster has this {'server' if node.get('control_plane') else 'agent'}, the inventory does not",
                "If its host was removed before, it booted with its k3s and came back: put it into the inventory once "
                f"more and run {remove_node(name)}, which cleans it. Else add it for good. Only if the host is gone, "
                f"run {SITE} -e prune=true",
            )


def membership(hosts: t.Sequence[Host], nodes: Nodes, _limits: Limits) -> t.Iterator[Problem]:
    """Whether each host of the inventory has its node, with its role."""
    for host in hosts:
        node = nodes.get(host.node_name)
        if node is not None:
            yield from _role(host, node)
        elif host.unreachable:
            yield error(
                host.name,
                "host-not-in-cluster",
                f"the cluster has no node {host.node_name}; if it was removed, k3s is still on its host",
                f"{KEEP_OUT[0].upper()}{KEEP_OUT[1:]}; once it is reached, run {remove_node(host.name)}, which cleans "
                "it. Take it out of the inventory after that",
            )
        elif not (host.role == "server" and host.k3s.get("tombstone")):  # which `server-removed` reports
            yield error(
                host.name,
                "host-not-in-cluster",
                f"the cluster has no node {host.node_name}{why(host)}",
                step(host) or f"Run {SITE}",
            )


def _role(host: Host, node: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    server = node.get("control_plane")
    if server is not None and bool(server) != (host.role == "server"):
        yield error(
            host.name,
            "node-role-differs",
            f"in the cluster it is {'a server' if server else 'an agent'}, the inventory says {host.role}",
            f"Put it back in its group, or remove it with {remove_node(host.name)} first and then run {SITE}",
        )


def ready(hosts: t.Sequence[Host], nodes: Nodes, _limits: Limits) -> t.Iterator[Problem]:
    """Whether nodes are Ready and take pods."""
    for name, node in nodes.items():
        host = next((host for host in hosts if host.node_name == name), None)
        where = owner(hosts, name)
        # Other checks report a host that is not reached, and k3s that does not run.
        reported = host is not None and (host.unreachable or bool(host.k3s and not is_active(host)))
        if not node["ready"] and not reported:
            unit = "k3s" if node.get("control_plane") else "k3s-agent"
            yield error(
                where,
                "node-not-ready",
                f"its node is not Ready{why(host)}",
                step(host)
                or f"See k3s kubectl describe node {name}, and journalctl -u {unit} on it; if it is lost, run "
                f"{remove_node(name)}, or {SITE} with a new host of its name",
            )
        if node.get("unschedulable"):
            yield warning(
                where,
                "node-cordoned",
                "its node takes no new pods (cordoned)",
                f"Run k3s kubectl uncordon {name}, once its reason is gone",
            )


def versions(hosts: t.Sequence[Host], nodes: Nodes, limits: Limits) -> t.Iterator[Problem]:
    """Whether versions fit together, and are those of the inventory."""
    servers = {node["version"] for node in nodes.values() if node.get("control_plane") and node.get("version")}
    if not servers:
        return
    oldest = min(servers, key=_version_order)
    if len(servers) > 1:
        yield warning(
            "cluster",
            "versions-mixed",
            f"servers run {', '.join(sorted(servers, key=_version_order))}: an upgrade did not come to its end",
            f"Run {UPGRADE}",
        )
    elif limits.version and limits.version != oldest:
        yield warning(
            "cluster",
            "version-differs",
            f"the cluster runs {oldest}, the inventory says {limits.version}",
            f"Run {UPGRADE}, or set k3s_version back",
        )
    for name, node in nodes.items():
        if not node.get("control_plane") and node.get("version"):
            yield from _agent_version(owner(hosts, name), node["version"], oldest, mixed=len(servers) > 1)


def _agent_version(where: str, version: str, servers: str, *, mixed: bool) -> t.Iterator[Problem]:
    """Whether an agent's version fits the oldest one of the `servers`. `mixed`: whether servers have several."""
    agent, server = minor(version), minor(servers)
    if agent > server:
        what = f"it runs {version}, newer than the servers' {servers}, which Kubernetes does not support"
        yield error(where, "version-skew", what, f"Run {UPGRADE}")
    elif agent[0] != server[0] or server[1] - agent[1] > KUBELET_SKEW:
        what = f"it runs {version}, more than {KUBELET_SKEW} minor versions older than the servers' {servers}"
        yield error(where, "version-skew", what, f"Run {UPGRADE}")
    elif version != servers and not mixed:
        yield warning(where, "version-behind", f"it runs {version}, the servers {servers}", f"Run {UPGRADE}")


def _version_order(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
