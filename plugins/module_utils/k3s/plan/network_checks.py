# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of addresses: networks of pods and services against each other and the hosts, and each node's own address."""

from __future__ import annotations

import ipaddress
import typing as t

from ...problems import Problem
from .hosts import Host

Network: t.TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
Config = t.Mapping[str, t.Any]

PODS, SERVICES = "cluster-cidr", "service-cidr"
WHAT = {PODS: "pods", SERVICES: "services"}
DEFAULTS = {PODS: {4: "10.42.0.0/16", 6: "fd00:42::/56"}, SERVICES: {4: "10.43.0.0/16", 6: "fd00:43::/112"}}
"""By the family of the server's first address (k3s v1.36.4, pkg/cli/server/server.go and pkg/util/net.go)."""


def network_problems(
    hosts: t.Sequence[Host], configs: t.Mapping[str, Config], entering: t.Sequence[Host]
) -> list[Problem]:
    """What is wrong with addresses and networks. Nodes that run already prove theirs.

    Args:
        hosts: of this run.
        configs: the config.yaml of each.
        entering: the hosts that would become nodes.
    """
    server = next((host for host in hosts if host.role == "server"), None)
    problems = [problem for host in entering for problem in _foreign_addresses(host)]
    if server is None or not entering or problems:
        return problems
    networks, problems = _networks(configs[server.name], server)
    if problems:
        return problems
    return [
        *_overlaps(networks),
        *(problem for host in entering for problem in _within(host, networks)),
        *(problem for host in entering for problem in _families_missing(host, configs[host.name], networks)),
    ]


def interface_of_flannel(host: Host, node_ip: t.Sequence[str]) -> str:
    """The interface that flannel must be told; empty where it finds it.

    Without one it takes that of the default route, whatever `node-ip` says (k3s v1.36.4, pkg/agent/flannel/flannel.go,
    LookupExtInterface), so pods' packets would leave by the public network.
    """
    interfaces = host.node.get("interfaces") or {}
    wanted = interfaces.get(next(iter(node_ip), ""), "")
    return wanted if wanted and wanted != interfaces.get(str(host.node.get("default_address") or "")) else ""


def _foreign_addresses(host: Host) -> list[Problem]:
    interfaces = host.node.get("interfaces") or {}
    if host.desired.get("interface") and interfaces and not host.desired_addresses:
        return [
            Problem(
                host.name,
                f"k3s_node_interface: {host.desired['interface']} is none of its interfaces with an address "
                f"({', '.join(sorted(set(interfaces.values())))})",
                "name one of them, or set k3s_node_address",
            )
        ]
    own = {_plain(address) for address in interfaces}
    return [
        Problem(
            host.name,
            f"its node address {address} is on none of its interfaces, which have {', '.join(sorted(own))}",
            "set k3s_node_address to an address of the host; one that a router or a cloud translates, such as a "
            "floating one, goes into k3s_node_config: {node-external-ip: ADDRESS}",
        )
        for address in host.desired_addresses
        if own and _family(address) and _plain(address) not in own
    ]


def _networks(config: Config, server: Host) -> tuple[dict[str, list[Network]], list[Problem]]:
    """The networks of pods and services of a cluster, and values that are none."""
    networks: dict[str, list[Network]] = {}
    problems: list[Problem] = []
    family = _family(next(iter(_node_addresses(server, config)), "")) or 4
    for key, default in DEFAULTS.items():
        values = _listed(config, key) or [default[family]]
        parsed = {value: _network(value) for value in values}
        networks[key] = [network for network in parsed.values() if network]
        problems += [_no_network(key, value) for value, network in parsed.items() if not network]
    if not problems and _families(networks[PODS]) != _families(networks[SERVICES]):
        problems.append(
            Problem(
                "",
                " and ".join(f"{key} has {_named(_families(found))}" for key, found in networks.items()),
                "give both the same families in k3s_server_config",
            )
        )
    return networks, problems


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _no_network(key: str, value: str) -> Problem:
    example = f"write it as an address and a length, such as {DEFAULTS[key][4]}, in k3s_server_config"
    return Problem("", f"{key}: {value!r} is no network", example)


def _overlaps(networks: t.Mapping[str, t.Sequence[Network]]) -> list[Problem]:
    return [
        Problem(
            "",
            f"{PODS} ({pods}) and {SERVICES} ({services}) overlap",
            "set them to networks without a common address in k3s_server_config",
        )
        for pods in networks[PODS]
        for services in networks[SERVICES]
        if pods.version == services.version and pods.overlaps(services)
    ]


def _within(host: Host, networks: t.Mapping[str, t.Sequence[Network]]) -> list[Problem]:
    return [
        Problem(
            host.name,
            f"its address {address} lies in {key} ({network}), the network of {WHAT[key]}: they could not reach it",
            f"set {key} in k3s_server_config to a network where no host has an address, before the cluster is made",
        )
        for key, found in networks.items()
        for network in found
        for address in host.node.get("addresses") or []
        if ipaddress.ip_address(address) in network
    ]


def _families_missing(host: Host, config: Config, networks: t.Mapping[str, t.Sequence[Network]]) -> list[Problem]:
    """A node must have an address of each family of the pods' networks (k3s v1.36.4, pkg/agent/run.go)."""
    addresses = _node_addresses(host, config)
    own = {family for address in addresses if (family := _family(address))}
    missing = _families(networks[PODS]) - own
    if not own or not missing:
        return []
    return [
        Problem(
            host.name,
            f"{PODS} has {_named(_families(networks[PODS]))}, and the node has no address of {_named(missing)} "
            f"({', '.join(addresses)})",
            "set k3s_node_address to one address of each family, separated by a comma, or give cluster-cidr and "
            "service-cidr in k3s_server_config the families that the nodes have",
        )
    ]


def _node_addresses(host: Host, config: Config) -> list[str]:
    """The addresses of a node: those of its configuration, else all of the interface with the default route."""
    if given := _listed(config, "node-ip"):
        return given
    interfaces = host.node.get("interfaces") or {}
    default = str(host.node.get("default_address") or "")
    beside = [address for address, name in interfaces.items() if address != default and name == interfaces.get(default)]
    return [default, *beside] if default else []


def _listed(config: Config, key: str) -> list[str]:
    value = config.get(key) or []
    items = value if isinstance(value, list) else [value]
    return [part.strip() for item in items for part in str(item).split(",") if part.strip()]


def _family(address: str) -> int:
    """4 or 6; 0 for what is no address."""
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return 0


def _plain(address: str) -> str:
    """One way to write an address: of IPv6 there are many."""
    return str(ipaddress.ip_address(address))


def _families(networks: t.Iterable[Network]) -> set[int]:
    return {network.version for network in networks}


def _named(families: t.Collection[int]) -> str:
    return " and ".join(f"IPv{family}" for family in sorted(families))
