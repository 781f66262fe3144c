# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts as they are asked for, and what their workloads lack, by kubectl's answers; tests/integration/test_charts*.py
have real API servers and helm."""

from __future__ import annotations

import itertools
import json
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.charts import (
    component,
    helm,
    helm_controller,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.charts.model import Chart
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes import workloads
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import Kubectl

OCI = {"repository": "oci://registry.example.com/charts/web/", "version": "1.0.0"}


def read(source: t.Any, **entry: t.Any) -> Chart:
    (chart,) = component.read_charts([{"name": "web", "namespace": "shop", **entry}], {"web": source}, 600)
    return chart


def spec(chart: Chart, live: t.Any = None) -> dict[str, t.Any]:
    """Of its HelmChart, on a cluster whose controller knows no policy `retry`."""
    kubectl = Kubectl(lambda _arguments, _input: Completed(0, json.dumps({"enum": ["abort", "reinstall"]}), ""))
    return dict(helm_controller.Controller(kubectl)._entry(chart, live, {"shop"})["spec"])


def test_sources_of_charts() -> None:
    assert spec(read(OCI))["chart"] == "oci://registry.example.com/charts/web"
    assert "repo" not in spec(read(OCI))
    by_name = spec(read({"repository": "https://charts.example.com", "version": "2"}))
    assert (by_name["chart"], by_name["repo"], by_name["version"]) == ("web", "https://charts.example.com", "2")
    archive = spec(read({"content": "YQ==", **OCI}))
    assert archive["chartContent"] == "YQ=="
    assert {"chart", "repo", "version"} & set(archive) == set()


def test_a_controller_without_retry_gets_abort_and_keeps_what_it_has() -> None:
    assert spec(read(OCI))["failurePolicy"] == "abort"
    assert spec(read(OCI), {"spec": {"failurePolicy": "retry"}})["failurePolicy"] == "retry"
    assert spec(read(OCI), {"spec": {"failurePolicy": "reinstall"}})["failurePolicy"] == "abort"


def test_values_are_the_same_text_in_any_order() -> None:
    one, other = (
        read(OCI, values={"a": 1, "b": {"c": "ü", "d": [1, 2]}}),
        read(OCI, values={"b": {"d": [1, 2], "c": "ü"}, "a": 1}),
    )
    assert one.values_text == other.values_text
    assert json.loads(one.values_text) == one.values
    assert one.digest == other.digest != read(OCI, values={"a": 2}).digest
    assert one.digest == read(OCI, values=one.values, timeout=5).digest, "a longer time-out is no other release"


def test_a_difference_shows_values_and_no_archive() -> None:
    shown = helm_controller.readable({"spec": {"valuesContent": '{"a": 1}', "chartContent": "YQ=="}})
    assert shown["spec"]["valuesContent"] == {"a": 1}
    assert "YQ==" not in str(shown)
    assert helm_controller.readable({"spec": {"valuesContent": "a: [1"}})["spec"]["valuesContent"] == "a: [1"


@pytest.mark.parametrize("source", [None, {}, {"repository": "oci://x"}, {"version": "1"}, {**OCI, "repo": "typo"}])
def test_a_source_that_says_too_little_or_something_unknown(source: t.Any) -> None:
    with pytest.raises(PlatformError, match=r"platform_charts\.web"):
        read(source)


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
        (workload("Deployment", {"replicas": 2}, READY, generation=3), "not taken up"),
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
    found = workloads.missing_of(entry)
    assert missing in found
    assert bool(missing) is bool(found)


def pod(**container: t.Any) -> dict[str, t.Any]:
    statuses = [{"name": "web", "image": "example.com/web", "restartCount": 0, **container}]
    return {
        "metadata": {"name": "web-1", "namespace": "shop"},
        "status": {"phase": "Running", "containerStatuses": statuses},
    }


def test_troubles_that_pass_by_themselves_are_given_their_time() -> None:
    now = [0.0]
    judge = workloads.Workloads(Kubectl(lambda _arguments, _input: Completed(0, "", "")), clock=lambda: now[0])
    pulls = pod(state={"waiting": {"reason": "ImagePullBackOff"}})
    assert [trouble.lasting for trouble in judge.of_pods([pulls], restarts=3)] == [False]
    now[0] += workloads.Patience().pull_seconds
    assert [trouble.lasting for trouble in judge.of_pods([pulls], restarts=3)] == [True]
    wrong = pod(state={"waiting": {"reason": "InvalidImageName", "message": "no"}})
    assert [trouble.lasting for trouble in judge.of_pods([wrong], restarts=3)] == [True]
    at_once = workloads.Workloads(
        Kubectl(lambda _arguments, _input: Completed(0, "", "")), clock=itertools.count().__next__
    )
    assert [trouble.lasting for trouble in at_once.of_pods([wrong], restarts=3)] == [True], (
        "though each look at the clock takes its time"
    )
    for count, lasting in ((1, False), (3, True)):
        crashes = pod(
            state={"waiting": {"reason": "CrashLoopBackOff"}},
            restartCount=count,
            lastState={"terminated": {"exitCode": 137}},
        )
        (trouble,) = judge.of_pods([crashes], restarts=3)
        assert (trouble.lasting, trouble.previous) == (lasting, True)
        assert "exit code 137" in trouble.text


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
        return [trouble.text for trouble in judge.troubles("agent", "shop")]

    assert of("down") == []
    assert of("up") == ["Pod web-1 is not ready yet"]
    daemon["status"]["updatedNumberScheduled"] = 1
    assert of("down") == ["DaemonSet agent: 1 of 3 pods are of the newest version"], (
        "another node has the old version too"
    )


def test_age_of_an_operation() -> None:
    info = {"last_deployed": "2026-11-22T10:00:00.123456789Z"}
    assert helm._age({"info": info}) == pytest.approx(
        helm._age({"info": {"last_deployed": "2026-11-22T11:00:00+01:00"}}), abs=1
    )
    assert helm._age(None) == float("inf")
