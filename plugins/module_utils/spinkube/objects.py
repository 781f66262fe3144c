# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kubernetes objects that make up a function."""

from __future__ import annotations

import hashlib
import json
import typing as t

from ..errors import PlatformError
from ..function.model import WantedFunction
from ..function.probe import HEALTH_PATH
from .kinds import HORIZONTAL_POD_AUTOSCALER, HTTP_ROUTE, INTERCEPTOR_ROUTE, SCALED_OBJECT, SECRET, SPIN_APP, Kind
from .settings import EXTERNAL_SCALER, INTERCEPTOR_SERVICE, ClusterSettings

Object = dict[str, t.Any]

MANAGED_BY = {"app.kubernetes.io/managed-by": "wasmfaas"}
SOURCE_DIGEST = "wasmfaas.dev/source-digest"
SETTINGS_DIGEST = "wasmfaas.dev/settings-digest"
URL = "wasmfaas.dev/url"
LAST_GOOD = "wasmfaas.dev/last-good"
"""On the SpinApp, written after the function answered: what to put back when a later deployment does not come up, and
what ran before (versions.py)."""

REVISION = "wasmfaas.dev/revision"
"""On the pods: tells those of this deployment from earlier ones, since the SpinApp's status names no generation."""

_NOT_OF_THE_PODS = frozenset({"replicas", "enableAutoscaling", "podAnnotations"})


def labels(name: str) -> dict[str, str]:
    """The labels that every object of the function carries and is found by."""
    return {**MANAGED_BY, "app.kubernetes.io/name": name}


def function_objects(
    wanted: WantedFunction, settings: ClusterSettings, url: str, secret_name: str | None, listener: str | None = None
) -> list[Object]:
    """All objects of the function but the Secret, in the order to apply them.

    Args:
        url: where it will answer; empty without an http trigger.
        secret_name: of the Secret that holds the secret variables; None where there are none.
        listener: the one of the Gateway's listeners to answer at; None for all.

    Raises:
        PlatformError: it is to scale by requests and has no http trigger to get them by.
    """
    if settings.autoscale and settings.autoscale.by_requests and not url:
        raise PlatformError(
            f"autoscale: the function {wanted.name} has no http trigger, so there are no requests to scale it by.",
            next_step="use `replicas`, or autoscale with target_cpu_percent.",
        )
    metadata = {"name": wanted.name, "namespace": wanted.namespace, "labels": labels(wanted.name)}
    spec = _spin_app_spec(wanted, settings, secret_name)
    objects = [_object(SPIN_APP, {**metadata, "annotations": {SOURCE_DIGEST: wanted.source_digest, URL: url}}, spec)]
    objects += _scaling_objects(metadata, wanted, settings, url)
    if url:
        objects.append(_object(HTTP_ROUTE, metadata, _route_spec(wanted, settings, url, listener)))
    return sealed(objects)


def sealed(objects: list[Object]) -> list[Object]:
    """The objects of a function with the two digests over themselves: that of the pods, and that of all."""
    app, *others = objects
    pods = {name: value for name, value in app["spec"].items() if name not in _NOT_OF_THE_PODS}
    annotations = {name: value for name, value in app["metadata"]["annotations"].items() if name != SETTINGS_DIGEST}
    app = {
        **app,
        "metadata": {**app["metadata"], "annotations": annotations},
        "spec": {**app["spec"], "podAnnotations": {REVISION: _digest(pods)[7:23]}},
    }
    annotations[SETTINGS_DIGEST] = _digest([app, *others])
    return [app, *others]


def settings_digest(objects: list[Object]) -> str:
    """The digest over all objects of a function; empty where there are none."""
    return str(objects[0]["metadata"]["annotations"].get(SETTINGS_DIGEST, "")) if objects else ""


def route_of(objects: list[Object]) -> Object | None:
    """The HTTPRoute among the objects of a function."""
    return next((item for item in objects if item["kind"] == HTTP_ROUTE.kind), None)


def secret_names(app: Object | None) -> list[str]:
    """The Secrets that a SpinApp's variables come from."""
    variables = ((app or {}).get("spec") or {}).get("variables") or []
    return [
        variable["valueFrom"]["secretKeyRef"]["name"]
        for variable in variables
        if "secretKeyRef" in (variable.get("valueFrom") or {})
    ]


def secret_object(wanted: WantedFunction, secret_name: str) -> Object:
    """The Secret with the values of the secret variables."""
    return {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": {"name": secret_name, "namespace": wanted.namespace, "labels": labels(wanted.name)},
        "type": "Opaque",
        "stringData": dict(sorted(wanted.variables.secret.items())),
    }


def _object(kind: Kind, metadata: Object, spec: Object) -> Object:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}


def _digest(value: t.Any) -> str:
    return "sha256:" + hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _spin_app_spec(wanted: WantedFunction, settings: ClusterSettings, secret_name: str | None) -> Object:
    variables: list[Object] = [{"name": name, "value": value} for name, value in sorted(wanted.variables.plain.items())]
    variables += [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret_name, "key": name}}}
        for name in sorted(wanted.variables.secret)
    ]
    pods: Object = {
        "image": wanted.image,
        # Always named: the operator's webhook would take the first executor of any namespace, and then want it in this
        # one.
        "executor": settings.executor,
        **({"variables": variables} if variables else {}),
        **(
            {"imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets]}
            if settings.image_pull_secrets
            else {}
        ),
        **({"serviceAccountName": settings.service_account} if settings.service_account else {}),
        **({"resources": settings.resources} if settings.resources else {}),
        **({"invocationLimits": settings.invocation_limits} if settings.invocation_limits else {}),
        **({"runtimeConfig": settings.runtime_config} if settings.runtime_config else {}),
        **({"components": list(settings.components)} if settings.components else {}),
    }
    if wanted.has_http_trigger:
        # A pod gets requests only once it answers; the CRD's own default waits 10 s before it asks.
        pods["checks"] = {
            "readiness": {
                # Without the empty list the operator's webhook writes null here, which the API server refuses: see
                # stored.py.
                "httpGet": {"path": settings.probe_path or HEALTH_PATH, "httpHeaders": []},
                "initialDelaySeconds": 1,
                "periodSeconds": 1,
                "timeoutSeconds": 1,
                "failureThreshold": 3,
                "successThreshold": 1,
            }
        }
    scale: Object = {"enableAutoscaling": True} if settings.autoscale else {"replicas": settings.replicas or 1}
    return {**pods, **scale}


def _route_spec(wanted: WantedFunction, settings: ClusterSettings, url: str, listener: str | None) -> Object:
    backend: Object = {"name": wanted.name, "port": 80}
    if settings.autoscale and settings.autoscale.by_requests:
        # KEDA's interceptor holds a request until a replica runs; a ReferenceGrant in its namespace allows the way
        # there.
        namespace, service, port = INTERCEPTOR_SERVICE
        backend = {"name": service, "namespace": namespace, "port": port}
    return {
        "parentRefs": [
            {
                "name": settings.gateway_name,
                "namespace": settings.gateway_namespace,
                **({"sectionName": listener} if listener else {}),
            }
        ],
        "hostnames": [_host(url)],
        "rules": [{"backendRefs": [backend]}],
    }


def _host(url: str) -> str:
    return url.partition("://")[2].partition(":")[0]


def _scaling_objects(metadata: Object, wanted: WantedFunction, settings: ClusterSettings, url: str) -> list[Object]:
    scale = settings.autoscale
    if scale is None:
        return []
    target = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": wanted.name,
    }  # never the SpinApp: it has no scale subresource
    if not scale.by_requests:
        metric = {
            "type": "Resource",
            "resource": {
                "name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": scale.target_cpu_percent},
            },
        }
        spec = {"scaleTargetRef": target, "minReplicas": scale.min, "maxReplicas": scale.max, "metrics": [metric]}
        return [_object(HORIZONTAL_POD_AUTOSCALER, metadata, spec)]
    measure: Object = {"concurrency": {"targetValue": scale.target_concurrency}}
    if scale.target_requests_per_second is not None:
        measure = {
            "requestRate": {"targetValue": scale.target_requests_per_second, "window": "1m", "granularity": "1s"}
        }
    route = {
        "target": {"service": wanted.name, "port": 80},
        "rules": [{"hosts": [_host(url)]}],
        "scalingMetric": measure,
        "timeouts": {"readiness": "120s", "responseHeader": "60s"},
    }
    trigger = {"type": "external-push", "metadata": {"scalerAddress": EXTERNAL_SCALER, "interceptorRoute": wanted.name}}
    scaled = {
        "scaleTargetRef": target,
        "minReplicaCount": scale.min,
        "maxReplicaCount": scale.max,
        "cooldownPeriod": scale.cooldown_seconds,
        "triggers": [trigger],
    }
    return [_object(INTERCEPTOR_ROUTE, metadata, route), _object(SCALED_OBJECT, metadata, scaled)]
