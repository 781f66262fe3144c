# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a pod does not run, and for how long that may pass by itself."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.pods import Patience, backs_off, failure_of

READY = {"type": "Ready", "status": "True"}
AT_ONCE = Patience(pull_seconds=0, configuration_seconds=0, restarts=3)


def pod(
    *, conditions: list[dict[str, t.Any]] | None = None, init: bool = False, **container: t.Any
) -> dict[str, t.Any]:
    statuses = [{"name": "web", "image": "example.com/web", "restartCount": 0, **container}]
    key = "initContainerStatuses" if init else "containerStatuses"
    return {
        "metadata": {"name": "web-1", "namespace": "shop"},
        "status": {key: statuses, "conditions": conditions or []},
    }


def waiting(reason: str, message: str = "", **more: t.Any) -> dict[str, t.Any]:
    return pod(state={"waiting": {"reason": reason, "message": message}}, **more)


ENDED = {"lastState": {"terminated": {"exitCode": 137}}}


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (waiting("ErrImagePull", "denied"), "it cannot pull the image example.com/web: ErrImagePull: denied"),
        (waiting("CreateContainerConfigError"), "it cannot start its container web: CreateContainerConfigError"),
        (waiting("CrashLoopBackOff"), "its container web is in CrashLoopBackOff"),
        (
            waiting("CrashLoopBackOff", "back-off 10s", restartCount=2, **ENDED),
            "its container web is in CrashLoopBackOff after 2 restarts, exit code 137",
        ),
        (
            waiting("RunContainerError", "no such file", restartCount=1),
            "its container web is in RunContainerError after 1 restart: no such file",
        ),
        (pod(state={"terminated": {"exitCode": 1}}), "its container web crashed, exit code 1"),
        (
            pod(state={"running": {}}, restartCount=1, **ENDED),
            "its container web crashed after 1 restart, exit code 137",
        ),
        (
            pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "no room"}]),
            "it cannot be scheduled: no room",
        ),
        (waiting("ContainerCreating"), "it is not ready yet"),
        (pod(init=True, state={"terminated": {"exitCode": 0}}), "it is not ready yet"),
    ],
)
def test_why_a_pod_does_not_run(found: dict[str, t.Any], what: str) -> None:
    failure = failure_of(found)
    assert failure is not None
    assert (failure.where, failure.what) == ("pod web-1", what)


def test_pods_that_run_are_done_or_leave_have_no_failure() -> None:
    crashed = waiting("CrashLoopBackOff", **ENDED)
    assert failure_of({**crashed, "status": {**crashed["status"], "conditions": [READY]}}) is None
    assert failure_of({**crashed, "status": {**crashed["status"], "phase": "Succeeded"}}) is None
    assert failure_of({**crashed, "metadata": {**crashed["metadata"], "deletionTimestamp": "now"}}) is None


@pytest.mark.parametrize(
    ("found", "patience", "seconds", "lasts"),
    [
        (waiting("InvalidImageName"), Patience(), 0, True),
        (waiting("ImagePullBackOff"), Patience(), 119, False),
        (waiting("ImagePullBackOff"), Patience(), 120, True),
        (waiting("ImagePullBackOff"), AT_ONCE, 0, True),
        (waiting("ErrImagePull"), AT_ONCE, 0, False),
        (waiting("CreateContainerError"), Patience(), 59, False),
        (waiting("CreateContainerError"), AT_ONCE, 0, True),
        (waiting("CrashLoopBackOff", restartCount=2), AT_ONCE, 600, False),
        (waiting("CrashLoopBackOff", restartCount=3), AT_ONCE, 0, True),
        (pod(state={"running": {}}, restartCount=9, **ENDED), AT_ONCE, 600, False),
        (waiting("ContainerCreating"), AT_ONCE, 600, False),
        (waiting("ContainerCreating", restartCount=3, **ENDED), AT_ONCE, 600, False),  # the kubelet starts it again
        (pod(state={"terminated": {"exitCode": 1}}, restartCount=3), AT_ONCE, 0, True),
    ],
)
def test_how_long_it_may_pass_by_itself(
    found: dict[str, t.Any], patience: Patience, seconds: float, lasts: bool
) -> None:
    failure = failure_of(found)
    assert failure is not None
    assert failure.lasts(patience, seconds) is lasts


def test_pods_that_wait_for_their_next_try() -> None:
    assert backs_off(waiting("CrashLoopBackOff")) and backs_off(waiting("ImagePullBackOff", init=True))
    assert not backs_off(pod(state={"running": {}})) and not backs_off(waiting("ContainerCreating"))
