# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of Kubernetes objects that a function consists of or depends on."""

from __future__ import annotations

import dataclasses
import typing as t

Object = dict[str, t.Any]
"""An object of Kubernetes, as in its JSON."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind; `provider` says what to install where the cluster lacks it."""

    group: str
    version: str
    kind: str
    plural: str
    provider: str = ""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


SPIN_APP = Kind("core.spinkube.dev", "v1alpha1", "SpinApp", "spinapps", "the SpinKube operator")
SPIN_APP_EXECUTOR = Kind(
    "core.spinkube.dev", "v1alpha1", "SpinAppExecutor", "spinappexecutors", "the SpinKube operator"
)
HTTP_ROUTE = Kind(
    "gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", "the Gateway API with a controller such as Traefik"
)
GATEWAY = Kind(
    "gateway.networking.k8s.io", "v1", "Gateway", "gateways", "the Gateway API with a controller such as Traefik"
)
SCALED_OBJECT = Kind("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects", "KEDA")
INTERCEPTOR_ROUTE = Kind(
    "http.keda.sh", "v1beta1", "InterceptorRoute", "interceptorroutes", "KEDA's HTTP add-on (0.14 or later)"
)
HORIZONTAL_POD_AUTOSCALER = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
SECRET = Kind("", "v1", "Secret", "secrets")
POD = Kind("", "v1", "Pod", "pods")
NODE = Kind("", "v1", "Node", "nodes")
RUNTIME_CLASS = Kind("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses")
EVENT = Kind("", "v1", "Event", "events")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
JOB = Kind("batch", "v1", "Job", "jobs")
SERVICE = Kind("", "v1", "Service", "services")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")

BY_NAME = {
    kind.kind: kind
    for kind in (SPIN_APP, HTTP_ROUTE, SCALED_OBJECT, INTERCEPTOR_ROUTE, HORIZONTAL_POD_AUTOSCALER, SECRET)
}
"""The kinds that a deployment may write, by the `kind` of an object."""
