# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes without pods for a while: drained before their host is worked on, and given back afterwards.

Who drained a node is written on it before it is drained, so that a node whose run was cut off is given back by the next
one, and one that somebody else took out of service stays out.
"""

from __future__ import annotations

import typing as t

from ...errors import PlatformError
from ...kubernetes.kubectl import Kubectl, NotFound, host_kubectl
from . import node_state
from .removal import MARGIN_SECONDS, Removal

ANNOTATION = "wasmfaas.dev/drained-by"


def drain(kubectl: Kubectl, removal: Removal, name: str, reason: str, *, check_mode: bool) -> bool:
    """Move all pods but those of DaemonSets away; gives whether the node took pods before.

    Raises:
        PlatformError: there is no such node, or pods that cannot be moved; then it takes pods again.
    """
    node = find(kubectl, name)
    if (node.get("spec") or {}).get("unschedulable") and (node["metadata"].get("annotations") or {}).get(
        ANNOTATION
    ) != reason:
        return False  # somebody else's: its pods are their matter too
    if not check_mode:
        note(kubectl, name, reason)
        removal.drain(node)
    return True


def restore(kubectl: Kubectl, name: str, reason: str, *, check_mode: bool) -> bool:
    """Let the node take pods again, if it was `drain` with the same reason that stopped it; gives whether."""
    node = find(kubectl, name)
    if (node["metadata"].get("annotations") or {}).get(ANNOTATION) != reason:
        return False
    if not check_mode:
        kubectl.call(["uncordon", name], what=f"let {name} take pods again")
        note(kubectl, name, None)
    return True


def find(kubectl: Kubectl, name: str) -> node_state.Node:
    try:
        return kubectl.get(f"{node_state.NODES}/{name}")
    except NotFound as error:
        raise PlatformError(
            f"The cluster has no node {name}.",
            next_step="Run ansible-playbook wasmfaas.platform.site, which lets its host join.",
        ) from error


def note(kubectl: Kubectl, name: str, reason: str | None) -> None:
    kubectl.patch(f"{node_state.NODES}/{name}", {"metadata": {"annotations": {ANNOTATION: reason}}})


def run(params: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """What the module k3s_drain does; its documentation says what the parameters and the result mean."""
    kubectl = host_kubectl()
    if params["state"] == "schedulable":
        return {"changed": restore(kubectl, params["node"], params["reason"], check_mode=check_mode)}
    timeout = params["timeout"]
    removal = Removal(
        kubectl,
        host_kubectl(seconds=timeout + MARGIN_SECONDS),
        drain_timeout=timeout,
        delete_unmanaged_pods=params["delete_unmanaged_pods"],
    )
    return {"changed": drain(kubectl, removal, params["node"], params["reason"], check_mode=check_mode)}
