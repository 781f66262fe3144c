# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Canary, promotion, rollback, hosts, quotas and logs on a real Kubernetes API server with the real SpinKube operator;
the kubelet is played."""

from __future__ import annotations

import collections
import collections.abc
import contextlib
import json
import re
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function_info import (
    run as run_info,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function_logs import (
    run as run_logs,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function_version import (
    run as run_version,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.arguments import kubernetes_auth_arguments
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.connection import ConnectionOptions
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import (
    DEPLOYMENT,
    HTTP_ROUTE,
    LEASE,
    POD,
    SECRET,
    SPIN_APP,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.objects import labels
from lightkube.resources.core_v1 import ResourceQuota

from .support.control_plane import GATEWAY_NAME, GATEWAY_NAMESPACE, ControlPlane
from .support.deployment import Deployment, Result
from .support.function_project import FunctionProject
from .support.playbooks import Playbooks, extra
from .support.servers import wait_until

HEADER = r"==> {pod} \(running(, restarted (once|\d+ times))?, on wasm-node\) <=="
"""What stands above a pod's lines; the played node lets pods of one image that start together crash first (its
`collision`)."""


def change_version(
    deployment: Deployment, name: str, state: str, *, check_mode: bool = False, **options: t.Any
) -> Result:
    """As promote_function.yml and rollback_function.yml; raises PlatformError."""
    parameters = {
        **dict.fromkeys(kubernetes_auth_arguments()),
        "name": name,
        "namespace": "default",
        "state": state,
        "target": "cluster",
        "to": None,
        "probe_ca_file": None,
        "wait_timeout": 60,
        "probe_address": deployment.front,
        "kubeconfig": str(deployment.control_plane.kubeconfig),
    }
    return run_version({**parameters, **options}, check_mode, set())


def listed(deployment: Deployment, name: str) -> dict[str, t.Any]:
    parameters = {
        "name": name,
        "namespace": "default",
        "target": "cluster",
        "state_directory": None,
        **dict.fromkeys(kubernetes_auth_arguments()),
    }
    (function,) = run_info({**parameters, "kubeconfig": str(deployment.control_plane.kubeconfig)}, False, set())[
        "functions"
    ]
    return t.cast("dict[str, t.Any]", function)


def images(deployment: Deployment, result: Result, requests: int) -> collections.Counter[str]:
    """The images that answered so many requests."""
    return collections.Counter(deployment.call(result).json()["image"] for _request in range(requests))


def versions_of_objects(api: KubernetesApi, *names: str) -> dict[str, str]:
    found = {}
    for kind in (SPIN_APP, HTTP_ROUTE, SECRET, LEASE):
        for name in names:
            for item in api.list(kind, "default", labels=labels(name)):
                found[f"{kind.kind}/{item['metadata']['name']}"] = item["metadata"]["resourceVersion"]
    return found


@contextlib.contextmanager
def called_all_the_time(deployment: Deployment, result: Result) -> collections.abc.Iterator[list[int]]:
    """The statuses of the requests that a user of the function made meanwhile."""
    statuses: list[int] = []
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            statuses.append(deployment.call(result).status_code)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield statuses
    finally:
        stop.set()
        caller.join()


@pytest.fixture
def first(deployment: Deployment, project: FunctionProject) -> Result:
    """The first version answers; `project` holds a second one that was not deployed yet."""
    result = deployment.deploy(project)
    project.write("second")
    return result


# canary


def test_a_canary_gets_its_share_and_is_promoted_without_a_lost_request(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, first: Result
) -> None:
    before = versions_of_objects(api, project.name)
    planned = deployment.deploy(project, canary=25, check_mode=True)
    assert planned["changed"] is True and "as canary with 25 % of the requests" in planned["summary"]
    assert [
        backend["weight"] for backend in planned["diff"]["after"]["HTTPRoute"]["spec"]["rules"][0]["backendRefs"]
    ] == [75, 25]
    assert versions_of_objects(api, project.name, f"{project.name}-canary") == before

    with called_all_the_time(deployment, first) as statuses:
        canary = deployment.deploy(project, canary=25)
        assert (canary["changed"], canary["url"]) == (True, first["url"]) and canary["digest"] != first["digest"]
        answered = images(deployment, first, 200)
        assert set(answered) == {first["image"], canary["image"]}
        assert 25 <= answered[canary["image"]] <= 75, "25 %, give or take four standard deviations"
        written = versions_of_objects(api, project.name, f"{project.name}-canary")
        assert written[f"SpinApp/{project.name}"] == before[f"SpinApp/{project.name}"], (
            "the function itself is not touched"
        )
        again = deployment.deploy(project, canary=25)
        assert again["changed"] is False and "build" not in again["stages"]
        assert versions_of_objects(api, project.name, f"{project.name}-canary") == written
        shown = listed(deployment, project.name)
        assert (shown["image"], shown["details"]["canary"]["weight"], shown["details"]["canary"]["image"]) == (
            first["image"],
            25,
            canary["image"],
        )

        more = deployment.deploy(project, canary=100)
        assert more["changed"] is True and "build" not in more["stages"]
        assert set(images(deployment, first, 20)) == {canary["image"]}

        assert change_version(deployment, project.name, "promoted", check_mode=True)["changed"] is True
        promoted = change_version(deployment, project.name, "promoted")
        assert (promoted["changed"], promoted["image"], promoted["details"]["status"]) == (
            True,
            canary["image"],
            "ready",
        )
    assert len(statuses) > 30
    assert set(statuses) == {200}
    assert set(images(deployment, first, 20)) == {canary["image"]}
    assert api.get(SPIN_APP, "default", f"{project.name}-canary") is None
    wait_until(
        lambda: api.get(DEPLOYMENT, "default", f"{project.name}-canary") is None,
        seconds=120,
        what="the canary's Deployment is gone",
    )

    after = versions_of_objects(api, project.name)
    assert change_version(deployment, project.name, "promoted")["changed"] is False
    assert deployment.deploy(project)["changed"] is False, "as if it had been deployed so"
    assert deployment.deploy(project, canary=25)["changed"] is False, "it needs no canary any more"
    assert versions_of_objects(api, project.name) == after


def test_a_canary_is_undone_without_a_lost_request(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, first: Result
) -> None:
    before = api.get(SPIN_APP, "default", project.name)
    with called_all_the_time(deployment, first) as statuses:
        canary = deployment.deploy(project, canary=50)
        assert change_version(deployment, project.name, "undone", check_mode=True)["changed"] is True
        assert set(images(deployment, first, 40)) == {first["image"], canary["image"]}
        undone = change_version(deployment, project.name, "undone")
    assert (undone["changed"], undone["image"]) == (True, first["image"])
    assert set(statuses) == {200}
    assert set(images(deployment, first, 20)) == {first["image"]}
    assert api.get(SPIN_APP, "default", f"{project.name}-canary") is None
    after = api.get(SPIN_APP, "default", project.name)
    assert before is not None and after is not None and after["spec"] == before["spec"]
    assert change_version(deployment, project.name, "undone")["changed"] is False


@pytest.mark.parametrize(
    ("behaviour", "sign"), [("crash", "CrashLoopBackOff"), ("never_ready", "pods are not ready|pods are ready")]
)
def test_a_canary_that_does_not_come_up_leaves_the_function_alone(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, first: Result, behaviour: str, sign: str
) -> None:
    before = versions_of_objects(api, project.name)
    project.manifest(behaviour=behaviour)
    with called_all_the_time(deployment, first) as statuses, pytest.raises(PlatformError, match=sign) as raised:
        deployment.deploy(project, canary=50, wait_timeout=6 if behaviour == "never_ready" else 60)
    assert raised.value.stage == "rollout"
    assert "the function itself was not touched, and nothing of its canary was left" in raised.value.cause
    assert set(statuses) == {200}
    assert versions_of_objects(api, project.name) == before
    assert api.get(SPIN_APP, "default", f"{project.name}-canary") is None


def test_replicas_of_a_canary_that_collide_in_the_shim_come_up(
    deployment: Deployment, project: FunctionProject, first: Result
) -> None:
    canary = deployment.deploy(project, replicas=6, canary=50)
    assert canary["changed"] is True
    promoted = change_version(deployment, project.name, "promoted")
    assert promoted["image"] == canary["image"] != first["image"]


def test_a_canary_that_was_cut_off_is_finished_by_the_next_run(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, first: Result
) -> None:
    project.manifest(behaviour="slow_start")
    process = deployment.start(project, canary=50)
    wait_until(
        lambda: api.get(SPIN_APP, "default", f"{project.name}-canary"), seconds=120, what="the canary is applied"
    )
    process.kill()
    process.communicate(timeout=60)
    assert set(images(deployment, first, 10)) == {first["image"]}
    with pytest.raises(PlatformError, match="never came up"):
        change_version(deployment, project.name, "promoted")
    canary = deployment.deploy(project, canary=50)
    assert canary["changed"] is True
    assert set(images(deployment, first, 40)) == {first["image"], canary["image"]}


def test_a_canary_with_secret_variables(deployment: Deployment, project: FunctionProject, api: KubernetesApi) -> None:
    project.manifest(
        variables="token = { required = true, secret = true }",
        component_variables='variables = { token = "{{ token }}" }',
    )
    deployment.deploy(project, variables={"token": "old-value"})
    project.write("second")
    deployment.deploy(project, canary=10, variables={"token": "new-value"})
    assert len(api.list(SECRET, "default", labels=labels(project.name))) == 2
    assert deployment.deploy(project, canary=10, variables={"token": "new-value"})["changed"] is False
    change_version(deployment, project.name, "promoted")
    (secret,) = api.list(SECRET, "default", labels=labels(project.name))
    assert secret["data"] == {"token": "bmV3LXZhbHVl"}
    assert deployment.deploy(project, variables={"token": "new-value"})["changed"] is False


# rollback


def test_a_rollback_brings_the_version_before_and_twice_the_one_that_was(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, first: Result
) -> None:
    with pytest.raises(PlatformError, match="No earlier version"):
        change_version(deployment, project.name, "rolled_back")
    second = deployment.deploy(project, replicas=2)
    planned = change_version(deployment, project.name, "rolled_back", check_mode=True)
    assert (planned["changed"], planned["image"]) == (True, first["image"])
    assert planned["diff"]["before"]["SpinApp"]["spec"]["replicas"] == 2
    with called_all_the_time(deployment, first) as statuses:
        back = change_version(deployment, project.name, "rolled_back")
    assert (back["changed"], back["image"], back["details"]["replicas"]) == (True, first["image"], 1)
    assert set(statuses) == {200}
    assert set(images(deployment, first, 10)) == {first["image"]}

    digest = first["digest"]
    before = versions_of_objects(api, project.name)
    for to in (digest, digest[:19]):
        assert change_version(deployment, project.name, "rolled_back", to=to)["changed"] is False
    assert versions_of_objects(api, project.name) == before
    forth = change_version(deployment, project.name, "rolled_back")
    assert (forth["image"], forth["details"]["replicas"]) == (second["image"], 2)
    assert change_version(deployment, project.name, "rolled_back", to=digest)["image"] == first["image"]
    assert [entry["digest"] for entry in listed(deployment, project.name)["details"]["earlier"]] == [second["digest"]]
    assert deployment.deploy(project, replicas=2)["image"] == second["image"], (
        "the source is deployed again when it is asked for"
    )


# hosts


def test_a_host_of_another_namespace_is_refused_before_anything_changes(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    taken = deployment.deploy(project, namespace="user1", hostname="shop.127.0.0.1.nip.io")
    other = FunctionProject(project.directory.parent / "other", f"{project.name}-other")
    with pytest.raises(
        PlatformError, match=rf"The host shop\.127\.0\.0\.1\.nip\.io is taken by the HTTPRoute user1/{project.name}"
    ) as raised:
        deployment.deploy(other, hostname="shop.127.0.0.1.nip.io")
    assert raised.value.stage == "live_state", "before the build"
    assert not (other.directory / "app.wasm").exists()
    assert versions_of_objects(api, other.name) == {}
    assert deployment.call(taken).json()["namespace"] == "user1"
    deployment.deploy(other, hostname="free.127.0.0.1.nip.io")
    with pytest.raises(PlatformError, match="is taken"):
        deployment.deploy(other, hostname="shop.127.0.0.1.nip.io")


def test_a_tenant_who_sees_only_his_own_routes_is_refused_as_well(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, tenant_kubeconfig: str
) -> None:
    deployment.deploy(project, namespace="user1", hostname="shop2.127.0.0.1.nip.io")
    other = FunctionProject(project.directory.parent / "other", f"{project.name}-other")
    with pytest.raises(PlatformError, match="it answers already, and no HTTPRoute of this namespace has it"):
        deployment.deploy(other, hostname="shop2.127.0.0.1.nip.io", kubeconfig=tenant_kubeconfig)
    assert versions_of_objects(api, other.name) == {}
    assert deployment.deploy(other, hostname="free2.127.0.0.1.nip.io", kubeconfig=tenant_kubeconfig)["changed"] is True
    other.write("second")
    assert (
        deployment.deploy(other, canary=50, hostname="free2.127.0.0.1.nip.io", kubeconfig=tenant_kubeconfig)["changed"]
        is True
    )
    assert change_version(deployment, other.name, "promoted", kubeconfig=tenant_kubeconfig)["changed"] is True
    assert change_version(deployment, other.name, "rolled_back", kubeconfig=tenant_kubeconfig)["changed"] is True


@pytest.fixture
def tenant_kubeconfig(control_plane: ControlPlane) -> str:
    """With the rights that docs/architecture.md names, and no more."""
    everything = ["get", "list", "create", "patch", "update", "delete"]
    rules = [
        {"apiGroups": ["core.spinkube.dev"], "resources": ["spinapps"], "verbs": everything},
        {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"], "verbs": everything},
        {"apiGroups": ["http.keda.sh"], "resources": ["interceptorroutes"], "verbs": everything},
        {"apiGroups": ["keda.sh"], "resources": ["scaledobjects"], "verbs": everything},
        {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": everything},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": everything},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": everything},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods", "pods/log", "events"], "verbs": ["get", "list"]},
    ]
    kubeconfig = control_plane.kubeconfig_for("tenant", rules=rules)
    named = {"name": "tenant", "namespace": GATEWAY_NAMESPACE}
    control_plane.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": named,
            "rules": [{"apiGroups": ["gateway.networking.k8s.io"], "resources": ["gateways"], "verbs": ["get"]}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": named,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"},
            "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": "default"}],
        },
    )
    return str(kubeconfig)


# quotas and limits


@pytest.fixture
def quota(control_plane: ControlPlane) -> collections.abc.Iterator[collections.abc.Callable[..., None]]:
    """Limits the namespace user1 until the test ends."""
    client = control_plane.client()

    def limit(**hard: str) -> None:
        control_plane.apply(
            {
                "apiVersion": "v1",
                "kind": "ResourceQuota",
                "metadata": {"name": "tenant", "namespace": "user1"},
                "spec": {"hard": hard},
            },
        )

        def counts() -> bool:
            status = client.get(ResourceQuota, "tenant", namespace="user1").status
            return status is not None and status.hard == hard

        wait_until(counts, seconds=120, what="the quota counts")

    yield limit
    client.deletecollection(ResourceQuota, namespace="user1")


def test_a_quota_is_named_with_what_to_do(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, quota: collections.abc.Callable[..., None]
) -> None:
    quota(pods="1")
    first = deployment.deploy(project, namespace="user1")
    project.write("second")
    with pytest.raises(PlatformError) as raised:
        deployment.deploy(project, namespace="user1", wait_timeout=60)
    assert raised.value.stage == "rollout"
    assert "exceeded quota: tenant, requested: pods=1, used: pods=1, limited: pods=1" in raised.value.cause
    assert "the previous version was put back" in raised.value.cause
    assert (
        "The ResourceQuota user1/tenant has no room" in raised.value.next_step
        and "one pod more" in raised.value.next_step
    )
    assert deployment.call(first).json()["image"] == first["image"]
    with pytest.raises(PlatformError, match=r"exceeded quota: tenant.*the function itself was not touched"):
        deployment.deploy(project, namespace="user1", canary=10, wait_timeout=60)
    assert api.get(SPIN_APP, "user1", f"{project.name}-canary") is None
    quota(pods="2")
    assert deployment.deploy(project, namespace="user1")["changed"] is True


def test_a_quota_of_memory_wants_memory_said(
    deployment: Deployment, project: FunctionProject, quota: collections.abc.Callable[..., None]
) -> None:
    quota(**{"limits.memory": "256Mi"})
    with pytest.raises(PlatformError, match=r"failed quota: tenant: must specify limits\.memory") as raised:
        deployment.deploy(project, namespace="user1", wait_timeout=60)
    assert "Give `memory`" in raised.value.next_step
    result = deployment.deploy(
        project, namespace="user1", memory="64Mi", cpu="10m", invocation_limits={"memory": "32Mi"}
    )
    (pod,) = [pod for pod in deployment_pods(deployment, project.name) if not pod["metadata"].get("deletionTimestamp")]
    assert pod["spec"]["containers"][0]["resources"] == {
        "limits": {"memory": "64Mi"},
        "requests": {"cpu": "10m", "memory": "64Mi"},
    }
    assert {"name": "SPIN_MAX_INSTANCE_MEMORY", "value": str(32 * 2**20)} in pod["spec"]["containers"][0]["env"]
    assert deployment.call(result).status_code == 200
    with pytest.raises(PlatformError, match=r"invocation|memory"):
        deployment.deploy(project, namespace="user1", memory="64Mi", cpu="10m", invocation_limits={"memory": "128Mi"})


def deployment_pods(deployment: Deployment, name: str) -> list[dict[str, t.Any]]:
    api = KubernetesApi(ConnectionOptions(kubeconfig=str(deployment.control_plane.kubeconfig)))
    return api.list(POD, "user1", labels={"core.spinkube.dev/app-name": name})


def test_a_quota_on_objects_is_named(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, quota: collections.abc.Callable[..., None]
) -> None:
    quota(**{"count/httproutes.gateway.networking.k8s.io": "0"})
    with pytest.raises(PlatformError, match="exceeded quota: tenant") as raised:
        deployment.deploy(project, namespace="user1")
    assert "ResourceQuota" in raised.value.next_step
    assert api.get(SPIN_APP, "user1", project.name) is None


# TLS


def test_tls_binds_the_route_to_the_listener_of_the_host(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    with pytest.raises(
        PlatformError, match=r"tls: the Gateway wasmfaas-system/wasmfaas has no HTTPS listener for .*none at all"
    ):
        deployment.deploy(project, tls=True)
    web = {"name": "web", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    certificate = {"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": "wildcard"}]}
    secure = {
        **web,
        "name": "websecure",
        "port": 443,
        "protocol": "HTTPS",
        "hostname": "*.default.127.0.0.1.nip.io",
        "tls": certificate,
    }
    gateway: dict[str, t.Any] = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY_NAME, "namespace": GATEWAY_NAMESPACE},
        "spec": {"gatewayClassName": "traefik", "listeners": [web, secure]},
    }
    deployment.control_plane.apply(gateway)
    try:
        with pytest.raises(PlatformError, match=r"only for \*\.default\.127\.0\.0\.1\.nip\.io"):
            deployment.deploy(project, tls=True, hostname="www.example.com")
        # Nobody terminates TLS here: the route is what is looked at.
        result = deployment.deploy(project, tls=True, wait=False)
        assert result["url"] == f"https://{project.name}.default.127.0.0.1.nip.io"
        route = api.get(HTTP_ROUTE, "default", project.name)
        assert route is not None and [parent.get("sectionName") for parent in route["spec"]["parentRefs"]] == [
            "websecure"
        ]
        assert json.dumps(listed(deployment, project.name)).count("https://") == 1
    finally:
        deployment.control_plane.apply({**gateway, "spec": {**gateway["spec"], "listeners": [web]}})


# logs, and all of it by playbook


def test_logs_of_all_replicas_and_of_what_crashed(
    deployment: Deployment, project: FunctionProject, first: Result
) -> None:
    result = deployment.deploy(project, replicas=2)
    for number in range(30):
        deployment.call(result, f"/call-{number}")
    logs = read_logs(deployment, project.name)["logs"]
    assert len(logs) == 2 and {log["state"] for log in logs} == {"running"}
    assert sorted(line for log in logs for line in log["lines"] if "/call-" in line) == sorted(
        f"GET /call-{number}" for number in range(30)
    )
    few = read_logs(deployment, project.name, lines=3)
    assert [len(log["lines"]) for log in few["logs"]] == [3, 3]
    assert re.fullmatch(HEADER.format(pod=few["logs"][0]["pod"]), few["text"][0]), few["text"][0]
    assert read_logs(deployment, project.name, since="1h")["logs"], (
        "the API server takes it; the stand-in for the kubelet does not follow it"
    )

    project.manifest(behaviour="crash")
    assert deployment.deploy(project, wait=False)["changed"] is True
    wait_until(lambda: crashed(deployment, project.name), seconds=60, what="a container crashed")
    log = crashed(deployment, project.name)[0]
    assert (log["state"], log["exit_code"]) == ("waiting: CrashLoopBackOff", 137)
    assert "STAND_IN_BEHAVIOUR=crash" in log["lines"][0], "what it wrote before it crashed"


def read_logs(deployment: Deployment, name: str, **options: t.Any) -> Result:
    parameters = {
        "name": name,
        "namespace": "default",
        "lines": 100,
        "since": None,
        "target": "cluster",
        "state_directory": None,
    }
    kubeconfig = {**dict.fromkeys(kubernetes_auth_arguments()), "kubeconfig": str(deployment.control_plane.kubeconfig)}
    return run_logs({**parameters, **kubeconfig, **options}, False, set())


def crashed(deployment: Deployment, name: str) -> list[Result]:
    """The logs of containers that ended."""
    return [log for log in read_logs(deployment, name)["logs"] if log["previous"]]


def test_logs_of_a_function_that_is_not_there(deployment: Deployment) -> None:
    with pytest.raises(PlatformError, match="There is no function default/nothing"):
        read_logs(deployment, "nothing")


def test_the_versions_of_a_function_by_playbook(
    deployment: Deployment, project: FunctionProject, tmp_path: Path
) -> None:
    project.manifest(
        variables="token = { required = true, secret = true }",
        component_variables='variables = { token = "{{ token }}" }',
    )
    playbooks = Playbooks(tmp_path / "home")
    secret = "s3cret-value-that-was-logged"
    cluster = [*extra(kubeconfig=deployment.control_plane.kubeconfig, probe_address=deployment.front)]
    registry = extra(
        registry=f"{deployment.registry.host}/functions",
        registry_plain_http=True,
        domain="127.0.0.1.nip.io",
        variables={"token": secret},
    )
    named = [*extra(name=project.name), *cluster]
    deploy = ["deploy-function.yml", *extra(src=project.directory), *registry, *cluster]
    deployment.remember(project.name)

    first = playbooks.run(*deploy)
    assert (first.exit_code, first.changed) == (0, 1), first.output
    project.write("second")
    canary = playbooks.run(*deploy, *extra(canary=20))
    assert (canary.exit_code, canary.changed) == (0, 1), canary.output
    assert canary.result_line.startswith("deployed as canary with 20 % of the requests http://")
    assert playbooks.run(*deploy, *extra(canary=20)).changed == 0

    shown = playbooks.run("wasmfaas.platform.list_functions", *named)
    assert re.search(
        rf"default +{project.name} +ready +1/1 +20% [0-9a-f]{{12}} 1/1 +- +http://{project.name}\.default\S+ "
        rf"+[0-9a-f]{{12}} +\d+[smh]",
        shown.output,
    ), shown.output

    planned = playbooks.run("wasmfaas.platform.promote_function", *named, "--check", "--diff")
    assert (planned.exit_code, planned.changed) == (0, 1) and re.search(
        r"^-\s+weight: 20$", planned.output, re.MULTILINE
    ), planned.output
    promoted = playbooks.run("wasmfaas.platform.promote_function", *named)
    assert (promoted.exit_code, promoted.changed) == (0, 1), promoted.output
    assert promoted.result_line.startswith("promoted http://")
    undone = playbooks.run("wasmfaas.platform.promote_function", *named, "-e", "undo=true")
    assert (undone.exit_code, undone.changed) == (0, 0) and undone.result_line.startswith(
        "unchanged, it has no canary: http://"
    ), undone.output

    rolled_back = playbooks.run("wasmfaas.platform.rollback_function", *named)
    assert (rolled_back.exit_code, rolled_back.changed) == (0, 1) and rolled_back.result_line.startswith(
        "rolled back http://"
    ), rolled_back.output
    shown = playbooks.run("wasmfaas.platform.list_functions", *named)
    digest = re.search(r"EARLIER +AGE +IMAGE\W+([0-9a-f]{12})", shown.output)
    assert digest is not None, shown.output
    for changed in (1, 0):
        again = playbooks.run("wasmfaas.platform.rollback_function", *named, *extra(to=f"sha256:{digest[1]}"))
        assert (again.exit_code, again.changed) == (0, changed), again.output

    url = {"url": f"http://{project.name}.default.127.0.0.1.nip.io"}
    assert deployment.call(url, f"/{secret}").status_code == 200
    logs = playbooks.run("wasmfaas.platform.function_logs", *named, *extra(lines=20), "-vvv")
    assert logs.exit_code == 0 and re.search(HEADER.format(pod=rf"{project.name}-\S+"), logs.output), logs.output
    assert "GET /***" in logs.output and secret not in logs.output
