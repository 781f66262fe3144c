# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may call the pods of the platform. The policies on the real API server: tests/integration/test_platform_roles.py;
no test enforces them, which is done on nodes."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.network_policies import (
    build_network_policies,
    function_network_policy,
    network_policies,
    public_networks,
)

POLICIES = [
    policy
    for component in (
        "cert_manager",
        "spin_operator",
        "keda",
        "observability",
        "function_registry",
        "function_service",
    )
    for policy in network_policies(component)
] + network_policies("ingress", [80, 443])
OUTSIDE = ""
COLLECTOR = {"app.kubernetes.io/name": "opentelemetry-collector"}
TEMPO = {"app.kubernetes.io/name": "tempo"}
GRAFANA = {"app.kubernetes.io/name": "grafana"}
INTERCEPTOR = {"app.kubernetes.io/component": "interceptor"}


def calls(caller: str, namespace: str, port: int, labels: dict[str, str] | None = None) -> bool:
    """Whether a pod of the namespace `caller`, or an address outside of the cluster, reaches a pod: as NetworkPolicy
    says, if one rule of one policy that selects the pod lets it in."""
    selecting = [
        policy
        for policy in POLICIES
        if policy["metadata"]["namespace"] == namespace
        and policy["spec"]["podSelector"].get("matchLabels", {}).items() <= (labels or {}).items()
    ]
    assert selecting, "without a policy everybody could"
    return any(
        _from(rule.get("from"), caller, namespace)
        and ("ports" not in rule or port in [entry["port"] for entry in rule["ports"]])
        for policy in selecting
        for rule in policy["spec"]["ingress"]
    )


def _from(peers: list[dict[str, t.Any]] | None, caller: str, namespace: str) -> bool:
    if peers is None:
        return True
    return any(
        caller == namespace
        if "namespaceSelector" not in peer
        else bool(caller)
        and peer["namespaceSelector"].get("matchLabels", {}).get("kubernetes.io/metadata.name", caller) == caller
        for peer in peers
    )


@pytest.mark.parametrize(
    ("caller", "namespace", "port", "labels"),
    [
        ("user1", "observability", 4318, COLLECTOR),
        ("wasmfaas-system", "observability", 4318, COLLECTOR),
        ("wasmfaas-system", "observability", 3000, GRAFANA),
        ("observability", "observability", 3100, {}),
        ("observability", "keda", 9022, {}),
        ("observability", "wasmfaas-system", 9100, {}),
        ("observability", "spin-operator", 8443, {}),
        ("keda", "keda", 9090, {}),
        ("wasmfaas-system", "keda", 8080, INTERCEPTOR),
        (OUTSIDE, "wasmfaas-system", 443, {}),
        (OUTSIDE, "keda", 9443, {}),
        (OUTSIDE, "cert-manager", 10250, {}),
        (OUTSIDE, "spin-operator", 9443, {}),
        (OUTSIDE, "function-registry", 5000, {}),
        ("wasmfaas-system", "wasmfaas-service", 8800, {}),
        ("observability", "wasmfaas-service", 8800, {}),
        ("wasmfaas-builds", "wasmfaas-service", 8801, {}),
        ("wasmfaas-service", "wasmfaas-service", 8801, {}),
    ],
)
def test_what_is_needed_passes(caller: str, namespace: str, port: int, labels: dict[str, str]) -> None:
    assert calls(caller, namespace, port, labels)


@pytest.mark.parametrize("caller", ["user1", "default", OUTSIDE])
@pytest.mark.parametrize(
    ("namespace", "port", "labels"),
    [
        ("observability", 3100, {}),  # Loki
        ("observability", 3200, TEMPO),
        ("observability", 4318, TEMPO),
        ("observability", 9090, {}),  # Prometheus
        ("observability", 9093, {}),  # Alertmanager
        ("observability", 3000, GRAFANA),
        ("keda", 8080, INTERCEPTOR),
        ("keda", 9090, INTERCEPTOR),
        ("keda", 9666, {}),  # KEDA's operator
        ("wasmfaas-system", 9100, {}),  # Traefik's metrics
        ("spin-operator", 8443, {}),
        ("cert-manager", 9402, {}),
        ("wasmfaas-service", 8800, {}),
        ("wasmfaas-service", 8801, {}),
    ],
)
def test_nobody_else_does(caller: str, namespace: str, port: int, labels: dict[str, str]) -> None:
    assert not calls(caller, namespace, port, labels)


def test_the_ingress_does_not_reach_all_of_keda() -> None:
    assert not calls("wasmfaas-system", "keda", 8080, {"app.kubernetes.io/name": "keda-operator"})


def test_a_build_reaches_the_port_for_builds_and_no_other_one() -> None:
    assert not calls("wasmfaas-builds", "wasmfaas-service", 8800)


def test_builds_call_the_world_the_service_and_names_and_are_called_by_nobody() -> None:
    everybody, builds = build_network_policies(["10.0.0.0/8", "169.254.0.0/16"], ["10.1.2.0/24"])
    assert everybody["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert builds["spec"]["policyTypes"] == ["Egress"]
    names, service, world = builds["spec"]["egress"]
    assert [port["port"] for port in names["ports"]] == [53, 53]
    (peer,) = service["to"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "wasmfaas-service"}
    assert service["ports"] == [{"port": 8801, "protocol": "TCP"}]
    assert world == {
        "to": [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.0.0/16"]}},
            {"ipBlock": {"cidr": "::/0", "except": []}},
            {"ipBlock": {"cidr": "10.1.2.0/24"}},
        ]
    }


def test_exceptions_are_of_the_family_of_their_block() -> None:
    """The API server refuses others."""
    policy = function_network_policy(
        "a", {}, {}, ["10.0.0.0/8", "fc00::/7", "10.0.0.0/8"], ["10.1.2.0/24"], telemetry=True
    )
    blocks = [peer["ipBlock"] for rule in policy["spec"]["egress"] for peer in rule["to"] if "ipBlock" in peer]
    assert blocks == [
        {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]},
        {"cidr": "::/0", "except": ["fc00::/7"]},
        {"cidr": "10.1.2.0/24"},
    ]


def test_public_addresses_of_hosts_are_networks() -> None:
    known = {
        "server-1": {"ansible_host": "10.0.0.5", "public_ip": "93.184.216.34"},
        "server-2": {"ansible_host": "2606:2800:220:1::1"},
        "server-3": {"ansible_host": "server-3.example.com"},
    }
    assert public_networks([*known, "server-4"], known) == ["93.184.216.34/32", "2606:2800:220:1::1/128"]
