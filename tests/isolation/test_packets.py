# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches whom: the network policies of tenants, builds and the platform, enforced by the controller that k3s has
in itself, against TCP connections between network namespaces."""

from __future__ import annotations

import collections.abc
import contextlib
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.network_policies import (
    build_network_policies,
    network_policies,
)
from lightkube.resources.core_v1 import Namespace

from tests.integration.support import policed_node
from tests.integration.support.control_plane import ControlPlane
from tests.integration.support.policed_node import Call, PolicedNode
from tests.integration.support.servers import wait_until
from tests.integration.support.tenants import Tenants

pytestmark = pytest.mark.skipif(bool(policed_node.why_not()), reason=policed_node.why_not())

SECONDS = 180.0
TENANTS = ("left", "right")
PODS: dict[str, tuple[str, dict[str, str], tuple[int, ...]]] = {
    "left-shop": ("left", {"core.spinkube.dev/app-name": "shop"}, (80, 8080)),
    "left-cart": ("left", {"core.spinkube.dev/app-name": "cart"}, (80, 8080)),
    "right-shop": ("right", {"core.spinkube.dev/app-name": "shop"}, (80, 8080)),
    "traefik": ("wasmfaas-system", {"app.kubernetes.io/name": "traefik"}, (8000, 9100)),
    "interceptor": ("keda", {"app.kubernetes.io/component": "interceptor"}, (8080, 9090)),
    "keda-operator": ("keda", {"app.kubernetes.io/name": "keda-operator"}, (8080, 9443)),
    "collector": ("observability", {"app.kubernetes.io/name": "opentelemetry-collector"}, (4317, 4318)),
    "tempo": ("observability", {"app.kubernetes.io/name": "tempo"}, (4318, 3200)),
    "loki": ("observability", {"app.kubernetes.io/name": "loki"}, (3100,)),
    "grafana": ("observability", {"app.kubernetes.io/name": "grafana"}, (3000,)),
    "prometheus": ("observability", {"app.kubernetes.io/name": "prometheus"}, (9090,)),
    "dns": ("kube-system", {"k8s-app": "kube-dns"}, (53, 9153)),
    "registry": ("function-registry", {"app.kubernetes.io/name": "zot"}, (5000, 5001)),
    "service": ("wasmfaas-service", {"app.kubernetes.io/name": "function-service"}, (8800, 8801)),
    "build": ("wasmfaas-builds", {"batch.kubernetes.io/job-name": "build"}, (8080,)),
    "operator": ("spin-operator", {"app.kubernetes.io/name": "spin-operator"}, (8443, 9443)),
}
OUTSIDE = {
    "world": "93.184.215.14",
    "metadata": "169.254.169.254",
    "network-10": "10.99.0.7",
    "network-172": "172.20.0.7",
    "network-192": "192.168.77.7",
    "network-100": "100.64.0.7",
}
PRIVATE = [name for name in OUTSIDE if name != "world"]
OUTSIDE_PORTS = (80, 443)
_PLATFORM = yaml.safe_load(
    (Path(__file__).resolve().parents[2] / "roles/platform/defaults/main.yml").read_text(encoding="utf-8")
)
BLOCKED = [*_PLATFORM["platform_blocked_networks"], "10.42.0.0/16", "10.43.0.0/16"]
"""What builds may not call: the default of function_builds_blocked_networks, with k3s' own networks."""
COMPONENTS = ("spin_operator", "keda", "observability", "function_registry", "function_service")

REACHED: list[Call] = [
    # A tenant's functions: each other, names, the collector, and the world.
    ("left-shop", "left-cart", 80),
    ("left-shop", "left-cart", 8080),
    ("left-shop", "dns", 53),
    ("left-shop", "collector", 4318),
    ("left-shop", "world", 443),
    ("right-shop", "world", 443),
    # Who calls functions: the gateway, the interceptor, and the kubelet with its probes.
    ("traefik", "left-shop", 80),
    ("interceptor", "left-shop", 80),
    ("node", "left-shop", 80),
    # A build: names, packages, and the way back to the service.
    ("build", "dns", 53),
    ("build", "world", 443),
    ("build", "service", 8801),
    # The platform.
    ("traefik", "interceptor", 8080),
    ("traefik", "service", 8800),
    ("traefik", "grafana", 3000),
    ("traefik", "world", 443),
    ("world", "traefik", 8000),
    ("world", "registry", 5000),
    ("node", "registry", 5000),
    ("node", "operator", 9443),
    ("node", "keda-operator", 9443),
    ("prometheus", "service", 8800),
    ("prometheus", "keda-operator", 8080),
    ("prometheus", "operator", 8443),
    ("grafana", "loki", 3100),
    ("grafana", "tempo", 3200),
    ("collector", "tempo", 4318),
    ("service", "registry", 5000),
    ("service", "world", 443),
]
REFUSED: list[Call] = [
    # Another tenant, and the platform.
    *(("left-shop", "right-shop", port) for port in (80, 8080)),
    ("right-shop", "left-shop", 80),
    *(
        ("left-shop", name, port)
        for name, (namespace, _labels, ports) in PODS.items()
        for port in ports
        if namespace != "left" and (name, port) not in (("dns", 53), ("collector", 4318))
    ),
    # Metadata, private networks, and the node itself.
    *((pod, name, 80) for pod in ("left-shop", "build") for name in PRIVATE),
    *((pod, "node", 10250) for pod in ("left-shop", "build")),
    # Nobody but those above calls functions and builds.
    *((name, "left-shop", 8080) for name in ("traefik", "interceptor", "world")),
    *((name, "left-shop", 80) for name in ("keda-operator", "collector", "service", "registry", "operator", "world")),
    *((name, "build", 8080) for name in ("left-shop", "traefik", "service", "prometheus", "world")),
    # A build has no business with functions, the API and the rest of the platform.
    *(("build", name, 80) for name in ("left-shop", "right-shop")),
    ("build", "service", 8800),
    ("build", "registry", 5000),
    ("build", "collector", 4318),
    ("build", "dns", 9153),
    # Inside of the platform.
    *((name, "loki", 3100) for name in ("traefik", "service", "operator", "world", "interceptor")),
    *((name, "tempo", 4318) for name in ("traefik", "service", "world")),
    ("traefik", "keda-operator", 8080),
    ("traefik", "service", 8801),
    ("world", "interceptor", 8080),
    ("world", "service", 8800),
    ("world", "prometheus", 9090),
    ("world", "grafana", 3000),
    ("world", "registry", 5001),
    ("interceptor", "operator", 8443),
]


@pytest.fixture(scope="module")
def answers(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> collections.abc.Iterator[dict[Call, bool]]:
    """Which calls reach whom, once the policies are enforced. Without that all of them do."""
    client: t.Any = control_plane.client()
    directory = tmp_path_factory.mktemp("packets")
    collector = "http://opentelemetry-collector.observability:4318/v1/traces"
    tenants = Tenants(control_plane, directory, tenant_otlp_endpoints={"traces": collector})
    before = {found.metadata.name for found in client.list(Namespace)}
    spaces = {namespace for namespace, _labels, _ports in PODS.values()} - before - set(TENANTS)
    calls = [*REACHED, *REFUSED]
    with contextlib.ExitStack() as stack:
        for name in spaces:
            control_plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            stack.callback(control_plane.delete_namespace, name)
        stack.callback(run, tenants, state="absent")
        run(tenants, state="present")
        for component in COMPONENTS:
            control_plane.apply(*network_policies(component))
        control_plane.apply(*network_policies("ingress", [8000, 8443]), *build_network_policies(BLOCKED, []))
        node = stack.enter_context(PolicedNode(control_plane, directory / "node"))
        for name, (namespace, labels, ports) in PODS.items():
            node.add_pod(name, namespace, labels, ports)
        node.add_addresses(OUTSIDE, OUTSIDE_PORTS)
        unfiltered = node.reached(calls)
        assert [call for call in calls if not unfiltered[call]] == []
        node.enforce()
        expected = dict.fromkeys(REACHED, True) | dict.fromkeys(REFUSED, False)
        seen: dict[Call, bool] = {}

        def as_expected() -> bool:
            seen.update(node.reached(calls))
            return seen == expected

        with contextlib.suppress(TimeoutError):  # the tests say what is not so
            wait_until(as_expected, seconds=SECONDS, what="the policies are not as expected", interval=1)
        yield seen


def run(tenants: Tenants, state: str) -> None:
    done = tenants.run(*({"name": name, "state": state} for name in TENANTS))
    assert done.exit_code == 0, done.output


def test_what_must_be_reached_is(answers: dict[Call, bool]) -> None:
    assert [call for call in REACHED if not answers[call]] == []


def test_what_must_not_be_reached_is_not(answers: dict[Call, bool]) -> None:
    assert [call for call in REFUSED if answers[call]] == []
