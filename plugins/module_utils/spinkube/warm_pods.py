# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a function once on nodes that have not run it, so that they pull and compile its artifact."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import time
import typing as t

from .. import progress
from ..errors import PlatformError
from ..kubernetes.pods import failure_of
from .api import KubernetesApi
from .kinds import POD, Object
from .objects import MANAGED_BY

WARMS = "wasmfaas.dev/warms"
"""Label of the pods, with the function's name. They have none of those by which the operator, Services and scalers know
a function's pods."""

AT_ONCE = 3
"""Nodes that compile at the same time, each with up to 540 MB more memory for the shim, and that pull at once."""

POD_SECONDS = 180
"""How long a pod may take. The kubelet itself gives the start of a container, which compiles, two minutes."""

WAITING_SECONDS = 20.0
"""How long a pod may be unschedulable, or its image not be pulled, before its node is given up."""

_POLL_SECONDS = 0.5
_NOT_NEEDED = ("readinessProbe", "livenessProbe", "startupProbe", "ports", "lifecycle")
_REQUESTS = {"cpu": "1m", "memory": "16Mi"}


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
            "name": f"{metadata['name'][:40]}-warm-{secrets.token_hex(4)}",
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
    at: float


class WarmPods:
    """The pods that make nodes warm for one function. None is left when `run` ends.

    Args:
        app: the SpinApp.
        template: the pod template of its Deployment.
    """

    def __init__(self, api: KubernetesApi, app: Object, template: Object) -> None:
        self._api = api
        self._app = app
        self._template = template
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
                while waiting and len(self._pods) < AT_ONCE:
                    self._start(waiting.pop(0))
                if self._pods:
                    time.sleep(_POLL_SECONDS)  # between two looks at the pods
                    self._look()
        except PlatformError as error:  # the API server is away, or a permission is missing
            self._failed |= dict.fromkeys([*waiting, *(pod.node for pod in self._pods.values())], error.cause)
        finally:
            for name in list(self._pods):
                self._end(name)
        return self._failed

    def _delete_left(self) -> None:
        """Delete what a run that was killed left behind."""
        for pod in self._api.list(POD, self._namespace, labels=self._labels):
            self._api.delete(POD, self._namespace, pod["metadata"]["name"], grace_seconds=1)

    def _start(self, node: str) -> None:
        pod = warm_pod(self._app, self._template, node)
        try:
            self._api.create(POD, pod)
        except PlatformError as error:
            self._failed[node] = error.cause
            return
        self._pods[pod["metadata"]["name"]] = _Started(node, time.monotonic())

    def _look(self) -> None:
        found = {pod["metadata"]["name"]: pod for pod in self._api.list(POD, self._namespace, labels=self._labels)}
        for name, started in list(self._pods.items()):
            seconds = time.monotonic() - started.at
            reason = why_not(found[name], seconds) if name in found else "somebody else deleted its pod"
            if reason is None:
                continue
            if reason:
                self._failed[started.node] = reason
            else:
                progress.tell(f"warm on {started.node} after {seconds:.1f} s")
            self._end(name)

    def _end(self, name: str) -> None:
        del self._pods[name]
        with contextlib.suppress(PlatformError):  # its owner and its deadline end it as well
            self._api.delete(POD, self._namespace, name, grace_seconds=1)


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
