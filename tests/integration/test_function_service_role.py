# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles function_builds and function_service, run by the playbook with the real kubectl on the real API server: what
the service may do there, that its pods are let in, and that nothing is left of it."""

from __future__ import annotations

import collections.abc
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.doctor.hosted_service_diagnosis import (
    hosted_service,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import host_kubectl
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.workloads import Workloads
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.connection import ConnectionOptions
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import (
    DEPLOYMENT,
    HTTP_ROUTE,
    POD,
    SECRET,
    SPIN_APP,
    Kind,
)
from lightkube import ApiError
from lightkube.models.authorization_v1 import ResourceAttributes, SubjectAccessReviewSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.authorization_v1 import SubjectAccessReview
from lightkube.resources.core_v1 import Pod

from tests.k3s_double import build

from .support.control_plane import ControlPlane
from .support.marks import needs_kubectl
from .support.playbooks import PlaybookRun
from .support.servers import wait_until
from .support.tenants import Tenants

pytestmark = needs_kubectl

TENANT, SERVICE, BUILDS = "tenant-s", "wasmfaas-service", "wasmfaas-builds"
ACCOUNT = "function-service"
PASSWORD = "pushes-everywhere"
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
FUNCTION_DEPLOYMENT = Kind("hosted.wasmfaas.dev", "v1alpha1", "FunctionDeployment", "functiondeployments")
CLUSTER_KINDS = (
    Kind("", "v1", "Namespace", "namespaces"),
    Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions"),
    Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles"),
    Kind("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings"),
    Kind("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses"),
)
Run = collections.abc.Callable[..., PlaybookRun]


@pytest.fixture(scope="module")
def run(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[Run]:
    role = Tenants(
        control_plane,
        tmp_path_factory.mktemp("service"),
        platform_hosts="localhost",
        platform_components=["function_builds", "function_service"],
        tenants=[{"name": TENANT}],
        registry="registry.example.com/functions",
        function_service_host="api.example.com",
        function_service_registry_username="pusher",
        function_service_registry_password=PASSWORD,
        function_service_ready_timeout=0,
    )

    def start(*arguments: str, **variables: t.Any) -> PlaybookRun:
        made = role.play("wasmfaas.platform.platform", *arguments, **variables)
        assert made.exit_code == 0, made.output
        assert PASSWORD not in made.output
        return made

    yield start
    gone = {"platform_components": [], "tenants": [{"name": TENANT, "state": "absent"}]}
    start(**gone, tenant_remove_functions=True)


@pytest.fixture(scope="module")
def administrator(control_plane: ControlPlane) -> KubernetesApi:
    return KubernetesApi(ConnectionOptions(kubeconfig=str(control_plane.kubeconfig)))


@pytest.fixture(scope="module")
def installed(run: Run, administrator: KubernetesApi) -> collections.abc.Iterator[Run]:
    """Both roles and a tenant; in the end it is looked that nothing is left of them."""
    checked = run("--check", "--diff")
    assert checked.changed > 0 and cluster_wide(administrator) == []
    first = run("--diff")
    assert first.changed > 0
    yield run
    assert of_service(administrator.list(ROLE_BINDING, TENANT)) == ["access"]
    removed = ["function_service", "function_builds"]
    assert run(platform_components=[], platform_components_removed=removed, tenants=[]).changed > 0
    assert cluster_wide(administrator) == []
    assert of_service(administrator.list(ROLE_BINDING, TENANT)) == []


def cluster_wide(administrator: KubernetesApi) -> list[str]:
    """What both roles make outside of namespaces, by kind and name."""
    names = ("wasmfaas-function-service", "function-builds", SERVICE, BUILDS, "functiondeployments.hosted.")
    return sorted(
        f"{kind.kind}/{item['metadata']['name']}"
        for kind in CLUSTER_KINDS
        for item in administrator.list_nodes(kind)
        if item["metadata"]["name"].startswith(names) and "deletionTimestamp" not in item["metadata"]
    )


def of_service(bindings: list[dict[str, t.Any]]) -> list[str]:
    labels = [binding["metadata"].get("labels") or {} for binding in bindings]
    return [label["wasmfaas.dev/function-service"] for label in labels if "wasmfaas.dev/function-service" in label]


def test_the_second_run_changes_nothing(installed: Run) -> None:
    assert installed().changed == 0


MAY = [
    ("create", "hosted.wasmfaas.dev", "functiondeployments", TENANT, ""),
    ("list", "hosted.wasmfaas.dev", "functiondeployments", "", ""),
    ("update", "hosted.wasmfaas.dev", "functiondeployments/status", TENANT, "shop-1"),
    ("impersonate", "", "serviceaccounts", TENANT, "deployer"),
    ("list", "", "namespaces", "", ""),
    ("create", "authentication.k8s.io", "tokenreviews", "", ""),
    ("update", "coordination.k8s.io", "leases", SERVICE, ACCOUNT),
    ("create", "", "secrets", SERVICE, ""),
    ("create", "", "serviceaccounts/token", SERVICE, "function-service-users"),
    ("create", "batch", "jobs", BUILDS, ""),
    ("create", "", "secrets", BUILDS, ""),
    ("get", "", "pods/log", BUILDS, "any"),
    ("list", "", "events", BUILDS, ""),
]
MAY_NOT = [
    ("get", "", "secrets", TENANT, "any"),
    ("list", "", "secrets", "", ""),
    ("get", "", "secrets", "kube-system", "any"),
    ("get", "", "configmaps", "kube-system", "any"),
    ("patch", "core.spinkube.dev", "spinapps", TENANT, "any"),
    ("create", "batch", "jobs", TENANT, ""),
    ("create", "", "pods", BUILDS, ""),
    ("create", "", "pods/exec", BUILDS, "any"),
    ("create", "", "pods", SERVICE, ""),
    ("impersonate", "", "serviceaccounts", TENANT, "default"),
    ("impersonate", "", "serviceaccounts", "kube-system", "deployer"),
    ("impersonate", "", "serviceaccounts", "default", "deployer"),
    ("impersonate", "", "users", "", "admin"),
    ("impersonate", "", "groups", "", "system:masters"),
    ("create", "", "serviceaccounts/token", TENANT, "deployer"),
    ("create", "", "serviceaccounts/token", SERVICE, ACCOUNT),
    ("create", "rbac.authorization.k8s.io", "rolebindings", TENANT, ""),
    ("patch", "rbac.authorization.k8s.io", "clusterroles", "", "wasmfaas-function-service"),
    ("patch", "", "namespaces", "", TENANT),
    ("get", "", "nodes", "", ""),
]


def test_the_service_may_do_what_it_needs_and_no_more(installed: Run, control_plane: ControlPlane) -> None:
    client = control_plane.client()
    wrong = []
    for allowed, asked in ((True, MAY), (False, MAY_NOT)):
        for verb, group, resource, namespace, name in asked:
            plural, _slash, part = resource.partition("/")
            attributes = ResourceAttributes(
                verb=verb, group=group, resource=plural, subresource=part, namespace=namespace, name=name
            )
            user = f"system:serviceaccount:{SERVICE}:{ACCOUNT}"
            groups = ["system:serviceaccounts", f"system:serviceaccounts:{SERVICE}", "system:authenticated"]
            review = client.create(
                SubjectAccessReview(
                    metadata=ObjectMeta(),
                    spec=SubjectAccessReviewSpec(user=user, groups=groups, resourceAttributes=attributes),
                )
            )
            assert review.status is not None
            if review.status.allowed is not allowed:
                wrong.append((allowed, verb, group, resource, namespace, name))
    assert wrong == []


def test_a_tenant_has_no_rights_on_its_deployments_and_takes_no_reserved_name(
    installed: Run, administrator: KubernetesApi, control_plane: ControlPlane
) -> None:
    tenant = KubernetesApi(ConnectionOptions(kubeconfig=str(control_plane.kubeconfig_of("deployer", TENANT))))
    with pytest.raises(PlatformError, match="forbidden"):
        tenant.list(FUNCTION_DEPLOYMENT, TENANT)
    app = {
        "apiVersion": "core.spinkube.dev/v1alpha1",
        "kind": "SpinApp",
        "metadata": {"name": "api", "namespace": TENANT},
        "spec": {"image": f"r.example/x@sha256:{'0' * 64}", "executor": "containerd-shim-spin", "replicas": 1},
    }
    with pytest.raises(PlatformError, match="a function of a tenant is not called admin, api"):
        tenant.apply(SPIN_APP, app)
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": TENANT},
        "spec": {"hostnames": [f"www.{TENANT}.192.0.2.1.nip.io"]},
    }
    with pytest.raises(PlatformError, match="No new function is called admin, api"):
        tenant.apply(HTTP_ROUTE, route)


def test_its_pods_are_let_in_and_carry_no_secret_in_their_specification(
    installed: Run, administrator: KubernetesApi
) -> None:
    def pods() -> list[dict[str, t.Any]]:
        return administrator.list(POD, SERVICE)

    wait_until(lambda: len(pods()) == 2, seconds=120, what="the pods of the service")
    assert "forbidden" not in str(administrator.get(DEPLOYMENT, SERVICE, ACCOUNT))
    assert PASSWORD not in str(pods())
    secret = administrator.get(SECRET, SERVICE, ACCOUNT)
    assert secret is not None and sorted(secret["data"]) == ["registry.password", "registry.username"]


def test_the_doctor_sees_that_it_does_not_run_yet(installed: Run, control_plane: ControlPlane) -> None:
    """There is no node here."""
    kubectl = host_kubectl(command=[str(build.binary()), "kubectl", "--kubeconfig", str(control_plane.kubeconfig)])
    found = hosted_service(kubectl, Workloads(kubectl), 0.0)
    assert found is not None and (found["ready"], found["replicas"], found["definition"]) == (0, 2, True)
    assert found["oldest_wait"] == 0.0 and found["failures"] == {}


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, "violates PodSecurity"),
        ({"hostNetwork": True}, "violates PodSecurity"),
        ({"containers": [{"name": "build", "image": "i", "resources": {"limits": {"memory": "64Gi"}}}]}, "memory"),
    ],
)
def test_the_fence_around_builds_holds(
    installed: Run, control_plane: ControlPlane, changes: dict[str, t.Any], refused: str
) -> None:
    """Whatever a Job of the service says."""
    client = control_plane.client()
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "build", "namespace": BUILDS},
        "spec": {"containers": [{"name": "build", "image": "i"}], **changes},
    }
    with pytest.raises(ApiError, match=refused):
        client.create(Pod.from_dict(pod))


def test_settings_are_read_by_the_service(installed: Run, administrator: KubernetesApi, tmp_path: Path) -> None:
    settings = pytest.importorskip(
        "ansible_collections.wasmfaas.platform.service.cluster.settings", reason="comes with service/cluster"
    )
    configuration = administrator.get(Kind("", "v1", "ConfigMap", "configmaps"), SERVICE, ACCOUNT)
    assert configuration is not None
    (tmp_path / "service.yml").write_text(configuration["data"]["service.yml"], encoding="utf-8")
    read = settings.read_settings(tmp_path / "service.yml")
    assert read.service_url == "http://api.example.com"
    assert read.registry == "registry.example.com/functions/{tenant}"
    assert read.builds.images["python"] == "registry.example.com/functions/wasmfaas/builder-python:1.0.0"
