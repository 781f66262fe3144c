# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A version of a function that sleeps is seen to run. KEDA is played here; test_request_path.py has the real one."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.stages import Stages
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube import answers
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.cluster_function import ClusterFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import DEPLOYMENT, HTTP_ROUTE, SPIN_APP
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.live import live_function
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.rollout import AsleepError
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import Autoscale, ClusterSettings
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.target import ClusterTarget

OTHER_IMAGE = "registry.example/functions/hello@sha256:" + "2" * 64
SLEEPY = ClusterSettings(autoscale=Autoscale(0, 5, target_concurrency=5), wait_timeout=20)
BY_PROCESSOR = dataclasses.replace(
    SLEEPY, autoscale=Autoscale(1, 5, target_cpu_percent=50), resources={"requests": {"cpu": "1"}}
)


class Keda:
    """KEDA with its interceptor: a request gives the function a replica, if `listens`. Functions sleep at once."""

    def __init__(self, api: t.Any) -> None:
        self.api = api
        self.listens = True
        self.requests = 0
        self._run = api._run
        api._run = self.run_asleep

    def run_asleep(self, app: dict[str, t.Any]) -> None:
        """The operator leaves a Deployment the replicas that it has; the scaler took the last one."""
        awake = (self.api.get(DEPLOYMENT, "user1", "hello") or {"spec": {"replicas": 0}})["spec"]["replicas"]
        self._run(app)
        if not awake and app["spec"].get("enableAutoscaling"):
            self.sleep()

    def sleep(self) -> None:
        deployment = self.api.get(DEPLOYMENT, "user1", "hello")
        status = {"observedGeneration": deployment["metadata"]["generation"]}
        self.api.put(DEPLOYMENT, {**deployment, "spec": {**deployment["spec"], "replicas": 0}, "status": status})

    def request(self, _url: str, **_options: t.Any) -> None:
        self.requests += 1
        if route := self.api.get(HTTP_ROUTE, "user1", "hello"):
            self.api.put(HTTP_ROUTE, {**route, "status": {"parents": [{"conditions": [CONDITION]}]}})
        if not self.listens:
            raise PlatformError("http://hello answers 502 Bad Gateway.", next_step="Look at the log.")
        deployment = self.api.get(DEPLOYMENT, "user1", "hello")
        if deployment is not None and deployment["spec"]["replicas"] == 0:
            self._run(self.api.get(SPIN_APP, "user1", "hello"))


CONDITION = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": ""}


@pytest.fixture
def keda(api: t.Any, monkeypatch: pytest.MonkeyPatch) -> Keda:
    played = Keda(api)
    monkeypatch.setattr(answers, "probe", played.request)
    return played


def target(api: t.Any, settings: ClusterSettings = SLEEPY) -> ClusterTarget:
    return ClusterTarget(ClusterFunction(api, "user1", "hello", settings, Stages()))


def image(api: t.Any) -> str:
    return str(api.get(SPIN_APP, "user1", "hello")["spec"]["image"])


def test_first_version_and_update_are_woken_and_seen_to_run(api: t.Any, desired: t.Any, keda: Keda) -> None:
    assert target(api).deploy(desired()).status == "ready"
    keda.sleep()
    assert target(api).live().status == "sleeping"  # type: ignore[union-attr] # it is deployed
    assert target(api).deploy(desired(image=OTHER_IMAGE)).status == "ready"
    keda.sleep()
    requests = keda.requests
    assert not target(api).difference(desired(image=OTHER_IMAGE))
    assert target(api).ensure_answers(desired(image=OTHER_IMAGE)).status == "sleeping"
    assert keda.requests == requests, "a run that changes nothing wakes nobody"


def test_update_of_a_function_that_sleeps_is_undone_where_it_crashes(api: t.Any, desired: t.Any, keda: Keda) -> None:
    target(api).deploy(desired())
    keda.sleep()
    api.crashing.add(OTHER_IMAGE)
    with pytest.raises(PlatformError, match="CrashLoopBackOff") as caught:
        target(api).deploy(desired(image=OTHER_IMAGE))
    assert (caught.value.stage, caught.value.facts["undone"]) == ("rollout", "the previous version was put back")
    assert image(api) == desired().image


def test_first_version_that_crashes_is_named_and_removed(api: t.Any, desired: t.Any, keda: Keda) -> None:
    api.crashing.add(desired().image)
    with pytest.raises(PlatformError, match="CrashLoopBackOff"):
        target(api).deploy(desired())
    assert api.names(SPIN_APP) == []


def test_what_keeps_requests_from_a_function_that_sleeps_is_named(api: t.Any, desired: t.Any, keda: Keda) -> None:
    target(api).deploy(desired())
    keda.sleep()
    keda.listens = False
    with pytest.raises(PlatformError, match="502 Bad Gateway; the function sleeps") as caught:
        target(api, dataclasses.replace(SLEEPY, wait_timeout=1)).deploy(desired(image=OTHER_IMAGE))
    assert caught.value.stage == "probe" and "kubectl describe scaledobject hello -n user1" in caught.value.next_step
    assert image(api) == desired().image


def test_function_that_sleeps_is_woken_before_another_scaler_has_it(api: t.Any, desired: t.Any, keda: Keda) -> None:
    """A HorizontalPodAutoscaler scales nothing from 0."""
    target(api).deploy(desired())
    keda.sleep()
    assert target(api, BY_PROCESSOR).deploy(desired()).details["replicas"] == 1
    target(api).deploy(desired())
    keda.sleep()
    keda.listens = False
    with pytest.raises(AsleepError):
        target(api, dataclasses.replace(BY_PROCESSOR, wait_timeout=1)).deploy(desired())
    assert api.get(SPIN_APP, "user1", "hello")["spec"]["enableAutoscaling"] is True


@pytest.mark.parametrize(
    ("spec", "annotations", "expected"),
    [
        ({"enableAutoscaling": True}, {}, "sleeping"),
        ({"enableAutoscaling": True}, {"wasmfaas.dev/settings-digest": "sha256:1"}, "stopped"),
        ({"replicas": 1}, {}, "stopped"),
    ],
    ids=["by somebody else", "never finished", "by hand"],
)
def test_function_without_replicas(spec: dict[str, t.Any], annotations: dict[str, str], expected: str) -> None:
    app = {"metadata": {"name": "a", "namespace": "n", "annotations": annotations}, "spec": {"image": "i", **spec}}
    deployment = {"metadata": {"generation": 1}, "spec": {"replicas": 0}, "status": {}}
    assert live_function(app, deployment).status == expected
