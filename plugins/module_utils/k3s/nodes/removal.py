# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes leave the cluster: their pods by the eviction API, then the Node and with it the etcd member, then the node
password.

k3s removes the etcd member when the Node is deleted, and keeps the Node until that is done
(pkg/etcd/member_controller.go); this needs a majority of members.
"""

from __future__ import annotations

import time
import typing as t

from ...errors import PlatformError
from ...host.waiting import wait_for
from ...kubernetes.kubectl import ApiProblem, Kubectl, NotFound
from . import node_state
from .drain import Drain


class Removal:
    """How nodes are removed.

    Args:
        this_node: name of the node whose API server is used, which cannot remove itself.
        force: whether nodes that are not alive are removed, without a drain.
        wait: seconds until a deleted Node must be gone.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        drain: Drain,
        *,
        this_node: str = "",
        force: bool = False,
        wait: float = 120,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._kubectl = kubectl
        self._drain = drain
        self._this_node = this_node
        self._force = force
        self._wait = wait
        self._sleep = sleep

    def remove(self, names: list[str], *, check_mode: bool) -> dict[str, t.Any]:
        """Remove them one after the other, dead ones first; the module's result.

        Raises:
            PlatformError: the quorum would break, a pod cannot be evicted, or the etcd member stays.
        """
        nodes = {node_state.name_of(node): node for node in self._kubectl.get(node_state.NODES).get("items") or []}
        present = sorted(
            (name for name in dict.fromkeys(names) if name in nodes),
            key=lambda name: not node_state.not_healthy(nodes[name]),
        )
        self._refuse_dead(present, nodes)
        if self._this_node in present:
            raise PlatformError(
                f"{self._this_node} cannot be removed by its own API server; nothing was changed.",
                next_step="Run this task on another server that stays.",
            )
        check_quorum(list(nodes.values()), present)
        for name in present:
            if not check_mode:
                if node_state.is_alive(nodes[name]) or not self._force:
                    self._drain.drain(nodes[name])
                self._delete(nodes[name])
        forgotten = [name for name in dict.fromkeys(names) if self._forget_password(name, check_mode)]
        return {"changed": bool(present or forgotten), "removed": present, "forgotten": forgotten}

    def _refuse_dead(self, names: list[str], nodes: dict[str, node_state.Node]) -> None:
        dead = [name for name in names if not node_state.is_alive(nodes[name])]
        if dead and not self._force:
            why = "; ".join(f"{name}: {node_state.why_not_ready(nodes[name])}" for name in dead)
            raise PlatformError(
                f"Pods cannot be moved off a node that is not Ready ({why}); nothing was changed.",
                next_step="Bring the host back and run it again; or, if it is gone for good, remove it without "
                "moving its pods: -e force=true.",
            )

    def _delete(self, node: node_state.Node) -> None:
        name, uid = node_state.name_of(node), node["metadata"].get("uid")
        path = f"{node_state.NODES}/{name}"
        self._kubectl.delete(path)
        left: list[node_state.Node] = []

        def gone() -> bool:
            try:
                left[:] = [self._kubectl.get(path)]
            except NotFound:
                return True
            except ApiProblem:
                # The leader of etcd may just have left.
                return False
            return bool(left[0]["metadata"].get("uid") != uid)

        if not wait_for(gone, seconds=self._wait, interval=0.5, sleep=self._sleep):
            keeps = ", ".join(left[0]["metadata"].get("finalizers") or []) if left else ""
            raise PlatformError(
                f"The Node {name} is being deleted, but is still there after {self._wait:g} "
                f"s{f' (kept by {keeps})' if keeps else ''}.",
                next_step="k3s takes it away once its etcd member is removed, for which a majority of members must "
                "run: see journalctl -u k3s on a server.",
            )
        if left and left[0]["metadata"].get("uid") != uid:
            raise PlatformError(
                f"{name} registered again as soon as it was removed.",
                next_step="Stop k3s on that host first (systemctl stop k3s k3s-agent), then run it again.",
            )

    def _forget_password(self, name: str, check_mode: bool) -> bool:
        """Delete what else refuses the next host of this name (k3s docs, architecture.md, node registration)."""
        path = f"/api/v1/namespaces/kube-system/secrets/{name}.node-password.k3s"
        if check_mode:
            try:
                self._kubectl.get(path)
            except NotFound:
                return False
            return True
        return self._kubectl.delete(path)


def check_quorum(nodes: list[node_state.Node], names: list[str]) -> None:
    """Whether these can be removed one after the other so that a majority of the etcd members that remain is healthy
    each time.

    One that is ill may always go while another lives: its absence costs nothing, and after a restore the Nodes of
    servers that are no members any more would else keep each other in the cluster.

    Raises:
        PlatformError: it cannot; says what to do first.
    """
    members = [node for node in nodes if node_state.has_vote(node)]
    ill = {node_state.name_of(node): why for node in members if (why := node_state.not_healthy(node))}
    names_left = {node_state.name_of(node) for node in members}
    for name in names:
        if name not in names_left:
            continue
        names_left = names_left - {name}
        healthy = names_left - set(ill)
        if not names_left or (name in ill and not healthy):
            raise PlatformError(
                f"{name} is the last server: without it there is no cluster. Nothing was changed.",
                next_step="Add another server first; to take the whole cluster down, use ansible-playbook "
                "wasmfaas.platform.reset.",
            )
        if name not in ill and len(healthy) < len(names_left) // 2 + 1:
            others = [ill[other] for other in sorted(names_left & set(ill))]
            raise PlatformError(
                f"Without {name}, {len(healthy)} of {len(names_left)} etcd members would be healthy, and no write "
                f"possible: {'; '.join(others)}."
                " Nothing was changed.",
                next_step="Bring those servers back, remove those first (named together, dead ones go first), or add "
                "a server; then run it again.",
                facts={"members": sorted(names_left), "healthy": sorted(healthy)},
            )
