# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one rule for why a pod does not run, for functions, charts and the doctor. Pure functions on objects."""

from __future__ import annotations

import dataclasses
import typing as t

from .rollout import condition

Object = dict[str, t.Any]
Kind = t.Literal["scheduling", "pull", "configuration", "crash", "not-ready"]

PULL_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
CONFIGURATION_REASONS = ("CreateContainerConfigError", "CreateContainerError")
CRASH_REASONS = ("CrashLoopBackOff", "RunContainerError")
"""Reasons of a waiting container that ended, or whose process could not be started; the kubelet starts it again."""

TRIED_AGAIN_AT_ONCE = ("ErrImagePull", "RegistryUnavailable")
"""Reasons that the kubelet replaces by another one if its next try fails too."""


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long a failure of a pod may pass by itself. Seconds without a break; restarts of one container."""

    pull_seconds: float = 120.0
    configuration_seconds: float = 60.0
    restarts: int = 5


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a pod does not run.

    Args:
        what: as a part of a sentence about the pod.
        reason: Kubernetes' reason; "" if there is none.
        container: its name; "" if it is the whole pod that waits.
        previous: whether the log to see is that of the container before its restart.
        started_again: whether the container runs again, or is just being started.
    """

    kind: Kind
    namespace: str
    pod: str
    what: str
    reason: str = ""
    container: str = ""
    restarts: int = 0
    previous: bool = False
    started_again: bool = False

    @property
    def where(self) -> str:
        return f"pod {self.pod}"

    @property
    def of_container(self) -> bool:
        """Whether it is a container that fails, and not only a pod that is not ready."""
        return self.kind in ("pull", "configuration", "crash")

    @property
    def has_log(self) -> bool:
        """Whether a container of the pod may have written a log."""
        return self.kind in ("crash", "not-ready")

    def lasts(self, patience: Patience, seconds: float) -> bool:
        """Whether it does not pass by itself. `seconds`: since it was first seen."""
        if self.kind == "pull":
            patient = seconds < patience.pull_seconds or self.reason in TRIED_AGAIN_AT_ONCE
            return self.reason == "InvalidImageName" or not patient
        if self.kind == "configuration":
            return seconds >= patience.configuration_seconds
        return self.kind == "crash" and not self.started_again and self.restarts >= patience.restarts


def failure_of(pod: Object) -> Failure | None:
    """The first of `failures_of`; None if there is none."""
    return next(iter(failures_of(pod)), None)


def failures_of(pod: Object) -> list[Failure]:
    """Why a pod does not run, each container that fails; empty if it is ready, done, or about to be deleted."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    name, namespace = metadata["name"], metadata.get("namespace", "")
    if status.get("phase") == "Succeeded" or metadata.get("deletionTimestamp") or condition(pod, "Ready"):
        return []
    waits = condition(pod, "PodScheduled", "False")
    if waits:
        return [Failure("scheduling", namespace, name, f"it cannot be scheduled: {waits.get('message')}")]
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    found = [_failure_of_container(namespace, name, container) for container in containers]
    return [failure for failure in found if failure is not None] or [
        Failure("not-ready", namespace, name, "it is not ready yet")
    ]


def _failure_of_container(namespace: str, pod: str, container: Object) -> Failure | None:
    state = container.get("state") or {}
    waiting, name = state.get("waiting") or {}, str(container.get("name") or "")
    reason, restarts = str(waiting.get("reason") or ""), int(container.get("restartCount") or 0)
    said = f"{reason}: {waiting['message']}" if waiting.get("message") else reason
    if reason in PULL_REASONS:
        what = f"it cannot pull the image {container.get('image')}: {said}"
        return Failure("pull", namespace, pod, what, reason, name, restarts)
    if reason in CONFIGURATION_REASONS:
        what = f"it cannot start its container {name}: {said}"
        return Failure("configuration", namespace, pod, what, reason, name, restarts)
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    if reason not in CRASH_REASONS and not ended.get("exitCode"):
        return None
    times = f" after {restarts} restart{'' if restarts == 1 else 's'}" if restarts else ""
    exit_code = f", exit code {ended['exitCode']}" if "exitCode" in ended else ""
    error = f": {waiting['message']}" if reason == "RunContainerError" and waiting.get("message") else ""
    what = (
        f"its container {name} {f'is in {reason}' if reason in CRASH_REASONS else 'crashed'}{times}{exit_code}{error}"
    )
    return Failure(
        "crash",
        namespace,
        pod,
        what,
        reason,
        name,
        restarts,
        previous=bool(waiting),
        started_again=reason not in CRASH_REASONS and "terminated" not in state,
    )


def backs_off(pod: Object) -> bool:
    """Whether a pod does nothing but wait for its next try."""
    status = pod.get("status") or {}
    states = [
        container.get("state") or {}
        for key in ("initContainerStatuses", "containerStatuses")
        for container in status.get(key) or []
    ]
    return any((state.get("waiting") or {}).get("reason") in ("CrashLoopBackOff", *PULL_REASONS) for state in states)
