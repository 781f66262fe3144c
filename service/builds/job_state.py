# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Job of a build and its pods say: whether it waits, and why it cannot end well."""

from __future__ import annotations

import typing as t

from ...plugins.module_utils.errors import PlatformError
from ..cluster.settings import BuildSettings
from .job import MOST_RETRIES, Object

LONGEST_WAIT_SECONDS = 1800.0
"""For a machine, or for room in the quota of all builds."""

IMAGE_SECONDS = 180.0
"""How long an image may fail to come; registries and networks recover."""

_IMAGE_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_TELL_OPERATOR = "Tell whoever runs the service."


class JobState:
    """Judges what is seen of a Job, one look after the other.

    Args:
        clock: gives seconds.
    """

    def __init__(self, settings: BuildSettings, clock: t.Callable[[], float]) -> None:
        self._settings, self._clock = settings, clock
        self._since: dict[str, float] = {}

    def look(self, job: Object | None, pods: list[Object], events: t.Callable[[], list[str]]) -> str:
        """Why the build waits; empty where it runs.

        Args:
            events: gives those of the Job and its pods, oldest first; called only where they say more.

        Raises:
            PlatformError: the build cannot end well any more.
        """
        if job is None:
            raise PlatformError("The Job of the build was deleted.", next_step="Deploy again.")
        for pod in pods:
            self._refuse_failed(pod)
        status = job.get("status") or {}
        self._refuse_ended(status, pods)
        live = [pod for pod in pods if (pod.get("status") or {}).get("phase") in (None, "Pending", "Running")]
        if not live:
            return self._no_pod(events)
        waiting = self._waits(live[-1])
        if not waiting:
            self._since.clear()
            return ""
        kind, text = waiting
        if kind == "image" and self._lasts(kind) > IMAGE_SECONDS:
            raise PlatformError(
                f"The image of the builder cannot be pulled: {text}.",
                next_step=f"{_TELL_OPERATOR} `ansible-playbook wasmfaas.platform.publish_images` makes the images.",
            )
        if kind == "machine" and self._lasts(kind) > LONGEST_WAIT_SECONDS:
            raise PlatformError(
                f"There was no machine for the build for {LONGEST_WAIT_SECONDS / 60:g} min: {text}.",
                next_step=f"Deploy again later. {_TELL_OPERATOR}",
            )
        return f"waiting for a machine: {text}" if kind == "machine" else f"waiting for the pod of the build: {text}"

    def _lasts(self, kind: str) -> float:
        """Seconds since the first look at which it waited for this."""
        return self._clock() - self._since.setdefault(kind, self._clock())

    def _refuse_failed(self, pod: Object) -> None:
        """Raise for a pod that failed by what the build did; one that a node's end took is made again."""
        status = pod.get("status") or {}
        if status.get("phase") != "Failed" or _is_disrupted(status):
            return
        reason = str(status.get("reason") or "")
        terminated = _terminated(status)
        if reason == "DeadlineExceeded":
            raise PlatformError(
                f"The build did not end within {self._settings.deadline_seconds} s and was stopped.",
                next_step="Make the build faster (fewer dependencies, a lock file), or ask whoever runs the service "
                "for a longer `builds.deadline_seconds`.",
            )
        if reason == "Evicted":
            raise PlatformError(
                f"The build was stopped: {status.get('message') or 'it used more disk than it may have'}",
                next_step=f"Have the build write less; it has {self._settings.ephemeral_storage} of disk.",
            )
        if terminated.get("reason") == "OOMKilled":
            raise PlatformError(
                f"The build took more memory than the {self._settings.memory} that it may have, and was stopped.",
                next_step="Have the build do less at once (fewer parallel jobs), or ask whoever runs the service for "
                "a larger `builds.memory`.",
            )
        if terminated.get("reason") in ("ContainerCannotRun", "StartError"):
            raise PlatformError(
                f"The container of the build cannot be started: {terminated.get('message')}.", next_step=_TELL_OPERATOR
            )

    def _refuse_ended(self, status: Object, pods: list[Object]) -> None:
        """Raise for a Job that makes no more pods, or should not."""
        disrupted = max(int(status.get("failed") or 0), sum(_is_disrupted(pod.get("status") or {}) for pod in pods))
        conditions = {one["type"]: one for one in status.get("conditions") or [] if one.get("status") == "True"}
        failed = conditions.get("Failed") or conditions.get("FailureTarget")
        if disrupted > MOST_RETRIES or (failed and failed.get("reason") == "BackoffLimitExceeded"):
            raise PlatformError(
                f"The build was begun {MOST_RETRIES + 1} times, and each time its machine went away or it did not "
                "reach the service.",
                next_step=f"Deploy again later. {_TELL_OPERATOR}",
            )
        if failed:
            raise PlatformError(
                f"The Job of the build failed without saying why: {failed.get('message') or failed.get('reason')}.",
                next_step="Deploy again; if it fails again, tell whoever runs the service.",
            )

    def _no_pod(self, events: t.Callable[[], list[str]]) -> str:
        """Why the Job has no pod; raises PlatformError where it will never have one."""
        refused = [line for line in events() if " FailedCreate Job/" in line]
        if not refused:
            return ""
        text = refused[-1].partition(": ")[2]
        if "exceeded quota" in text:
            if self._lasts("quota") > LONGEST_WAIT_SECONDS:
                raise PlatformError(
                    f"There was no room for the build in the quota of all builds: {text}.",
                    next_step=f"Deploy again later. {_TELL_OPERATOR}",
                )
            return "waiting for other builds to end"
        raise PlatformError(f"The cluster refuses the pod of the build: {text}.", next_step=_TELL_OPERATOR)

    def _waits(self, pod: Object) -> tuple[str, str] | None:
        """What a pod waits for (`machine`, `image`, `pod`) and what is told of it; None where it runs."""
        status = pod.get("status") or {}
        if status.get("phase") == "Running":
            return None
        for container in status.get("containerStatuses") or []:
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in _IMAGE_REASONS:
                return "image", f"{waiting['reason']} {waiting.get('message') or ''}".strip()
            if waiting.get("reason"):
                return "pod", str(waiting["reason"])
        for condition in status.get("conditions") or []:
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                return "machine", str(condition.get("message") or condition.get("reason"))
        return None


def _is_disrupted(status: Object) -> bool:
    return any(
        condition.get("type") == "DisruptionTarget" and condition.get("status") == "True"
        for condition in status.get("conditions") or []
    )


def _terminated(status: Object) -> Object:
    for container in status.get("containerStatuses") or []:
        found = (container.get("state") or {}).get("terminated")
        if found:
            return t.cast(Object, found)
    return {}
