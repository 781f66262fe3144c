# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of the status of a Job, its pods and their events."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.service.builds.job_state import (
    IMAGE_SECONDS,
    LONGEST_WAIT_SECONDS,
    JobState,
)
from ansible_collections.wasmfaas.platform.service.cluster.settings import BuildSettings

Object = dict[str, t.Any]
JOB: Object = {"status": {"active": 1}}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def pod(phase: str = "Pending", *, waiting: Object | None = None, **status: t.Any) -> Object:
    containers = [{"name": "build", "state": {"waiting": waiting}}] if waiting else []
    return {"metadata": {"name": "a"}, "status": {"phase": phase, "containerStatuses": containers, **status}}


def look(pods: list[Object], *job: Object | None, events: list[str] | None = None) -> str:
    """What is seen of a Job, by default of one that is at work."""
    return JobState(BuildSettings(), Clock()).look(*(job or (JOB,)), pods, lambda: events or [])


def failure(pods: list[Object], *job: Object | None, events: list[str] | None = None) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        look(pods, *job, events=events)
    return caught.value


def terminated(**state: t.Any) -> list[Object]:
    return [{"name": "build", "state": {"terminated": {"exitCode": 137, **state}}}]


def test_a_running_pod_waits_for_nothing() -> None:
    assert look([pod("Running")]) == look([pod("Succeeded")]) == look([pod()]) == ""


@pytest.mark.parametrize(
    ("failed", "part"),
    [
        (pod("Failed", containerStatuses=terminated(reason="OOMKilled")), "more memory than the 2Gi"),
        (pod("Failed", reason="DeadlineExceeded"), "did not end within 1800 s"),
        (pod("Failed", reason="Evicted", message="Pod ephemeral local storage usage exceeds"), "local storage usage"),
        (pod("Failed", containerStatuses=terminated(reason="StartError", message="no python")), "no python"),
    ],
    ids=["memory", "deadline", "disk", "start"],
)
def test_what_ended_a_pod_is_told(failed: Object, part: str) -> None:
    error = failure([failed])
    assert part in error.cause
    assert error.next_step


def test_a_pod_that_its_machine_took_along_is_no_failure_until_the_third() -> None:
    condition = {"type": "DisruptionTarget", "status": "True"}
    taken = pod("Failed", conditions=[condition], containerStatuses=terminated(reason="OOMKilled"))
    assert look([taken, taken, pod("Running")]) == ""
    assert "3 times" in failure([taken, taken, taken]).cause
    assert "3 times" in failure([], {"status": {"failed": 3}}).cause


def test_the_end_of_a_job_is_told() -> None:
    conditions = [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "exit code 1"}]
    assert "exit code 1" in failure([], {"status": {"conditions": conditions}}).cause
    conditions[0]["reason"] = "BackoffLimitExceeded"
    assert "3 times" in failure([], {"status": {"conditions": conditions}}).cause
    assert "was deleted" in failure([], None).cause


def test_waits_are_told_and_end() -> None:
    clock = Clock()
    state = JobState(BuildSettings(), clock)
    unschedulable = pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "no node"}])
    assert state.look(JOB, [unschedulable], list) == "waiting for a machine: no node"
    clock.now = LONGEST_WAIT_SECONDS + 1
    with pytest.raises(PlatformError, match="no machine for the build for 30 min: no node"):
        state.look(JOB, [unschedulable], list)
    assert state.look(JOB, [pod("Running")], list) == ""
    assert state.look(JOB, [unschedulable], list)  # it waits anew
    assert "ContainerCreating" in state.look(JOB, [pod(waiting={"reason": "ContainerCreating"})], list)


def test_an_image_that_does_not_come_fails_after_a_while() -> None:
    clock = Clock()
    state = JobState(BuildSettings(), clock)
    waiting = {"reason": "ErrImagePull", "message": "not found"}
    assert "not found" in state.look(JOB, [pod(waiting=waiting)], list)
    clock.now = IMAGE_SECONDS + 1
    with pytest.raises(PlatformError, match="cannot be pulled") as caught:
        state.look(JOB, [pod(waiting={**waiting, "reason": "ImagePullBackOff"})], list)
    assert "publish_images" in caught.value.next_step


def test_a_full_quota_is_waited_for_and_another_refusal_is_not() -> None:
    line = 'Warning FailedCreate Job/a: Error creating: pods "a" is forbidden: {}'
    assert look([], JOB, events=[line.format("exceeded quota: builds")]) == "waiting for other builds to end"
    assert "violates PodSecurity" in failure([], events=[line.format('violates PodSecurity "restricted"')]).cause
    assert look([], events=["Normal SuccessfulCreate Job/a: Created pod: a"]) == ""
