# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole path of a request on one machine: a real gateway, which is configured by objects of the real API, and
functions in pods with their own addresses, on a played node or on a real one."""

from __future__ import annotations

import asyncio
import collections
import collections.abc
import contextlib
import dataclasses
import threading
import time
import typing as t
from pathlib import Path

import httpx2
import jinja2
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.local.installation import install
from lightkube.generic_resource import create_global_resource
from lightkube.resources.core_v1 import Pod

from . import gateway, keda, pod_network
from .certificates import CertificateAuthority
from .control_plane import RUNTIME_CLASS, ControlPlane, HTTPRoute
from .deployment import Deployment, Result
from .function_project import FunctionProject
from .gateway import ContourProgram, GatewayProgram, RunningGateway
from .pod_network import ContainerRuntime, PodNetwork
from .real_parts import SPIN_OPERATOR, SpinOperator
from .registries import Registry
from .servers import REPOSITORY, Programs, build, wait_until
from .spinkube import SpinkubeStandIn

REQUEST_SECONDS = 30.0
"""How long a request of `Load` waits. Envoy's own limit is shorter, so its answer says what it waited for."""

_ADMISSION = ("admissionregistration.k8s.io", "v1")
MutatingAdmissionPolicy = create_global_resource(*_ADMISSION, "MutatingAdmissionPolicy", "mutatingadmissionpolicies")
MutatingAdmissionPolicyBinding = create_global_resource(
    *_ADMISSION, "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"
)


def why_not() -> str:
    """Why this machine cannot run a request path; empty if it can."""
    return pod_network.why_not() or gateway.why_not()


class GatewayDeployment(Deployment):
    """Deploys functions whose host names contain the Gateway's address, and calls them through the real gateway."""

    def __init__(self, control_plane: ControlPlane, registry: Registry, home: Path, entrance: RunningGateway) -> None:
        super().__init__(control_plane, f"{entrance.address}:{entrance.port}", registry, home)
        self.entrance = entrance

    def parameters(self, project: FunctionProject | None = None, **options: t.Any) -> dict[str, t.Any]:
        return super().parameters(project, **{"domain": None, **options})

    def call(self, result: Result, path: str = "/") -> httpx2.Response:
        return self.entrance.get(host_of(result), path)


def host_of(result: Result) -> str:
    """The host name of a deployment's URL."""
    return str(result["url"]).partition("://")[2].partition(":")[0]


@dataclasses.dataclass(frozen=True)
class RequestPath:
    """The running programs."""

    control_plane: ControlPlane
    registry: Registry
    gateway: RunningGateway
    network: PodNetwork
    deployment: GatewayDeployment


Node = collections.abc.Callable[[contextlib.ExitStack, "Cluster", Path], object]
"""Starts what runs the pods of a cluster, with its data in a directory, and leaves what stops it to the stack."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What a node has to know of its cluster."""

    programs: Programs
    control_plane: ControlPlane
    registry: Registry
    network: PodNetwork


def played_node(stack: contextlib.ExitStack, cluster: Cluster, directory: Path) -> None:
    """Pods are processes in network namespaces, and their functions run in the local runtime."""
    installation = install(REPOSITORY / "roles" / "local_runtime" / "files")
    runtime = ContainerRuntime(cluster.network, directory / "node", installation.runtime_directory)
    stack.callback(runtime.stop)
    stand_in = SpinkubeStandIn(cluster.programs, cluster.control_plane, directory, container_runtime=runtime.socket)
    stack.callback(stand_in.stop)


@contextlib.contextmanager
def request_path(
    directory: Path, node: Node = played_node, program: GatewayProgram | None = None
) -> collections.abc.Iterator[RequestPath]:
    """Start all programs with their data in `directory`, and stop them. KEDA starts only if `keda.why_not` is empty.
    Start-up: about 20 s when everything is built.

    Args:
        program: The gateway; Contour by default.
    """
    programs, program = build(), program or ContourProgram()
    with contextlib.ExitStack() as stack:
        plane = ControlPlane(programs, directory / "control_plane", definitions=program.definitions)
        stack.callback(plane.stop)
        plane.prepare(gateway_class=program.gateway_class, gateway_controller=program.controller)
        network = PodNetwork()
        stack.callback(network.remove)
        registry = Registry(programs, directory / "registry")
        stack.callback(registry.stop)
        authority = CertificateAuthority(directory / "authority")
        stack.callback(SpinOperator(SPIN_OPERATOR.build(), plane, directory, authority).stop)
        node(stack, Cluster(programs, plane, registry, network), directory)
        if not keda.why_not():
            stack.callback(keda.Keda(plane, directory, authority, network).stop)
        entrance = program.start(plane, directory / "gateway", network.gateway)
        stack.callback(entrance.stop)
        yield RequestPath(
            plane,
            registry,
            entrance,
            network,
            GatewayDeployment(plane, registry, directory / "home", entrance),
        )


def drain_policy(seconds: int) -> list[dict[str, t.Any]]:
    """The role spin_operator's objects that make the kubelet wait between the removal of a pod's route and its end."""
    return _policy("drain_policy.yml.j2", spin_operator_drain_seconds=seconds)


def _policy(name: str, **variables: t.Any) -> list[dict[str, t.Any]]:
    template = (REPOSITORY / "roles/spin_operator/templates" / name).read_text(encoding="utf-8")
    rendered = jinja2.Template(template).render(spin_operator_runtime_class=RUNTIME_CLASS, **variables)
    objects: list[dict[str, t.Any]] = yaml.safe_load(rendered)
    return objects


def let_pods_drain(plane: ControlPlane, seconds: int) -> None:
    """Apply `drain_policy`, and wait until it has an effect, because the API server reads a policy a moment later."""
    plane.apply(*drain_policy(seconds))
    wait_until(lambda: _admitted(plane).get("lifecycle") is not None, seconds=30, what="the policy gives pods a pause")


def let_pods_be_probed_at_once(plane: ControlPlane) -> None:
    """Apply the role spin_operator's objects that make the kubelet probe functions' pods right after their start, and
    wait until they have an effect."""
    plane.apply(*_policy("probe_policy.yml.j2"))
    probe = {"httpGet": {"path": "/", "port": 80}, "initialDelaySeconds": 1}
    wait_until(
        lambda: not _admitted(plane, readinessProbe=probe)["readinessProbe"].get("initialDelaySeconds"),
        seconds=30,
        what="the policy takes the delay from readiness probes",
    )


def let_pods_be_hardened(plane: ControlPlane, *runtime_classes: str) -> list[dict[str, t.Any]]:
    """Apply the role spin_operator's objects that take from the pods of RuntimeClasses what Wasm does not need, wait
    until they have an effect, and give them."""
    objects = _policy("hardening_policy.yml.j2", spin_operator_hardened_runtime_classes=list(runtime_classes))
    plane.apply(*objects)
    for name in runtime_classes:
        wait_until(
            lambda name=name: "seccompProfile" in admitted_pod(plane, runtimeClassName=name)["securityContext"],
            seconds=30,
            what=f"the policy changes pods of {name}",
        )
    return objects


def admitted_pod(plane: ControlPlane, **spec: t.Any) -> dict[str, t.Any]:
    """The spec of a pod as the API server would store it; `containers` has one if it is not given."""
    given = {"containers": [{"name": "function", "image": "example.com/function"}], **spec}
    pod = Pod.from_dict(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "dry-run", "namespace": "default"}, "spec": given}
    )
    client: t.Any = plane.client()
    return t.cast("dict[str, t.Any]", client.apply(pod, dry_run=True).to_dict()["spec"])


def _admitted(plane: ControlPlane, **container: t.Any) -> dict[str, t.Any]:
    """The container of a function's pod as the API server would store it."""
    containers = [{"name": "function", "image": "example.com/function", **container}]
    (found,) = admitted_pod(plane, runtimeClassName=RUNTIME_CLASS, containers=containers)["containers"]
    return t.cast("dict[str, t.Any]", found)


def pods_of(path: RequestPath, result: Result) -> list[Pod]:
    """All pods of a function, also those that are ending."""
    labels: dict[str, t.Any] = {"core.spinkube.dev/app-name": result["name"]}
    return list(path.control_plane.client().list(Pod, namespace=result["namespace"], labels=labels))


def route_like(
    path: RequestPath, pattern: str, name: str, host: str, address: str, port: int = 80
) -> list[dict[str, t.Any]]:
    """A route as that of the function `pattern`, for another host, with a Service whose only pod is at this address."""
    route: t.Any = path.control_plane.client().get(HTTPRoute, pattern, namespace="default")
    metadata = {"name": name, "namespace": "default"}
    labels = {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "tests"}
    named = {"name": "http", "protocol": "TCP"}
    spec = {**route.spec, "hostnames": [host], "rules": [{"backendRefs": [{"name": name, "port": 80}]}]}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{**named, "port": 80}]}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{**named, "port": port}],
        },
        {"apiVersion": route.apiVersion, "kind": route.kind, "metadata": metadata, "spec": spec},
    ]


def wait_until_asleep(path: RequestPath, result: Result) -> None:
    wait_until(lambda: not pods_of(path, result), seconds=180, what=f"no pod of {result['name']} is left")


class Load:
    """Constant load on one host while the context is open.

    Args:
        rate: Requests per second at most.
        connections: Number of connections, which are kept open.
        limit: Total number of requests at most.

    Attributes:
        outcomes: Number of answers by status code, and of errors by name.
        failures: Details and time of every answer other than 200.
    """

    def __init__(
        self, url: str, host: str, *, rate: float = 200.0, connections: int = 8, path: str = "/", limit: int = 20_000
    ) -> None:
        self._url, self._host, self._path = url, host, path
        self._interval = connections / rate
        self._connections = connections
        self._left = limit
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []
        self._begun = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> t.Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(REQUEST_SECONDS + 10)

    async def _run(self) -> None:
        async with httpx2.AsyncClient(
            base_url=self._url, headers={"Host": self._host}, trust_env=False, timeout=REQUEST_SECONDS
        ) as client:
            await asyncio.gather(*(self._call_on(client) for _connection in range(self._connections)))

    async def _call_on(self, client: httpx2.AsyncClient) -> None:
        while not self._stop.is_set() and self._left > 0:
            self._left -= 1
            begun = time.monotonic()
            try:
                response = await client.get(self._path)
                outcome, detail = str(response.status_code), response.text[:200]
            except httpx2.TransportError as error:
                outcome, detail = type(error).__name__, str(error)
            self.outcomes[outcome] += 1
            if outcome != "200":
                self.failures.append(f"{begun - self._begun:.1f} s after the load began: {outcome}: {detail}")
            await asyncio.sleep(max(0.0, self._interval - (time.monotonic() - begun)))

    @property
    def total(self) -> int:
        return self.outcomes.total()
