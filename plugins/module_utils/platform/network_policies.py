# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may call the pods of the platform's components, and whom functions may call.

In the namespace of a component its pods call each other, and Prometheus calls all of them for metrics. Anything else is
an opening of its own. A port that the API server or nodes call is open to every address, since a CNI may give their
packets an address of the pods' network: with k3s' flannel that is the first one of their node's.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

Object = dict[str, t.Any]

LABELS = {"app.kubernetes.io/managed-by": "wasmfaas"}
OBSERVABILITY, INGRESS = "observability", "wasmfaas-system"
SERVICE, BUILDS = "wasmfaas-service", "wasmfaas-builds"
BUILD_PORT = 8801
"""Of the service's pods, where a build gets its source and leaves its result."""
COLLECTOR = {"app.kubernetes.io/name": "opentelemetry-collector"}
"""Labels of the collector's pods (its chart 0.170.0: templates/_helpers.tpl)."""
INTERCEPTOR = {"app.kubernetes.io/component": "interceptor"}
ALL_NAMESPACES = ""
ANYBODY = "anybody"


@dataclasses.dataclass(frozen=True)
class _Opening:
    """One reason to call a pod.

    Attributes:
        name: of the policy.
        ports: TCP ports of the pods.
        caller: a namespace, `ALL_NAMESPACES`, or `ANYBODY`, which are addresses outside of the cluster too.
        pods: labels of the pods; {} for all of the namespace.
    """

    name: str
    ports: tuple[int, ...]
    caller: str = ANYBODY
    pods: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


_OPENINGS: dict[str, tuple[str, tuple[_Opening, ...]]] = {
    "cert_manager": ("cert-manager", (_Opening("webhook", (10250,)),)),
    "spin_operator": ("spin-operator", (_Opening("webhook", (9443,)),)),
    "ingress": (INGRESS, ()),
    "keda": (
        "keda",
        (
            # KEDA's admission webhook, and the metrics API that the API server hands to it.
            _Opening("webhook", (6443, 9443)),
            # The interceptor alone: KEDA's operator has its metrics on the same port.
            _Opening("requests", (8080,), INGRESS, INTERCEPTOR),
        ),
    ),
    "observability": (
        OBSERVABILITY,
        (
            # That of Prometheus' operator.
            _Opening("webhook", (10250,)),
            # The collector alone: Tempo takes traces on the same ports, as anybody's.
            _Opening("telemetry", (4317, 4318), ALL_NAMESPACES, COLLECTOR),
            _Opening("grafana", (3000,), INGRESS, {"app.kubernetes.io/name": "grafana"}),
        ),
    ),
    # Nodes pull from it, and machines push to it. It asks for an account.
    "function_registry": ("function-registry", (_Opening("registry", (5000,)),)),
    "function_service": (
        SERVICE,
        (_Opening("requests", (8800,), INGRESS), _Opening("builds", (BUILD_PORT,), BUILDS)),
    ),
}
"""Namespace and openings by component (defaults of the charts in roles/platform/defaults/main.yml)."""


def network_policies(component: str, ports: t.Sequence[int] = ()) -> list[Object]:
    """The NetworkPolicies of a component.

    Args:
        component: as in `platform_components`.
        ports: more TCP ports that anybody may call, such as those of the ingress.

    Raises:
        KeyError: the component has no namespace of its own.
    """
    namespace, openings = _OPENINGS[component]
    given = (_Opening("requests", tuple(ports)),) if ports else ()
    return [_inside(namespace), *(_policy(namespace, opening) for opening in (*openings, *given))]


def _inside(namespace: str) -> Object:
    peers: list[Object] = [{"podSelector": {}}]
    if namespace != OBSERVABILITY:
        peers.append(_namespace(OBSERVABILITY))
    return _object(namespace, "platform", {}, [{"from": peers}])


def _policy(namespace: str, opening: _Opening) -> Object:
    rule: Object = {"ports": [{"port": port, "protocol": "TCP"} for port in opening.ports]}
    if opening.caller == ALL_NAMESPACES:
        rule["from"] = [{"namespaceSelector": {}}]
    elif opening.caller != ANYBODY:
        rule["from"] = [_namespace(opening.caller)]
    return _object(namespace, opening.name, dict(opening.pods), [rule])


def _namespace(name: str) -> Object:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _object(namespace: str, name: str, pods: Object, ingress: list[Object]) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": LABELS},
        "spec": {
            "podSelector": {"matchLabels": pods} if pods else {},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    }


def function_network_policy(
    namespace: str,
    pods: Object,
    labels: t.Mapping[str, str],
    blocked: t.Sequence[str],
    opened: t.Sequence[str],
    *,
    telemetry: bool,
    name: str = "functions",
) -> Object:
    """Who may call functions: the ingress, the interceptor, and pods of their namespace. Whom they may call: those
    pods, DNS, the collector, and all addresses that are not blocked.

    Args:
        namespace: of the functions.
        pods: selector of their pods; {} for all of the namespace.
        labels: of the policy.
        blocked: CIDRs that they may not call.
        opened: CIDRs that they may call nevertheless.
        telemetry: whether they may call the collector.
        name: of the policy.
    """
    inside: Object = {"podSelector": {}}
    interceptor = {"podSelector": {"matchLabels": INTERCEPTOR}, **_namespace("keda")}
    collector = {"podSelector": {"matchLabels": COLLECTOR}, **_namespace(OBSERVABILITY)}
    egress: list[Object] = [
        {"to": [inside]},
        _names(),
        # The collector alone, which notes whose telemetry it is: Tempo takes traces on the same port.
        *([{"to": [collector], "ports": [{"port": 4318, "protocol": "TCP"}]}] if telemetry else []),
        _world(blocked, opened),
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "podSelector": pods,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [_namespace(INGRESS), interceptor], "ports": [{"port": 80, "protocol": "TCP"}]},
                {"from": [inside]},
            ],
            "egress": egress,
        },
    }


def build_network_policies(blocked: t.Sequence[str], opened: t.Sequence[str]) -> list[Object]:
    """Nobody calls a build. A build calls DNS, the service's port for builds, and all addresses that are not blocked.

    Args:
        blocked: CIDRs that it may not call.
        opened: CIDRs that it may call nevertheless.
    """
    service: Object = {
        "to": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "function-service"}}, **_namespace(SERVICE)}],
        "ports": [{"port": BUILD_PORT, "protocol": "TCP"}],
    }
    egress = [_names(), service, _world(blocked, opened)]
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": BUILDS, "labels": LABELS},
            "spec": {"podSelector": {}, **spec},
        }
        for name, spec in (
            ("deny-all", {"policyTypes": ["Ingress", "Egress"]}),
            ("builds", {"policyTypes": ["Egress"], "egress": egress}),
        )
    ]


def _names() -> Object:
    """The way to the cluster's DNS."""
    resolver = {"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}, **_namespace("kube-system")}
    return {"to": [resolver], "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}


def _world(blocked: t.Sequence[str], opened: t.Sequence[str]) -> Object:
    """The way to all addresses but those that are blocked, and to those that are opened nevertheless."""
    blocks = [
        {"cidr": everything, "except": [network for network in dict.fromkeys(blocked) if (":" in network) is six]}
        for everything, six in (("0.0.0.0/0", False), ("::/0", True))
    ]
    return {"to": [{"ipBlock": block} for block in (*blocks, *({"cidr": network} for network in opened))]}


def public_networks(hosts: t.Iterable[str], known: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[str]:
    """The public addresses of hosts that the inventory names, as CIDRs: `public_ip`, and `ansible_host`.

    Only what the inventory says, so that each playbook makes the same policies of it.

    Args:
        hosts: names of the inventory.
        known: variables by host, as `hostvars`.
    """
    given = [str((known.get(host) or {}).get(name) or "") for host in hosts for name in ("public_ip", "ansible_host")]
    return [str(ipaddress.ip_network(address)) for address in dict.fromkeys(given) if _is_public(address)]


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:  # a name
        return False
