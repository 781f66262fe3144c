# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ready.py: when a cluster and its nodes count as ready."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.nodes.ready import LEASE_PAGE, LEASES, Watch
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import Kubectl


class Cluster:
    """Answers kubectl; lists of nodes and leases can be changed between two looks."""

    def __init__(self) -> None:
        self.ready = True
        self.nodes = {
            name: {"ready": "True", "server": name.startswith("server"), "voter": "True"}
            for name in ("server-1", "server-2", "worker-1")
        }
        self.renewed = dict.fromkeys(self.nodes, "07:00:00")

    def run(self, arguments: list[str], _standard_input: str | None) -> Completed:
        path = arguments[-1]
        if not self.ready:
            return Completed(
                1, "", "The connection to the server was refused - did you specify the right host or port?"
            )
        answers: dict[str, t.Any] = {
            "/readyz": "ok",
            "/api/v1/nodes": {"items": [self._node(name) for name in self.nodes]},
            LEASES + LEASE_PAGE: {
                "items": [
                    {"metadata": {"name": name}, "spec": {"renewTime": when}} for name, when in self.renewed.items()
                ]
            },
        }
        return Completed(0, json.dumps(answers[path]), "")

    def _node(self, name: str) -> dict[str, t.Any]:
        node = self.nodes[name]
        conditions = [{"type": "Ready", "status": node["ready"]}]
        if node["server"]:
            conditions.append({"type": "EtcdIsVoter", "status": node["voter"], "reason": "MemberIsLearner"})
        labels = (
            {"node-role.kubernetes.io/control-plane": "true", "node-role.kubernetes.io/etcd": "true"}
            if node["server"]
            else {}
        )
        return {"metadata": {"name": name, "labels": labels}, "status": {"conditions": conditions}}


def watch(cluster: Cluster, *, reporting: bool = False) -> Watch:
    return Watch(Kubectl(cluster.run), ["server-1", "server-2", "worker-1"], reporting=reporting)


def test_ready() -> None:
    seen = watch(Cluster())
    assert seen.ready() is True
    assert seen.problems == []


def test_what_is_not_ready() -> None:
    cluster = Cluster()
    cluster.nodes["worker-1"]["ready"] = "Unknown"
    cluster.nodes["server-2"]["voter"] = "False"
    seen = watch(cluster)
    assert seen.ready() is False
    assert [point.split(" ")[0] for point in seen.problems] == ["server-2", "worker-1"]
    del cluster.nodes["worker-1"]
    assert seen.ready() is False and "worker-1 is not registered" in seen.problems


def test_an_api_that_is_down() -> None:
    cluster = Cluster()
    cluster.ready = False
    seen = watch(cluster)
    assert seen.ready() is False
    assert seen.problems == ["this server's API is not ready"]


def test_ready_from_before_is_no_report() -> None:
    cluster = Cluster()
    seen = watch(cluster, reporting=True)
    assert seen.ready() is False
    assert seen.problems == [f"{name} has not reported since" for name in cluster.nodes]
    cluster.renewed.update({"server-1": "07:00:10", "server-2": "07:00:10"})
    assert seen.ready() is False and seen.problems == ["worker-1 has not reported since"]
    cluster.renewed["worker-1"] = "07:00:11"
    assert seen.ready() is True
