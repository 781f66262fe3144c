# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until a cluster is ready, as one of its servers sees it: its API answers, nodes are alive and report, servers
vote in etcd, and all run the wanted version."""

from __future__ import annotations

import time
import typing as t

from ...errors import PlatformError
from ...host.waiting import wait_for
from ...kubernetes.kubectl import Kubectl, host_kubectl
from . import node_state

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
LEASE_PAGE = "?limit=500"
REQUEST_SECONDS = 15


def run(parameters: dict[str, t.Any], check_mode: bool, _hidden: set[str]) -> dict[str, t.Any]:
    """The module `k3s_wait`: its options to its result."""
    watch = Watch(
        host_kubectl(parameters["k3s_program"], seconds=REQUEST_SECONDS),
        parameters["nodes"],
        version=parameters["version"] or "",
        reporting=parameters["reporting"],
    )
    if not check_mode:
        watch.wait(parameters["timeout"])
    return {"changed": False, "seconds": round(watch.seconds(), 1)}


class Watch:
    """Looks again and again; `problems` is what is not as it must be yet.

    Args:
        expected: names of the nodes.
        version: that their kubelets must have; any where empty.
        reporting: whether each node must renew its lease while this waits. A node stays Ready for 50 s after its last
            report (kube-controller-manager, node-monitor-grace-period), so just after a fault Ready alone proves
            nothing. The kubelet renews its lease every 10 s.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        expected: t.Sequence[str],
        *,
        version: str = "",
        reporting: bool = False,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self.kubectl, self.expected, self.version, self.reporting = kubectl, expected, version, reporting
        self.clock, self.sleep = clock, sleep
        self.began = clock()
        self.first_renewals: dict[str, str] = {}
        self.problems: list[str] = []

    def seconds(self) -> float:
        """Seconds since the watch began."""
        return self.clock() - self.began

    def wait(self, seconds: float) -> None:
        """Wait until all is ready.

        Raises:
            PlatformError: it is not in time, with each reason.
        """
        if not wait_for(self.ready, seconds=seconds, interval=1, clock=self.clock, sleep=self.sleep):
            raise PlatformError(
                f"The cluster is not ready after {seconds:g} s: {'; '.join(self.problems)}.",
                next_step="See `journalctl -u k3s -u k3s-agent -n 50` on that host, or run ansible-playbook "
                "wasmfaas.platform.doctor; then run this again, which continues.",
                facts={"problems": list(self.problems)},
            )

    def ready(self) -> bool:
        """Look once."""
        try:
            self.problems = self._problems()
            if self.reporting:
                self.problems += self._silent()
        except PlatformError as error:
            self.problems = [error.cause]
        return not self.problems

    def _problems(self) -> list[str]:
        if not self.kubectl.ready():
            return ["this server's API is not ready"]
        nodes = {node_state.name_of(node): node for node in self.kubectl.get(node_state.NODES).get("items") or []}
        return [why for why in (not_well(name, nodes.get(name), self.version) for name in self.expected) if why]

    def _silent(self) -> list[str]:
        renewed = renewals(self.kubectl)
        for name, when in renewed.items():
            self.first_renewals.setdefault(name, when)
        return [
            f"{name} has not reported since"
            for name in self.expected
            if name in renewed and renewed[name] == self.first_renewals[name]
        ]


def not_well(name: str, node: node_state.Node | None, version: str) -> str:
    """What is wrong with a node, empty where nothing is."""
    if node is None:
        return f"{name} is not registered"
    problem = node_state.not_healthy(node)
    if problem:
        return problem
    runs = str(((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion") or "")
    return f"{name} runs {runs or 'an unknown version'} and not {version}" if version and runs != version else ""


def renewals(kubectl: Kubectl) -> dict[str, str]:
    """By node, the time at which its kubelet last reported."""
    listed = kubectl.get(LEASES + LEASE_PAGE).get("items") or []
    return {item["metadata"]["name"]: str(item.get("spec", {}).get("renewTime", "")) for item in listed}
