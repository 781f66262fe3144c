# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rolling replacement of the real Traefik behind a load balancer with the rules of AWS's and the settings of
inventories/aws and terraform/: no connection is refused."""

from __future__ import annotations

import asyncio
import collections
import collections.abc
import contextlib
import http.server
import re
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest
import yaml

from tests.extent import only_in_full

from .support import traefik
from .support.control_plane import GATEWAY_NAME, GATEWAY_NAMESPACE, ControlPlane
from .support.load_balancer import HealthCheck, Listener, LoadBalancer
from .support.pod_network import PodNetwork, why_not
from .support.servers import REPOSITORY, build, free_port, wait_until

HOST = "hello.default.example.com"
RATE = 40
"""New connections in a second."""


@contextlib.contextmanager
def running(balancer: LoadBalancer) -> collections.abc.Iterator[None]:
    """The load balancer in a thread of its own."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(balancer.run())

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)


class NewConnections:
    """Load while the context is open: each request on a connection of its own. `outcomes` counts answers by status,
    and errors by name."""

    def __init__(self, address: str, port: int) -> None:
        self._place = (address, port)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.outcomes: collections.Counter[str] = collections.Counter()

    def __enter__(self) -> t.Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(60)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while not self._stop.is_set():
                group.create_task(self._request())
                await asyncio.sleep(1 / RATE)

    async def _request(self) -> None:
        try:
            async with asyncio.timeout(30):
                reader, writer = await asyncio.open_connection(*self._place)
                writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
                line = (await reader.readline()).split()
                outcome = line[1].decode() if len(line) > 1 else "no answer"
                writer.close()
        except (OSError, TimeoutError) as error:
            outcome = type(error).__name__
        self.outcomes[outcome] += 1


# ---- the rules


class Switched(http.server.BaseHTTPRequestHandler):
    """A target that is healthy while `healthy` is set."""

    healthy = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200 if self.healthy.is_set() else 503)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


def test_a_target_counts_after_as_many_checks_as_aws_asks_for() -> None:
    """And while no target is healthy, all are asked."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Switched) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here, gone = ("127.0.0.1", server.server_address[1]), ("127.0.0.1", free_port())
        check = HealthCheck("HTTP", 0, "/ping", interval=0.1, healthy_threshold=2, unhealthy_threshold=2)
        balancer = LoadBalancer(Listener("127.0.0.1", free_port(), (here, gone), check))
        assert {balancer.choose(), balancer.choose()} == {here, gone}
        Switched.healthy.set()
        with running(balancer):
            wait_until(lambda: balancer.healthy[here], seconds=30, what="two checks have passed")
            assert {balancer.choose() for _connection in range(4)} == {here}
            Switched.healthy.clear()
            wait_until(lambda: not balancer.healthy[here], seconds=30, what="two checks have failed")
            assert {balancer.choose(), balancer.choose()} == {here, gone}
        server.shutdown()


# ---- with Traefik


def check_of_terraform(port: int) -> HealthCheck:
    """That of terraform/modules/load_balancer, at another port."""
    text = (REPOSITORY / "terraform/modules/load_balancer/main.tf").read_text(encoding="utf-8")
    numbers = {name: int(value) for name, value in re.findall(r"^ +(\w+) += (\d+)$", text, re.MULTILINE)}
    return HealthCheck(
        "HTTP",
        port,
        "/ping",
        float(numbers["interval"]),
        numbers["healthy_threshold"],
        numbers["unhealthy_threshold"],
    )


def drain_seconds() -> int:
    given = yaml.safe_load((REPOSITORY / "inventories/aws/group_vars/all.yml").read_text(encoding="utf-8"))
    return int(given["ingress_drain_delay_seconds"])


@pytest.fixture
def gateways(tmp_path: Path) -> collections.abc.Iterator[collections.abc.Callable[[str], traefik.TraefikGateway]]:
    """Starts a Traefik at an address, as a pod on a node of its own. All lead to a function that answers 200."""
    if reason := why_not() or traefik.TRAEFIK.why_not():
        pytest.skip(reason)
    program = traefik.TraefikProgram()
    with contextlib.ExitStack() as stack:
        plane = ControlPlane(build(), tmp_path / "control_plane", definitions=program.definitions)
        stack.callback(plane.stop)
        plane.prepare(gateway_class=program.gateway_class, gateway_controller=program.controller)
        network = PodNetwork()
        stack.callback(network.remove)
        Switched.healthy.set()
        function = stack.enter_context(http.server.ThreadingHTTPServer((network.gateway, 0), Switched))
        threading.Thread(target=function.serve_forever, daemon=True).start()
        stack.callback(function.shutdown)
        _route(plane, network.gateway, function.server_address[1])
        count = iter(range(100))

        def start(last: str) -> traefik.TraefikGateway:
            address = f"{network.subnet}.{last}"
            subprocess.run(["ip", "address", "replace", f"{address}/24", "dev", network.bridge], check=True)
            gateway = traefik.TraefikGateway(
                program.program,
                plane,
                tmp_path / f"traefik-{next(count)}",
                address,
                f"--entryPoints.web.transport.lifeCycle.requestAcceptGraceTimeout={drain_seconds()}s",
            )
            stack.callback(gateway.stop)
            wait_until(
                lambda: gateway.get(HOST).status_code == 200, seconds=60, what=f"{address} knows the function's route"
            )
            return gateway

        yield start


@only_in_full("the values of terraform/ and of the role in unit tests")
def test_a_rolling_replacement_refuses_no_connection(
    gateways: collections.abc.Callable[[str], traefik.TraefikGateway],
) -> None:
    """One after the other is told to end, ends, and begins again, and the next one only when the load balancer has
    found it healthy: ingress_ready_seconds is longer than that takes."""
    pods = {last: gateways(last) for last in ("11", "12")}
    port = traefik.TraefikGateway.port
    targets = tuple((pod.address, port) for pod in pods.values())
    balancer = LoadBalancer(
        Listener("127.0.0.1", free_port(), targets, check_of_terraform(traefik.TraefikGateway.health_port))
    )
    with running(balancer):
        wait_until(lambda: all(balancer.healthy.values()), seconds=120, what="both targets are healthy")
        with NewConnections("127.0.0.1", balancer.listener.port) as load:
            for last, pod in pods.items():
                pod.server.process.terminate()
                _wait_for_health(balancer, (pod.address, port), healthy=False)
                pod.server.process.wait(120)
                gateways(last)
                _wait_for_health(balancer, (pod.address, port), healthy=True)
    assert load.outcomes == {"200": load.outcomes.total()}
    assert balancer.refused == 0 and load.outcomes.total() > 20 * RATE
    print(f"a rolling replacement of two: {load.outcomes.total()} connections, none refused")


@only_in_full("the values of terraform/ and of the role in unit tests")
def test_a_replacement_whose_health_ends_with_its_port_refuses_some(
    gateways: collections.abc.Callable[[str], traefik.TraefikGateway],
) -> None:
    """What the health check at a port of its own is for: at port 80 the load balancer notices too late. It also shows
    that the test above would see refusals."""
    pods = [gateways(last) for last in ("11", "12")]
    targets = tuple((pod.address, traefik.TraefikGateway.port) for pod in pods)
    by_port = HealthCheck("TCP", 0, interval=check_of_terraform(0).interval)
    balancer = LoadBalancer(Listener("127.0.0.1", free_port(), targets, by_port))
    with running(balancer):
        wait_until(lambda: all(balancer.healthy.values()), seconds=120, what="both targets are healthy")
        with NewConnections("127.0.0.1", balancer.listener.port) as load:
            pods[0].server.process.terminate()
            pods[0].server.process.wait(120)
            _wait_for_health(balancer, targets[0], healthy=False)
    assert balancer.refused > 0 and load.outcomes["200"] > 0


def _wait_for_health(balancer: LoadBalancer, target: tuple[str, int], *, healthy: bool) -> None:
    wait_until(
        lambda: balancer.healthy[target] is healthy, seconds=120, what=f"the load balancer finds {target} {healthy=}"
    )


def _route(plane: ControlPlane, address: str, port: int) -> None:
    """An HTTPRoute to a Service whose one endpoint is given."""
    named = {"name": "hello", "namespace": "default"}
    slices = {"name": "hello-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "hello"}}
    plane.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": named,
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": port}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": slices,
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": named,
            "spec": {
                "parentRefs": [{"name": GATEWAY_NAME, "namespace": GATEWAY_NAMESPACE}],
                "hostnames": [HOST],
                "rules": [{"backendRefs": [{"name": "hello", "port": 80}]}],
            },
        },
    )
