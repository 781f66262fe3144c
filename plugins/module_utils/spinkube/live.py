# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Describes deployed functions as users see them."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ..errors import PlatformError
from ..function.model import LiveFunction
from .api import KubernetesApi
from .canary import canary_name, function_of
from .kinds import DEPLOYMENT, SPIN_APP, Object
from .labels import MANAGED_BY
from .objects import SOURCE_DIGEST, URL, settings_digest
from .version_record import VersionRecord
from .warm_record import Marks, WarmRecord, counted, wasm_nodes


def list_functions(api: KubernetesApi, namespace: str | None) -> list[LiveFunction]:
    """Read all functions of a namespace (None: of all) with two calls.

    Those that somebody else deployed are among them; a canary is part of its function. For functions with warm nodes
    the nodes are read as well.
    """
    deployments = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item
        for item in api.list(DEPLOYMENT, namespace)
        if "core.spinkube.dev/app-name" in (item["metadata"].get("labels") or {})
    }
    apps = {(app["metadata"]["namespace"], app["metadata"]["name"]): app for app in api.list(SPIN_APP, namespace)}

    @functools.cache
    def nodes_of(runtime_class: str) -> Marks | None:
        try:
            return wasm_nodes(api, runtime_class)
        except PlatformError:
            return None  # tenants do not see RuntimeClasses

    found = []
    for (where, name), app in sorted(apps.items()):
        if (where, function_of(app)) in apps:
            continue
        key = (where, canary_name(name))
        canary = apps.get(key) if function_of(apps.get(key)) == name else None
        function = live_function(app, deployments.get((where, name)), canary, deployments.get(key))
        found.append(_with_warm_nodes(function, WarmRecord.of(app), nodes_of))
    return found


def _with_warm_nodes(
    function: LiveFunction, record: WarmRecord, nodes_of: t.Callable[[str], Marks | None]
) -> LiveFunction:
    if function.digest not in record.artifacts:
        return function
    state = counted(record, function.digest, nodes_of(record.runtime_class))
    return dataclasses.replace(function, details={**function.details, "warm": state})


def live_function(
    app: Object, deployment: Object | None, canary: Object | None = None, canary_deployment: Object | None = None
) -> LiveFunction:
    """Give what a SpinApp and its Deployment, and those of its canary, say of the function."""
    metadata, spec = app["metadata"], app["spec"]
    annotations = metadata.get("annotations") or {}
    status, replicas = _status(app, deployment)
    of_canary: dict[str, t.Any] = {}
    if canary is not None:
        of_canary["canary"] = {"weight": VersionRecord.of(canary).weight, **_canary_state(canary, canary_deployment)}
    return LiveFunction(
        name=metadata["name"],
        namespace=metadata["namespace"],
        source_digest=annotations.get(SOURCE_DIGEST, ""),
        image=spec["image"],
        url=annotations.get(URL, ""),
        status=status,
        created=metadata.get("creationTimestamp", ""),
        details={
            "replicas": replicas,
            "ready_replicas": _ready(deployment),
            "autoscaled": bool(spec.get("enableAutoscaling")),
            "executor": spec.get("executor", ""),
            "managed": (metadata.get("labels") or {}).get("app.kubernetes.io/managed-by")
            == MANAGED_BY["app.kubernetes.io/managed-by"],
            "earlier": [version.described() for version in VersionRecord.of(app).before(app)],
            **of_canary,
        },
    )


def _canary_state(app: Object, deployment: Object | None) -> dict[str, t.Any]:
    image = str(app["spec"]["image"])
    status, replicas = _status(app, deployment)
    return {
        "image": image,
        "digest": image.partition("@")[2],
        "status": status,
        "replicas": replicas,
        "ready_replicas": _ready(deployment),
    }


def _ready(deployment: Object | None) -> int:
    return int(((deployment or {}).get("status") or {}).get("readyReplicas", 0))


def _is_finished(app: Object) -> bool:
    """Whether the last deployment of a function came to its end; one of somebody else is taken for finished."""
    return VersionRecord.of(app).settings_digest == settings_digest(app)


def _status(app: Object, deployment: Object | None) -> tuple[str, int]:
    if deployment is None:
        return "progressing", 0
    desired = deployment["spec"].get("replicas", 1)
    status = deployment.get("status") or {}
    if desired == 0:
        return ("sleeping" if _is_finished(app) and app["spec"].get("enableAutoscaling") else "stopped"), 0
    if (
        status.get("availableReplicas", 0) >= desired
        and status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    ):
        return "ready", desired
    conditions = {condition["type"]: condition for condition in status.get("conditions") or []}
    failed = (
        conditions.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded" or "ReplicaFailure" in conditions
    )
    return ("failed" if failed else "progressing"), desired
