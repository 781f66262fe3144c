# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a function once on nodes that have not run it, so that they pull and compile its artifact.

A deployment does so, and the cluster's servers for nodes that join later (node_warmer.py); so this file needs the
standard library of Python 3.9 alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import time
import typing as t

from .. import progress
from ..errors import PlatformError
from ..kubernetes.pods import failure_of
from .kinds import POD, Kind, Object
from .labels import MANAGED_BY

WARMS = "wasmfaas.dev/warms"
"""Label of the pods, with the function's name. They have none of those by which the operator, Services and scalers know
a function's pods."""

AT_ONCE = 3
"""Nodes that compile at the same time, each with up to 540 MB more memory for the shim, and that pull at once."""

POD_SECONDS = 180
"""How long a pod may take. The kubelet itself gives the start of a container, which compiles, two minutes."""

WAITING_SECONDS = 20.0
"""How long a pod may be unschedulable, or its image not be pulled, before its node is given up."""

TRIES = 3
"""How often a pod is made that somebody else deletes before it was seen to run: another run may have been faster."""

_POLL_SECONDS = 0.5
_NOT_NEEDED = ("readinessProbe", "livenessProbe", "startupProbe", "ports", "lifecycle")
_REQUESTS = {"cpu": "1m", "memory": "16Mi"}


class PodsApi(t.Protocol):
    """The calls of `api.KubernetesApi` for pods, each of which may raise PlatformError."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, or None where there is none."""

    def list(self, kind: Kind, namespace: str, *, labels: dict[str, str]) -> t.List[Object]:  # noqa: UP006 - `list` is a method here
        """All objects of a kind in a namespace that have these labels."""

    def create(self, kind: Kind, desired: Object) -> object:
        """Make an object."""

    def delete(self, kind: Kind, namespace: str, name: str, *, grace_seconds: int) -> bool:
        """Delete an object; False where there was none."""


def pod_name(app: Object, template: Object, node: str) -> str:
    """The same for all who make one node warm for one artifact, so that they make one pod together."""
    images = [container.get("image") for container in template["spec"]["containers"]]
    text = "\n".join([str(app["metadata"].get("uid")), *map(str, images), node])
    return f"{app['metadata']['name'][:40]}-warm-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def warm_pod(app: Object, template: Object, node: str) -> Object:
    """A pod that starts the function on one node as the operator's pods do.

    Args:
        app: the SpinApp, which owns it.
        template: the pod template of its Deployment.
    """
    metadata = app["metadata"]
    pinned = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    containers = [
        {
            **{name: value for name, value in container.items() if name not in _NOT_NEEDED},
            "resources": {**(container.get("resources") or {}), "requests": _REQUESTS},
        }
        for container in template["spec"]["containers"]
    ]
    owner = {name: app[name] for name in ("apiVersion", "kind")} | {name: metadata[name] for name in ("name", "uid")}
    return {
        "apiVersion": POD.api_version,
        "kind": POD.kind,
        "metadata": {
            "name": pod_name(app, template, node),
            "namespace": metadata["namespace"],
            "labels": {**MANAGED_BY, WARMS: metadata["name"]},
            "annotations": template["metadata"].get("annotations") or {},
            "ownerReferences": [owner],
        },
        "spec": {
            **template["spec"],
            "restartPolicy": "Never",
            "activeDeadlineSeconds": POD_SECONDS,
            # By a rule and not by `nodeName`, so that taints and the node's free memory count.
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [pinned]}}
            },
            "containers": containers,
        },
    }


@dataclasses.dataclass(frozen=True)
class _Started:
    node: str
    at: float  # seconds of the monotonic clock


class WarmPods:
    """The pods that make nodes warm for one function. None is left when `run` ends.

    Args:
        app: the SpinApp.
        template: the pod template of its Deployment.
        seconds: when to give up the nodes that are still cold.
    """

    def __init__(self, api: PodsApi, app: Object, template: Object, *, seconds: float | None = None) -> None:
        self._api = api
        self._app = app
        self._template = template
        self._end_at = None if seconds is None else time.monotonic() + seconds
        self._tries: dict[str, int] = {}
        self.lost: PlatformError | None = None
        """Why `run` stopped before its end."""
        self._namespace = app["metadata"]["namespace"]
        self._labels = {WARMS: app["metadata"]["name"]}
        self._pods: dict[str, _Started] = {}
        self._failed: dict[str, str] = {}

    def run(self, nodes: t.Collection[str]) -> dict[str, str]:
        """Make nodes warm, AT_ONCE at a time.

        Returns:
            Why a node is not, by its name.
        """
        waiting = sorted(nodes)
        try:
            self._delete_left()
            while waiting or self._pods:
                if self._end_at is not None and time.monotonic() > self._end_at:
                    left = [*waiting, *(pod.node for pod in self._pods.values())]
                    self._failed |= dict.fromkeys(left, "there was no time left")
                    break
                while waiting and len(self._pods) < AT_ONCE:
                    self._start(waiting.pop(0))
                if self._pods:
                    time.sleep(_POLL_SECONDS)  # between two looks at the pods
                    waiting += self._look()
        except PlatformError as error:  # the API server is away, or a permission is missing
            self.lost = error
            self._failed |= dict.fromkeys([*waiting, *(pod.node for pod in self._pods.values())], error.cause)
        finally:
            for name in list(self._pods):
                self._end(name)
        return self._failed

    def _delete_left(self) -> None:
        """Delete what a run that was killed left behind; those of another one may be at work."""
        for pod in self._api.list(POD, self._namespace, labels=self._labels):
            if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed") or is_old(pod):
                self._api.delete(POD, self._namespace, pod["metadata"]["name"], grace_seconds=1)

    def _start(self, node: str) -> None:
        pod = warm_pod(self._app, self._template, node)
        name = pod["metadata"]["name"]
        try:
            self._api.create(POD, pod)
        except PlatformError as error:
            if self._api.get(POD, self._namespace, name) is None:  # or somebody else makes this node warm as well
                self._failed[node] = error.cause
                return
        self._tries[node] = self._tries.get(node, 0) + 1
        self._pods[name] = _Started(node, time.monotonic())

    def _look(self) -> list[str]:
        """See which pods have done their work. Returns the nodes whose pods are to be made again."""
        again = []
        found = {pod["metadata"]["name"]: pod for pod in self._api.list(POD, self._namespace, labels=self._labels)}
        for name, started in list(self._pods.items()):
            seconds = time.monotonic() - started.at
            reason = why_not(found[name], seconds) if name in found else "somebody else deletes its pods"
            if name not in found and self._tries[started.node] < TRIES:
                del self._pods[name]
                again.append(started.node)
            if reason is None or name not in self._pods:
                continue
            if reason:
                self._failed[started.node] = reason
            else:
                progress.tell(f"warm on {started.node} after {seconds:.1f} s")
            self._end(name)
        return again

    def _end(self, name: str) -> None:
        del self._pods[name]
        with contextlib.suppress(PlatformError):  # its owner and its deadline end it as well
            self._api.delete(POD, self._namespace, name, grace_seconds=1)


def is_old(pod: Object) -> bool:
    """Whether a pod was made longer ago than any run lets it be, by this machine's clock."""
    made = datetime.datetime.strptime(pod["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%S%z")
    return (datetime.datetime.now(datetime.timezone.utc) - made).total_seconds() > 2 * POD_SECONDS


def why_not(pod: Object, seconds: float) -> str | None:
    """Why a pod has not made its node warm: empty once it has, None while that is open.

    Args:
        seconds: since the pod was made.
    """
    status = pod.get("status") or {}
    containers = status.get("containerStatuses") or []
    # What is compiled is compiled before the container starts.
    if status.get("phase") == "Succeeded" or any("running" in (one.get("state") or {}) for one in containers):
        return ""
    failure = failure_of(pod)
    what = failure.what if failure else "it did not start"
    if status.get("phase") == "Failed":
        return str(status.get("message") or what)
    lasts = failure is not None and failure.kind != "not-ready" and seconds > WAITING_SECONDS
    return what if lasts or seconds > POD_SECONDS else None
