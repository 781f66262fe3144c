# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a rollout is done, and what is said where it is not."""

from __future__ import annotations

import re
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.pods import CRASH_REASONS
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube import rollout
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import DEPLOYMENT, POD
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.objects import REVISION
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.rollout import (
    HOPELESS_RESTARTS,
    _unfinished,
    wait_for_rollout,
)

DONE = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}


def deployment(
    status: dict[str, t.Any] | None = None, *, replicas: int | None = 2, revision: str | None = "r1"
) -> dict[str, t.Any]:
    annotations = {} if revision is None else {"annotations": {REVISION: revision}}
    spec = {"template": {"metadata": annotations}} | ({} if replicas is None else {"replicas": replicas})
    return {"metadata": {"name": "hello", "namespace": "user1", "generation": 2}, "spec": spec} | (
        {} if status is None else {"status": status}
    )


def pod(
    reason: str = "",
    *,
    revision: str = "r1",
    exit_code: int | None = None,
    restarts: int = 0,
    name: str = "",
    memory: str | None = None,
    now: str = "waiting",
) -> dict[str, t.Any]:
    """`now`: what its container does; a `reason` is that of a waiting one."""
    ended = {} if exit_code is None else {"terminated": {"exitCode": exit_code}}
    limits = {} if memory is None else {"limits": {"memory": memory}}
    state = {"waiting": {"waiting": {"reason": reason}} if reason else {"running": {}}, "terminated": ended}[now]
    return {
        "metadata": {
            "name": name or f"hello-{revision}",
            "namespace": "user1",
            "labels": {"core.spinkube.dev/app-name": "hello"},
            "annotations": {REVISION: revision},
        },
        "spec": {"containers": [{"name": "hello", "resources": limits}]},
        "status": {
            "containerStatuses": [
                {
                    "name": "hello",
                    "state": state,
                    "restartCount": restarts,
                    "lastState": ended if now == "waiting" else {},
                }
            ]
        },
    }


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "the SpinKube operator has made no Deployment"),
        (deployment(DONE, revision="r0"), "the SpinKube operator has not updated the Deployment"),
        (deployment(DONE, revision=None), "the SpinKube operator has not updated the Deployment"),
        (deployment(), "the Deployment's controller has not seen the change yet"),
        (deployment({**DONE, "observedGeneration": 1}), "the Deployment's controller has not seen the change yet"),
        (deployment({**DONE, "updatedReplicas": 1}), "1 of 2 pods are of the newest version"),
        (deployment({"observedGeneration": 2}), "0 of 2 pods are of the newest version"),
        (deployment({**DONE, "replicas": 3}), "pods of an older version still run: 1"),
        (deployment({**DONE, "availableReplicas": 1}), "1 of 2 pods are ready"),
        (deployment({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2}), "0 of 2 pods are ready"),
        (deployment(DONE), ""),
        (deployment({**DONE, "observedGeneration": 3}), ""),
        (
            deployment(
                {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}, replicas=None
            ),
            "",
        ),
        (deployment({"observedGeneration": 2}, replicas=0), ""),
        (deployment({"observedGeneration": 2, "replicas": 1}, replicas=0), "pods of an older version still run: 1"),
    ],
)
def test_rules_of_a_finished_rollout(found: dict[str, t.Any] | None, reason: str) -> None:
    assert _unfinished(found, "r1", None, must_run=False) == reason


def test_a_changed_number_of_replicas_is_waited_for() -> None:
    """It changes no pod, so the revision stays; the operator may not have taken it up yet."""
    found = deployment(DONE, replicas=2)
    assert _unfinished(found, "r1", 3, must_run=False) == "the SpinKube operator has not updated the Deployment"
    assert _unfinished(found, "r1", 2, must_run=False) == ""


def test_no_pod_at_all_proves_nothing_of_a_version_that_must_run() -> None:
    assert "no request has woken it" in _unfinished(
        deployment({"observedGeneration": 2}, replicas=0), "r1", None, must_run=True
    )
    assert _unfinished(deployment(DONE, replicas=2), "r1", None, must_run=True) == ""


def wait(api: t.Any, seconds: float = 0.3) -> t.Any:
    app = {"metadata": {"name": "hello", "namespace": "user1"}, "spec": {"podAnnotations": {REVISION: "r1"}}}
    return wait_for_rollout(api, app, timeout_seconds=seconds)


def failure(api: t.Any) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        wait(api)
    return caught.value


def test_finished_deployment_is_handed_back(fake_api: t.Any) -> None:
    api = fake_api()
    api.put(DEPLOYMENT, deployment(DONE))
    assert wait(api) == deployment(DONE)


def test_deployment_is_waited_for(fake_api: t.Any) -> None:
    api = fake_api()
    states = [None, deployment(DONE, revision="r0"), deployment({**DONE, "availableReplicas": 0}), deployment(DONE)]
    api.get = lambda *_arguments: states.pop(0)
    assert wait(api, 20) == deployment(DONE)
    assert not states


def test_operator_that_does_nothing_is_told_at_the_end(fake_api: t.Any) -> None:
    error = failure(fake_api())
    assert "the SpinKube operator has made no Deployment after 0.3 s" in error.cause
    assert "spinappexecutors -n user1" in error.next_step


@pytest.mark.parametrize(
    "reason", ["ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError"]
)
def test_pod_that_can_not_start_ends_the_wait_at_once(fake_api: t.Any, reason: str) -> None:
    api = fake_api()
    api.put(DEPLOYMENT, deployment({**DONE, "availableReplicas": 0}))
    api.put(POD, pod(reason))
    with pytest.raises(PlatformError, match=f"pod hello-r1: it cannot .*: {reason}"):
        wait(api, 600)


def test_pods_of_an_application_without_our_revision_are_looked_at_too(fake_api: t.Any) -> None:
    """One that somebody applied by hand; the kubelet keeps a pod without annotations as it is."""
    api = fake_api()
    api.put(DEPLOYMENT, deployment({**DONE, "availableReplicas": 0}, revision=None))
    stuck = pod("ImagePullBackOff")
    del stuck["metadata"]["annotations"]
    api.put(POD, stuck)
    app = {"metadata": {"name": "hello", "namespace": "user1"}, "spec": {"replicas": 2}}
    with pytest.raises(PlatformError, match=r"it cannot pull the image .*: ImagePullBackOff"):
        wait_for_rollout(api, app, timeout_seconds=600)


@pytest.mark.parametrize("reason", CRASH_REASONS)
def test_crash_is_hopeless_from_the_third_restart_on(fake_api: t.Any, reason: str) -> None:
    api = fake_api()
    api.put(DEPLOYMENT, deployment({**DONE, "availableReplicas": 0}))
    api.put(POD, pod(reason, exit_code=137, restarts=HOPELESS_RESTARTS))
    with pytest.raises(
        PlatformError, match=f"pod hello-r1: its container hello is in {reason} after 3 restarts, exit code 137"
    ):
        wait(api, 600)


@pytest.mark.parametrize("reason", CRASH_REASONS)
def test_crash_that_may_pass_is_waited_for_and_told_at_the_end(fake_api: t.Any, reason: str) -> None:
    """Several pods of a fresh artifact that start on one node at once collide in the shim; their second or third
    restart works."""
    api = fake_api()
    api.put(DEPLOYMENT, deployment({**DONE, "availableReplicas": 1}))
    api.put(POD, pod("", name="hello-a"))
    api.put(POD, pod(reason, name="hello-b", exit_code=137, restarts=2))
    error = failure(api)
    said = f"pod hello-b: its container hello is in {reason} after 2 restarts, exit code 137"
    assert f"1 of 2 pods are ready after 0.3 s; {said}" in error.cause
    api.put(POD, pod("", name="hello-b", exit_code=137, restarts=3))
    api.put(DEPLOYMENT, deployment(DONE))
    assert wait(api) == deployment(DONE)


def test_container_that_has_just_ended_is_told_at_the_end(fake_api: t.Any) -> None:
    api = fake_api()
    api.put(DEPLOYMENT, deployment({**DONE, "availableReplicas": 0}))
    api.put(POD, pod(exit_code=1, restarts=1, now="terminated"))
    error = failure(api)
    assert "after 0.3 s; pod hello-r1: its container hello crashed after 1 restart, exit code 1" in error.cause
    assert "containerd.log" in error.next_step and "137" not in error.next_step


def test_log_and_memory_are_those_of_the_pod_that_fails(fake_api: t.Any) -> None:
    api = fake_api()
    api.put(DEPLOYMENT, deployment({**DONE, "availableReplicas": 1}))
    api.put(POD, pod("", name="hello-a", memory="64Mi"))
    api.put(POD, pod("CrashLoopBackOff", name="hello-b", exit_code=137, restarts=1, memory="1Gi"))
    api.put(POD, pod("CrashLoopBackOff", name="hello-c", exit_code=137, restarts=4, memory="512Mi"))
    api.pod_log = lambda _namespace, name: f"the log of {name}\n"
    error = failure(api)
    assert "pod hello-c: its container hello is in CrashLoopBackOff after 4 restarts" in error.cause
    assert error.facts["pod_log"] == "the log of hello-c\n"
    assert "the limit is 512 MiB" in error.next_step


@pytest.mark.parametrize(
    ("memory", "advice"),
    [
        ("64Mi", "Give it more memory (the limit is 64 MiB, and functions need 96 MiB and more to start)"),
        ("32000Ki", "Give it more memory (the limit is 31 MiB"),
        ("0.05Gi", "Give it more memory (the limit is 51 MiB"),
        ("67108864", "Give it more memory (the limit is 64 MiB"),
        ("50M", "Give it more memory (the limit is 48 MiB"),
        (
            "96Mi",
            (
                "Exit code 137 means that the shim could not run it, or that its memory was too little (the limit is "
                "96 "
                "MiB)"
            ),
        ),
        ("1Gi", "its memory was too little (the limit is 1024 MiB)"),
        (None, "its memory was too little (there is no limit)"),
        ("odd", "its memory was too little (there is no limit)"),
    ],
)
def test_exit_code_137_is_too_little_memory_or_an_error_of_the_shim(
    fake_api: t.Any, memory: str | None, advice: str
) -> None:
    api = fake_api()
    api.put(DEPLOYMENT, deployment({**DONE, "availableReplicas": 0}))
    api.put(POD, pod("CrashLoopBackOff", exit_code=137, restarts=3, memory=memory))
    error = failure(api)
    assert advice in error.next_step
    assert "containerd.log" in error.next_step and "memory=" in error.next_step


def test_event_that_tells_why_is_shown_before_a_later_one(fake_api: t.Any) -> None:
    api = fake_api()
    api.put(DEPLOYMENT, deployment({**DONE, "availableReplicas": 0}))
    api.put(POD, pod())
    api.events = [
        "Normal Pulled Pod/h: 1",
        "Warning FailedMount Pod/h: 2",
        "Warning Unhealthy Pod/h: 3",
        "Normal Created Pod/h: 4",
    ]
    assert "last event: Warning FailedMount Pod/h: 2" in failure(api).cause
    api.events.append("Warning FailedCreate ReplicaSet/h: 5")
    assert "last event: Warning FailedMount Pod/h: 2" in failure(api).cause, "about a pod"
    api.events = ["Warning FailedCreate ReplicaSet/h: 1", "Warning Unhealthy Pod/h: 2", "Normal Created Pod/h: 3"]
    assert "last event: Warning FailedCreate ReplicaSet/h: 1" in failure(api).cause
    api.events = ["Normal Pulled Pod/h: 1", "Warning Unhealthy Pod/h: 3", "Normal Created Pod/h: 4"]
    assert "last event: Warning Unhealthy Pod/h: 3" in failure(api).cause
    api.events = ["Normal Pulled Pod/h: 1", "Normal Created Pod/h: 4"]
    assert "last event: Normal Created Pod/h: 4" in failure(api).cause


def test_events_of_one_second_come_in_the_order_in_which_they_were_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def event(reason: str, version: str, at: str) -> dict[str, t.Any]:
        about = {"kind": "Pod", "name": "hello-1"}
        metadata = {"resourceVersion": version}
        return {"metadata": metadata, "type": "Normal", "reason": reason, "involvedObject": about, "lastTimestamp": at}

    found = [
        event("Started", "1002", "2026-11-29T10:00:01Z"),
        event("Created", "1001", "2026-11-29T10:00:01Z"),
        event("Pulled", "999", "2026-11-29T10:00:01Z"),
        event("Scheduled", "2000", "2026-11-29T10:00:00Z"),
    ]
    monkeypatch.setattr(KubernetesApi, "list", lambda *_arguments: found)
    lines = KubernetesApi.__new__(KubernetesApi).events_of("user1", {"hello-1"})
    assert [line.split()[1] for line in lines] == ["Scheduled", "Pulled", "Created", "Started"]


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing", "ErrImagePull"])
def test_pod_that_may_still_start_is_waited_for(fake_api: t.Any, reason: str) -> None:
    api = fake_api()
    api.put(DEPLOYMENT, deployment({**DONE, "availableReplicas": 1}))
    api.put(POD, pod(reason))
    assert "1 of 2 pods are ready after 0.3 s" in failure(api).cause


def test_pods_of_earlier_revisions_and_ended_crashes_do_not_count(fake_api: t.Any) -> None:
    api = fake_api()
    api.put(DEPLOYMENT, deployment({**DONE, "availableReplicas": 1}))
    api.put(POD, pod("CrashLoopBackOff", revision="r0"))
    api.put(POD, pod(exit_code=137))
    assert "1 of 2 pods are ready" in failure(api).cause


def test_trap_7_crash_points_at_the_log_of_the_node(fake_api: t.Any) -> None:
    api = fake_api()
    api.put(DEPLOYMENT, deployment({**DONE, "availableReplicas": 0}))
    api.put(POD, pod("CrashLoopBackOff", exit_code=137, restarts=3))
    api.events = ["Normal Pulled Pod/hello-r1: pulled", "Warning BackOff Pod/hello-r1: restarting failed container"]
    api.log = "starting\nError: no handler\n"
    error = failure(api)
    assert "CrashLoopBackOff after 3 restarts, exit code 137" in error.cause
    assert "last event: Warning BackOff Pod/hello-r1" in error.cause
    assert error.cause.endswith("last line of its log: Error: no handler.")
    assert "containerd.log" in error.next_step
    assert error.facts == {"events": api.events, "pod_log": api.log, "pods": ["hello-r1"]}


ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    ("reason", "event", "advice"),
    [
        ("ImagePullBackOff", "Failed to pull image", "image_pull_secrets"),
        ("ImagePullBackOff", 'Failed to pull image "registry.example.com/hello"', "image_pull_secrets"),
        (
            "ImagePullBackOff",
            f'Failed to pull image "{ECR}/wasmfaas/hello@sha256:aa": 401',
            f"can log in to {ECR} (`registries_ecr_login: true`",
        ),
        ("", 'FailedCreatePodSandBox: no runtime for "spin" is configured', "Install the shim"),
        (
            "",
            'FailedCreatePodSandBox: runtime "io.containerd.spin.v2" binary not installed "containerd-shim-spin-v2"',
            "Install the shim",
        ),
        ("", "FailedScheduling: 0/3 nodes are available: 3 Insufficient cpu", "add a worker_wasm host"),
        ("", "something else", "kubectl describe pods -n user1 -l core.spinkube.dev/app-name=hello"),
    ],
)
def test_advice_follows_from_the_events(fake_api: t.Any, reason: str, event: str, advice: str) -> None:
    api = fake_api()
    api.put(DEPLOYMENT, deployment({**DONE, "availableReplicas": 0}))
    api.put(POD, pod(reason))
    api.events = [event]
    assert advice in failure(api).next_step


def test_a_container_that_cannot_start_is_reported_beside_one_that_runs_again(fake_api: t.Any) -> None:
    api = fake_api()
    api.put(DEPLOYMENT, deployment({**DONE, "availableReplicas": 1, "unavailableReplicas": 1}))
    broken = pod("ImagePullBackOff")
    restarted = {
        "name": "sidecar", "restartCount": 1, "state": {"running": {}},
        "lastState": {"terminated": {"exitCode": 1}},
    }  # fmt: skip
    broken["status"]["containerStatuses"].insert(0, restarted)
    api.put(POD, broken)
    assert "ImagePullBackOff" in failure(api).cause and "after 0.3 s" not in failure(api).cause


def test_user_who_may_not_read_events_is_told_the_problem_itself(fake_api: t.Any) -> None:
    api = fake_api()
    api.put(DEPLOYMENT, deployment({**DONE, "availableReplicas": 0}))
    api.put(POD, pod("CrashLoopBackOff"))
    api.events = PlatformError("list Event: forbidden.", next_step="ask")
    assert "CrashLoopBackOff" in failure(api).cause


def test_only_the_last_events_are_kept(fake_api: t.Any) -> None:
    api = fake_api()
    api.events = [f"event {number}" for number in range(100)]
    assert failure(api).facts["events"] == api.events[-20:]


def refused(message: str, **status: int) -> dict[str, t.Any]:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    return deployment({**DONE, "updatedReplicas": 1, **status, "conditions": [condition]})


QUOTA = 'pods "hello-5" is forbidden: exceeded quota: tenant, requested: pods=1, used: pods=2, limited: pods=2'


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        (QUOTA, "ResourceQuota user1/tenant has no room.*one pod more.*`replicas`, `memory` or `cpu`"),
        (
            'pods "h" is forbidden: failed quota: tenant: must specify limits.memory for: hello',
            "ResourceQuota user1/tenant wants every pod to say.*`memory`",
        ),
        ('pods "h" is forbidden: maximum memory usage per Container is 64Mi, but limit is 1Gi', "LimitRange"),
        (
            'pods "h" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
            "pod-security",
        ),
    ],
)
def test_pods_that_are_not_let_in_end_the_wait_soon_with_what_to_do(
    fake_api: t.Any, monkeypatch: pytest.MonkeyPatch, message: str, advice: str
) -> None:
    monkeypatch.setattr(rollout, "REFUSED_SECONDS", 0.2)
    api = fake_api()
    api.put(DEPLOYMENT, refused(message))
    with pytest.raises(PlatformError) as caught:
        wait(api, 600)
    assert "1 of 2 pods are of the newest version, as no more are let in: " + message in caught.value.cause
    assert re.search(advice, caught.value.next_step), caught.value.next_step


def test_quota_that_makes_room_as_old_pods_go_is_waited_for(fake_api: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "REFUSED_SECONDS", 0.4)
    api = fake_api()
    many = [refused(QUOTA, replicas=9, updatedReplicas=updated, availableReplicas=8) for updated in range(6)]
    for item in many:
        item["spec"]["replicas"] = 8
    states = [*many, deployment(DONE)]
    api.get = lambda *_arguments: states.pop(0)
    assert wait(api, 60) == deployment(DONE)


def test_quota_that_ends_the_time_is_named_too(fake_api: t.Any) -> None:
    api = fake_api()
    api.put(DEPLOYMENT, refused(QUOTA))
    error = failure(api)
    assert "exceeded quota: tenant" in error.cause and "after 0.3 s" in error.cause
    assert "ResourceQuota user1/tenant" in error.next_step
