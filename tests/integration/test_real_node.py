# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions in real pods: the real scheduler, kubelet and containerd pull an artifact that the collection made, and a
shim of the tests runs it (tests/real_parts/README.md). The SpinKube operator and the gateway are the real ones too."""

from __future__ import annotations

import collections
import collections.abc
import http.client
import json
import signal
import subprocess
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function_logs import run as run_logs
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.connection import ConnectionOptions
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import SPIN_APP
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.rollout import wait_for_rollout
from lightkube.resources.core_v1 import Pod
from lightkube.resources.discovery_v1 import EndpointSlice

from tests.extent import only_in_full

from .support import keda, real_node
from .support.control_plane import EXECUTOR, RUNTIME_CLASS
from .support.deployment import Result
from .support.function_project import BuiltFunction, FunctionProject
from .support.real_parts import SPIN_OPERATOR
from .support.registries import PASSWORD, USERNAME, Registry
from .support.request_path import (
    Load,
    RequestPath,
    host_of,
    let_pods_be_probed_at_once,
    let_pods_drain,
    pods_of,
    request_path,
    wait_until_asleep,
    why_not,
)
from .support.servers import build, wait_until
from .support.workbench import built_workbench

_REASON = why_not() or real_node.why_not()
pytestmark = [
    only_in_full("tests/integration/test_request_path.py, where pods are played"),
    pytest.mark.skipif(bool(_REASON), reason=_REASON),
]

DRAIN_SECONDS = 5
START_SECONDS = 600
"""The first start of a component on the node compiles it, which takes 15 s on two quiet cores."""

SECRET = "s3cret-value-of-a-variable"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[RequestPath]:
    SPIN_OPERATOR.build_or_skip()
    with request_path(tmp_path_factory.mktemp("real_node"), real_node.real_node) as running:
        let_pods_drain(running.control_plane, DRAIN_SECONDS)
        let_pods_be_probed_at_once(running.control_plane)
        yield running


@pytest.fixture(scope="module")
def shim() -> None:
    """For tests whose pods start."""
    if reason := real_node.why_no_shim():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def component(shim: None, path: RequestPath, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """components/workbench, which the node has compiled, so that the tests do not wait for it one by one."""
    file = built_workbench()
    deploy(path, BuiltFunction(tmp_path_factory.mktemp("first") / "project", file, "first").project)
    path.deployment.delete("first")
    return file


@pytest.fixture
def function(component: Path, tmp_path: Path, request: pytest.FixtureRequest) -> BuiltFunction:
    """A function of the test's own name."""
    return BuiltFunction(tmp_path / "project", component, name_of(request))


@pytest.fixture
def api(path: RequestPath) -> KubernetesApi:
    return KubernetesApi(ConnectionOptions(kubeconfig=str(path.control_plane.kubeconfig)))


@pytest.fixture(autouse=True)
def forget(path: RequestPath) -> collections.abc.Iterator[None]:
    """The functions of a test end with it: the node's memory is that of the machine."""
    yield
    path.deployment.remove_all()


def name_of(request: pytest.FixtureRequest) -> str:
    return str(request.node.name.removeprefix("test_").partition("[")[0].replace("_", "-")[:30].strip("-"))


def deploy(path: RequestPath, project: FunctionProject, **options: t.Any) -> Result:
    return path.deployment.deploy(project, **{"wait_timeout": START_SECONDS, **options})


def live_pods(path: RequestPath, result: Result) -> list[dict[str, t.Any]]:
    return [pod.to_dict() for pod in pods_of(path, result)]


def call(pod: dict[str, t.Any], path: str = "/", *, timeout: float = 120) -> tuple[int, str]:
    """Status and text of an answer of the function at its pod's address."""
    connection = http.client.HTTPConnection(pod["status"]["podIP"], 80, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_a_function_runs_in_a_pod_and_the_second_run_changes_nothing(
    path: RequestPath, function: BuiltFunction
) -> None:
    first = deploy(path, function.project)
    assert first["changed"] is True
    assert path.deployment.call(first).status_code == 200, "through the gateway"
    (pod,) = live_pods(path, first)
    assert pod["spec"]["nodeName"] == real_node.NODE
    assert pod["spec"]["runtimeClassName"] == RUNTIME_CLASS
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    assert first["digest"] in pod["status"]["containerStatuses"][0]["imageID"], "the kubelet names what it runs"
    assert call(pod)[0] == 200, "at the pod's address"
    labels: dict[str, t.Any] = {"kubernetes.io/service-name": first["name"]}
    slices = path.control_plane.client().list(EndpointSlice, namespace="default", labels=labels)
    assert [
        (endpoint.addresses, endpoint.conditions and endpoint.conditions.ready)
        for one in slices
        for endpoint in one.endpoints or []
    ] == [([pod["status"]["podIP"]], True)], "behind the Service"
    second = deploy(path, function.project)
    assert second["changed"] is False, second
    assert [one["metadata"]["uid"] for one in live_pods(path, second)] == [pod["metadata"]["uid"]]


def test_the_log_of_a_pod_is_read_without_secrets(path: RequestPath, function: BuiltFunction) -> None:
    function.version("1", variable="token")
    deployed = deploy(path, function.project, variables={"token": SECRET})
    (pod,) = live_pods(path, deployed)
    assert call(pod, f"/print?text=the-token-is-{SECRET}") == (200, "{}")
    assert call(pod, "/print?text=and-nothing-else") == (200, "{}")
    parameters = {
        **path.deployment.parameters(),
        "name": deployed["name"],
        "lines": 100,
        "since": "10m",
    }
    hidden: set[str] = set()

    def text() -> str:
        return "\n".join(run_logs(parameters, False, hidden)["text"])

    wait_until(lambda: "and-nothing-else" in text(), seconds=60, what="the log has what the function wrote")
    assert SECRET in hidden, "Ansible blacks it out"


def test_replicas_of_a_new_artifact_all_come_up(path: RequestPath, function: BuiltFunction) -> None:
    deployed = deploy(path, function.version("3"), replicas=3)
    pods = live_pods(path, deployed)
    assert len({pod["status"]["podIP"] for pod in pods}) == 3
    assert [call(pod)[0] for pod in pods] == [200] * 3


def test_a_limit_of_memory_that_is_too_small_is_named(path: RequestPath, function: BuiltFunction) -> None:
    with pytest.raises(PlatformError, match="exit code 137") as caught:
        deploy(path, function.project, memory="40Mi")
    assert "the limit is 40 MiB" in str(caught.value.next_step)
    assert "Give it more memory" in str(caught.value.next_step)


def test_a_function_that_eats_its_memory_starts_again(path: RequestPath, function: BuiltFunction) -> None:
    deployed = deploy(path, function.project, memory="192Mi")
    (pod,) = live_pods(path, deployed)
    with pytest.raises((http.client.HTTPException, OSError)):
        call(pod, "/eat?mebibytes=400")

    def restarted() -> dict[str, t.Any] | None:
        (now,) = live_pods(path, deployed)
        (status,) = now["status"]["containerStatuses"]
        return now if status["restartCount"] and status["ready"] else None

    again = wait_until(restarted, seconds=START_SECONDS, what="the container runs again")
    assert again is not None
    assert again["metadata"]["uid"] == pod["metadata"]["uid"]
    assert again["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
    assert call(again)[0] == 200


def test_a_pod_that_is_removed_ends_its_requests_first(path: RequestPath, function: BuiltFunction) -> None:
    """The shim ends at once on SIGTERM, as the Spin shim does: the pause of the drain policy saves the request."""
    deployed = deploy(path, function.project)
    (pod,) = live_pods(path, deployed)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(call, pod, f"/sleep?seconds={DRAIN_SECONDS - 2}")
        time.sleep(1)  # until the request is in the pod, where nothing tells of it
        client = path.control_plane.client()
        client.delete(Pod, pod["metadata"]["name"], namespace="default")
        begun = time.monotonic()
        assert answer.result()[0] == 200
    wait_until(
        lambda: pod["metadata"]["uid"] not in [one["metadata"]["uid"] for one in live_pods(path, deployed)],
        seconds=120,
        what="the pod has ended",
    )
    assert time.monotonic() - begun >= DRAIN_SECONDS - 1, "the kubelet waited before it sent SIGTERM"


def test_an_update_under_load_loses_no_request(path: RequestPath, function: BuiltFunction) -> None:
    first = deploy(path, function.project)
    with Load(path.gateway.url, host_of(first), rate=20, connections=4) as load:
        second = deploy(path, function.version("2"))
    assert second["digest"] != first["digest"]
    assert load.total > 0
    assert load.outcomes == collections.Counter({"200": load.total}), load.failures


def test_a_request_wakes_a_function_that_sleeps(path: RequestPath, function: BuiltFunction) -> None:
    if reason := keda.why_not():
        pytest.skip(reason)
    path.control_plane.apply(keda.reference_grant())
    sleepy = {"min": 0, "max": 1, "cooldown_seconds": 10}
    deployed = deploy(path, function.project, autoscale=sleepy)
    wait_until_asleep(path, deployed)
    assert deploy(path, function.project, autoscale=sleepy)["changed"] is False
    answer = path.gateway.get(host_of(deployed), timeout=120)
    assert (answer.status_code, answer.headers["X-KEDA-HTTP-Cold-Start"]) == (200, "true")
    assert len(pods_of(path, deployed)) == 1


@pytest.mark.usefixtures("shim")
def test_an_artifact_that_is_not_in_the_registry_is_named(
    path: RequestPath, api: KubernetesApi, request: pytest.FixtureRequest
) -> None:
    app = {
        "apiVersion": SPIN_APP.api_version,
        "kind": "SpinApp",
        "metadata": {"name": name_of(request), "namespace": "default"},
        "spec": {
            "image": f"{path.registry.host}/functions/missing@sha256:{'0' * 64}",
            "executor": EXECUTOR,
            "replicas": 1,
        },
    }
    api.apply(SPIN_APP, app)
    try:
        with pytest.raises(PlatformError, match=r"(?s)(ErrImagePull|ImagePullBackOff).*not found") as caught:
            wait_for_rollout(api, app, timeout_seconds=START_SECONDS)
    finally:
        api.delete(SPIN_APP, "default", name_of(request))
    assert "See that the nodes reach the registry" in str(caught.value.next_step)


def test_a_node_logs_in_with_a_pull_secret(path: RequestPath, function: BuiltFunction, tmp_path: Path) -> None:
    registry = Registry(build(), tmp_path / "registry", basic_auth=True)
    where = {"registry": f"{registry.host}/functions", "registry_username": USERNAME, "registry_password": PASSWORD}
    entry = {"username": USERNAME, "password": PASSWORD}
    path.control_plane.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "pull", "namespace": "default"},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": json.dumps({"auths": {registry.host: entry}})},
        }
    )
    try:
        with pytest.raises(PlatformError, match=r"ErrImagePull|ImagePullBackOff") as caught:
            deploy(path, function.project, **where)
        assert "image_pull_secrets" in str(caught.value.next_step)
        deployed = deploy(path, function.project, image_pull_secrets=["pull"], **where)
        assert path.deployment.call(deployed).status_code == 200
    finally:
        path.deployment.remove_all()
        registry.stop()


@pytest.mark.parametrize(
    ("handler", "cause"),
    [("unknown", 'no runtime for "unknown"'), (real_node.HANDLER_WITHOUT_SHIM, "binary not installed")],
)
def test_a_shim_that_is_missing_is_named(path: RequestPath, tmp_path: Path, handler: str, cause: str) -> None:
    """A node whose containerd has no such handler, and one whose handler has no binary."""
    namespace = f"without-{handler}"
    path.control_plane.create_namespace(namespace)
    path.control_plane.apply(
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": handler}, "handler": handler},
        {
            "apiVersion": "core.spinkube.dev/v1alpha1",
            "kind": "SpinAppExecutor",
            "metadata": {"name": EXECUTOR, "namespace": namespace},
            "spec": {"createDeployment": True, "deploymentConfig": {"runtimeClassName": handler}},
        },
    )
    with pytest.raises(PlatformError, match=cause) as caught:
        deploy(path, FunctionProject(tmp_path / "project", handler), namespace=namespace, wait_timeout=60)
    assert "Install the shim" in str(caught.value.next_step)


def test_what_a_killed_session_left_is_removed() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    state = real_node.state_directory(f"{ended.pid} 1")
    group = real_node.hierarchies()[0] / state.name
    (group / "below").mkdir(parents=True)
    (state / "mounted").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", state / "mounted"], check=True)
    with subprocess.Popen(["sleep", "1000"]) as left:
        (group / "below" / "cgroup.procs").write_text(str(left.pid))
        # A zombie stays in its group; init, whose children they are then, leaves none.
        with ThreadPoolExecutor(1) as pool:
            ended_with = pool.submit(left.wait)
            real_node.remove_left_overs()
            assert ended_with.result(60) == -signal.SIGKILL
    assert not state.exists()
    assert not group.exists()


@pytest.mark.usefixtures("shim")
def test_a_component_that_cannot_run_is_named(
    path: RequestPath, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The project of other tests, whose component has no code."""
    with pytest.raises(PlatformError, match="exit code 137") as caught:
        deploy(path, FunctionProject(tmp_path / "project", name_of(request)), memory="256Mi")
    assert "the shim could not run it" in str(caught.value.next_step)
