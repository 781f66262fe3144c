# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what the replicas of a function and of its canary wrote, and what a container wrote before it crashed."""

from __future__ import annotations

import base64
import dataclasses
import typing as t

from ..errors import PlatformError
from .api import KubernetesApi
from .canary import canary_name, function_of
from .kinds import POD, SECRET, SPIN_APP, Object
from .objects import secret_names

_SHORTEST_LINE = 8


@dataclasses.dataclass(frozen=True)
class ContainerLog:
    """What one container of a pod wrote.

    Attributes:
        state: of the pod as users know it: `running`, `not ready`, `waiting: CrashLoopBackOff`, …
        previous: whether it is of the previous run, which ended with `exit_code`.
    """

    pod: str
    node: str
    state: str
    restarts: int
    lines: list[str]
    previous: bool = False
    exit_code: int | None = None


def function_logs(
    api: KubernetesApi, namespace: str, name: str, *, lines: int, since_seconds: int | None
) -> list[ContainerLog]:
    """The logs of all replicas, sorted by pod; for a crashed container, the end of its previous run comes first.

    Args:
        lines: how many of the last lines of each container.
        since_seconds: only what was written in the last so many seconds; None for all.

    Raises:
        PlatformError: there is no such function.
    """
    found: list[ContainerLog] = []
    for app in _apps(api, namespace, name):
        for pod in api.list(POD, namespace, labels={"core.spinkube.dev/app-name": app["metadata"]["name"]}):
            found += pod_logs(api, pod, lines, since_seconds)
    return sorted(found, key=lambda log: (log.pod, not log.previous))


def secret_values(api: KubernetesApi, namespace: str, name: str) -> set[str]:
    """The values of the function's secret variables, which it may have written.

    Raises:
        PlatformError: the user may not read them, so they could not be blacked out.
    """
    names = [secret for app in _apps(api, namespace, name) for secret in secret_names(app)]
    return values_of_secrets(api, namespace, dict.fromkeys(names))


def values_of_secrets(api: KubernetesApi, namespace: str, names: t.Iterable[str]) -> set[str]:
    """The texts by which output would show a value of these Secrets; see `secret_values`."""
    values: set[str] = set()
    for name in names:
        try:
            secret = api.get(SECRET, namespace, name)
        except PlatformError as error:
            raise PlatformError(
                "The log may hold values of secret variables, and these cannot be read to leave them out: "
                f"{error.cause}",
                next_step=f"Ask for the permission to get Secrets in namespace {namespace}, or read the log with "
                "kubectl, which shows all of it.",
            ) from error
        values |= {
            base64.b64decode(value).decode(errors="replace") for value in ((secret or {}).get("data") or {}).values()
        }
    # The lines of a value may be written one by one; short ones, such as a bracket, give nothing away.
    return {
        text
        for value in values
        for text in (value, *(line for line in value.splitlines() if len(line) >= _SHORTEST_LINE))
        if text.strip()
    }


def _apps(api: KubernetesApi, namespace: str, name: str) -> list[Object]:
    app = api.get(SPIN_APP, namespace, name)
    if app is None:
        raise PlatformError(
            f"There is no function {namespace}/{name}.",
            next_step="See `ansible-playbook wasmfaas.platform.list_functions` for those there are, or give `-e "
            "namespace=NAMESPACE`.",
        )
    canary = api.get(SPIN_APP, namespace, canary_name(name))
    return [app, *([canary] if canary is not None and function_of(canary) == name else [])]


def pod_logs(api: KubernetesApi, pod: Object, lines: int, since_seconds: int | None) -> t.Iterator[ContainerLog]:
    """The logs of a pod's containers; see `function_logs`."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    about = {"pod": metadata["name"], "node": (pod.get("spec") or {}).get("nodeName", "")}
    for container in status.get("containerStatuses") or []:
        restarts = int(container.get("restartCount", 0))
        state = _state(pod, container)
        ended = (container.get("lastState") or {}).get("terminated")
        if ended is not None and not container.get("ready"):
            before = api.container_log(
                metadata["namespace"],
                metadata["name"],
                container["name"],
                lines=lines,
                since_seconds=since_seconds,
                previous=True,
            )
            yield ContainerLog(
                **about, state=state, restarts=restarts, lines=before, previous=True, exit_code=ended.get("exitCode")
            )
            if "waiting" in (container.get("state") or {}):
                continue  # until its next start the kubelet gives the same log as the current one
        now = api.container_log(
            metadata["namespace"], metadata["name"], container["name"], lines=lines, since_seconds=since_seconds
        )
        yield ContainerLog(**about, state=state, restarts=restarts, lines=now)
    if not status.get("containerStatuses"):
        yield ContainerLog(**about, state=_state(pod, {}), restarts=0, lines=[])


def _state(pod: Object, container: Object) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "ending"
    state = container.get("state") or {}
    if "running" in state:
        return "running" if container.get("ready") else "not ready"
    for name in ("waiting", "terminated"):
        if name in state:
            return f"{name}: {state[name].get('reason', 'unknown')}"
    return str((pod.get("status") or {}).get("phase", "unknown")).lower()
