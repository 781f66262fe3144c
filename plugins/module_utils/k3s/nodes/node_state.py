# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Node object says about its node; every rule about it that more than one part needs."""

from __future__ import annotations

import re
import typing as t

NODES = "/api/v1/nodes"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
ETCD = "node-role.kubernetes.io/etcd"
VOTER = "EtcdIsVoter"
LEARNER = "MemberIsLearner"
WITHOUT_VOTE = frozenset({LEARNER, "NotAMember", "ClusterRestored"})
"""Reasons of EtcdIsVoter=False of nodes whose etcd member does not count for the majority: a learner (etcd.io/docs,
learning/design-learner), none at all (k3s v1.35.5, pkg/etcd/etcd.go setEtcdStatusCondition), none since a restore
(k3s/recovery/restore.py writes it). With any other, such as `Unhealthy`, there is a member that votes, or would if it
answered."""
NETWORK_MISSING = re.compile(r"NetworkPluginNotReady|cni plugin not initialized|NetworkReady=false", re.IGNORECASE)

Node = dict[str, t.Any]


def name_of(node: Node) -> str:
    return str(node["metadata"]["name"])


def is_server(node: Node) -> bool:
    labels = node["metadata"].get("labels") or {}
    return CONTROL_PLANE in labels or ETCD in labels


def condition(node: Node, kind: str) -> dict[str, t.Any]:
    """A condition of the node, empty where it has none of that type."""
    found: list[dict[str, t.Any]] = [
        entry for entry in (node.get("status") or {}).get("conditions") or [] if entry.get("type") == kind
    ]
    return found[0] if found else {}


def is_ready(node: Node) -> bool:
    return bool(condition(node, "Ready").get("status") == "True")


def is_alive(node: Node) -> bool:
    """Ready, or only without a pod network.

    Before Cilium is installed no node is Ready, though kubelet, API server and etcd run (k3s docs,
    networking/basic-network-options.md).
    """
    ready = condition(node, "Ready")
    return bool(
        ready.get("status") == "True"
        or (ready.get("status") == "False" and NETWORK_MISSING.search(str(ready.get("message") or "")))
    )


def is_voter(node: Node) -> bool:
    """Whether its etcd member votes; k3s keeps this condition (pkg/etcd/etcd.go), `Ready` says nothing about it."""
    return bool(condition(node, VOTER).get("status") == "True")


def has_vote(node: Node) -> bool:
    """Whether the node has a member that counts for etcd's majority, healthy or not; one that says nothing yet
    counts."""
    said = condition(node, VOTER)
    return has_etcd(node) and not (said.get("status") == "False" and said.get("reason") in WITHOUT_VOTE)


def has_etcd(node: Node) -> bool:
    """Whether the node has, or is about to have, an etcd member; a server on an external datastore has none."""
    return ETCD in (node["metadata"].get("labels") or {}) or bool(condition(node, VOTER))


def not_healthy(node: Node) -> str:
    """Why a server cannot be counted on, empty where it can: it must be alive and, with etcd, a voter."""
    if not is_alive(node):
        return f"{name_of(node)} is not Ready ({why_not_ready(node)})"
    if has_etcd(node) and not is_voter(node):
        said = condition(node, VOTER)
        if said.get("status") == "False" and has_vote(node):
            return (
                f"{name_of(node)} has an etcd member that is not healthy "
                f"({said.get('message') or said.get('reason') or 'no reason given'})"
            )
        return f"{name_of(node)} is no voter of etcd ({said.get('reason') or 'not yet'})"
    return ""


def why_not_ready(node: Node) -> str:
    said = condition(node, "Ready")
    if not said:
        return "it has not reported yet"
    if said.get("status") == "Unknown":
        return f"it stopped reporting at {said.get('lastTransitionTime') or 'an unknown time'}"
    return ": ".join(str(said[key]) for key in ("reason", "message") if said.get(key)) or "no reason given"
