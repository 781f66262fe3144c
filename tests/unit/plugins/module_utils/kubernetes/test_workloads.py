# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What workloads lack to be rolled out, and why a chart is not ready, by kubectl's answers."""

from __future__ import annotations

import itertools
import json
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes import rollout, workloads
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import Kubectl


def workload(kind: str, spec: dict[str, t.Any], status: dict[str, t.Any], generation: int = 2) -> dict[str, t.Any]:
    return {
        "kind": kind,
        "metadata": {"name": "web", "generation": generation},
        "spec": spec,
        "status": {"observedGeneration": 2, **status},
    }


READY = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2}
DAEMONS = {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}


@pytest.mark.parametrize(
    ("entry", "missing"),
    [
        (workload("Deployment", {"replicas": 2}, READY), ""),
        (workload("Deployment", {"replicas": 0}, {}), ""),
        (workload("Deployment", {"replicas": 2}, READY, generation=3), "has not seen the change"),
        (workload("Deployment", {"replicas": 3}, READY), "2 of 3 pods are of the newest"),
        (workload("Deployment", {"replicas": 2}, {**READY, "replicas": 3}), "older version"),
        (workload("Deployment", {"replicas": 2}, {**READY, "availableReplicas": 1}), "1 of 2 pods are ready"),
        (workload("Deployment", {}, {}), "0 of 1"),
        (workload("StatefulSet", {"replicas": 2}, READY), ""),
        (workload("StatefulSet", {"replicas": 2}, {**READY, "readyReplicas": 0}), "0 of 2 pods are ready"),
        (
            workload(
                "StatefulSet", {"replicas": 2, "updateStrategy": {"type": "OnDelete"}}, {**READY, "updatedReplicas": 0}
            ),
            "",
        ),
        (
            workload(
                "StatefulSet",
                {"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 1}}},
                {**READY, "updatedReplicas": 1},
            ),
            "",
        ),
        (workload("DaemonSet", {}, DAEMONS), ""),
        (workload("DaemonSet", {}, {}), ""),
        (workload("DaemonSet", {}, {**DAEMONS, "updatedNumberScheduled": 1}), "1 of 3 pods are of the newest"),
        (workload("DaemonSet", {}, {**DAEMONS, "numberAvailable": 2}), "2 of 3 pods are ready"),
    ],
)
def test_what_a_workload_lacks(entry: dict[str, t.Any], missing: str) -> None:
    found = rollout.unfinished(entry)
    assert missing in found
    assert bool(missing) is bool(found)


def pod(**container: t.Any) -> dict[str, t.Any]:
    statuses = [{"name": "web", "image": "example.com/web", "restartCount": 0, **container}]
    return {
        "metadata": {"name": "web-1", "namespace": "shop"},
        "status": {"phase": "Running", "containerStatuses": statuses},
    }


def test_problems_that_pass_by_themselves_are_given_their_time() -> None:
    now = [0.0]
    judge = workloads.Workloads(Kubectl(lambda _arguments, _input: Completed(0, "", "")), clock=lambda: now[0])
    pulls = pod(state={"waiting": {"reason": "ImagePullBackOff"}})
    assert [found.lasting for found in judge.of_pods([pulls], restarts=3)] == [False]
    now[0] += workloads.Patience().pull_seconds
    assert [found.lasting for found in judge.of_pods([pulls], restarts=3)] == [True]
    wrong = pod(state={"waiting": {"reason": "InvalidImageName", "message": "no"}})
    assert [found.lasting for found in judge.of_pods([wrong], restarts=3)] == [True]
    at_once = workloads.Workloads(
        Kubectl(lambda _arguments, _input: Completed(0, "", "")), clock=itertools.count().__next__
    )
    assert [found.lasting for found in at_once.of_pods([wrong], restarts=3)] == [True], (
        "though each look at the clock takes its time"
    )
    for count, lasting in ((1, False), (3, True)):
        crashes = pod(
            state={"waiting": {"reason": "CrashLoopBackOff"}},
            restartCount=count,
            lastState={"terminated": {"exitCode": 137}},
        )
        (found,) = judge.of_pods([crashes], restarts=3)
        assert (found.lasting, found.previous) == (lasting, True)
        assert "exit code 137" in found.problem.what


def fake_api(**lists: list[dict[str, t.Any]]) -> Kubectl:
    """Of `kubectl get KINDS`, by the first kind."""

    def run(arguments: list[str], _input: str | None) -> Completed:
        kind = arguments[1].partition(".")[0]
        return Completed(0, json.dumps({"items": lists[kind]}) if kind in lists else "", "")

    return Kubectl(run)


def test_daemons_on_nodes_that_are_down_are_no_fault_of_the_chart() -> None:
    annotations = {workloads.RELEASE_NAME: "agent", workloads.RELEASE_NAMESPACE: "shop"}
    daemon = workload(
        "DaemonSet", {"selector": {"matchLabels": {"application": "agent"}}}, {**DAEMONS, "numberAvailable": 2}
    )
    daemon["metadata"].update(name="agent", namespace="shop", annotations=annotations)
    nodes = [
        {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}
        for name, ready in (("up", "True"), ("down", "Unknown"))
    ]

    def of(place: str) -> list[str]:
        broken = {**pod(state={"running": {}}), "spec": {"nodeName": place}}
        healthy = {
            **broken,
            "spec": {"nodeName": "up"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
        judge = workloads.Workloads(fake_api(deployments=[daemon], pods=[healthy, healthy, broken], nodes=nodes))
        assert judge.unready([("agent", "shop"), ("other", "shop")]) == {("agent", "shop")}
        return [str(found.problem.statement) for found in judge.problems("agent", "shop")]

    assert of("down") == []
    assert of("up") == ["pod web-1: it is not ready yet."]
    daemon["status"]["updatedNumberScheduled"] = 1
    assert of("down") == ["DaemonSet agent: 1 of 3 pods are of the newest version."], (
        "another node has the old version too"
    )
