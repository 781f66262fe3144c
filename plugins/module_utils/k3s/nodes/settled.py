# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until a cluster has got over a fault: this server serves, every node reports and is Ready, every etcd member
votes. Runs on a server."""

from __future__ import annotations

import time
import typing as t

from ...errors import PlatformError
from ...host.waiting import wait_for
from ...kubernetes.kubectl import Kubectl, host_kubectl
from . import node_state

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
LEASE_PAGE = "?limit=500"


def run(parameters: dict[str, t.Any], _check_mode: bool, _hidden: set[str]) -> dict[str, t.Any]:
    """What the module k3s_settled does; see its documentation."""
    watch = Watch(
        host_kubectl(parameters["k3s_program"], seconds=15), parameters["nodes"], reporting=parameters["reporting"]
    )
    wait_for(watch.settled, seconds=parameters["timeout"], interval=1.0)
    return {
        "changed": False,
        "settled": not watch.open_points,
        "waiting_for": watch.open_points,
        "whole_after": watch.whole_after,
        "seconds": round(watch.seconds(), 1),
    }


class Watch:
    """Looks again and again. `open_points`: what is still amiss; `whole_after`: seconds until nothing but reports was
    missing, None before that.

    Args:
        reporting: whether each node must renew its lease meanwhile. A node stays Ready for 50 s after its last sign
            (kube-controller-manager, node-monitor-grace-period), so just after a fault Ready alone proves nothing. The
            kubelet renews its lease every 10 s.
    """

    def __init__(
        self, kubectl: Kubectl, expected: list[str], *, reporting: bool, clock: t.Callable[[], float] = time.monotonic
    ) -> None:
        self.kubectl, self.expected, self.reporting, self.clock = kubectl, expected, reporting, clock
        self.began = clock()
        self.first_renewals: dict[str, str] = {}
        self.open_points: list[str] = []
        self.whole_after: float | None = None

    def seconds(self) -> float:
        return self.clock() - self.began

    def settled(self) -> bool:
        """Look once."""
        try:
            self.open_points = self._amiss()
            if not self.open_points and self.whole_after is None:
                self.whole_after = round(self.seconds(), 1)
            if self.reporting:
                self.open_points += self._silent()
        except PlatformError as error:
            self.open_points = [error.cause]
        return not self.open_points

    def _amiss(self) -> list[str]:
        if not self.kubectl.ready():
            return ["this server's API is not ready"]
        nodes = {node_state.name_of(node): node for node in self.kubectl.get(node_state.NODES).get("items") or []}
        missing = [f"{name} is not in the cluster" for name in self.expected if name not in nodes]
        found = [nodes[name] for name in self.expected if name in nodes]
        return missing + [
            why
            for why in (
                node_state.not_healthy(node) if node_state.is_server(node) else _not_ready(node) for node in found
            )
            if why
        ]

    def _silent(self) -> list[str]:
        renewed = renewals(self.kubectl)
        for name, when in renewed.items():
            self.first_renewals.setdefault(name, when)
        return [
            f"{name} has not reported since"
            for name in self.expected
            if name in renewed and renewed[name] == self.first_renewals[name]
        ]


def _not_ready(node: node_state.Node) -> str:
    return (
        ""
        if node_state.is_alive(node)
        else f"{node_state.name_of(node)} is not Ready ({node_state.why_not_ready(node)})"
    )


def renewals(kubectl: Kubectl) -> dict[str, str]:
    """By node, the time at which its kubelet last said that it lives."""
    listed = kubectl.get(LEASES + LEASE_PAGE).get("items") or []
    return {item["metadata"]["name"]: str(item.get("spec", {}).get("renewTime", "")) for item in listed}
