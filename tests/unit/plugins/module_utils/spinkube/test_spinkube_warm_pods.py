# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pods that make nodes warm: how many at once, when one has done its work, and that none is left."""

from __future__ import annotations

import copy
import datetime
import types
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube import warm_pods
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.warm_pods import (
    AT_ONCE,
    POD_SECONDS,
    TRIES,
    WAITING_SECONDS,
    WARMS,
    WarmPods,
    warm_pod,
    why_not,
)

Object = dict[str, t.Any]
APP: Object = {
    "apiVersion": "core.spinkube.dev/v1alpha1",
    "kind": "SpinApp",
    "metadata": {"name": "hello", "namespace": "user1", "uid": "u-1"},
}
CONTAINER: Object = {
    "name": "hello",
    "image": "registry.example/hello@sha256:1",
    "command": ["/"],
    "env": [{"name": "SPIN_VARIABLE_A", "value": "1"}],
    "ports": [{"containerPort": 80}],
    "readinessProbe": {"httpGet": {"path": "/"}},
    "resources": {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "4Gi"}},
}
TEMPLATE: Object = {
    "metadata": {"annotations": {"wasmfaas.dev/revision": "1"}, "labels": {"core.spinkube.dev/app-name": "hello"}},
    "spec": {"containers": [CONTAINER], "runtimeClassName": "wasmtime-spin-v2", "volumes": [{"name": "v"}]},
}
RUNNING: Object = {"phase": "Running", "containerStatuses": [{"name": "hello", "state": {"running": {}}}]}
PULLING: Object = {
    "phase": "Pending",
    "containerStatuses": [{"name": "hello", "image": "i", "state": {"waiting": {"reason": "ImagePullBackOff"}}}],
}
CRASHED: Object = {
    "phase": "Failed",
    "containerStatuses": [{"name": "hello", "state": {"terminated": {"exitCode": 137}}}],
}
UNSCHEDULABLE: Object = {
    "phase": "Pending",
    "conditions": [{"type": "PodScheduled", "status": "False", "message": "Insufficient memory"}],
}


def with_time(pod: Object, made: str = "") -> Object:
    """A pod as the API server keeps it, made now by default."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**copy.deepcopy(pod), "metadata": {**pod["metadata"], "creationTimestamp": made or now}}


class Nodes:
    """The API's pods. Each gets the status of its node, after as many looks as `looks` says."""

    def __init__(self, statuses: dict[str, Object], *, looks: int = 1) -> None:
        self.pods: dict[str, Object] = {}
        self.made: list[str] = []
        self.most = 0
        self.refused: dict[str, PlatformError] = {}
        self.lost: PlatformError | None = None
        self._statuses = statuses
        self._looks = looks
        self._seen: dict[str, int] = {}

    def create(self, _kind: t.Any, pod: Object) -> None:
        (term,) = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
            "nodeSelectorTerms"
        ]
        (node,) = term["matchFields"][0]["values"]
        if node in self.refused:
            raise self.refused[node]
        if pod["metadata"]["name"] in self.pods:
            raise PlatformError("already exists", next_step="x")
        self.made.append(node)
        self.pods[pod["metadata"]["name"]] = {**with_time(pod), "node": node}
        self.most = max(self.most, len(self.pods))

    def get(self, _kind: t.Any, _namespace: str, name: str) -> Object | None:
        return self.pods.get(name)

    def list(self, _kind: t.Any, namespace: str, *, labels: dict[str, str]) -> t.List[Object]:  # noqa: UP006 (`list` is a method here)
        assert (namespace, labels) == ("user1", {WARMS: "hello"})
        if self.lost is not None and self.made:
            raise self.lost
        for name, pod in self.pods.items():
            self._seen[name] = self._seen.get(name, 0) + 1
            if self._seen[name] >= self._looks and "node" in pod:
                pod["status"] = self._statuses.get(pod["node"], RUNNING)
        return list(self.pods.values())

    def delete(self, _kind: t.Any, _namespace: str, name: str, *, grace_seconds: int) -> bool:
        assert grace_seconds == 1, "or the pause of the platform's policy would hold the node's memory"
        return self.pods.pop(name, None) is not None


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that pass by sleeping alone."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(warm_pods, "time", types.SimpleNamespace(sleep=sleep, monotonic=lambda: now[0]))
    return now


def run(api: Nodes, *nodes: str) -> dict[str, str]:
    return WarmPods(t.cast(t.Any, api), APP, TEMPLATE).run(nodes)


def test_a_pod_starts_as_the_operators_do_on_one_node() -> None:
    pod = warm_pod(APP, TEMPLATE, "n1")
    (container,) = pod["spec"]["containers"]
    assert {key: container[key] for key in ("image", "command", "env")} == {
        key: CONTAINER[key] for key in ("image", "command", "env")
    }
    assert not {"ports", "readinessProbe"} & container.keys()
    assert container["resources"] == {"requests": {"cpu": "1m", "memory": "16Mi"}, "limits": {"memory": "4Gi"}}
    assert pod["spec"]["runtimeClassName"] == "wasmtime-spin-v2" and pod["spec"]["volumes"] == [{"name": "v"}]
    assert pod["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "wasmfaas", WARMS: "hello"}
    assert pod["metadata"]["ownerReferences"] == [
        {"apiVersion": APP["apiVersion"], "kind": "SpinApp", "name": "hello", "uid": "u-1"}
    ]
    assert "nodeName" not in pod["spec"], "the scheduler decides, so taints and free memory count"
    long = {**APP, "metadata": {**APP["metadata"], "name": "a" * 52}}
    assert len(warm_pod(long, TEMPLATE, "n1")["metadata"]["name"]) <= 63


def test_few_at_once_all_in_the_end_and_none_is_left() -> None:
    api = Nodes({}, looks=2)
    names = [f"n{number}" for number in range(3 * AT_ONCE + 1)]
    assert run(api, *names) == {}
    assert sorted(api.made) == sorted(names) and api.most == AT_ONCE and api.pods == {}


def test_nodes_that_fail_keep_no_other_from_being_warm() -> None:
    api = Nodes({"crashes": CRASHED, "full": UNSCHEDULABLE, "pulls": PULLING})
    api.refused["quota"] = PlatformError("exceeded quota", next_step="x")
    failed = run(api, "crashes", "full", "good", "pulls", "quota")
    assert failed.pop("quota") == "exceeded quota"
    assert "exit code 137" in failed.pop("crashes") and "Insufficient memory" in failed.pop("full")
    assert "ImagePullBackOff" in failed.pop("pulls") and failed == {} and api.pods == {}


def test_a_pod_that_hangs_is_given_up(clock: list[float]) -> None:
    api = Nodes({"hangs": {"phase": "Pending"}})
    assert set(run(api, "hangs")) == {"hangs"} and api.pods == {}
    assert POD_SECONDS < clock[0] < POD_SECONDS + 5


def test_pods_of_a_run_that_was_killed_are_deleted() -> None:
    api = Nodes({})
    old = warm_pod(APP, TEMPLATE, "gone")
    for name, pod in {
        "old": with_time(old, "2026-01-01T00:00:00Z"),
        "failed": {**with_time(old), "status": {"phase": "Failed"}},
        "at-work": with_time(old),
    }.items():
        api.pods[name] = {**pod, "metadata": {**pod["metadata"], "name": name}}
    assert run(api, "n1") == {}
    assert list(api.pods) == ["at-work"], "another run may have made it"


def test_two_runs_share_one_pod_for_a_node() -> None:
    api = Nodes({}, looks=2)
    pod = warm_pod(APP, TEMPLATE, "n1")
    api.pods[pod["metadata"]["name"]] = {**with_time(pod), "node": "n1"}
    assert run(api, "n1") == {} and api.made == [] and api.pods == {}
    assert pod["metadata"]["name"] == warm_pod(APP, TEMPLATE, "n1")["metadata"]["name"]
    changed = {**TEMPLATE, "spec": {**TEMPLATE["spec"], "containers": [{**CONTAINER, "image": "other"}]}}
    others = [warm_pod(APP, TEMPLATE, "n2"), warm_pod(APP, changed, "n1")]
    assert pod["metadata"]["name"] not in [other["metadata"]["name"] for other in others]


@pytest.mark.parametrize(("times", "failed"), [(TRIES - 1, {}), (TRIES, {"n1": "somebody else deletes its pods"})])
def test_a_pod_that_somebody_else_deletes_is_made_again(times: int, failed: dict[str, str]) -> None:
    class Deleting(Nodes):
        def create(self, kind: t.Any, pod: Object) -> None:
            super().create(kind, pod)
            if len(self.made) <= times:
                self.pods.clear()

    api = Deleting({})
    assert run(api, "n1") == failed and api.pods == {}


def test_a_run_keeps_to_its_time(clock: list[float]) -> None:
    api = Nodes({"n2": {"phase": "Pending"}})
    failed = WarmPods(t.cast(t.Any, api), APP, TEMPLATE, seconds=10).run(["n1", "n2"])
    assert failed == {"n2": "there was no time left"} and api.pods == {} and clock[0] < 12


def test_an_api_server_that_is_away_leaves_the_nodes_cold() -> None:
    api = Nodes({})
    api.lost = PlatformError("away", next_step="x")
    names = [f"n{number}" for number in range(AT_ONCE + 2)]
    assert run(api, *names) == dict.fromkeys(names, "away") and api.pods == {}


def test_an_interrupt_leaves_no_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Nodes({})

    def interrupted(_seconds: float) -> t.NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(warm_pods, "time", types.SimpleNamespace(sleep=interrupted, monotonic=lambda: 0.0))
    with pytest.raises(KeyboardInterrupt):
        run(api, "n1", "n2")
    assert api.made and api.pods == {}


@pytest.mark.parametrize(
    ("status", "seconds", "expected"),
    [
        (RUNNING, 1.0, ""),
        ({"phase": "Succeeded"}, 1.0, ""),
        ({}, 1.0, None),
        (PULLING, WAITING_SECONDS - 1, None),
        (UNSCHEDULABLE, WAITING_SECONDS - 1, None),
        ({"phase": "Failed", "reason": "DeadlineExceeded", "message": "it was too slow"}, 1.0, "it was too slow"),
    ],
)
def test_when_a_pod_has_done_its_work(status: Object, seconds: float, expected: str | None) -> None:
    assert why_not({"metadata": {"name": "p", "namespace": "n"}, "status": status}, seconds) == expected
