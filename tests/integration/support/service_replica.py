# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replicas of the hosted service in a cluster, as processes with the service's own account at a real API server."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import tarfile
import typing as t
from pathlib import Path

import httpx2
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.connection import ConnectionOptions
from ansible_collections.wasmfaas.platform.service.cluster.adapters import ClusterAdapters
from ansible_collections.wasmfaas.platform.service.cluster.api import ServiceApi
from ansible_collections.wasmfaas.platform.service.cluster.tokens import ClusterTokenStore
from ansible_collections.wasmfaas.platform.service.tokens import ALL_TENANTS, Role

from .control_plane import ControlPlane
from .function_project import FunctionProject
from .hosted_service import MODULE, SECONDS, wait_for
from .registries import Registry
from .servers import Server, free_port

REPOSITORY = Path(__file__).resolve().parents[3]
DEFINITION = REPOSITORY / "roles/function_service/files/functiondeployment.yml"
NAMESPACE, BUILDS = "wasmfaas-service", "wasmfaas-builds"
LEASE_SECONDS = 5

# What role function_service gives the service beyond its own namespace.
_CLUSTER_RULES: list[dict[str, t.Any]] = [
    {
        "apiGroups": ["hosted.wasmfaas.dev"],
        "resources": ["functiondeployments"],
        "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
    },
    {
        "apiGroups": ["hosted.wasmfaas.dev"],
        "resources": ["functiondeployments/status"],
        "verbs": ["get", "update", "patch"],
    },
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["deployer"], "verbs": ["impersonate"]},
]
_OWN_RULES: list[dict[str, t.Any]] = [
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
    },
    {
        "apiGroups": [""],
        "resources": ["secrets"],
        "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
    },
    {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get", "list", "create", "delete"]},
    {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]},
]
_BUILD_RULES: list[dict[str, t.Any]] = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "create", "delete"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "delete"]},
    {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list"]},
]


class ServiceCluster:
    """A cluster with all that the service needs: its definition, its account, and tenants with a deployer each.

    Attributes:
        builds_port: at which each replica serves builds, at an address of its own.
        relay_port: where builds reach one of the replicas.
        token: of an administrator.
    """

    def __init__(
        self, control_plane: ControlPlane, registry: Registry, front: str, directory: Path, tenants: t.Sequence[str]
    ) -> None:
        """Args:
        front: where the Gateway answers, as `ADDRESS:PORT`.
        """
        self.control_plane, self.directory = control_plane, directory
        control_plane.apply(
            yaml.safe_load(DEFINITION.read_text()),
            *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in (NAMESPACE, BUILDS)),
        )
        self._role(NAMESPACE, _OWN_RULES)
        self._role(BUILDS, _BUILD_RULES)
        self.kubeconfig = control_plane.kubeconfig_with_role("function-service", _CLUSTER_RULES)
        for tenant in tenants:
            self._tenant(tenant)
        self.builds_port, self.relay_port = free_port(), free_port()
        self._settings = {
            "service_url": "http://api.127.0.0.1.nip.io",
            "kubeconfig": str(self.kubeconfig),
            "registry": f"{registry.host}/functions/{{tenant}}",
            "registry_plain_http": True,
            "domain": "127.0.0.1.nip.io",
            "options": {"probe_address": front, "wait_timeout": 120},
            "lease_seconds": LEASE_SECONDS,
            "limits": {"running": 4, "running_per_tenant": 4},
            "builds": {
                "namespace": BUILDS,
                "service_url": f"http://127.0.0.1:{self.relay_port}",
                "images": {"python": "registry.invalid/wasmfaas/builder-python:1"},
                "deadline_seconds": 600,
            },
        }
        self.adapters = ClusterAdapters(self.settings_file("tests"))
        wait_for(self._is_defined, "the API server knows FunctionDeployments")
        self.tokens = ClusterTokenStore(lambda: self.api, NAMESPACE)
        self.token = self.tokens.create("admin", ALL_TENANTS, Role.ADMIN)

    def settings_file(self, name: str) -> Path:
        """Of a replica, with directories of its own, as each pod has."""
        directory = self.directory / name
        directory.mkdir(parents=True, exist_ok=True)
        own = {f"{what}_directory": str(directory / what) for what in ("state", "cache")}
        file = directory / "service.yml"
        file.write_text(json.dumps({**self._settings, **own}))
        return file

    @property
    def api(self) -> ServiceApi:
        """The API with the rights of the service."""
        return self.adapters.apis.own

    def _is_defined(self) -> bool:
        with contextlib.suppress(Exception):
            self.adapters.deployments.unfinished()
            return True
        return False

    def _role(self, namespace: str, rules: list[dict[str, t.Any]]) -> None:
        """Rights of the service in a namespace."""
        named = {"name": "function-service", "namespace": namespace}
        group = "rbac.authorization.k8s.io"
        self.control_plane.apply(
            {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": named, "rules": rules},
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": named,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": "function-service"},
                "subjects": [{"kind": "ServiceAccount", "name": "function-service", "namespace": "kube-system"}],
            },
        )

    def _tenant(self, name: str) -> None:
        self.control_plane.create_namespace(name)
        variables = yaml.safe_load((REPOSITORY / "roles/tenant/vars/main.yml").read_text())
        named = {"name": "functions", "namespace": name}
        outside = {"name": f"wasmfaas-tenant-{name}"}
        subjects = [{"kind": "ServiceAccount", "name": "deployer", "namespace": name}]
        group = "rbac.authorization.k8s.io"
        self.control_plane.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": {"wasmfaas.dev/tenant": name}},
            },
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "deployer", "namespace": name}},
            {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": named, "rules": variables["__tenant_rules"]},
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": named,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": "functions"},
                "subjects": subjects,
            },
            {
                "apiVersion": f"{group}/v1",
                "kind": "ClusterRole",
                "metadata": outside,
                "rules": variables["__tenant_outside_rules"],
            },
            {
                "apiVersion": f"{group}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": outside,
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", **outside},
                "subjects": subjects,
            },
        )

    def administrator(self) -> KubernetesApi:
        """The API with all rights."""
        return KubernetesApi(ConnectionOptions(kubeconfig=str(self.control_plane.kubeconfig)))


class Replica:
    """A replica; use as a context."""

    def __init__(self, cluster: ServiceCluster, name: str, host: str) -> None:
        """`host`: a loopback address that no other replica has."""
        self._cluster, self.name, self.host = cluster, name, host
        self.port = free_port()
        self.address = f"http://{host}:{self.port}"
        self.holder = f"{name}_{host}:{self.port}"
        self.log = cluster.directory / f"{name}.log"
        self.server: Server | None = None

    def __enter__(self) -> Replica:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it serves."""
        command = [
            sys.executable, "-m", MODULE, "cluster", "--settings", str(self._cluster.settings_file(self.name)),
            "--host", self.host, "--port", str(self.port), "--builds-port", str(self._cluster.builds_port),
        ]  # fmt: skip
        environment = {
            "POD_NAME": self.name,
            "POD_IP": self.host,
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        }
        self.server = Server(command, log=self.log, environment=environment)
        self.server.wait_ready(self._is_ready, seconds=SECONDS)

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            return httpx2.get(f"{self.address}/readyz", timeout=30).status_code == 200
        return False

    def stop(self) -> None:
        """End it as Kubernetes does."""
        if self.server is not None:
            self.server.process.send_signal(signal.SIGTERM)
            self.server.process.wait(timeout=60)
            self.server.stop()
            self.server = None

    def kill(self) -> None:
        """End it without a word."""
        assert self.server is not None
        self.server.kill()
        self.server = None

    def client(self, token: str | None = None) -> httpx2.Client:
        """A client with a token, the administrator's by default; an empty text for none."""
        given = self._cluster.token if token is None else token
        headers = {"Authorization": f"Bearer {given}"} if given else {}
        return httpx2.Client(base_url=self.address, headers=headers, timeout=SECONDS)


def archive_of(project: FunctionProject) -> bytes:
    """A project as tar.gz."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as archive:
        for file in sorted(project.directory.rglob("*")):
            archive.add(file, str(file.relative_to(project.directory)), recursive=False)
    return stream.getvalue()
