# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and networks that people have, and that k3s cannot use."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.hosts import Host
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.network_checks import (
    interface_of_flannel,
    network_problems,
)

PUBLIC, PRIVATE, PUBLIC_6 = "198.51.100.7", "10.0.0.7", "2001:db8::7"


def host(
    name: str = "s1",
    role: str = "server",
    interfaces: dict[str, str] | None = None,
    default: str = PRIVATE,
    **desired: t.Any,
) -> Host:
    found = {PRIVATE: "eth0"} if interfaces is None else interfaces
    return Host(
        name=name,
        role=role,
        desired=desired,
        info={"node": {"interfaces": found, "addresses": list(found), "default_address": default}},
    )


def problems(one: Host, **config: t.Any) -> list[str]:
    """What is wrong with a cluster of one server; `config` with _ for -."""
    configs = {one.name: {key.replace("_", "-"): value for key, value in config.items()}}
    return [f"{problem.what}|{problem.next_step}" for problem in network_problems([one], configs, [one])]


def test_networks_that_fit() -> None:
    assert problems(host()) == []
    assert problems(host(interfaces={PUBLIC_6: "eth0"}, default=PUBLIC_6)) == [], "k3s has networks of IPv6 too"
    both = {"cluster_cidr": ["10.42.0.0/16", "fd00:42::/56"], "service_cidr": "10.43.0.0/16,fd00:43::/112"}
    assert problems(host(interfaces={PRIVATE: "eth0", PUBLIC_6: "eth0"}), **both) == []
    assert problems(host(interfaces={PRIVATE: "eth0", PUBLIC_6: "eth1"}), node_ip=[PRIVATE, PUBLIC_6], **both) == []
    assert problems(host(), cluster_cidr="10.42.0.1/16") == [], "as Go's net.ParseCIDR takes it"


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"cluster_cidr": "10.42.0.0/33"}, "cluster-cidr: '10.42.0.0/33' is no network"),
        ({"service_cidr": ["services"]}, "service-cidr: 'services' is no network"),
        ({"cluster_cidr": "10.43.128.0/17"}, "cluster-cidr (10.43.128.0/17) and service-cidr (10.43.0.0/16) overlap"),
        ({"service_cidr": "10.0.0.0/16"}, "its address 10.0.0.7 lies in service-cidr (10.0.0.0/16)"),
        ({"cluster_cidr": "10.0.0.0/8", "service_cidr": "192.168.0.0/16"}, "its address 10.0.0.7 lies in cluster-cidr"),
        ({"cluster_cidr": "fd00:42::/56"}, "cluster-cidr has IPv6 and service-cidr has IPv4"),
        (
            {"cluster_cidr": "10.42.0.0/16,fd00:42::/56", "service_cidr": "10.43.0.0/16,fd00:43::/112"},
            "cluster-cidr has IPv4 and IPv6, and the node has no address of IPv6 (10.0.0.7)",
        ),
        (
            {"cluster_cidr": "fd00:42::/56", "service_cidr": "fd00:43::/112"},
            "cluster-cidr has IPv6, and the node has no address of IPv6 (10.0.0.7)",
        ),
    ],
)
def test_networks_that_can_not_be(config: dict[str, t.Any], what: str) -> None:
    (found,) = problems(host(), **config)
    assert found.startswith(what)


def test_an_agent_without_an_address_of_the_servers_family() -> None:
    server, agent = host(), host("a1", "agent", {PUBLIC_6: "eth0"}, PUBLIC_6)
    (found,) = network_problems([server, agent], {"s1": {}, "a1": {}}, [agent])
    assert (found.where, found.what) == (
        "a1",
        f"cluster-cidr has IPv4, and the node has no address of IPv4 ({PUBLIC_6})",
    )


def test_an_address_that_a_cloud_translates_is_no_address_of_the_node() -> None:
    (found,) = problems(host(address=PUBLIC))
    assert "198.51.100.7 is on none of its interfaces, which have 10.0.0.7" in found
    assert "k3s_node_config: {node-external-ip: ADDRESS}" in found
    assert problems(host(interfaces={"2001:db8:0:0::7": "eth0"}, default="", address="2001:DB8::7")) == []


def test_nodes_that_run_already_are_not_asked() -> None:
    running = host(address=PUBLIC)
    assert network_problems([running], {"s1": {"cluster-cidr": "10.0.0.0/8"}}, []) == []


def test_the_interface_between_the_nodes() -> None:
    interfaces = {PUBLIC: "eth0", PRIVATE: "eth1", "fd00::7": "eth1", "10.0.0.8": "eth1"}
    named = host(interfaces=interfaces, default=PUBLIC, interface="eth1")
    assert named.desired_addresses == [PRIVATE, "fd00::7"]
    assert interface_of_flannel(named, named.desired_addresses) == "eth1"
    assert interface_of_flannel(named, [PUBLIC]) == "", "flannel finds that of the default route itself"
    assert interface_of_flannel(named, []) == ""
    (found,) = problems(host(interfaces=interfaces, default=PUBLIC, interface="ens9"))
    assert found.startswith("k3s_node_interface: ens9 is none of its interfaces with an address (eth0, eth1)")
