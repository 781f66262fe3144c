# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the Kubernetes objects of a function from its settings."""

from __future__ import annotations

from ..errors import PlatformError
from ..function.manifest.model import Manifest
from ..function.manifest.routes import path_of
from ..function.model import DesiredFunction
from ..function.probe import HEALTH_PATH
from .kinds import HORIZONTAL_POD_AUTOSCALER, HTTP_ROUTE, INTERCEPTOR_ROUTE, SCALED_OBJECT, SPIN_APP, Kind, Object
from .labels import WARM_NODES
from .objects import CALLED_PATH, SOURCE_DIGEST, URL, FunctionObjects, labels
from .settings import EXTERNAL_SCALER, INTERCEPTOR_SERVICE, ClusterSettings

FIRST_SLEEP_SECONDS = 120
"""How long a new function without a request is left awake at least: long enough for a node that compiles it first.
`cooldownPeriod` counts only from the first request that KEDA has seen (KEDA v2.20.2:
pkg/scaling/executor/scale_scaledobjects.go, scaleToZeroOrIdle)."""


def function_objects(
    desired: DesiredFunction, settings: ClusterSettings, url: str, secret_name: str | None, listener: str | None = None
) -> FunctionObjects:
    """Make the objects that the function is to consist of.

    Args:
        url: where it will answer; empty without an http trigger.
        secret_name: of the Secret that holds the secret variables; None where there are none.
        listener: the one of the Gateway's listeners to answer at; None for all.

    Raises:
        PlatformError: it is to scale by requests and has no http trigger to get them by.
    """
    if settings.autoscale and settings.autoscale.by_requests and not url:
        raise PlatformError(
            f"autoscale: the function {desired.name} has no http trigger, so there are no requests to scale it by.",
            next_step="Use `replicas`.",
        )
    metadata = {"name": desired.name, "namespace": desired.namespace, "labels": labels(desired.name)}
    spec = _spin_app_spec(desired, settings, secret_name)
    annotations = {SOURCE_DIGEST: desired.source_digest, URL: url}
    if (settings.invocation_limits or {}).get("memory") and (path := _called_path(desired.manifest, settings)):
        annotations[CALLED_PATH] = path
    if settings.warm == "all" and desired.has_only_http_triggers:
        annotations[WARM_NODES] = "all"
    app = _object(SPIN_APP, {**metadata, "annotations": annotations}, spec)
    route = _object(HTTP_ROUTE, metadata, route_spec(desired.name, settings, url, listener)) if url else None
    return FunctionObjects(app, _scaling_objects(metadata, desired.name, settings, url), route).sealed()


def _called_path(manifest: Manifest, settings: ClusterSettings) -> str:
    """A path that leads to a component; empty where none is public."""
    for trigger in manifest.triggers:
        route = trigger.settings.get("route")
        runs = trigger.component and trigger.component in (settings.components or manifest.components)
        if trigger.type == "http" and runs and isinstance(route, str):
            return path_of(route)
    return ""


def _object(kind: Kind, metadata: Object, spec: Object) -> Object:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}


def _spin_app_spec(desired: DesiredFunction, settings: ClusterSettings, secret_name: str | None) -> Object:
    plain, secret = sorted(desired.variables.plain.items()), sorted(desired.variables.secret)
    variables: list[Object] = [{"name": name, "value": value} for name, value in plain]
    variables += [{"name": name, "valueFrom": {"secretKeyRef": {"name": secret_name, "key": name}}} for name in secret]
    pods: Object = {
        "image": desired.image,
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
    if desired.has_http_trigger:
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


def route_spec(name: str, settings: ClusterSettings, url: str, listener: str | None) -> Object:
    """The spec of an HTTPRoute from the host of `url` to the Service `name`; see `function_objects`."""
    backend: Object = {"name": name, "port": 80}
    timeout = f"{settings.timeout}s"
    if settings.autoscale and settings.autoscale.by_requests:
        # KEDA's interceptor holds a request until a replica runs; a ReferenceGrant in its namespace allows the way
        # there.
        namespace, service, port = INTERCEPTOR_SERVICE
        backend = {"name": service, "namespace": namespace, "port": port}
        # None (Gateway API): the Gateway would count the time until a replica runs. The interceptor keeps the limit.
        timeout = "0s"
    return {
        "parentRefs": [
            {
                "name": settings.gateway_name,
                "namespace": settings.gateway_namespace,
                **({"sectionName": listener} if listener else {}),
            }
        ],
        "hostnames": [_host(url)],
        "rules": [{"backendRefs": [backend], "timeouts": {"request": timeout}}],
    }


def _host(url: str) -> str:
    return url.partition("://")[2].partition(":")[0]


def _scaling_objects(metadata: Object, name: str, settings: ClusterSettings, url: str) -> tuple[Object, ...]:
    scale = settings.autoscale
    if scale is None:
        return ()
    # Never the SpinApp: it has no scale subresource.
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    if not scale.by_requests:
        metric = {
            "type": "Resource",
            "resource": {
                "name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": scale.target_cpu_percent},
            },
        }
        spec = {"scaleTargetRef": target, "minReplicas": scale.min, "maxReplicas": scale.max, "metrics": [metric]}
        return (_object(HORIZONTAL_POD_AUTOSCALER, metadata, spec),)
    measure: Object = {"concurrency": {"targetValue": scale.target_concurrency}}
    if scale.target_requests_per_second is not None:
        measure = {
            "requestRate": {"targetValue": scale.target_requests_per_second, "window": "1m", "granularity": "1s"}
        }
    timeouts = {"responseHeader": f"{settings.timeout}s"}
    if scale.cold_start_timeout is not None:
        timeouts["readiness"] = f"{scale.cold_start_timeout}s"
    route = {
        "target": {"service": name, "port": 80},
        "rules": [{"hosts": [_host(url)]}],
        "scalingMetric": measure,
        "timeouts": timeouts,
    }
    trigger = {
        "type": "external-push",
        "metadata": {"scalerAddress": EXTERNAL_SCALER, "interceptorRoute": name},
    }
    scaled = {
        "scaleTargetRef": target,
        "minReplicaCount": scale.min,
        "maxReplicaCount": scale.max,
        "cooldownPeriod": scale.cooldown_seconds,
        # KEDA removes the last replica when it looks; replicas for waiting requests do not wait for that.
        "pollingInterval": min(30, max(5, scale.cooldown_seconds // 10)),
        # Without it KEDA takes the first replica of a new function away at once.
        **({} if scale.min else {"initialCooldownPeriod": max(scale.cooldown_seconds, FIRST_SLEEP_SECONDS)}),
        "triggers": [trigger],
    }
    return _object(INTERCEPTOR_ROUTE, metadata, route), _object(SCALED_OBJECT, metadata, scaled)
