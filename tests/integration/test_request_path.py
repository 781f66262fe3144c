# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests on their real way: through a real gateway, run from the objects in the real API, to functions that the
local runtime runs in pods with addresses of their own. The SpinKube operator is the real one, and so is KEDA where it
is built. Played are scheduler and kubelet (tests/servers/README.md).

The gateway is Contour with Envoy; in `make test-full` it is also Traefik, the product's own, which takes long to
build."""

from __future__ import annotations

import collections
import collections.abc
import contextlib
import json
import shutil
import socket
import ssl
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function_version import (
    run as run_version,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.connection import ConnectionOptions
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import (
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_ROUTE,
    INTERCEPTOR_ROUTE,
    SCALED_OBJECT,
    SPIN_APP,
    Kind,
)
from lightkube import ApiError
from lightkube.resources.apps_v1 import Deployment as KubernetesDeployment
from lightkube.resources.core_v1 import Pod
from lightkube.types import PatchType

from tests.extent import only_in_full

from .support import keda, traefik
from .support.certificates import CertificateAuthority
from .support.control_plane import GATEWAY_NAME, GATEWAY_NAMESPACE, RUNTIME_CLASS, Gateway, HTTPRoute, SpinApp
from .support.deployment import Result
from .support.function_project import BuiltFunction, FunctionProject
from .support.gateway import ContourGateway, ContourProgram
from .support.playbooks import Playbooks, extra
from .support.real_parts import SPIN_OPERATOR
from .support.request_path import (
    Load,
    RequestPath,
    host_of,
    let_pods_be_hardened,
    let_pods_be_probed_at_once,
    let_pods_drain,
    pods_of,
    request_path,
    route_like,
    wait_until_asleep,
    why_not,
)
from .support.servers import REPOSITORY, wait_until
from .support.workbench import built_workbench

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

INGRESS_DEFAULTS = REPOSITORY / "roles/ingress/defaults/main.yml"
CANARY_REQUESTS = 5000
DRAIN_SECONDS = 10  # generous: on a busy machine the gateway may learn late that a pod is to go
MESSAGE = {"message": "Hello, world!"}


@pytest.fixture(
    scope="module", params=["contour", pytest.param("traefik", marks=only_in_full("the same tests with Contour"))]
)
def path(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> collections.abc.Iterator[RequestPath]:
    SPIN_OPERATOR.build_or_skip()
    if request.param == "traefik" and (reason := traefik.TRAEFIK.why_not()):
        pytest.skip(reason)
    program = ContourProgram() if request.param == "contour" else traefik.TraefikProgram()
    with request_path(tmp_path_factory.mktemp("request_path"), program=program) as running:
        let_pods_drain(running.control_plane, DRAIN_SECONDS)
        let_pods_be_probed_at_once(running.control_plane)
        let_pods_be_hardened(running.control_plane, RUNTIME_CLASS)
        yield running  # the functions end with the cluster


@pytest.fixture(scope="module")
def example(path: RequestPath, tmp_path_factory: pytest.TempPathFactory) -> dict[str, t.Any]:
    """hello-python as README deploys it: with the real playbook, which builds it."""
    directory = tmp_path_factory.mktemp("example") / "hello-python"
    shutil.copytree(
        REPOSITORY / "examples" / "functions" / "hello-python",
        directory,
        ignore=shutil.ignore_patterns("__pycache__", "*.wasm"),
    )
    result_file = directory.parent / "result.json"
    parameters = path.deployment.parameters()
    where = {
        name: parameters[name]
        for name in ("registry", "registry_plain_http", "kubeconfig", "probe_address", "cache_directory")
    }
    arguments = ["deploy-function.yml", *extra(src=directory, result_file=result_file, **where)]
    playbooks = Playbooks(directory.parent / "home")
    first = playbooks.run(*arguments)
    assert first.exit_code == 0, first.output
    result = json.loads(result_file.read_text())
    second = playbooks.run(*arguments)
    path.deployment.remember("hello-python")
    return {"first": first, "second": second, "result": result, "component": directory / "app.wasm"}


@pytest.fixture
def hello(example: dict[str, t.Any], tmp_path: Path, request: pytest.FixtureRequest) -> BuiltFunction:
    """A function of the test's own name."""
    name = request.node.name.removeprefix("test_").partition("[")[0].replace("_", "-")[:30].strip("-")
    return BuiltFunction(tmp_path / "hello", example["component"], name)


@pytest.fixture
def api(path: RequestPath) -> KubernetesApi:
    return KubernetesApi(ConnectionOptions(kubeconfig=str(path.control_plane.kubeconfig)))


def digest_at(path: RequestPath, result: Result) -> str:
    """Which artifact the pod runs that answers: Spin tells it at a path of its own."""
    answer = path.deployment.call(result, "/.well-known/spin/info")
    return str(answer.raise_for_status().json()["oci_image_digest"])


def answers_again(path: RequestPath, result: Result) -> bool:
    """Whether the gateway leads to what was deployed: not yet while it takes up a change of its listeners or routes."""
    try:
        return digest_at(path, result) == str(result["digest"])
    except httpx2.HTTPError:
        return False


def digests_of(path: RequestPath, result: Result, count: int, *, connections: int = 16) -> collections.Counter[str]:
    """How many of `count` requests each artifact answered."""

    def call(number: int) -> list[str]:
        with httpx2.Client(
            base_url=path.gateway.url, headers={"Host": host_of(result)}, trust_env=False, timeout=30
        ) as client:
            share = range(number, count, connections)
            return [
                client.get("/.well-known/spin/info").raise_for_status().json()["oci_image_digest"] for _request in share
            ]

    with ThreadPoolExecutor(connections) as pool:
        return collections.Counter(digest for digests in pool.map(call, range(connections)) for digest in digests)


def wait_until_one_pod(path: RequestPath, result: Result) -> None:
    """Until the pods that an update leaves behind have ended, a canary's too, and with them what they still did."""
    canary = {**result, "name": f"{result['name']}-canary"}
    wait_until(
        lambda: len(pods_of(path, result)) + len(pods_of(path, canary)) == 1,
        seconds=DRAIN_SECONDS + 60,
        what=f"one pod of {result['name']} is left",
    )


def change_version(path: RequestPath, result: Result, state: str, **options: t.Any) -> Result:
    """As `promote_function.yml` and `rollback_function.yml`."""
    return run_version(
        {**path.deployment.parameters(), "name": result["name"], "state": state, "to": None, **options}, False, set()
    )


# ---- deploying


def test_the_playbook_gives_a_url_that_answers(path: RequestPath, example: dict[str, t.Any]) -> None:
    result = example["result"]
    assert (example["first"].changed, example["second"].changed) == (1, 0), example["second"].output
    assert result["url"] == f"http://hello-python.default.{path.gateway.address}.nip.io"
    answer = path.gateway.get(host_of(result))
    assert (answer.status_code, answer.json()) == (200, MESSAGE)
    assert answer.headers.get("server") == ("envoy" if isinstance(path.gateway, ContourGateway) else None)
    assert path.gateway.get(host_of(result), "/hello/Ada").json() == {"message": "Hello, Ada!"}
    assert path.gateway.get(host_of(result), "/nothing/here").status_code == 404
    assert path.gateway.get(f"other.default.{path.gateway.address}.nip.io").status_code == 404


def test_an_update_under_load_loses_no_request(path: RequestPath, hello: BuiltFunction) -> None:
    first = path.deployment.deploy(hello.project)
    with Load(path.gateway.url, host_of(first)) as load:
        second = path.deployment.deploy(hello.version("2"))
        wait_until_one_pod(path, second)
    assert second["changed"] is True and second["digest"] != first["digest"]
    assert digest_at(path, second) == second["digest"]
    assert load.outcomes == {"200": load.total}, load.failures[:5]
    assert load.total > 50


def test_a_pod_outlives_its_place_among_the_endpoints(path: RequestPath, hello: BuiltFunction) -> None:
    """What makes the update above lose nothing: the policy gives each function's pod its pause, and nothing else."""
    deployed = path.deployment.deploy(hello.project)
    (pod,) = (pod.to_dict() for pod in pods_of(path, deployed))
    assert pod["spec"]["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}}
    made = path.control_plane.client().get(KubernetesDeployment, deployed["name"], namespace="default").to_dict()
    assert "lifecycle" not in made["spec"]["template"]["spec"]["containers"][0]


def test_a_pod_is_probed_right_after_its_start(path: RequestPath, hello: BuiltFunction) -> None:
    deployed = path.deployment.deploy(hello.project)
    (pod,) = (pod.to_dict() for pod in pods_of(path, deployed))
    assert "initialDelaySeconds" not in pod["spec"]["containers"][0]["readinessProbe"]
    made = path.control_plane.client().get(KubernetesDeployment, deployed["name"], namespace="default").to_dict()
    assert made["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["initialDelaySeconds"] == 1
    assert pod["spec"]["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}, "the third policy as well"


# ---- versions


def test_a_canary_gets_its_share_and_promotion_loses_no_request(path: RequestPath, hello: BuiltFunction) -> None:
    stable = path.deployment.deploy(hello.project)
    canary = path.deployment.deploy(hello.version("2"), canary=20)
    counted = digests_of(path, stable, CANARY_REQUESTS)
    assert sum(counted.values()) == CANARY_REQUESTS and set(counted) == {stable["digest"], canary["digest"]}
    assert abs(counted[canary["digest"]] / CANARY_REQUESTS - 0.20) <= 0.03, counted
    with Load(path.gateway.url, host_of(stable)) as load:
        change_version(path, stable, "promoted")
        wait_until_one_pod(path, stable)
    assert load.outcomes == {"200": load.total}, load.failures[:5]
    assert set(digests_of(path, stable, 200)) == {canary["digest"]}


def test_a_canary_that_comes_and_is_undone_loses_no_request(path: RequestPath, hello: BuiltFunction) -> None:
    stable = path.deployment.deploy(hello.project)
    with Load(path.gateway.url, host_of(stable)) as load:
        path.deployment.deploy(hello.version("2"), canary=50)
        change_version(path, stable, "undone")
        wait_until_one_pod(path, stable)
    assert load.outcomes == {"200": load.total}, load.failures[:5]
    assert set(digests_of(path, stable, 200)) == {stable["digest"]}


def test_rollback_brings_back_what_answered_before(path: RequestPath, hello: BuiltFunction) -> None:
    first = path.deployment.deploy(hello.project)
    second = path.deployment.deploy(hello.version("2"))
    assert digest_at(path, second) == second["digest"]
    with Load(path.gateway.url, host_of(first)) as load:
        back = change_version(path, second, "rolled_back")
        wait_until_one_pod(path, second)
    assert back["digest"] == first["digest"]
    assert load.outcomes == {"200": load.total}, load.failures[:5]
    assert digest_at(path, first) == first["digest"]


# ---- TLS


@pytest.fixture
def tls_listener(
    path: RequestPath, certificate_authority: CertificateAuthority
) -> collections.abc.Iterator[dict[str, t.Any]]:
    """The shared Gateway with a second listener, for TLS; gives the options with which a function uses it. Its
    certificate is for the namespace `default`."""
    certificate, key = certificate_authority.issue("functions", "*.default.functions.example")
    client = path.control_plane.client()
    data = {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}
    named = {"name": "functions-certificate", "namespace": GATEWAY_NAMESPACE}
    path.control_plane.apply(
        {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": named, "stringData": data}
    )
    gateway: t.Any = client.get(Gateway, GATEWAY_NAME, namespace=GATEWAY_NAMESPACE)
    (web,) = gateway.spec["listeners"]
    secure = {
        **web,
        "name": "websecure",
        "port": 443,
        "protocol": "HTTPS",
        "hostname": "*.functions.example",
        "tls": {"certificateRefs": [{"name": named["name"]}]},
    }

    def listen(*listeners: dict[str, t.Any]) -> None:
        client.patch(
            Gateway,
            GATEWAY_NAME,
            {"spec": {"listeners": listeners}},
            namespace=GATEWAY_NAMESPACE,
            patch_type=PatchType.MERGE,
        )

    listen(web, secure)
    yield {
        "tls": True,
        "domain": "functions.example",
        "probe_address": f"{path.gateway.address}:{path.gateway.tls_port}",
        "probe_ca_file": str(certificate_authority.certificate_file),
    }
    listen(web)


def test_tls_ends_at_the_gateway(
    path: RequestPath, hello: BuiltFunction, tls_listener: dict[str, t.Any], certificate_authority: CertificateAuthority
) -> None:
    deployed = path.deployment.deploy(hello.project, **tls_listener)
    host = f"{hello.project.name}.default.functions.example"
    assert deployed["url"] == f"https://{host}"
    context = ssl.create_default_context(cafile=certificate_authority.certificate_file)
    with httpx2.Client(
        base_url=f"https://{path.gateway.address}:{path.gateway.tls_port}", verify=context, trust_env=False
    ) as client:
        answer = client.get("/", headers={"Host": host}, extensions={"sni_hostname": host})
    assert answer.json() == MESSAGE
    assert path.gateway.get(host).status_code == 404, "not without TLS"


def test_a_certificate_for_another_host_is_named(
    path: RequestPath, hello: BuiltFunction, tls_listener: dict[str, t.Any]
) -> None:
    before = path.deployment.deploy(hello.project)
    with pytest.raises(PlatformError) as raised:
        path.deployment.deploy(hello.project, hostname="shop.functions.example", wait_timeout=8, **tls_listener)
    assert raised.value.stage == "probe" and "certificate for shop.functions.example" in raised.value.next_step
    assert path.deployment.call(before).json() == MESSAGE


# ---- tenants


TENANT_RIGHTS: list[dict[str, t.Any]] = yaml.safe_load(
    (REPOSITORY / "roles" / "tenant" / "vars" / "main.yml").read_text()
)["__tenant_rules"]


@pytest.fixture(scope="module")
def tenants(path: RequestPath) -> dict[str, Path]:
    """Two tenants' kubeconfigs by their namespace: rights in it as the role tenant gives them, and to read the shared
    Gateway."""
    found = {}
    for namespace in ("tenant-a", "tenant-b"):
        path.control_plane.create_namespace(namespace)
        found[namespace] = path.control_plane.kubeconfig_for("deployer", namespace=namespace, rules=TENANT_RIGHTS)
        named = {"name": f"gateway-of-{namespace}", "namespace": GATEWAY_NAMESPACE}
        rule = {
            "apiGroups": ["gateway.networking.k8s.io"],
            "resources": ["gateways"],
            "verbs": ["get"],
            "resourceNames": [GATEWAY_NAME],
        }
        path.control_plane.apply(
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": named, "rules": [rule]},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": named,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": named["name"]},
                "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": namespace}],
            },
        )
    return found


@pytest.fixture
def function_of_a(path: RequestPath, tenants: dict[str, Path], hello: BuiltFunction) -> Result:
    deployed = path.deployment.deploy(
        hello.project, namespace="tenant-a", kubeconfig=str(tenants["tenant-a"]), shim_version="0.25.1"
    )
    assert path.deployment.call(deployed).status_code == 200
    return deployed


def test_a_tenant_cannot_take_the_name_of_another(
    path: RequestPath, tenants: dict[str, Path], function_of_a: Result, hello: BuiltFunction
) -> None:
    stolen = host_of(function_of_a)
    of_b: dict[str, t.Any] = {"namespace": "tenant-b", "kubeconfig": str(tenants["tenant-b"]), "shim_version": "0.25.1"}
    with pytest.raises(PlatformError, match="is taken") as raised:
        path.deployment.deploy(hello.version("of b"), hostname=stolen, **of_b)
    assert raised.value.next_step
    # Without the collection, by an object of his own: the older route keeps the host.
    path.control_plane.client(tenants["tenant-b"]).create(
        HTTPRoute.from_dict(_route("theft", "tenant-b", stolen, {"name": "nothing", "port": 80}))
    )
    # A route that is applied after it, so the gateway has seen both
    later = path.deployment.deploy(hello.project, **of_b)
    assert later["namespace"] == "tenant-b" and path.deployment.call(later).status_code == 200
    assert set(digests_of(path, function_of_a, 100)) == {function_of_a["digest"]}


def test_a_tenant_cannot_lead_requests_to_the_service_of_another(
    path: RequestPath, tenants: dict[str, Path], function_of_a: Result
) -> None:
    client = path.control_plane.client(tenants["tenant-b"])
    backend = {"name": function_of_a["name"], "namespace": "tenant-a", "port": 80}
    client.create(HTTPRoute.from_dict(_route("spy", "tenant-b", "spy.example.com", backend)))

    def refusal() -> set[str]:
        route: t.Any = client.get(HTTPRoute, "spy", namespace="tenant-b")
        parents = (route.status or {}).get("parents") or []
        return {
            condition["reason"]
            for parent in parents
            for condition in parent["conditions"]
            if condition["status"] == "False"
        }

    wait_until(
        lambda: "RefNotPermitted" in refusal(), seconds=120, what="the gateway refuses the backend of another namespace"
    )
    assert path.gateway.get("spy.example.com").status_code >= 400


def test_a_tenant_cannot_touch_the_objects_of_another(
    path: RequestPath, tenants: dict[str, Path], function_of_a: Result
) -> None:
    client = path.control_plane.client(tenants["tenant-b"])
    attempts: list[collections.abc.Callable[[], object]] = [
        lambda: client.get(SpinApp, function_of_a["name"], namespace="tenant-a"),
        lambda: list(client.list(SpinApp, namespace="tenant-a")),
        lambda: client.patch(
            SpinApp, function_of_a["name"], {"spec": {"replicas": 3}}, namespace="tenant-a", patch_type=PatchType.MERGE
        ),
        lambda: client.delete(HTTPRoute, function_of_a["name"], namespace="tenant-a"),
        lambda: list(client.list(Pod, namespace="tenant-a")),
        lambda: client.patch(
            Gateway, GATEWAY_NAME, {"spec": {"listeners": []}}, namespace=GATEWAY_NAMESPACE, patch_type=PatchType.MERGE
        ),
    ]
    for attempt in attempts:
        with pytest.raises(ApiError) as raised:
            attempt()
        assert raised.value.status.code == 403
    with pytest.raises(PlatformError) as refused:
        path.deployment.delete(function_of_a["name"], namespace="tenant-a", kubeconfig=str(tenants["tenant-b"]))
    assert refused.value.next_step
    assert path.deployment.call(function_of_a).status_code == 200


def _route(name: str, namespace: str, host: str, backend: dict[str, t.Any]) -> dict[str, t.Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": GATEWAY_NAME, "namespace": GATEWAY_NAMESPACE}],
            "hostnames": [host],
            "rules": [{"backendRefs": [backend]}],
        },
    }


# ---- scaling, by the real KEDA with its HTTP add-on


@pytest.fixture(scope="module")
def scaling(path: RequestPath) -> RequestPath:
    """The same with the ReferenceGrant of role keda."""
    if reason := keda.why_not():
        pytest.skip(reason)
    path.control_plane.apply(keda.reference_grant())
    return path


SLEEPY = {"min": 0, "max": 2, "cooldown_seconds": 10}


def test_a_request_wakes_a_function_that_sleeps(scaling: RequestPath, hello: BuiltFunction, api: KubernetesApi) -> None:
    deployed = scaling.deployment.deploy(hello.project, autoscale=SLEEPY)
    wait_until_asleep(scaling, deployed)
    for check_mode in (True, False):
        again = scaling.deployment.deploy(hello.project, check_mode=check_mode, autoscale=SLEEPY)
        assert (again["changed"], again["details"]["status"]) == (False, "sleeping"), again
    assert not pods_of(scaling, deployed), "a run that changes nothing wakes nobody"
    answer = scaling.deployment.call(deployed)
    assert (answer.status_code, answer.json()) == (200, MESSAGE)
    assert answer.headers["X-KEDA-HTTP-Cold-Start"] == "true"
    assert len(pods_of(scaling, deployed)) == 1
    assert scaling.deployment.call(deployed).headers["X-KEDA-HTTP-Cold-Start"] == "false"
    scaled = api.get(SCALED_OBJECT, "default", deployed["name"]) or {}
    assert {one["type"]: one["status"] for one in scaled["status"]["conditions"]}["Ready"] == "True"


def test_a_new_version_of_a_function_that_sleeps_is_seen_to_answer(
    scaling: RequestPath, hello: BuiltFunction, api: KubernetesApi
) -> None:
    deployed = scaling.deployment.deploy(hello.project, autoscale=SLEEPY)

    def scaler_of_keda() -> str:
        """It carries the function's labels, and is KEDA's all the same."""
        return str(
            (
                (api.get(HORIZONTAL_POD_AUTOSCALER, "default", f"keda-hpa-{deployed['name']}") or {}).get("metadata")
                or {}
            ).get("uid", "")
        )

    scaler = wait_until(scaler_of_keda, seconds=60, what="KEDA has made its own scaler")
    wait_until_asleep(scaling, deployed)
    with pytest.raises(PlatformError, match="CrashLoopBackOff") as raised:
        scaling.deployment.deploy(hello.version("broken", behaviour="crash"), autoscale=SLEEPY)
    assert (raised.value.stage, raised.value.facts["undone"]) == ("rollout", "the previous version was put back")
    assert digest_at(scaling, deployed) == deployed["digest"]
    wait_until_asleep(scaling, deployed)
    again = scaling.deployment.deploy(hello.version("2"), autoscale=SLEEPY)
    assert (again["changed"], again["image"] != deployed["image"]) == (True, True)
    assert again["details"]["ready_replicas"] >= 1, "its pods were seen to run"
    assert scaling.deployment.call(again).status_code == 200
    assert scaler_of_keda() == scaler, "a deployment does not delete it"


def test_a_new_function_that_may_sleep_and_crashes_is_named(
    scaling: RequestPath, hello: BuiltFunction, api: KubernetesApi
) -> None:
    with pytest.raises(PlatformError, match="CrashLoopBackOff") as raised:
        scaling.deployment.deploy(hello.version("broken", behaviour="crash"), autoscale=SLEEPY)
    assert raised.value.stage == "rollout"
    for kind in (SPIN_APP, SCALED_OBJECT, INTERCEPTOR_ROUTE, HTTP_ROUTE):
        wait_gone(api, kind, hello.project.name)


@pytest.fixture
def workbench(tmp_path: Path, request: pytest.FixtureRequest) -> FunctionProject:
    """A function of the test's own name that answers at /sleep?seconds=N after N seconds."""
    name = request.node.name.removeprefix("test_").partition("[")[0].replace("_", "-")[:30].strip("-")
    return BuiltFunction(tmp_path / "workbench", built_workbench(), name).project


@pytest.mark.parametrize("by_requests", [False, True], ids=["gateway", "interceptor"])
def test_a_request_that_takes_longer_than_the_time_limit_ends_with_504(
    scaling: RequestPath, workbench: FunctionProject, by_requests: bool
) -> None:
    """61 s are more than the limit that every InterceptorRoute once had."""
    if not by_requests and isinstance(scaling.gateway, traefik.TraefikGateway):
        pytest.skip("Traefik ignores the timeouts of routes (docs/functions.md)")
    options = {"autoscale": {"min": 1, "max": 1}} if by_requests else {}
    deployed = scaling.deployment.deploy(workbench, timeout=3, **options)

    def call(seconds: int) -> httpx2.Response:
        return scaling.gateway.get(host_of(deployed), f"/sleep?seconds={seconds}", timeout=200)

    assert call(0).status_code == 200
    assert call(15).status_code == 504, "the limit ended it, and not the function"
    pods = {pod.metadata.name for pod in pods_of(scaling, deployed) if pod.metadata}
    longer = scaling.deployment.deploy(workbench, timeout=90, **options)
    assert longer["changed"] is True
    assert {pod.metadata.name for pod in pods_of(scaling, deployed) if pod.metadata} == pods, "no pod is replaced"
    wait_until(lambda: call(4).status_code == 200, seconds=120, what="the new limit holds")
    assert not by_requests or call(61).status_code == 200
    assert scaling.deployment.deploy(workbench, timeout=90, **options)["changed"] is False


def test_what_a_function_scales_by_can_be_changed(
    scaling: RequestPath, hello: BuiltFunction, api: KubernetesApi
) -> None:
    """KEDA's webhook refuses a ScaledObject while the Deployment has a HorizontalPodAutoscaler of somebody else."""
    by_processor = {"autoscale": {"min": 1, "max": 3, "target_cpu_percent": 70}, "cpu": "10m"}
    by_requests = {"autoscale": {"min": 1, "max": 3, "target_requests_per_second": 50}}
    for options, kind, other in (
        (by_processor, HORIZONTAL_POD_AUTOSCALER, SCALED_OBJECT),
        (by_requests, SCALED_OBJECT, HORIZONTAL_POD_AUTOSCALER),
        (by_processor, HORIZONTAL_POD_AUTOSCALER, SCALED_OBJECT),
    ):
        deployed = scaling.deployment.deploy(hello.project, **options)
        name = deployed["name"]
        assert deployed["changed"] is True
        assert scaling.deployment.call(deployed).status_code == 200
        assert api.get(kind, "default", name) is not None
        wait_gone(api, other, name)
        assert scaling.deployment.deploy(hello.project, **options)["changed"] is False


def test_a_function_that_scales_by_requests_goes_as_a_whole(
    scaling: RequestPath, hello: BuiltFunction, api: KubernetesApi
) -> None:
    name = scaling.deployment.deploy(hello.project, autoscale=SLEEPY)["name"]
    wait_until(
        lambda: api.get(HORIZONTAL_POD_AUTOSCALER, "default", f"keda-hpa-{name}"),
        seconds=60,
        what="KEDA has made its own scaler",
    )
    assert scaling.deployment.delete(name)["changed"] is True
    for kind in (SPIN_APP, SCALED_OBJECT, INTERCEPTOR_ROUTE, HTTP_ROUTE, DEPLOYMENT):
        wait_gone(api, kind, name)
    wait_gone(api, HORIZONTAL_POD_AUTOSCALER, f"keda-hpa-{name}")


def wait_gone(api: KubernetesApi, kind: Kind, name: str) -> None:
    wait_until(lambda: api.get(kind, "default", name) is None, seconds=60, what=f"{kind.kind} {name} is gone")


# ---- faults


def test_a_missing_gateway_is_named(path: RequestPath, hello: BuiltFunction, api: KubernetesApi) -> None:
    with pytest.raises(PlatformError, match="wasmfaas-system/other does not exist") as raised:
        path.deployment.deploy(hello.project, gateway="wasmfaas-system/other")
    assert "wasmfaas.platform.site" in raised.value.next_step
    assert api.get(SPIN_APP, "default", hello.project.name) is None


def test_a_route_that_the_gateway_refuses_is_named(path: RequestPath, hello: BuiltFunction) -> None:
    client = path.control_plane.client()
    gateway: t.Any = client.get(Gateway, GATEWAY_NAME, namespace=GATEWAY_NAMESPACE)

    def allow(namespaces: str) -> None:
        listeners = [
            {**listener, "allowedRoutes": {"namespaces": {"from": namespaces}}}
            for listener in gateway.spec["listeners"]
        ]
        client.patch(
            Gateway,
            GATEWAY_NAME,
            {"spec": {"listeners": listeners}},
            namespace=GATEWAY_NAMESPACE,
            patch_type=PatchType.MERGE,
        )

    before = path.deployment.deploy(hello.project)
    allow("Same")
    try:
        with pytest.raises(PlatformError, match="does not take the route: NotAllowedByListeners") as raised:
            path.deployment.deploy(hello.project, hostname="refused.example.com", wait_timeout=8)
    finally:
        allow("All")
    assert raised.value.stage == "probe" and raised.value.next_step
    wait_until(lambda: answers_again(path, before), seconds=60, what="what was there before answers again")
    assert path.gateway.get("refused.example.com").status_code == 404


def test_a_pod_that_no_longer_answers_is_given_up_after_the_connect_timeout(
    path: RequestPath, hello: BuiltFunction
) -> None:
    """As one that ended without a pause: nothing answers at its address, not even with a refusal."""
    if isinstance(path.gateway, ContourGateway):
        pytest.skip("ingress_connect_timeout is an option of Traefik")
    deployed = path.deployment.deploy(hello.project)
    with silent_address(path.network.gateway) as port:
        host = "silent.example.com"
        path.control_plane.apply(*route_like(path, deployed["name"], "silent", host, path.network.gateway, port))
        wait_until(lambda: path.gateway.get(host).status_code != 404, seconds=60, what="the route reaches the gateway")
        begun = time.monotonic()
        answer = path.gateway.get(host)
        seconds = time.monotonic() - begun
    assert (answer.status_code, path.deployment.call(deployed).status_code) == (504, 200)
    limit = yaml.safe_load(INGRESS_DEFAULTS.read_text(encoding="utf-8"))["ingress_connect_timeout"]
    assert limit * 0.9 < seconds < limit + 10, f"given up after {seconds:.1f} s"


@contextlib.contextmanager
def silent_address(address: str) -> collections.abc.Iterator[int]:
    """A port at which connections are neither taken nor refused: its queue is full, and Linux drops what comes then
    (tcp(7): tcp_abort_on_overflow)."""
    with socket.create_server((address, 0), backlog=0) as listener, contextlib.ExitStack() as waiting:
        port = listener.getsockname()[1]
        for _connection in range(8):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((address, port))
        yield port


def test_functions_answer_while_the_gateways_controller_and_the_api_are_down(
    path: RequestPath, hello: BuiltFunction, api: KubernetesApi
) -> None:
    """Neither is on the way of a request; nor is anything of the role observability, which is not even there in these
    tests."""
    if not isinstance(path.gateway, ContourGateway):
        pytest.skip("Traefik is controller and proxy in one")
    deployed = path.deployment.deploy(hello.project)
    path.gateway.stop_controller()
    try:
        assert path.deployment.call(deployed).status_code == 200
        with pytest.raises(PlatformError) as raised:
            path.deployment.deploy(hello.project, hostname="new.example.com", wait_timeout=8)
        assert raised.value.stage == "probe"
        assert "has not looked at the route" in raised.value.cause and "wasmfaas-system" in raised.value.next_step
        path.control_plane.stop_hard()
        try:
            answer = path.deployment.call(deployed)
            assert (answer.status_code, answer.json()) == (200, MESSAGE), answer.text
        finally:
            path.control_plane.start_again()
    finally:
        path.gateway.start_controller()
    assert api.get(HTTP_ROUTE, "default", deployed["name"]) is not None
    again = path.deployment.deploy(hello.version("3"))
    wait_until(
        lambda: answers_again(path, again), seconds=60, what="the controller's new process leads to the new version"
    )
