# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan takes from Ansible's variables, and which connections between hosts are tried."""

from __future__ import annotations

import typing as t

from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.inventory import (
    group_members,
    host_of,
    peer_of,
    reach_of,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.reach import (
    Peer,
    clock_difference,
    connections,
)

FOUND: dict[str, t.Any] = {"node": {"k3s": {}}, "cluster": None, "clock": {"offset": 0, "error": 0}}


def test_members_are_servers_first_and_groups_may_be_missing() -> None:
    groups = {"k3s_server": ["b", "a"], "workers": ["w"]}
    assert group_members(groups) == [("b", "server"), ("a", "server")]
    assert group_members(groups, agents_group="workers") == [("b", "server"), ("a", "server"), ("w", "agent")]


def test_host_that_was_looked_at() -> None:
    host = host_of(
        "s1", "server", {"k3s_desired": {"name": "n"}, "k3s_node": FOUND, "ansible_host": "10.0.0.1"}, in_play=True
    )
    assert host.known and host.unreachable == "" and host.node_name == "n" and host.reach == "10.0.0.1"


def test_host_that_could_not_be_looked_at_says_why() -> None:
    for info, reason in (
        ({"unreachable": True, "msg": "Task failed: no route\nmore"}, "no route"),
        ({"failed": True, "msg": "no Python"}, "no Python"),
        ({}, "no answer"),
    ):
        host = host_of("s1", "server", {"k3s_desired": {"name": "n"}, "k3s_node": info}, in_play=True)
        assert not host.known and host.unreachable == reason and host.desired


def test_host_that_is_left_out_brings_nothing_from_an_earlier_play() -> None:
    host = host_of(
        "s1", "server", {"k3s_desired": {"name": "n"}, "k3s_node": FOUND, "k3s_node_name": "own"}, in_play=False
    )
    assert not host.known and host.unreachable == "" and host.desired == {} and host.node_name == "own"


def test_variable_of_a_key_is_the_last_that_sets_it() -> None:
    variables = {
        "k3s_config": {"debug": True, "v": 1},
        "k3s_server_config": {"disable": []},
        "k3s_agent_config": {"x": 1},
        "k3s_node_config": {"v": 2},
    }
    assert host_of("s1", "server", variables, in_play=True).sources == {
        "debug": "k3s_config",
        "v": "k3s_node_config",
        "disable": "k3s_server_config",
    }
    assert "disable" not in host_of("a1", "agent", {**variables, "k3s_node_config": None}, in_play=True).sources


def test_address_that_others_reach_a_host_by() -> None:
    assert (
        peer_of("a", "agent", {"k3s_desired": {"address": "10.0.0.1, fd00::1"}, "ansible_host": "192.0.2.1"}).address
        == "10.0.0.1"
    )
    assert peer_of("a", "agent", {"ansible_host": "192.0.2.1"}).address == "192.0.2.1"
    assert reach_of("a", {}) == "a"
    assert reach_of("a", {"ansible_connection": "local", "ansible_host": "x"}) == ""


def test_each_role_tries_what_it_needs() -> None:
    peers = [
        Peer("s1", "server", "10.0.0.1"),
        Peer("s2", "server", "fd00::2"),
        Peer("a1", "agent", "10.0.0.3"),
        Peer("l", "agent", "localhost"),
    ]
    assert connections(peers[0], peers, 6443) == [
        "[fd00::2]:6443",
        "[fd00::2]:2379",
        "[fd00::2]:2380",
        "[fd00::2]:10250",
        "10.0.0.3:10250",
    ]
    assert connections(peers[2], peers, 7443) == ["10.0.0.1:7443", "[fd00::2]:7443"]


def test_clock_is_compared_with_the_middle_of_the_round_trip() -> None:
    assert clock_difference(1010.0, 999.0, 1001.0) == {"offset": 10.0, "error": 1.0}
