# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploys functions to a real Kubernetes API server, with the real SpinKube operator and a played kubelet behind it and
a real registry beside it."""

from __future__ import annotations

import base64
import json
import signal
import threading
import typing as t
from pathlib import Path

import httpx2
import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function_info import (
    run as run_info,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.connection import ConnectionOptions
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.difference import projected
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import (
    BY_NAME,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_ROUTE,
    INTERCEPTOR_ROUTE,
    LEASE,
    NODE,
    POD,
    SCALED_OBJECT,
    SECRET,
    SPIN_APP,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.lock import deployment_lock
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.objects import LAST_GOOD, labels

from .support.deployment import Deployment
from .support.function_project import FunctionProject, component
from .support.servers import wait_until


def resource_versions(api: KubernetesApi, name: str) -> dict[str, str]:
    """Of every object of the function, to see that nothing was written."""
    found = {}
    for kind in (SPIN_APP, HTTP_ROUTE, SECRET, SCALED_OBJECT, INTERCEPTOR_ROUTE, HORIZONTAL_POD_AUTOSCALER, LEASE):
        for item in api.list(kind, "default", labels=labels(name)):
            found[f"{kind.kind}/{item['metadata']['name']}"] = item["metadata"]["resourceVersion"]
    return found


def spec_of(api: KubernetesApi, name: str) -> dict[str, t.Any]:
    app = api.get(SPIN_APP, "default", name)
    assert app is not None
    return t.cast("dict[str, t.Any]", app["spec"])


# the main path


def test_a_function_answers_and_a_second_run_changes_nothing(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    first = deployment.deploy(project)
    assert first["changed"] is True
    assert first["url"] == f"http://{project.name}.default.127.0.0.1.nip.io"
    answer = deployment.call(first)
    assert answer.status_code == 200
    assert answer.json()["image"] == first["image"]
    assert first["image"].endswith(f"@{first['digest']}")

    before = resource_versions(api, project.name)
    second = deployment.deploy(project)
    assert second["changed"] is False
    assert "build" not in second["stages"] and "apply" not in second["stages"]
    assert {key: second[key] for key in ("url", "image", "digest", "source_digest")} == {
        key: first[key] for key in ("url", "image", "digest", "source_digest")
    }
    assert resource_versions(api, project.name) == before
    assert not [key for key in before if key.startswith("Lease/")]


def test_check_mode_touches_nothing_and_tells_what_would_be_done(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    planned = deployment.deploy(project, check_mode=True)
    assert planned["changed"] is True
    assert planned["diff"]["after"]["build"] == ["python3 build.py"]
    assert planned["diff"]["after"]["SpinApp"]["spec"]["replicas"] == 1
    assert api.get(SPIN_APP, "default", project.name) is None
    assert not (project.directory / "app.wasm").exists()
    assert httpx2.get(f"http://{deployment.registry.host}/v2/functions/{project.name}/tags/list").status_code == 404

    deployment.deploy(project)
    before = resource_versions(api, project.name)
    assert deployment.deploy(project, check_mode=True)["changed"] is False
    scaled = deployment.deploy(project, check_mode=True, replicas=2)
    assert scaled["changed"] is True
    assert scaled["diff"]["before"]["SpinApp"]["spec"]["replicas"] == 1
    assert scaled["diff"]["after"]["SpinApp"]["spec"]["replicas"] == 2
    assert resource_versions(api, project.name) == before


def test_a_changed_source_is_rolled_out_without_a_lost_request(
    deployment: Deployment, project: FunctionProject
) -> None:
    first = deployment.deploy(project)
    project.write("second")
    statuses: list[int] = []
    stop = threading.Event()

    def call_all_the_time() -> None:
        while not stop.is_set():
            statuses.append(deployment.call(first).status_code)

    caller = threading.Thread(target=call_all_the_time)
    caller.start()
    try:
        second = deployment.deploy(project)
        wait_until(lambda: len(statuses) > 10, seconds=120, what="it was called more than ten times")
    finally:
        stop.set()
        caller.join()
    assert second["changed"] is True and second["digest"] != first["digest"]
    assert deployment.call(second).json()["image"] == second["image"]
    assert set(statuses) == {200}


def test_only_changed_settings_are_applied_without_a_build(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    first = deployment.deploy(project)
    second = deployment.deploy(project, replicas=2)
    assert second["changed"] is True and second["digest"] == first["digest"]
    assert "build" not in second["stages"]
    assert second["details"]["ready_replicas"] == 2
    assert spec_of(api, project.name)["replicas"] == 2
    assert deployment.deploy(project, replicas=2)["changed"] is False


def test_a_field_that_somebody_changed_is_put_back(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    deployment.deploy(project)
    app = api.get(SPIN_APP, "default", project.name)
    assert app is not None
    app["spec"]["replicas"] = 3
    api.replace(SPIN_APP, app)
    assert deployment.deploy(project)["changed"] is True
    assert spec_of(api, project.name)["replicas"] == 1


def test_an_artifact_that_was_pushed_is_deployed_without_a_build(
    deployment: Deployment, project: FunctionProject
) -> None:
    pushed = deployment.deploy(project, state="pushed")
    assert pushed["changed"] is True
    assert deployment.deploy(project, state="pushed")["changed"] is False
    deployed = deployment.deploy(project)
    assert "build" not in deployed["stages"]
    assert deployed["digest"] == pushed["digest"]
    assert deployment.call(deployed).status_code == 200


def test_delete_leaves_nothing(deployment: Deployment, project: FunctionProject, api: KubernetesApi) -> None:
    project.manifest(
        variables="token = { required = true, secret = true }",
        component_variables='variables = { token = "{{ token }}" }',
    )
    deployment.deploy(project, variables={"token": "s3cret-value"})
    assert deployment.delete(project.name, check_mode=True)["changed"] is True
    assert api.get(SPIN_APP, "default", project.name) is not None
    assert deployment.delete(project.name)["changed"] is True
    assert resource_versions(api, project.name) == {}
    wait_until(lambda: api.get(DEPLOYMENT, "default", project.name) is None, seconds=120, what="the Deployment is gone")
    assert deployment.delete(project.name)["changed"] is False


# variables and secrets


def test_secret_variables_live_in_a_secret_and_nowhere_else(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    project.manifest(
        variables='token = { required = true, secret = true }\ngreeting = { default = "hi" }',
        component_variables='variables = { token = "{{ token }}", greeting = "{{ greeting }}" }',
    )
    first = deployment.deploy(project, variables={"token": "s3cret-value", "greeting": "hello"})
    variables = {variable["name"]: variable for variable in spec_of(api, project.name)["variables"]}
    assert variables["greeting"] == {"name": "greeting", "value": "hello"}
    reference = variables["token"]["valueFrom"]["secretKeyRef"]
    secret = api.get(SECRET, "default", reference["name"])
    assert secret is not None and base64.b64decode(secret["data"]["token"]) == b"s3cret-value"
    assert "s3cret-value" not in json.dumps(
        [api.get(SPIN_APP, "default", project.name), api.get(DEPLOYMENT, "default", project.name), first]
    )
    assert deployment.deploy(project, variables={"token": "s3cret-value", "greeting": "hello"})["changed"] is False

    second = deployment.deploy(project, variables={"token": "another-value", "greeting": "hello"})
    assert second["changed"] is True and "build" not in second["stages"]
    secrets = api.list(SECRET, "default", labels=labels(project.name))
    assert [base64.b64decode(item["data"]["token"]) for item in secrets] == [b"another-value"]


# scaling


def test_scaling_by_requests_needs_a_reference_grant_and_says_so(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    deployment.control_plane.create_namespace("without-grant")
    with pytest.raises(PlatformError, match="RefNotPermitted") as raised:
        deployment.deploy(project, namespace="without-grant", autoscale={"min": 1}, wait_timeout=5)
    assert "ReferenceGrant" in raised.value.next_step
    assert api.get(SPIN_APP, "without-grant", project.name) is None


@pytest.mark.usefixtures("reference_grant")
def test_scaling_by_requests_makes_kedas_objects_and_goes_back_to_a_fixed_number(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    load = {"requests_per_second": 200.0, "service_time_seconds": 0.05, "concurrency": 4.0}
    deployment.deploy(project, autoscale={"min": 1}, load=load)
    scaled = api.get(SCALED_OBJECT, "default", project.name)
    route = api.get(INTERCEPTOR_ROUTE, "default", project.name)
    assert scaled is not None and route is not None
    assert (scaled["spec"]["minReplicaCount"], scaled["spec"]["maxReplicaCount"]) == (1, 6)
    assert route["spec"]["scalingMetric"] == {"concurrency": {"targetValue": 4}}
    spec = spec_of(api, project.name)
    assert spec["enableAutoscaling"] is True and "replicas" not in spec
    http_route = api.get(HTTP_ROUTE, "default", project.name)
    assert http_route is not None and http_route["spec"]["rules"][0]["backendRefs"][0]["namespace"] == "keda"
    assert deployment.deploy(project, autoscale={"min": 1}, load=load)["changed"] is False

    deployment.deploy(project, replicas=1)
    assert api.get(SCALED_OBJECT, "default", project.name) is None
    assert api.get(INTERCEPTOR_ROUTE, "default", project.name) is None
    assert spec_of(api, project.name)["replicas"] == 1


def test_scaling_by_cpu_needs_kubernetes_alone(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    deployed = deployment.deploy(
        project, autoscale={"min": 1, "max": 3, "target_cpu_percent": 70}, resources={"requests": {"cpu": "100m"}}
    )
    assert any("Kubernetes sees no processor time" in warning for warning in deployed["warnings"])
    scaler = api.get(HORIZONTAL_POD_AUTOSCALER, "default", project.name)
    assert scaler is not None and scaler["spec"]["maxReplicas"] == 3


# what does not come up


@pytest.mark.parametrize(("behaviour", "sign"), [("crash", "CrashLoopBackOff"), ("never_ready", "pods are not ready")])
def test_a_version_that_does_not_come_up_is_undone_and_the_previous_one_answers(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, behaviour: str, sign: str
) -> None:
    first = deployment.deploy(project)
    good = spec_of(api, project.name)
    project.manifest(behaviour=behaviour)
    with pytest.raises(PlatformError) as raised:
        deployment.deploy(project, wait_timeout=6 if behaviour == "never_ready" else 60)
    assert raised.value.stage == "rollout"
    assert sign in raised.value.cause and "the previous version was put back" in raised.value.cause
    assert raised.value.next_step
    assert raised.value.facts["events"]
    assert deployment.call(first).json()["image"] == first["image"]
    assert spec_of(api, project.name) == good

    project.manifest()
    assert deployment.deploy(project)["changed"] is False


def restarts(api: KubernetesApi, name: str) -> list[int]:
    pods = api.list(POD, "default", labels={"core.spinkube.dev/app-name": name})
    return [container["restartCount"] for pod in pods for container in pod["status"].get("containerStatuses") or []]


def test_replicas_of_a_fresh_artifact_that_collide_in_the_shim_come_up(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    """All but the first end once or twice with exit code 137, and the kubelet says CrashLoopBackOff; the next restart
    works."""
    first = deployment.deploy(project, replicas=8)
    assert first["changed"] is True and deployment.call(first).json()["image"] == first["image"]
    assert max(restarts(api, project.name)) > 0, "the stand-in let no pod crash"
    assert min(restarts(api, project.name)) == 0
    project.write("second")
    second = deployment.deploy(project, replicas=8)
    assert deployment.call(second).json()["image"] == second["image"] != first["image"]


def test_a_first_version_that_does_not_come_up_leaves_nothing(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    project.manifest(behaviour="crash")
    with pytest.raises(PlatformError, match="nothing of it was left"):
        deployment.deploy(project)
    assert resource_versions(api, project.name) == {}


def test_a_function_whose_probe_fails_is_undone(deployment: Deployment, project: FunctionProject) -> None:
    first = deployment.deploy(project)
    project.manifest(behaviour="http_500")
    with pytest.raises(PlatformError) as raised:
        deployment.deploy(project, wait_timeout=8, probe_path="/")
    assert raised.value.stage in ("rollout", "probe")
    assert deployment.call(first).json()["image"] == first["image"]


def test_an_image_that_the_nodes_cannot_pull_is_told(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    layout = deployment.home / "layout"
    with pytest.raises(PlatformError) as raised:
        deployment.deploy(project, registry=f"oci:{layout}", wait_timeout=30)
    assert (
        "ImagePull" in raised.value.cause
        or "InvalidImageName" in raised.value.cause
        or "ErrImage" in str(raised.value.facts)
    )
    assert resource_versions(api, project.name) == {}


# compatibility


def test_a_component_for_a_newer_spin_is_refused_before_anything_is_pushed(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    (project.directory / "base.bin").write_bytes(component("wasi:http/handler@0.3.0-rc-2026-03-15"))
    with pytest.raises(PlatformError) as raised:
        deployment.deploy(project, shim_version="0.24.0")
    assert raised.value.stage == "compatibility"
    assert "0.24.0" in raised.value.cause and "4.0.0" in raised.value.cause
    assert httpx2.get(f"http://{deployment.registry.host}/v2/functions/{project.name}/tags/list").status_code == 404


@pytest.fixture
def nodes_with_a_later_shim(deployment: Deployment, api: KubernetesApi) -> t.Iterator[None]:
    """Nodes whose shim is newer than what the collection knows."""
    labels_of_node = [
        {"metadata": {"name": "wasm-node", "labels": {"wasmfaas.dev/containerd-shim-spin": version}}}
        for version in ("0.26.0", "0.25.1")
    ]
    later, before = ({"apiVersion": "v1", "kind": "Node", **node} for node in labels_of_node)
    deployment.control_plane.apply(later)
    yield
    deployment.control_plane.apply(before)


def test_a_component_for_a_spin_that_no_known_shim_has_is_refused(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    (project.directory / "base.bin").write_bytes(component("wasi:http/handler@0.3.0"))
    with pytest.raises(
        PlatformError, match=r"exports wasi:http/handler@0\.3\.0, which Spin has from 4\.1\.0 on"
    ) as raised:
        deployment.deploy(project)
    assert raised.value.stage == "compatibility" and "shim_version=VERSION" in raised.value.next_step
    assert httpx2.get(f"http://{deployment.registry.host}/v2/functions/{project.name}/tags/list").status_code == 404


@pytest.mark.usefixtures("nodes_with_a_later_shim")
def test_a_component_for_a_spin_that_no_known_shim_has_runs_on_a_later_one(
    deployment: Deployment, project: FunctionProject
) -> None:
    (project.directory / "base.bin").write_bytes(component("wasi:http/handler@0.3.0"))
    result = deployment.deploy(project)
    assert result["changed"] is True and "was not checked" in str(result["warnings"])
    assert deployment.deploy(project)["changed"] is False
    # Without the cluster only a record of this machine is believed, so this one builds again.
    deployment.deploy(project, shim_version="0.26.0", state="pushed")
    with pytest.raises(PlatformError, match=r"something that Spin has from 4\.1\.0 on") as raised:
        deployment.deploy(project, shim_version="0.25.1", state="pushed")
    assert raised.value.stage == "registry"


def test_the_shim_version_of_the_nodes_is_found_out(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    assert [node["metadata"]["labels"].get("wasmfaas.dev/containerd-shim-spin") for node in api.list_nodes(NODE)] == [
        "0.25.1"
    ]
    (project.directory / "base.bin").write_bytes(component("wasi:http/handler@0.3.0-rc-2026-03-15"))
    assert deployment.deploy(project)["changed"] is True


# faults


def test_two_deployments_at_once_end_with_one_of_them_whole(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    deployment.deploy(project)
    processes = [
        deployment.start(project, replicas=count, hostname=f"{count}.{project.name}.127.0.0.1.nip.io")
        for count in (2, 3)
    ]
    results = [deployment.finish(process) for process in processes]
    assert [result.get("changed") for result in results] == [True, True], results
    route = api.get(HTTP_ROUTE, "default", project.name)
    assert route is not None
    replicas = spec_of(api, project.name)["replicas"]
    assert replicas in (2, 3)
    assert route["spec"]["hostnames"] == [f"{replicas}.{project.name}.127.0.0.1.nip.io"]


def test_a_deployment_waits_for_the_lock_and_says_who_holds_it(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    expected = pytest.raises(PlatformError, match="Another deployment of this function is under way")
    with deployment_lock(api, "default", project.name, timeout_seconds=5), expected:
        deployment.deploy(project, wait_timeout=1)


def test_the_api_server_restarts_in_the_middle(deployment: Deployment, project: FunctionProject) -> None:
    project.manifest(behaviour="slow_start")
    process = deployment.start(project, wait_timeout=120)
    api = KubernetesApi(ConnectionOptions(kubeconfig=str(deployment.control_plane.kubeconfig)))
    wait_until(lambda: api.get(SPIN_APP, "default", project.name), seconds=120, what="the SpinApp is there")
    deployment.control_plane.restart()
    result = deployment.finish(process, seconds=150)
    assert result.get("changed") is True, result
    assert deployment.call(result).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_deployment_that_is_cut_off_converges_when_run_again(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, number: signal.Signals
) -> None:
    first = deployment.deploy(project)
    project.manifest(behaviour="slow_start")
    process = deployment.start(project)
    old = first["image"]
    wait_until(lambda: spec_of(api, project.name)["image"] != old, seconds=120, what="the new version is applied")
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert deployment.call(first).status_code == 200
    if number != signal.SIGKILL:
        assert spec_of(api, project.name)["image"] == old, "an interrupted deployment puts the last good state back"
    second = deployment.deploy(project)
    assert second["changed"] is True
    app = api.get(SPIN_APP, "default", project.name)
    assert app is not None and second["image"] in app["metadata"]["annotations"][LAST_GOOD]
    assert deployment.call(second).json()["image"] == second["image"]
    assert deployment.deploy(project)["changed"] is False


def test_a_bad_version_that_was_cut_off_is_undone_by_the_next_failure(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    """The last good state outlives the process that knew it."""
    first = deployment.deploy(project)
    project.manifest(behaviour="never_ready")
    process = deployment.start(project)
    wait_until(
        lambda: spec_of(api, project.name)["image"] != first["image"], seconds=120, what="the bad version is applied"
    )
    process.kill()
    process.communicate(timeout=60)
    with pytest.raises(PlatformError, match="the previous version was put back"):
        deployment.deploy(project, wait_timeout=6)
    assert spec_of(api, project.name)["image"] == first["image"]


def test_a_user_without_rights_gets_the_missing_right_named(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    kubeconfig = deployment.control_plane.kubeconfig_for("nobody", rules=[])
    with pytest.raises(PlatformError) as raised:
        deployment.deploy(project, kubeconfig=str(kubeconfig))
    assert raised.value.stage == "live_state"
    assert "forbidden" in raised.value.cause and "spinapps" in raised.value.next_step
    assert api.get(SPIN_APP, "default", project.name) is None


@pytest.mark.usefixtures("reference_grant")
def test_the_rights_that_the_documentation_names_are_enough(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    """docs/architecture.md, "What a cluster must offer"; the Gateway is in another namespace."""
    everything = ["get", "list", "create", "patch", "update", "delete"]
    rules = [
        {"apiGroups": ["core.spinkube.dev"], "resources": ["spinapps"], "verbs": everything},
        {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"], "verbs": everything},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": everything},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": everything},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods", "pods/log", "events"], "verbs": ["get", "list"]},
    ]
    scaling = [
        {"apiGroups": ["http.keda.sh"], "resources": ["interceptorroutes"], "verbs": everything},
        {"apiGroups": ["keda.sh"], "resources": ["scaledobjects"], "verbs": everything},
        {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": everything},
    ]
    kubeconfig = deployment.control_plane.kubeconfig_for("deployer", rules=rules)
    named = {"name": "deployer", "namespace": "wasmfaas-system"}
    deployment.control_plane.apply(
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
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
            "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": "default"}],
        },
    )
    assert deployment.deploy(project, kubeconfig=str(kubeconfig))["changed"] is True
    assert deployment.deploy(project, kubeconfig=str(kubeconfig))["changed"] is False
    assert deployment.delete(project.name, kubeconfig=str(kubeconfig))["changed"] is True
    for autoscale in ({"min": 1}, {"min": 1, "target_cpu_percent": 70}):
        with pytest.raises(PlatformError, match="forbidden") as raised:
            deployment.deploy(
                project, kubeconfig=str(kubeconfig), autoscale=autoscale, resources={"requests": {"cpu": "100m"}}
            )
        assert "undone" not in raised.value.facts, "it is refused before anything is written"
    entitled = deployment.control_plane.kubeconfig_for("scaler", rules=[*rules, *scaling])
    deployment.control_plane.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "scaler", "namespace": "wasmfaas-system"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
            "subjects": [{"kind": "ServiceAccount", "name": "scaler", "namespace": "default"}],
        }
    )
    deployment.deploy(project, kubeconfig=str(entitled), autoscale={"min": 1})
    # What it has may be left over, so who may not see it cannot take it away.
    with pytest.raises(PlatformError, match="forbidden"):
        deployment.deploy(project, kubeconfig=str(kubeconfig))
    with pytest.raises(PlatformError, match="forbidden"):
        deployment.delete(project.name, kubeconfig=str(kubeconfig))
    assert (api.get(SPIN_APP, "default", project.name) or {})["spec"]["enableAutoscaling"] is True
    deployment.deploy(project, kubeconfig=str(entitled))
    assert api.get(SCALED_OBJECT, "default", project.name) is None
    assert deployment.delete(project.name, kubeconfig=str(kubeconfig))["changed"] is True


def test_a_namespace_that_does_not_exist_is_told(deployment: Deployment, project: FunctionProject) -> None:
    with pytest.raises(PlatformError, match="kubectl create namespace nowhere"):
        deployment.deploy(project, namespace="nowhere")


def test_an_api_server_that_does_not_answer_is_told(deployment: Deployment, project: FunctionProject) -> None:
    with pytest.raises(PlatformError, match="does not answer") as raised:
        deployment.deploy(project, kubeconfig=None, host="https://127.0.0.1:9", api_key="x")
    assert raised.value.stage == "live_state"


# reading


def test_functions_are_listed(deployment: Deployment, project: FunctionProject) -> None:
    result = deployment.deploy(project)
    parameters = {
        "name": project.name,
        "namespace": "default",
        "target": "cluster",
        "state_directory": None,
        **kubernetes_parameters(deployment),
    }
    listed = run_info(parameters, False, set())
    (function,) = listed["functions"]
    assert (function["status"], function["url"], function["image"], function["digest"]) == (
        "ready",
        result["url"],
        result["image"],
        result["digest"],
    )
    assert function["details"]["managed"] is True
    assert any(project.name in line and result["url"] in line for line in listed["table"])


def kubernetes_parameters(deployment: Deployment) -> dict[str, t.Any]:
    from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.arguments import kubernetes_auth_arguments

    return {**dict.fromkeys(kubernetes_auth_arguments()), "kubeconfig": str(deployment.control_plane.kubeconfig)}


def test_a_build_that_rewrites_its_own_sources_is_warned_of(deployment: Deployment, project: FunctionProject) -> None:
    project.manifest(command="python3 build.py && date +%N > lock.txt")
    result = deployment.deploy(project)
    assert "the next run builds again" in result["warnings"][0]
    project.manifest(command="python3 build.py")
    assert "warnings" not in deployment.deploy(project)


def test_a_spinapp_that_somebody_else_deployed_is_put_back(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    foreign = FunctionProject(project.directory.parent / "foreign", project.name)
    image = deployment.deploy(foreign, state="pushed")["image"]
    metadata = {"name": project.name, "namespace": "default"}
    spec = {"image": image, "executor": "containerd-shim-spin", "replicas": 1}
    deployment.control_plane.apply(
        {"apiVersion": SPIN_APP.api_version, "kind": "SpinApp", "metadata": metadata, "spec": spec}
    )
    wait_until(
        lambda: (api.get(DEPLOYMENT, "default", project.name) or {}).get("status", {}).get("availableReplicas"),
        seconds=120,
        what="it runs",
    )
    project.manifest(behaviour="crash")
    with pytest.raises(PlatformError, match="the previous version was put back"):
        deployment.deploy(project)
    assert spec_of(api, project.name)["image"] == image


# for a GitOps tool


def test_rendered_files_are_what_a_deployment_applies(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, tmp_path: Path
) -> None:
    def rendered(**options: t.Any) -> list[dict[str, t.Any]]:
        result = deployment.deploy(
            project, state="rendered", directory=str(tmp_path / "git"), kubeconfig=str(tmp_path / "none"), **options
        )
        assert result["changed"] is True
        return list(yaml.safe_load_all(file.read_text()))

    file = tmp_path / "git" / f"{project.name}.yaml"
    scaled = rendered(autoscale={"min": 1, "max": 3, "target_cpu_percent": 50}, cpu="100m")
    assert [item["kind"] for item in scaled] == ["SpinApp", "HorizontalPodAutoscaler", "HTTPRoute"]
    plain = rendered()
    assert [item["kind"] for item in plain] == ["SpinApp", "HTTPRoute"]
    content = file.read_bytes()
    again = deployment.deploy(
        project, state="rendered", directory=str(tmp_path / "git"), kubeconfig=str(tmp_path / "none")
    )
    assert again["changed"] is False and "build" not in again["stages"]
    assert file.read_bytes() == content
    assert api.get(SPIN_APP, "default", project.name) is None, "a cluster was asked"

    for item in scaled:
        api.apply(BY_NAME[item["kind"]], item)
    for kind in (HTTP_ROUTE, HORIZONTAL_POD_AUTOSCALER, SPIN_APP):
        api.delete(kind, "default", project.name)

    live = deployment.deploy(project)
    assert live["image"] == again["image"]
    assert live["url"] == again["url"]
    for item in plain:
        found = api.get(BY_NAME[item["kind"]], "default", project.name)
        assert found is not None
        assert projected(found, item) == item

    project.write("second")
    changed = rendered()
    assert changed[1] == plain[1]
    spec, before = changed[0]["spec"], plain[0]["spec"]
    assert spec["image"] != before["image"]
    assert {**spec, "image": "", "podAnnotations": {}} == {**before, "image": "", "podAnnotations": {}}
