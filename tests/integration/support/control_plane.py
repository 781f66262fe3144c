# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Kubernetes control plane for tests (tests/servers/cmd/control_plane) with the objects that a SpinKube cluster has
before its first function."""

from __future__ import annotations

import base64
import collections.abc
import ssl
import typing as t
from pathlib import Path

from lightkube import ApiError, Client, KubeConfig
from lightkube.codecs import from_dict
from lightkube.generic_resource import create_global_resource, create_namespaced_resource
from lightkube.models.authentication_v1 import TokenRequestSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace, ServiceAccount, ServiceAccountToken

from .definitions import definition_files
from .servers import Programs, Server, answers, free_port, wait_until, write_json, write_private

GATEWAY_NAME = "wasmfaas"
GATEWAY_NAMESPACE = "wasmfaas-system"
GATEWAY_CLASS = "traefik"
GATEWAY_CONTROLLER = "traefik.io/gateway-controller"
EXECUTOR = "containerd-shim-spin"
RUNTIME_CLASS = "wasmtime-spin-v2"
FIELD_MANAGER = "tests"

SpinApp = create_namespaced_resource("core.spinkube.dev", "v1alpha1", "SpinApp", "spinapps")
SpinAppExecutor = create_namespaced_resource("core.spinkube.dev", "v1alpha1", "SpinAppExecutor", "spinappexecutors")
Gateway = create_namespaced_resource("gateway.networking.k8s.io", "v1", "Gateway", "gateways")
GatewayClass = create_global_resource("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses")
HTTPRoute = create_namespaced_resource("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
ReferenceGrant = create_namespaced_resource("gateway.networking.k8s.io", "v1beta1", "ReferenceGrant", "referencegrants")
ScaledObject = create_namespaced_resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
InterceptorRoute = create_namespaced_resource("http.keda.sh", "v1beta1", "InterceptorRoute", "interceptorroutes")


class ControlPlane:
    """A running control plane; `kubeconfig` is its administrator's. Start-up: about 7 s."""

    def __init__(
        self,
        programs: Programs,
        directory: Path,
        *,
        definitions: collections.abc.Iterable[Path] = (),
        audit: bool = False,
    ) -> None:
        """Start it.

        Args:
            directory: A new directory for its data, kubeconfigs and log.
            definitions: Files of additional CustomResourceDefinitions.
            audit: Write every request as a line of JSON to `audit_log`.
        """
        self.directory = directory
        self.kubeconfig = directory / "administrator.kubeconfig"
        self.audit_log = directory / "audit.log"
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        arguments = [
            "--data-directory",
            str(directory / "data"),
            "--port",
            str(self.port),
            "--kubeconfig",
            str(self.kubeconfig),
        ]
        arguments += ["--audit-log", str(self.audit_log)] if audit else []
        for path in (*definition_files(), programs.gateway_definitions, *definitions):
            arguments += ["--custom-resource-definitions", str(path)]
        self.server = Server([str(programs.path("control_plane")), *arguments], log=directory / "control_plane.log")
        self._wait_ready()

    def _wait_ready(self) -> None:
        authority = self.directory / "data" / "keys" / "authority.crt"

        def answered() -> bool:
            try:
                context = ssl.create_default_context(cafile=authority)
            except OSError:
                return False  # the file is not there, or not written to its end
            return answers(f"{self.url}/readyz", verify=context)

        self.server.wait_ready(answered, seconds=90)
        client = self.client()
        # The controller manager, which starts last, makes this account. Without it, no pod can be created.
        self.server.wait_ready(lambda: _exists(client, ServiceAccount, "default", "default"), seconds=300)

    def client(self, kubeconfig: Path | None = None) -> Client:
        """A lightkube client, by default the administrator's."""
        return Client(
            config=KubeConfig.from_file(str(kubeconfig or self.kubeconfig)),
            trust_env=False,
            field_manager=FIELD_MANAGER,
        )

    def restart(self, *, wait: bool = True) -> None:
        """Kill it and start it again on the same data and port; `wait=False` returns while it is still starting."""
        self.stop_hard()
        self.start_again(wait=wait)

    def stop_hard(self) -> None:
        """Kill it, as a power cut does; `start_again` starts it again."""
        self.server.kill()

    def start_again(self, *, wait: bool = True) -> None:
        self.server.start()
        if wait:
            self._wait_ready()

    def stop(self) -> None:
        self.server.stop()

    def apply(self, *objects: dict[str, t.Any]) -> None:
        """Apply objects (server-side) whose kinds are built in or defined above."""
        client = self.client()
        for content in objects:
            client.apply(from_dict(content), field_manager=FIELD_MANAGER, force=True)

    def administrator_tls(self) -> ssl.SSLContext:
        """The TLS settings with which a client, such as a proxy, is the administrator at `url`."""
        administrator = KubeConfig.from_file(str(self.kubeconfig)).get()
        assert administrator is not None and administrator.user is not None
        context = ssl.create_default_context(cafile=self.directory / "data" / "keys" / "authority.crt")
        pem = "".join(
            base64.b64decode(data or "").decode()
            for data in (administrator.user.client_cert_data, administrator.user.client_key_data)
        )
        context.load_cert_chain(write_private(self.directory / "administrator.pem", pem))
        return context

    def create_namespace(self, name: str) -> None:
        """Make a namespace with a SpinAppExecutor, and wait for its default service account."""
        self.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
            {
                "apiVersion": "core.spinkube.dev/v1alpha1",
                "kind": "SpinAppExecutor",
                "metadata": {"name": EXECUTOR, "namespace": name},
                "spec": {
                    "createDeployment": True,
                    "deploymentConfig": {"runtimeClassName": RUNTIME_CLASS, "installDefaultCACerts": True},
                },
            },
        )
        client = self.client()
        wait_until(
            lambda: _exists(client, ServiceAccount, "default", name),
            seconds=30,
            what=f"the default service account of {name}",
        )

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace with its content, and wait until it is gone: another test may make it again."""
        client = self.client()
        client.delete(Namespace, name)
        wait_until(
            lambda: name not in {found.metadata.name for found in client.list(Namespace) if found.metadata},
            seconds=120,
            what=f"the namespace {name} is gone",
        )

    def prepare(self, *, gateway_class: str = GATEWAY_CLASS, gateway_controller: str = GATEWAY_CONTROLLER) -> None:
        """Make the RuntimeClass, the shared Gateway, the Service of KEDA's interceptor, and the namespaces `default`
        and `user1` with an executor each."""
        for namespace in (GATEWAY_NAMESPACE, "keda"):
            self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        self.apply(
            {
                "apiVersion": "node.k8s.io/v1",
                "kind": "RuntimeClass",
                "metadata": {"name": RUNTIME_CLASS},
                "handler": "spin",
                "scheduling": {"nodeSelector": {"spin": "true"}},
            },
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "GatewayClass",
                "metadata": {"name": gateway_class},
                "spec": {"controllerName": gateway_controller},
            },
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "metadata": {"name": GATEWAY_NAME, "namespace": GATEWAY_NAMESPACE},
                "spec": {
                    "gatewayClassName": gateway_class,
                    "listeners": [
                        {
                            "name": "web",
                            "port": 80,
                            "protocol": "HTTP",
                            "allowedRoutes": {"namespaces": {"from": "All"}},
                        }
                    ],
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "keda-add-ons-http-interceptor-proxy", "namespace": "keda"},
                "spec": {"ports": [{"name": "proxy", "port": 8080}], "selector": {"app": "interceptor"}},
            },
        )
        for namespace in ("default", "user1"):
            self.create_namespace(namespace)

    def kubeconfig_for(
        self, user: str, *, namespace: str = "default", rules: list[dict[str, t.Any]] | None = None
    ) -> Path:
        """A kubeconfig, mode 0600, of a new ServiceAccount `user` in `namespace`.

        Args:
            rules: The permissions of its Role, as PolicyRules of RBAC such as
                `{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}`.
        """
        named = {"name": user, "namespace": namespace}
        self.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named})
        self.apply(
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": named, "rules": rules or []},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": named,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user},
                "subjects": [{"kind": "ServiceAccount", **named}],
            },
        )
        return self.kubeconfig_of(user, namespace)

    def kubeconfig_with_role(self, user: str, rules: list[dict[str, t.Any]]) -> Path:
        """Like `kubeconfig_for`, but with a ClusterRole, as a controller of the platform has."""
        named = {"name": user, "namespace": "kube-system"}
        self.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": {"name": user},
                "rules": rules,
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": user},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user},
                "subjects": [{"kind": "ServiceAccount", **named}],
            },
        )
        return self.kubeconfig_of(user, "kube-system")

    def kubeconfig_of(self, user: str, namespace: str) -> Path:
        """A kubeconfig, mode 0600, of a ServiceAccount."""
        request = ServiceAccountToken(
            metadata=ObjectMeta(), spec=TokenRequestSpec(audiences=[], expirationSeconds=36000)
        )
        token = self.client().create(request, user, namespace=namespace)
        assert token.status is not None
        administrator = KubeConfig.from_file(str(self.kubeconfig))
        authority = administrator.clusters["test"].certificate_auth_data
        return write_json(
            self.directory / f"{namespace}-{user}.kubeconfig",
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {"name": "test", "cluster": {"server": self.url, "certificate-authority-data": authority}}
                ],
                "users": [{"name": user, "user": {"token": token.status.token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": user, "namespace": namespace}}],
                "current-context": "test",
            },
        )


def _exists(client: Client, kind: t.Any, name: str, namespace: str) -> bool:
    try:
        client.get(kind, name, namespace=namespace)
    except ApiError as error:
        if error.status.code in {403, 404, 503}:
            return False
        raise
    return True
