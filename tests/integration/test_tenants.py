# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role tenant, run by ansible-playbook with the real kubectl on the real API server: what its kubeconfig can do
there, what it cannot, and what is left."""

from __future__ import annotations

import base64
import collections.abc
import contextlib
import json
import os
import ssl
import stat
import typing as t
import uuid
from pathlib import Path

import httpx2
import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function_info import (
    run as run_info,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import host_kubectl
from ansible_collections.wasmfaas.platform.plugins.module_utils.program import wasi_program
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry import registry_access
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube import node_warmer
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.arguments import kubernetes_auth_arguments
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.connection import ConnectionOptions
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import (
    DEPLOYMENT,
    HTTP_ROUTE,
    JOB,
    POD,
    SECRET,
    SERVICE,
    SPIN_APP,
    Kind,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.node_warmer import Failures, HostApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.registry_account import registry_account
from ansible_collections.wasmfaas.platform.plugins.modules.wasi_program import argument_spec
from lightkube import ApiError
from lightkube.resources.core_v1 import Node, NodeStatus
from lightkube.types import PatchType

from tests.k3s_double import build

from .support.control_plane import ControlPlane
from .support.deployment import Deployment
from .support.function_project import HANDLER, FunctionProject, component
from .support.playbooks import PlaybookRun
from .support.program_node import ProgramNode
from .support.registries import Registry
from .support.servers import wait_until
from .support.spinkube import SPIN_APP_EXECUTOR
from .support.tenants import Tenants

NAMESPACE = Kind("", "v1", "Namespace", "namespaces")
ROLE = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
FLOW_SCHEMA = Kind("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas")
PRIORITY_LEVEL = Kind("flowcontrol.apiserver.k8s.io", "v1", "PriorityLevelConfiguration", "prioritylevelconfigurations")
CLUSTER_KINDS = (
    Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles"),
    Kind("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings"),
    Kind("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    Kind("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
    FLOW_SCHEMA,
    NAMESPACE,
)
Run = collections.abc.Callable[..., PlaybookRun]


@pytest.fixture
def run(control_plane: ControlPlane, administrator: KubernetesApi, tmp_path: Path) -> collections.abc.Iterator[Run]:
    """Runs the role with `tenants` and other variables of an inventory; removes in the end those tenants of which
    something is left."""
    role = Tenants(control_plane, tmp_path)
    seen: set[str] = set()

    def start(*tenants: dict[str, t.Any], arguments: tuple[str, ...] = (), **variables: t.Any) -> PlaybookRun:
        seen.update(entry["name"] for entry in tenants)
        return role.run(*tenants, arguments=arguments, **variables)

    yield start
    left = [name for name in sorted(seen) if of_tenant(administrator, name)]
    if left:
        done = start(*({"name": name, "state": "absent"} for name in left), tenant_remove_functions=True)
        assert done.exit_code == 0, done.output


@pytest.fixture
def administrator(control_plane: ControlPlane) -> KubernetesApi:
    return KubernetesApi(ConnectionOptions(kubeconfig=str(control_plane.kubeconfig)))


def api_of(tmp_path: Path, tenant: str) -> KubernetesApi:
    return KubernetesApi(ConnectionOptions(kubeconfig=str(tmp_path / "tenants" / f"{tenant}.kubeconfig")))


def answer_headers(kubeconfig: Path, path: str) -> httpx2.Headers:
    """The headers of the API server's answer to a GET of a path with a kubeconfig."""
    content = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    authorization = {"Authorization": f"Bearer {user['token']}"}
    return httpx2.get(cluster["server"] + path, headers=authorization, verify=context, trust_env=False).headers


def of_tenant(administrator: KubernetesApi, tenant: str) -> list[str]:
    """All that is labelled the tenant's outside of its namespace."""
    found = [
        f"{kind.kind}/{item['metadata']['name']}"
        for kind in CLUSTER_KINDS
        for item in administrator.list_nodes(kind)
        if labelled(item, tenant)
    ]
    grants = Kind("gateway.networking.k8s.io", "v1beta1", "ReferenceGrant", "referencegrants")
    return sorted(
        [
            *found,
            *(
                f"ReferenceGrant/{item['metadata']['name']}"
                for item in administrator.list(grants)
                if labelled(item, tenant)
            ),
        ]
    )


def labelled(item: dict[str, t.Any], tenant: str) -> bool:
    return bool((item["metadata"].get("labels") or {}).get("wasmfaas.dev/tenant") == tenant)


def test_a_tenant_deploys_with_its_kubeconfig_and_its_removal_leaves_nothing(
    deployment: Deployment, project: FunctionProject, administrator: KubernetesApi, run: Run, tmp_path: Path
) -> None:
    first = run({"name": "tenant-a", "hosts": ["shop.example.com"]})
    assert first.exit_code == 0 and first.changed > 0, first.output
    file = tmp_path / "tenants/tenant-a.kubeconfig"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    token = yaml.safe_load(file.read_text())["users"][0]["user"]["token"]
    assert token not in first.output

    before = file.stat().st_mtime_ns
    again = run({"name": "tenant-a", "hosts": ["shop.example.com"]})
    assert again.exit_code == 0 and again.changed == 0, again.output
    assert file.stat().st_mtime_ns == before, "a run without changes makes no new token"

    given = {"namespace": "tenant-a", "kubeconfig": str(file)}
    project.manifest(
        variables="token = { required = true, secret = true }",
        component_variables='variables = { token = "{{ token }}" }',
    )
    options = {**given, "variables": {"token": "abracadabra"}}
    deployed = deployment.deploy(project, **options)
    assert deployed["changed"] is True and deployment.call(deployed).status_code == 200
    assert deployment.deploy(project, **options)["changed"] is False
    sleeping = {**options, "autoscale": {"min": 0, "max": 2, "target_concurrency": 5}}
    assert deployment.deploy(project, **sleeping)["changed"] is True, (
        "with the routes and the grant for the interceptor"
    )
    assert deployment.deploy(project, **{**options, "hostname": "shop.example.com"})["changed"] is True, (
        "a host that is listed"
    )
    parameters = {
        "name": None,
        "namespace": "tenant-a",
        "target": "cluster",
        "state_directory": None,
        **dict.fromkeys(kubernetes_auth_arguments()),
    }
    (listed,) = run_info({**parameters, "kubeconfig": str(file)}, False, set())["functions"]
    assert listed["name"] == project.name

    refused = run({"name": "tenant-a", "state": "absent"})
    assert refused.exit_code != 0
    assert f"tenant tenant-a: has 1 functions or programs that would end: {project.name}" in " ".join(
        refused.output.split()
    )
    assert administrator.get(SPIN_APP, "tenant-a", project.name) is not None

    assert deployment.delete(project.name, **given)["changed"] is True
    # The operator keeps an executor while a function of any namespace names one of its name.
    deployment.deploy(FunctionProject(tmp_path / "other", f"{project.name}-elsewhere"))
    removed = run({"name": "tenant-a", "state": "absent"})
    assert removed.exit_code == 0 and removed.changed > 0, removed.output
    assert of_tenant(administrator, "tenant-a") == [] and not file.exists()
    gone = run({"name": "tenant-a", "state": "absent"})
    assert gone.exit_code == 0 and gone.changed == 0, gone.output


def test_requests_of_a_tenant_have_a_share_of_the_api_server_of_their_own(
    administrator: KubernetesApi, run: Run, tmp_path: Path
) -> None:
    done = run({"name": "tenant-a", "users": ["alice"], "groups": ["team-a"]})
    assert done.exit_code == 0, done.output
    (schema,) = (item for item in administrator.list_nodes(FLOW_SCHEMA) if labelled(item, "tenant-a"))
    assert schema["spec"]["rules"][0]["subjects"] == [
        {"kind": "Group", "group": {"name": "system:serviceaccounts:tenant-a"}},
        {"kind": "User", "user": {"name": "alice"}},
        {"kind": "Group", "group": {"name": "team-a"}},
    ]
    level = schema["spec"]["priorityLevelConfiguration"]["name"]
    levels = {item["metadata"]["name"]: item["metadata"]["uid"] for item in administrator.list_nodes(PRIORITY_LEVEL)}
    kubeconfig = tmp_path / "tenants/tenant-a.kubeconfig"

    def judged_by() -> tuple[str | None, str | None]:
        headers = answer_headers(kubeconfig, "/api/v1/namespaces/tenant-a/pods")
        return headers.get("X-Kubernetes-PF-FlowSchema-UID"), headers.get("X-Kubernetes-PF-PriorityLevel-UID")

    # The API server reads both objects a moment after they were written.
    wait_until(
        lambda: judged_by() == (schema["metadata"]["uid"], levels[level]),
        seconds=60,
        what="the API server counts a tenant's request as one of that tenant",
    )
    again = run({"name": "tenant-a", "users": ["alice"], "groups": ["team-a"]})
    assert again.exit_code == 0 and again.changed == 0, again.output


def test_the_servers_make_nodes_warm_for_a_tenant_who_may_not_make_pods(
    deployment: Deployment,
    project: FunctionProject,
    control_plane: ControlPlane,
    administrator: KubernetesApi,
    run: Run,
    tmp_path: Path,
) -> None:
    made = run({"name": "tenant-a"}, tenant_warm_nodes=True)
    assert made.exit_code == 0, made.output
    given = {"namespace": "tenant-a", "kubeconfig": str(tmp_path / "tenants/tenant-a.kubeconfig"), "warm": "all"}
    client: t.Any = control_plane.client()
    node = Node.from_dict(administrator.list_nodes(Kind("", "v1", "Node", "nodes"))[0])
    name = f"node-{uuid.uuid4().hex[:8]}"
    client.create(Node.from_dict({"metadata": {"name": name, "labels": node.metadata.labels}}))
    client.patch(Node, name, {"spec": {"taints": None}}, patch_type=PatchType.MERGE)
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Test"}]}}
    client.patch(NodeStatus, name, ready, patch_type=PatchType.MERGE)
    try:
        first = deployment.deploy(project, **given)
        assert first["details"]["warm"] == {"nodes": 1, "of": 2, "later": True}
        assert first["summary"].endswith(", warm on 1/2 nodes, the servers make the others warm within minutes")
        assert deployment.deploy(project, **given)["changed"] is False
        kubectl = host_kubectl(command=[str(build.binary()), "kubectl"], kubeconfig=str(control_plane.kubeconfig))
        node_warmer.run(HostApi(kubectl), Failures(str(tmp_path / "failures.json")))
        again = deployment.deploy(project, **given)
        assert again["changed"] is False and again["details"]["warm"] == {"nodes": 2, "of": 2}
    finally:
        client.delete(Node, name)
    own = {"metadata": {"name": "own", "namespace": "tenant-a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    with pytest.raises(PlatformError, match="forbidden"):
        api_of(tmp_path, "tenant-a").create(POD, {"apiVersion": "v1", "kind": "Pod", **own})


def test_two_tenants_reach_neither_each_others_objects_nor_hosts(
    deployment: Deployment, project: FunctionProject, control_plane: ControlPlane, run: Run, tmp_path: Path
) -> None:
    made = run({"name": "tenant-a"}, {"name": "tenant-b", "hosts": ["b.example.com"]})
    assert made.exit_code == 0, made.output
    one = api_of(tmp_path, "tenant-a")
    for kind in (SPIN_APP, SECRET, POD, HTTP_ROUTE):
        assert one.list(kind, "tenant-a") is not None
        with pytest.raises(PlatformError, match="forbidden"):
            one.list(kind, "tenant-b")
        with pytest.raises(PlatformError, match="forbidden"):
            one.list(kind)
    assert one.list_nodes(Kind("", "v1", "Node", "nodes")) != []
    with pytest.raises(PlatformError, match="forbidden"):
        one.list_nodes(NAMESPACE)

    def refused(wanted: dict[str, t.Any], kind: Kind) -> str:
        with pytest.raises(PlatformError) as raised:
            one.apply(kind, {"apiVersion": kind.api_version, "kind": kind.kind, **wanted})
        return raised.value.cause

    own = {"name": "other", "namespace": "tenant-a"}
    assert "forbidden" in refused({"metadata": own, "rules": []}, ROLE)
    assert "forbidden" in refused({"metadata": own, "spec": {"containers": [{"name": "c", "image": "i"}]}}, POD)
    assert "forbidden" in refused({"metadata": own, "spec": {"createDeployment": False}}, SPIN_APP_EXECUTOR)
    hosts = (
        ["cart.tenant-b.127.0.0.1.nip.io"],
        ["b.example.com"],
        ["*.example.com"],
        ["tenant-a.example.com"],
        ["api.tenant-a.127.0.0.1.nip.io"],
        [],
        ["x.tenant-a.127.0.0.1.nip.io", "b.example.com"],
    )
    for names in hosts:
        spec = {"parentRefs": [{"name": "wasmfaas", "namespace": "wasmfaas-system"}], "hostnames": names}
        assert "a route of tenant tenant-a must name hosts of its own" in refused(
            {"metadata": own, "spec": spec}, HTTP_ROUTE
        )
    interceptor = Kind("http.keda.sh", "v1beta1", "InterceptorRoute", "interceptorroutes")
    for rules in (
        [{"hosts": ["b.example.com"]}],
        [{"hosts": ["x.tenant-a.127.0.0.1.nip.io"]}, {"paths": [{"value": "/"}]}],
        [],
    ):
        spec = {
            "target": {"service": "x", "port": 80},
            "rules": rules,
            "scalingMetric": {"concurrency": {"targetValue": 1}},
        }
        assert "must name hosts of its own" in refused({"metadata": own, "spec": spec}, interceptor)

    options = {"namespace": "tenant-a", "kubeconfig": str(tmp_path / "tenants/tenant-a.kubeconfig")}
    with pytest.raises(PlatformError, match=r"a route of tenant tenant-a must name hosts"):
        deployment.deploy(project, hostname="b.example.com", **options)
    assert one.get(SPIN_APP, "tenant-a", project.name) is None, "what was applied before the route is undone"
    assert deployment.deploy(project, **options)["changed"] is True

    # Removing a tenant ends its credentials, and leaves the other's.
    removed = run(
        {"name": "tenant-a", "state": "absent"},
        {"name": "tenant-b", "hosts": ["b.example.com"]},
        tenant_remove_functions=True,
    )
    assert removed.exit_code == 0, removed.output
    # The API server remembers for 10 s that a token was good.
    wait_until(lambda: unknown(one), seconds=120, what="the end of the tenant's token")
    assert api_of(tmp_path, "tenant-b").list(SPIN_APP, "tenant-b") == []


def test_a_tenant_has_an_account_at_the_cluster_s_own_registry(
    deployment: Deployment, project: FunctionProject, administrator: KubernetesApi, run: Run, tmp_path: Path
) -> None:
    """As in a run that has installed the registry; and only images of the tenant's path are taken."""
    file = tmp_path / "access" / "function-registry.json"
    wanted = registry_access.DesiredAccess("192.0.2.11", ("192.0.2.11",), 30500, "functions", 1825, ("tenant-a",))
    access = registry_access.ensure(file, "", wanted, check_mode=False)[1]
    variables = {
        "platform_components": ["cert_manager", "spin_operator", "ingress", "keda", "function_registry"],
        "function_registry_directory": str(file.parent),
        "function_registry_trust": str(file),
    }
    made = run({"name": "tenant-a"}, **variables)
    assert made.exit_code == 0, made.output
    assert access["users"]["tenant-tenant-a"] not in made.output
    account = registry_account(api_of(tmp_path, "tenant-a"), "tenant-a")
    assert account is not None
    assert (account.registry, account.username) == ("192.0.2.11:30500/functions/tenant-a", "tenant-tenant-a")
    assert account.password == access["users"]["tenant-tenant-a"]
    assert account.authority == access["authority"]["certificate"]
    again = run({"name": "tenant-a"}, **variables)
    assert again.exit_code == 0 and again.changed == 0, again.output
    options = {"namespace": "tenant-a", "kubeconfig": str(tmp_path / "tenants/tenant-a.kubeconfig")}
    with pytest.raises(PlatformError, match=r"begins with 192\.0\.2\.11:30500/functions/tenant-a/"):
        deployment.deploy(project, **options)
    assert administrator.get(SPIN_APP, "tenant-a", project.name) is None

    without = run({"name": "tenant-a"})
    assert without.exit_code == 0, without.output
    assert administrator.get(SECRET, "tenant-a", "wasmfaas-registry") is None


NO_HELM = """#!/bin/sh
case " $* " in
  *" status "*) echo "Error: release: not found" >&2; exit 1 ;;
esac
"""
"""The registry's chart is not what this is about: the release is never there, and installing it does nothing."""


def test_a_tenant_gets_a_new_password_at_the_cluster_s_own_registry(
    control_plane: ControlPlane,
    administrator: KubernetesApi,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As docs/function_registry.md says it: in the file on this machine, in what the registry reads, and in the Secret
    of the tenant; nobody else's changes."""
    helm = tmp_path / "bin" / "helm"
    helm.parent.mkdir()
    helm.write_text(NO_HELM)
    helm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helm.parent}{os.pathsep}{os.environ['PATH']}")
    file = tmp_path / "access" / "function-registry.json"
    file.parent.mkdir()
    variables = {
        "platform_components": ["cert_manager", "spin_operator", "ingress", "keda", "function_registry"],
        "platform_chart_installer": "helm",
        "function_registry_directory": str(file.parent),
        "function_registry_host": "192.0.2.11",
    }
    tenants = ({"name": "tenant-a"}, {"name": "tenant-b"})

    def passwords() -> dict[str, str]:
        users: dict[str, str] = json.loads(file.read_text())["users"]
        for name in ("tenant-a", "tenant-b"):
            account = registry_account(administrator, name)
            assert account is not None and account.password == users[f"tenant-{name}"]
        return users

    def read_by_registry() -> str:
        stored = administrator.get(SECRET, "function-registry", "function-registry-server")
        assert stored is not None
        return base64.b64decode(stored["data"]["htpasswd"]).decode()

    try:
        made = run(*tenants, **variables)
        assert made.exit_code == 0, made.output
        before, accounts = passwords(), read_by_registry()
        rotated = run(*tenants, **variables, function_registry_new_passwords=["tenant-a"])
        assert rotated.exit_code == 0, rotated.output
        after = passwords()
        assert {name for name in before if after[name] != before[name]} == {"tenant-tenant-a"}
        assert after["tenant-tenant-a"] not in rotated.output

        def line(text: str, user: str) -> str:
            (found,) = [entry for entry in text.splitlines() if entry.startswith(f"{user}:")]
            return found

        now = read_by_registry()
        assert line(now, "tenant-tenant-a") != line(accounts, "tenant-tenant-a")
        assert line(now, "tenant-tenant-b") == line(accounts, "tenant-tenant-b")
    finally:
        with contextlib.suppress(ApiError):  # it is not there where the first run failed
            control_plane.delete_namespace("function-registry")


def test_a_tenant_deploys_programs_and_nothing_else_with_these_rights(
    control_plane: ControlPlane, registry: Registry, administrator: KubernetesApi, run: Run, tmp_path: Path
) -> None:
    made = run({"name": "tenant-a"}, tenant_programs=True)
    assert made.exit_code == 0, made.output
    again = run({"name": "tenant-a"}, tenant_programs=True)
    assert again.exit_code == 0 and again.changed == 0, again.output
    file = tmp_path / "app.wasm"
    node = ProgramNode(control_plane)

    def program(name: str, export: str, **options: t.Any) -> dict[str, t.Any]:
        file.write_bytes(component(export))
        defaults = {option: about.get("default") for option, about in argument_spec().items()}
        given = {
            "name": name,
            "namespace": "tenant-a",
            "source": str(file),
            "registry": f"{registry.host}/programs",
            "registry_plain_http": True,
            "probe_address": node.address,
            "kubeconfig": str(tmp_path / "tenants/tenant-a.kubeconfig"),
            "state_directory": str(tmp_path / "state"),
            "wait_timeout": 120,
        }
        return wasi_program.run({**defaults, **given, **options}, False, set())

    try:
        ran = program("job", "wasi:cli/run@0.2.0")
        assert (ran["changed"], ran["details"]["status"]) == (True, "succeeded")
        assert program("job", "wasi:cli/run@0.2.0")["changed"] is False
        serving = program("server", HANDLER, domain="127.0.0.1.nip.io")
        assert serving["url"].startswith("http://server.tenant-a.") and serving["details"]["status"] == "ready"
        assert program("server", HANDLER, domain="127.0.0.1.nip.io")["changed"] is False
        with pytest.raises(PlatformError, match="a route of tenant tenant-a must name hosts"):
            program("other", HANDLER, hostname="b.example.com", domain=None)
        with pytest.raises(PlatformError, match="a Deployment or Job of tenant tenant-a must run a WASI program"):
            program("other", "wasi:cli/run@0.2.0", runtime_class="runc")

        one = api_of(tmp_path, "tenant-a")
        metadata = {"name": "odd", "namespace": "tenant-a"}
        pods = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "c"}]}}
        ports = [{"port": 80}]
        for kind, spec in (
            (DEPLOYMENT, {"selector": {"matchLabels": {"a": "b"}}, "template": pods}),
            (JOB, {"template": {**pods, "spec": {**pods["spec"], "restartPolicy": "Never"}}}),
            (SERVICE, {"ports": ports, "externalIPs": ["192.0.2.1"]}),
            (SERVICE, {"type": "ExternalName", "externalName": "kubernetes.default"}),
        ):
            with pytest.raises(PlatformError, match=r"of tenant tenant-a must"):
                one.apply(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec})
        # Others who write into the namespace are not concerned, such as the operator.
        administrator.apply(
            SERVICE, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}}
        )

        refused = run({"name": "tenant-a", "state": "absent"})
        assert refused.exit_code != 0
        assert "has 2 functions or programs that would end: job, server" in " ".join(refused.output.split())
        for name in ("job", "server"):
            assert program(name, HANDLER, state="absent", source=None)["changed"] is True
    finally:
        node.stop()
    removed = run({"name": "tenant-a", "state": "absent"})
    assert removed.exit_code == 0, removed.output
    assert of_tenant(administrator, "tenant-a") == []


def unknown(api: KubernetesApi) -> bool:
    try:
        api.list(SPIN_APP, "tenant-a")
    except PlatformError as error:
        return "does not know these credentials" in error.cause
    return False


def test_pods_of_a_tenant_get_limits_and_no_rights_of_the_node(control_plane: ControlPlane, run: Run) -> None:
    made = run({"name": "tenant-a"})
    assert made.exit_code == 0, made.output
    container = {"name": "c", "image": "registry.example.com/c"}

    def create(spec: dict[str, t.Any]) -> httpx2.Response:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"generateName": "a-"},
            "spec": {"containers": [container], **spec},
        }
        url = f"{control_plane.url}/api/v1/namespaces/tenant-a/pods?dryRun=All"
        return httpx2.post(url, json=pod, verify=control_plane.administrator_tls(), trust_env=False)

    (answer,) = create({}).json()["spec"]["containers"]
    assert answer["resources"] == {
        "limits": {"cpu": "1", "memory": "256Mi", "ephemeral-storage": "256Mi"},
        "requests": {"cpu": "20m", "memory": "64Mi", "ephemeral-storage": "16Mi"},
    }
    for spec in (
        {"hostNetwork": True},
        {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
        {"containers": [{**container, "ports": [{"hostPort": 80, "containerPort": 80}]}]},
    ):
        refused = create(spec)
        assert refused.status_code == 403 and "PodSecurity" in refused.text
    big = create({"containers": [{**container, "resources": {"limits": {"memory": "2Gi"}}}]})
    assert big.status_code == 403 and "maximum memory usage per Container is 1Gi" in big.text


def test_a_namespace_of_others_is_not_taken_and_not_removed(
    administrator: KubernetesApi, control_plane: ControlPlane, run: Run
) -> None:
    control_plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tenant-c"}})
    for state in ("present", "absent"):
        refused = run({"name": "tenant-c", "state": state})
        assert refused.exit_code != 0
        assert "tenant tenant-c: " in refused.output and "no tenant's" in " ".join(refused.output.split())
    adopted = run({"name": "tenant-c"}, tenant_adopt=True)
    assert adopted.exit_code == 0, adopted.output
    assert "Namespace/tenant-c" in of_tenant(administrator, "tenant-c")


def test_check_mode_changes_nothing(administrator: KubernetesApi, run: Run, tmp_path: Path) -> None:
    checked = run({"name": "tenant-a"}, arguments=("--check",))
    assert checked.exit_code == 0, checked.output
    assert of_tenant(administrator, "tenant-a") == [] and not (tmp_path / "tenants").exists()
