# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API server as the service itself uses it, and as a tenant whose rights it takes."""

from __future__ import annotations

import functools
import json
import typing as t

# Whole before there are threads: parts of it import each other, and what the modules import late would fail where two
# threads do so at once (lightkube 1.0.1, core/exceptions.py).
from lightkube.core.selector import build_selector
from lightkube.resources.core_v1 import ServiceAccountToken

from ...plugins.module_utils.spinkube.api import KubernetesApi, Objects, resource
from ...plugins.module_utils.spinkube.connection import ConnectionOptions
from ...plugins.module_utils.spinkube.kinds import Kind, Object
from .settings import ClusterSettings, deployer_of

FUNCTION_DEPLOYMENT = Kind(
    "hosted.wasmfaas.dev",
    "v1alpha1",
    "FunctionDeployment",
    "functiondeployments",
    "the component function_service of the platform",
)
NAMESPACE = Kind("", "v1", "Namespace", "namespaces")
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
_TOKEN_REVIEW = Kind("authentication.k8s.io", "v1", "TokenReview", "tokenreviews")

TENANT_LABEL = "wasmfaas.dev/tenant"

_MOST_TENANTS = 256
"""Of how many tenants the connections are kept."""


class ServiceApi(KubernetesApi):
    """The calls that only the service makes; every method may raise PlatformError."""

    def select(
        self,
        kind: Kind,
        namespace: str | None,
        *,
        labels: dict[str, t.Any] | None = None,
        fields: dict[str, t.Any] | None = None,
    ) -> Objects:
        """The objects of a namespace (None: of all) that match labels and fields, in lightkube's forms."""
        with self._translated("list", kind, namespace, None):
            return list(self._client.list(resource(kind), namespace=namespace or "*", labels=labels, fields=fields))

    def namespaces(self, label: str) -> list[str]:
        """Names of the namespaces with a label, sorted."""
        with self._translated("list", NAMESPACE, None, None):
            found = self._client.list(resource(NAMESPACE, namespaced=False), labels={label: None})
            return sorted(item["metadata"]["name"] for item in found)

    def replace_status(self, kind: Kind, desired: Object) -> Object:
        """Replace the status of an object; raises Conflict where somebody else changed the object since it was read."""
        metadata = desired["metadata"]
        with self._translated("update the status of", kind, metadata["namespace"], metadata["name"]):
            return t.cast(
                Object, self._client.replace(resource(kind, status=True)(desired), field_manager="wasmfaas-service")
            )

    def review_token(self, token: str, audience: str) -> Object:
        """The status of a TokenReview: what the API server says of a token."""
        review = {"spec": {"token": token, "audiences": [audience]}}
        with self._translated("ask about", _TOKEN_REVIEW, None, None):
            made = self._client.create(resource(_TOKEN_REVIEW, namespaced=False)(review))
        status: Object = made["status"]
        return status

    def request_token(self, namespace: str, account: str, spec: Object) -> str:
        """A token of a service account; `spec` as in Kubernetes' TokenRequest."""
        request: t.Any = ServiceAccountToken.from_dict({"metadata": {}, "spec": spec})
        with self._translated("request a token of", SERVICE_ACCOUNT, namespace, account):
            made: t.Any = self._client.create(request, account, namespace=namespace)
        return str(made.status.token)

    def list_versioned(self, kind: Kind, fields: dict[str, t.Any]) -> tuple[Objects, str]:
        """The objects of all namespaces that match fields, and the version of the list."""
        with self._translated("list", kind, None, None):
            found = self._client.list(resource(kind), namespace="*", fields=fields)
            return list(found), found.resourceVersion

    def watch(self, kind: Kind, fields: dict[str, t.Any], version: str, seconds: int) -> t.Iterator[tuple[str, Object]]:
        """What happens to the objects of all namespaces that match fields, for so many seconds: `ADDED`, `MODIFIED` or
        `DELETED` (as well for one that matches no more) with the object. For an API that is not patient."""
        import httpx2

        client: t.Any = self._client._client  # its own `watch` never ends
        parameters = {
            "fieldSelector": build_selector(fields, for_fields=True),
            "resourceVersion": version,
            "timeoutSeconds": seconds,
        }
        with self._translated("watch", kind, None, None):
            prepared = client.prepare_request("list", resource(kind), namespace="*", watch=True, params=parameters)
            prepared.timeout = httpx2.Timeout(5, read=seconds + 5)
            response = client.send(client.build_adapter_request(prepared), stream=True)
            try:
                client.raise_for_status(response)
                for line in response.iter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return  # the version is too old: the list is read again
                    yield event["type"], event["object"]
            finally:
                response.close()


class Apis:
    """The API with the rights of the service, and with those of each tenant. Threads may share it."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._kubeconfig = settings.kubeconfig or None
        self.of_tenant = functools.lru_cache(_MOST_TENANTS)(self._of_tenant)

    @functools.cached_property
    def impatient(self) -> ServiceApi:
        """With the rights of the service, for what must not wait for an API server that is away."""
        return ServiceApi(ConnectionOptions(kubeconfig=self._kubeconfig), patient=False)

    @functools.cached_property
    def own(self) -> ServiceApi:
        """With the rights of the service."""
        return ServiceApi(ConnectionOptions(kubeconfig=self._kubeconfig))

    def _of_tenant(self, tenant: str) -> KubernetesApi:
        """With the rights of a tenant's deployer."""
        return KubernetesApi(ConnectionOptions(kubeconfig=self._kubeconfig, impersonate_user=deployer_of(tenant)))
