# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan, tried on clusters that are made up: what it does on each host, and that it finds what is wrong before
anything is touched."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.cluster_plan import make_plan
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.hosts import Host, Settings, url, url_host
from hypothesis import given
from hypothesis import strategies as st

VERSION = "v1.36.4+k3s1"
GIB = 1024**3
TAKEN = {"port": 6443, "protocol": "tcp", "process": "haproxy", "unit": "haproxy.service"}


class World:
    """Hosts and a cluster as they might be. `apply` does what the roles do with a plan."""

    def __init__(self, servers: int = 3, agents: int = 0, *, version: str = VERSION, **desired: t.Any) -> None:
        self.version = version
        self.desired = desired
        self.order: list[tuple[str, str]] = [(f"s{number}", "server") for number in range(1, servers + 1)]
        self.order += [(f"a{number}", "agent") for number in range(1, agents + 1)]
        self.machines: dict[str, dict[str, t.Any]] = {}
        self.nodes: dict[str, dict[str, t.Any]] = {}
        self.unreachable: set[str] = set()
        self.own: dict[str, dict[str, t.Any]] = {}
        for number, (name, _role) in enumerate(self.order, start=1):
            self.machines[name] = machine(f"10.0.0.{number}")

    def add(self, name: str, role: str, address: str) -> World:
        self.order.append((name, role))
        self.machines[name] = machine(address)
        return self

    def remove(self, name: str) -> World:
        """From the inventory; its node stays."""
        self.order = [entry for entry in self.order if entry[0] != name]
        return self

    def blank(self, name: str, *, ready: bool = False) -> World:
        """The host was made anew under its old name and address."""
        self.machines[name] = machine(self.machines[name]["default_address"])
        if name in self.nodes:
            self.nodes[name].update(ready=ready, alive=ready)
        return self

    def stop(self, *names: str) -> World:
        for name in names:
            self.machines[name]["k3s"].update(service="inactive", ready=False)
            if name in self.nodes:
                self.nodes[name].update(ready=False, alive=False)
        return self

    def lose(self, *names: str) -> World:
        self.stop(*names)
        self.unreachable |= set(names)
        return self

    def k3s(self, name: str, **values: t.Any) -> World:
        self.machines[name]["k3s"].update(values)
        return self

    def machine(self, name: str, **values: t.Any) -> World:
        self.machines[name].update(values)
        return self

    def wants(self, host: str, /, **values: t.Any) -> World:
        self.own.setdefault(host, {}).update(values)
        return self

    def hosts(self, limit: t.Collection[str] | None = None) -> list[Host]:
        members = [entry for entry in self.nodes.values() if entry["control_plane"]]
        quorum = 2 * sum(entry["ready"] for entry in members) > len(members)
        hosts = []
        for name, role in self.order:
            found = copy.deepcopy(self.machines[name])
            in_play = limit is None or name in limit
            alive = found["k3s"]["role"] == "server" and found["k3s"]["service"] == "active" and quorum
            found["k3s"]["ready"] = found["k3s"]["ready"] and alive
            cluster = (
                {"nodes": [copy.deepcopy(self.nodes[key]) for key in sorted(self.nodes)]}
                if found["k3s"]["ready"]
                else None
            )
            lost = name in self.unreachable
            hosts.append(
                Host(
                    name=name,
                    role=role,
                    desired={**self.defaults(name, role), **self.desired, **self.own.get(name, {})} if in_play else {},
                    info={}
                    if lost or not in_play
                    else {"node": found, "cluster": cluster, "clock": found.pop("clock")},
                    in_play=in_play,
                    unreachable="no route" if lost and in_play else "",
                    reach=found["default_address"],
                    node_name_hint=name,
                )
            )
        return hosts

    def defaults(self, name: str, role: str) -> dict[str, t.Any]:
        return {
            "role": role,
            "name": name,
            "address": "",
            "version": self.version,
            "config": {},
            "labels": {},
            "taints": [],
            "hardening": True,
            "cis": False,
            "api_address": "",
            "api_port": 6443,
            "minimum_disk_gib": 10,
            "maximum_clock_difference": 30,
        }

    def plan(self, limit: t.Collection[str] | None = None, **settings: t.Any) -> dict[str, t.Any]:
        hosts = self.hosts(limit)
        return make_plan(hosts, Settings.of(hosts, **settings))

    def actions(self, limit: t.Collection[str] | None = None, **settings: t.Any) -> dict[str, str]:
        return {name: host["action"] for name, host in self.plan(limit, **settings)["hosts"].items()}

    def problems(self, limit: t.Collection[str] | None = None, **settings: t.Any) -> list[str]:
        with pytest.raises(PlatformError) as caught:
            self.plan(limit, **settings)
        text = caught.value.cause
        assert all(problem["next_step"] and problem["what"] in text for problem in caught.value.facts["problems"])
        return [
            f"{problem['where']}: {problem['what']} -> {problem['next_step']}"
            for problem in caught.value.facts["problems"]
        ]

    def apply(self, plan: dict[str, t.Any], *, prune: bool = False, until: int | None = None) -> World:
        """What the roles do. `until`: cut off after so many hosts."""
        if prune:
            for gone in plan["gone"]:
                self.nodes.pop(gone["name"], None)
        for name, todo in list(plan["hosts"].items())[:until]:
            found = self.machines[name]["k3s"]
            if todo["action"] == "replace":
                self.nodes.pop(todo["node_name"], None)
            server = todo["role"] == "server"
            found.update(
                role=todo["role"],
                service="active",
                enabled=True,
                version=VERSION,
                version_running=VERSION,
                ready=server,
                has_agent_data=True,
                has_server_data=server,
                datastore="etcd" if server else "",
                ca_sha256="ca",
                node_name=todo["node_name"],
                server_url=todo["join_afterwards"].get("server", ""),
                node_ip=todo["config"].get("node-ip", []),
                config={
                    key: [str(item) for item in value]
                    if isinstance(value, list)
                    else str(value).lower()
                    if isinstance(value, bool)
                    else value
                    for key, value in todo["config"].items()
                },
            )
            self.machines[name]["ports_in_use"] = []
            self.nodes[todo["node_name"]] = node(todo["node_name"], self.machines[name]["default_address"], server)
        return self

    def up(self) -> World:
        return self.apply(self.plan())


def machine(address: str) -> dict[str, t.Any]:
    return {
        "hostname": "h",
        "machine_id": f"id-{address}",
        "os": {"id": "debian", "version_id": "12", "id_like": ""},
        "architecture": "arm64",
        "cpus": 2,
        "memory_bytes": 4 * GIB,
        "cgroup": "v2",
        "systemd": True,
        "selinux": "disabled",
        "time_synchronized": True,
        "addresses": [address],
        "interfaces": {address: "eth0"},
        "default_address": address,
        "disk": {"/var/lib/rancher": {"total_bytes": 50 * GIB, "free_bytes": 40 * GIB}},
        "ports_in_use": [],
        "connections": {},
        "clock": {"offset": 0.0, "error": 0.5},
        "k3s": {
            "role": None,
            "service": "missing",
            "enabled": False,
            "version": "",
            "version_running": "",
            "has_server_data": False,
            "has_agent_data": False,
            "datastore": "",
            "tombstone": False,
            "ca_sha256": "",
            "ready": False,
            "server_url": "",
            "cluster_init": False,
            "node_name": "h",
            "node_ip": [],
            "config": {},
            "stale_inputs": [],
        },
    }


def node(name: str, address: str, server: bool) -> dict[str, t.Any]:
    return {
        "name": name,
        "ready": True,
        "alive": True,
        "control_plane": server,
        "voter": True if server else None,
        "learner": False,
        "addresses": [address],
        "version": VERSION,
        "roles": [],
        "labels": {},
        "taints": [],
        "annotations": {},
        "member_name": f"{name}-1",
        "unschedulable": False,
        "created": "",
    }


def test_new_cluster_begins_at_the_first_server_and_the_others_join_it() -> None:
    plan = World(3, 2).plan()
    assert plan["cluster"] == {"state": "new", "first": "s1", "live": [], "api_host": "s1", "version": ""}
    assert {name: (host["action"], host["server_url"]) for name, host in plan["hosts"].items()} == {
        "s1": ("init", ""),
        **dict.fromkeys(("s2", "s3", "a1", "a2"), ("join", "https://10.0.0.1:6443")),
    }
    first = plan["hosts"]["s1"]
    assert first["join"]["cluster-init"] is True and "server" not in first["join"]
    assert (
        "cluster-init" not in first["join_afterwards"] and first["join_afterwards"]["server"] == "https://10.0.0.2:6443"
    )
    assert first["config"]["secrets-encryption"] is True and first["config"]["node-name"] == "s1"
    assert "agent-token-file" not in plan["hosts"]["a1"]["config"]


def test_single_machine_is_a_cluster() -> None:
    world = World(1).up()
    assert world.actions() == {"s1": "keep"}
    assert world.plan()["hosts"]["s1"]["join_afterwards"] == {"token-file": "/etc/rancher/k3s/token"}


def test_second_run_changes_nothing() -> None:
    world = World(3, 2)
    before = world.plan()
    after = world.apply(before).plan()
    assert set(world.actions().values()) == {"keep"}
    for name in before["hosts"]:
        assert after["hosts"][name]["config"] == before["hosts"][name]["config"]
        assert (
            after["hosts"][name]["join_afterwards"]
            == before["hosts"][name]["join_afterwards"]
            == after["hosts"][name]["join"]
        )
    assert after["gone"] == [] and after["messages"] == []


def test_live_members_decide_and_not_the_place_in_the_inventory() -> None:
    world = World(3).up()
    world.order.reverse()
    plan = world.blank("s1").plan()
    assert plan["cluster"]["state"] == "running" and plan["cluster"]["first"] == ""
    assert plan["hosts"]["s1"]["action"] == "replace"
    assert url_host(plan["hosts"]["s1"]["server_url"]) in ("10.0.0.2", "10.0.0.3")
    assert "cluster-init" not in plan["hosts"]["s1"]["join"]


def test_adding_hosts_leaves_the_others_as_they_are() -> None:
    world = World(1).up()
    before = world.plan()["hosts"]["s1"]["config"]
    plan = world.add("s2", "server", "10.0.0.8").add("s3", "server", "10.0.0.9").add("a1", "agent", "10.0.0.7").plan()
    assert {name: host["action"] for name, host in plan["hosts"].items()} == {
        "s1": "keep",
        "s2": "join",
        "s3": "join",
        "a1": "join",
    }
    assert plan["hosts"]["s1"]["config"] == before
    assert plan["hosts"]["s2"]["server_url"] == plan["hosts"]["a1"]["server_url"] == "https://10.0.0.1:6443"
    again = world.apply(plan).plan()
    assert all(
        again["hosts"][name]["join_afterwards"] == plan["hosts"][name]["join_afterwards"] for name in plan["hosts"]
    )


def test_stopped_cluster_starts_again_together_and_blank_hosts_join_later() -> None:
    world = World(3, 1).up().stop("s1", "s2", "s3").blank("s3")
    plan = world.plan()
    assert plan["cluster"]["state"] == "stopped"
    assert {name: host["action"] for name, host in plan["hosts"].items()} == {
        "s1": "start",
        "s2": "start",
        "s3": "join",
        "a1": "keep",
    }
    assert "cluster-init" not in str(plan)


def test_server_that_runs_without_quorum_is_no_live_one() -> None:
    world = World(3).up().stop("s2", "s3")
    plan = world.plan()
    assert plan["cluster"]["state"] == "stopped" and plan["hosts"]["s1"]["action"] == "start"


def test_agents_join_by_the_api_address_and_servers_by_a_server() -> None:
    plan = World(3, 1, api_address="k3s.example.com").plan()
    assert plan["hosts"]["a1"]["server_url"] == "https://k3s.example.com:6443"
    assert plan["hosts"]["s2"]["server_url"] == "https://10.0.0.1:6443"
    assert "k3s.example.com" in plan["hosts"]["s3"]["config"]["tls-san"]


def test_server_does_not_stay_behind_the_load_balancer() -> None:
    world = World(3, 1, api_address="k3s.example.com").up()
    world.k3s("s2", server_url="https://k3s.example.com:6443")
    hosts = world.plan()["hosts"]
    assert hosts["s2"]["server_url"] == "https://10.0.0.1:6443"
    assert hosts["a1"]["server_url"] == "https://k3s.example.com:6443"
    world.desired = {"api_address": "k3s.example.com", "api_port": 7443}
    assert world.plan()["hosts"]["a1"]["server_url"] == "https://k3s.example.com:7443", "another port is another place"


def test_settings_of_the_cluster_are_those_of_any_host() -> None:
    hosts = World(1, maximum_clock_difference=5, minimum_disk_gib=0.5, api_port=0, even_servers_allowed=True).hosts()
    found = Settings.of([Host("left-out", "server", in_play=False), *hosts], prune=True, purpose="upgrade")
    assert found == Settings(
        api_port=6443,
        even_servers_allowed=True,
        clock_tolerance=5.0,
        minimum_disk_bytes=GIB // 2,
        prune=True,
        purpose="upgrade",
    )
    assert Settings.of([Host("x", "server", desired={"maximum_clock_difference": ""})]).clock_tolerance == 30.0
    with pytest.raises(PlatformError, match="is not a number"):
        Settings.of(World(1, api_port="https").hosts())


def test_server_url_is_kept_while_that_server_is_in_the_inventory() -> None:
    world = World(3, 1).up()
    world.k3s("a1", server_url="https://10.0.0.3:6443")
    assert world.plan()["hosts"]["a1"]["server_url"] == "https://10.0.0.3:6443"
    plan = world.remove("s3").plan()
    assert url_host(plan["hosts"]["a1"]["server_url"]) in ("10.0.0.1", "10.0.0.2")
    assert [gone["name"] for gone in plan["gone"]] == ["s3"] and "prune" in " ".join(plan["messages"])


def test_nodes_that_joined_by_themselves_are_not_gone() -> None:
    world = World(3, 1).up()
    world.nodes["i-0abc"] = node("i-0abc", "10.0.9.9", server=False)
    assert [gone["name"] for gone in world.plan()["gone"]] == ["i-0abc"]
    world.nodes["i-0abc"]["labels"] = {"wasmfaas.dev/join": "self"}
    plan = world.plan(prune=True)
    assert plan["gone"] == [] and plan["messages"] == []


def test_dead_server_of_the_same_name_is_replaced_by_its_own_name() -> None:
    world = World(3).up().stop("s2").blank("s2")
    plan = world.plan()
    assert plan["hosts"]["s2"]["action"] == "replace" and "takes the place" in " ".join(plan["messages"])
    assert world.apply(plan).actions() == {"s1": "keep", "s2": "keep", "s3": "keep"}


def test_stopped_member_of_a_running_cluster_is_started() -> None:
    assert World(3, 1).up().stop("s2", "a1").actions() == {"s1": "keep", "s2": "start", "s3": "keep", "a1": "start"}


def test_limit_to_a_new_host_needs_a_live_server_with_it() -> None:
    world = World(3).up().add("a1", "agent", "10.0.0.9")
    assert "no server of this run is ready" in world.problems(limit=["a1"])[0]
    plan = world.plan(limit=["s2", "a1"])
    assert {name: host["action"] for name, host in plan["hosts"].items()} == {"s2": "keep", "a1": "join"}
    assert plan["gone"] == [], "hosts that are left out stand in the inventory all the same"


def test_limited_first_run_does_not_make_a_second_cluster() -> None:
    world = World(3)
    assert "no server of this run is ready" in world.problems(limit=["s1"])[0]


def test_majority_of_a_stopped_cluster_can_be_started_without_the_lost_server() -> None:
    world = World(3).up().stop("s1", "s2").lose("s3")
    assert any("s3: it cannot be examined" in line for line in world.problems())
    assert world.actions(limit=["s1", "s2"]) == {"s1": "start", "s2": "start"}
    assert world.problems(limit=["s1"])


def test_unreachable_host_is_refused_with_its_ways_out() -> None:
    (said,) = World(3, 2).up().lose("a2").problems()
    assert "a2: it cannot be examined (no route)" in said and "--limit 'all:!a2'" in said and "prune" in said


def test_interrupted_begin_goes_on_where_it_was() -> None:
    world = World(3).k3s("s2", role="server", service="activating", cluster_init=True)
    assert world.plan()["cluster"]["first"] == "s2"
    assert world.actions() == {"s1": "join", "s2": "init", "s3": "join"}


def test_join_that_was_cut_off_before_the_node_came_goes_on() -> None:
    world = World(3)
    world.apply(world.plan(), until=2).k3s(
        "s3", role="server", service="active", has_server_data=True, has_agent_data=True, ca_sha256="ca", node_name="s3"
    )
    assert world.actions() == {"s1": "keep", "s2": "keep", "s3": "join"}


@pytest.mark.parametrize("service", ["inactive", "missing"])
def test_data_of_a_member_that_was_removed_is_refused(service: str) -> None:
    world = World(3).up().k3s("s3", service=service, ready=False)
    del world.nodes["s3"]
    (said,) = world.problems()
    assert "no longer has" in said and "wasmfaas.platform.remove_node -e node=s3" in said


@pytest.mark.parametrize("node_left", [True, False])
def test_a_member_that_was_removed_is_not_started_again(node_left: bool) -> None:
    """k3s would join anew by itself at its next start; the annotation etcd.k3s.cattle.io/remove removes the member and
    leaves the Node."""
    world = World(3).up().k3s("s3", service="active", ready=False, tombstone=True)
    if not node_left:
        del world.nodes["s3"]
    (said,) = world.problems()
    assert "no longer has" in said and "wasmfaas.platform.remove_node -e node=s3" in said


def test_a_member_that_was_removed_does_not_wake_a_stopped_cluster() -> None:
    world = World(3).up().stop("s1", "s2", "s3").k3s("s3", tombstone=True)
    assert "s3: it holds the data of a member that the cluster, which is stopped, no longer has" in " ".join(
        world.problems()
    )


def test_certificates_that_have_ended_are_renewed_first() -> None:
    """Nobody accepts them, and k3s does not renew them while it runs: a plan that went on would only wait."""
    command = "run ansible-playbook wasmfaas.platform.rotate -e what=certificates"
    world = World(3, 1).up()
    for name in ("s1", "s2", "s3"):
        world.k3s(name, ready=False, certificates_ended=1_700_000_000.0)
    said = world.problems()
    assert len(said) == 3 and all(command in line and "2023-11-14" in line for line in said)
    (one,) = World(3, 1).up().k3s("a1", certificates_ended=1_700_000_000.0).problems()
    assert one.startswith("a1: its certificates ended") and command in one
    world.stop("s1", "s2", "s3")
    assert {plan["action"] for name, plan in world.plan()["hosts"].items() if name != "a1"} == {"start"}


def test_what_left_the_inventory_is_named_with_what_to_do() -> None:
    world = World(3).up()
    world.nodes["gone"] = {
        **world.nodes["s3"],
        "name": "gone",
        "control_plane": False,
        "voter": None,
        "addresses": ["10.9.9.9"],
    }
    (said,) = (text for text in world.plan()["messages"] if "gone" in text)
    assert "wasmfaas.platform.remove_node -e node=gone" in said and "-e prune=true" in said
    (said,) = (text for text in world.plan(prune=True)["messages"] if "gone" in text)
    assert "systemctl disable k3s k3s-agent" in said and "before it boots" in said


def test_two_clusters_in_one_inventory_are_refused() -> None:
    world = World(3).up().k3s("s3", ca_sha256="other")
    assert any("2 different clusters (s1, s2; s3)" in said for said in world.problems())
    stopped = World(3).up().stop("s1", "s2", "s3").k3s("s3", ca_sha256="other")
    assert any("different clusters" in said for said in stopped.problems())


def test_agent_of_another_cluster_is_refused_but_not_one_whose_authority_was_rotated() -> None:
    world = World(1, 1).up().k3s("a1", ca_sha256="old")
    assert world.actions()["a1"] == "keep"
    world.k3s("a1", server_url="https://192.0.2.7:6443")
    assert any("an agent of another cluster (https://192.0.2.7:6443)" in said for said in world.problems())


def test_agents_of_lost_servers_do_not_get_a_new_cluster() -> None:
    world = World(3, 1).up().blank("s1").blank("s2").blank("s3")
    assert any("a1" in said and "wasmfaas.platform.restore" in said for said in world.problems())


def test_name_that_a_ready_node_has_is_refused() -> None:
    assert any("is alive and is not this host" in said for said in World(3, 1).up().blank("a1", ready=True).problems())


def test_role_does_not_change_in_place() -> None:
    world = World(1, 2).up()
    world.order = [("s1", "server"), ("a1", "server"), ("a2", "server")]
    said = world.problems()
    assert any(
        "a1: it is an agent, and the inventory makes it a server -> take it out of the cluster first: ansible-playbook "
        "wasmfaas.platform.remove_node" in line
        for line in said
    )


@pytest.mark.parametrize(("servers", "count"), [(2, 2), (4, 4), (6, 6)])
def test_even_number_of_servers_is_refused_unless_allowed(servers: int, count: int) -> None:
    (said,) = World(servers).problems()
    assert f"there would be {count} servers" in said and "k3s_even_servers_allowed" in said
    assert World(servers, even_servers_allowed=True).actions()["s1"] == "init"


def test_even_cluster_that_stays_as_it_is_gets_a_warning_only() -> None:
    world = World(2, even_servers_allowed=True).up()
    world.desired = {}
    plan = world.plan()
    assert {host["action"] for host in plan["hosts"].values()} == {"keep"} and "odd number" in " ".join(
        plan["messages"]
    )


def test_pruning_one_of_three_servers_is_refused_and_two_is_not() -> None:
    world = World(3).up().remove("s3")
    assert world.actions() == {"s1": "keep", "s2": "keep"}
    assert any("there would be 2 servers" in said for said in world.problems(prune=True))
    plan = world.remove("s2").plan(prune=True)
    assert [gone["name"] for gone in plan["gone"]] == ["s2", "s3"]
    assert world.apply(plan, prune=True).actions(prune=True) == {"s1": "keep"}


def test_server_under_a_new_name_comes_after_the_dead_one_has_left() -> None:
    world = World(3).up().stop("s3").remove("s3").add("s4", "server", "10.0.0.9")
    (said,) = world.problems()
    assert "there would be 4 servers (with s3, which the inventory no longer has)" in said and "prune=true" in said
    assert world.actions(prune=True) == {"s1": "keep", "s2": "keep", "s4": "join"}


def test_members_do_not_leave_where_that_breaks_the_majority() -> None:
    world = World(5).up().stop("s1").remove("s3").remove("s4")
    world.nodes["s2"].update(ready=False, alive=False)
    # s1 and s2 are down, three of five are healthy; without s3 and s4, one of three would be.
    assert any("1 of 3 servers would be left" in said for said in world.problems(prune=True))


def test_stale_nodes_after_a_restore_do_not_stand_in_the_way() -> None:
    world = World(3).up().stop("s2", "s3").blank("s2").blank("s3")
    # The restored server is alone in etcd and answers; the API still holds the others' nodes, as voters that they no
    # longer are.
    hosts = world.hosts()
    hosts[0].info["node"]["k3s"]["ready"] = True
    hosts[0].info["cluster"] = {"nodes": list(world.nodes.values())}
    plan = make_plan(hosts, Settings.of(hosts))
    assert {name: host["action"] for name, host in plan["hosts"].items()} == {
        "s1": "keep",
        "s2": "replace",
        "s3": "replace",
    }


def test_node_without_a_pod_network_is_alive() -> None:
    world = World(3, 1).up().blank("s2")
    for entry in world.nodes.values():
        entry.update(ready=False, alive=entry["name"] != "s2")
    hosts = world.hosts()
    for host in hosts:
        if host.role == "server" and host.name != "s2":
            host.info["node"]["k3s"]["ready"] = True
            host.info["cluster"] = {"nodes": list(world.nodes.values())}
    plan = make_plan(hosts, Settings.of(hosts))
    assert {name: host["action"] for name, host in plan["hosts"].items()} == {
        "s1": "keep",
        "s2": "replace",
        "s3": "keep",
        "a1": "keep",
    }


def test_pruning_needs_all_hosts_where_a_name_cannot_be_told() -> None:
    world = World(3, 1).up()
    world.nodes["other"] = node("other", "10.9.9.9", False)
    world.add("unknown", "agent", "10.0.0.99")
    assert any(
        "is unknown" in said and "--limit" in said
        for said in world.problems(limit=["s1", "s2", "s3", "a1"], prune=True)
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda w: w.machine("a1", os={"id": "debian", "version_id": "11", "id_like": ""}),
            ("a1: its operating system (debian 11)"),
        ),
        (
            lambda w: w.machine("a1", os={"id": "alpine", "version_id": "3.20", "id_like": ""}),
            ("(alpine 3.20) is not supported"),
        ),
        (lambda w: w.machine("a1", os={"id": "", "version_id": "", "id_like": ""}), "(unknown) is not supported"),
        (lambda w: w.machine("a1", architecture="riscv64"), "its architecture (riscv64)"),
        (lambda w: w.machine("a1", systemd=False), "systemd does not run it"),
        (lambda w: w.machine("a1", cgroup="v1"), "cgroup v1"),
        (lambda w: w.machine("a1", cgroup_controllers=["cpuset", "cpu", "io", "pids"]), "no cgroup controller memory"),
        (
            lambda w: w.machine("a1", kernel_modules={"overlay": True, "br_netfilter": False}),
            "its kernel has no module br_netfilter -> install the package with more modules: dnf install kernel-",
        ),
        (
            lambda w: w.machine(
                "a1", disk={"/var/lib/rancher": {"total_bytes": 50 * GIB, "free_bytes": 40 * GIB, "noexec": True}}
            ),
            "/var/lib/rancher lies on a file system that is mounted with noexec",
        ),
        (
            lambda w: w.wants("a1", hardening=True).machine(
                "a1", later_sysctls={"kernel.panic": {"value": "60", "file": "/etc/sysctl.d/99-own.conf"}}
            ),
            "/etc/sysctl.d/99-own.conf sets kernel.panic = 60 at the next boot",
        ),
        (lambda w: w.wants("a1", address="198.51.100.9"), "198.51.100.9 is on none of its interfaces"),
        (lambda w: w.machine("a1", machine_id="id-10.0.0.1"), "s1, a1 have the machine id id-10.0.0.1 in common"),
        (
            lambda w: w.machine("a1", default_address="10.0.0.1", addresses=["10.0.0.1"]),
            ("s1, a1 have the address 10.0.0.1 in common"),
        ),
        (lambda w: w.wants("a1", name="s1"), "s1, a1 have the node name s1 in common"),
        (
            lambda w: w.wants("a1", name="Bad_Name"),
            ("'Bad_Name' cannot be the name of a node -> set k3s_node_name: bad-name"),
        ),
        (
            lambda w: w.machine("a1", disk={"/var/lib/rancher": {"total_bytes": 9 * GIB, "free_bytes": 8 * GIB}}),
            ("8 GiB free, a new node needs 10 GiB"),
        ),
        (lambda w: w.machine("s2", ports_in_use=[TAKEN]), "6443/tcp is taken by haproxy"),
        (
            lambda w: w.machine("s2", connections={"10.0.0.1:2379": "filtered"}),
            ("s2: it gets no answer from s1 (10.0.0.1), TCP port 2379"),
        ),
        (
            lambda w: w.machine("a1", clock={"offset": 3600.0, "error": 1.0}),
            ("a1: its clock is 3600 s ahead of the other hosts'"),
        ),
        (
            lambda w: w.machine("a1", clock={"offset": -40.0, "error": 1.0}),
            ("a1: its clock is 40 s behind the other hosts'"),
        ),
        (lambda w: w.wants("a1", version="1.36"), "'1.36' is no version"),
        (lambda w: w.wants("a1", version="v1.37.1+k3s1"), "a1: an agent of v1.37.1+k3s1 is newer than the servers'"),
        (lambda w: w.wants("s2", version="v1.36.3+k3s1"), "the servers are to have different versions"),
        (lambda w: w.wants("a1", config={"tls-san": ["x"]}), "a1: k3s_agent_config: tls-san is a key for servers"),
        (lambda w: w.wants("a1", config=["x"]), "k3s_agent_config is no dictionary"),
        (
            lambda w: w.wants("s2", config={"flannel-backend": "none"}),
            ("flannel-backend must be the same on all servers"),
        ),
        (lambda w: w.wants("a1", labels={"kubernetes.io/hostname": "x"}), "set by k3s itself"),
        (lambda w: w.wants("a1", taints=[{"key": "a", "effect": "Nope"}]), "no effect of a taint"),
    ],
)
def test_each_fault_of_a_new_inventory_is_refused(change: t.Callable[[World], World], said: str) -> None:
    found = change(World(3, 1)).problems()
    assert any(said in line for line in found), found
    assert len(found) == 1, found


ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


def login(**given: t.Any) -> dict[str, t.Any]:
    """What roles/registries/tasks/plan.yml says, with a registry of Amazon ECR."""
    match_images = ["*.dkr.ecr.*.amazonaws.com", "*.dkr.ecr.*.amazonaws.com.cn", "*.dkr.ecr-fips.*.amazonaws.com"]
    said = {
        "ecr": False,
        "ecr_decided": False,
        "ecr_match_images": match_images,
        "configured": [],
        "images_from": [f"{ECR}/wasmfaas", "mirror.gcr.io"],
    }
    return {"registries_login": said | given}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, f"images come from {ECR}, and the nodes have no login for Amazon ECR"),
        ({"images_from": ["", "registry.example.com/x", f"docker://{ECR}/x"]}, f"images come from {ECR}, and"),
        (
            {"ecr": True, "ecr_match_images": ["*.dkr.ecr.eu-central-1.amazonaws.com"]},
            f"images come from {ECR}, for which registries_ecr_match_images lets no",
        ),
        ({"ecr": True, "ecr_match_images": ["*.amazonaws.com"]}, "lets no node log in -> add"),
    ],
)
def test_functions_that_no_node_could_pull_are_told_before(given: dict[str, t.Any], said: str) -> None:
    (found,) = World(3, 1, **login(**given)).problems()
    assert said in found


@pytest.mark.parametrize(
    "given",
    [
        {"ecr": True},
        {
            "ecr": True,
            "images_from": [f"{ECR.replace('us-east-1', 'cn-north-1')}.cn/x", f"{ECR.replace('ecr', 'ecr-fips')}/x"],
        },
        {"ecr_decided": True},
        {"configured": [ECR]},
        {
            "images_from": [
                "registry.example.com/x",
                "192.0.2.11:30500/functions",
                "",
                "oci:/var/tmp/layout",
                f"{ECR}.example.com/x",
            ]
        },
    ],
)
def test_logins_that_let_nodes_pull(given: dict[str, t.Any]) -> None:
    assert World(3, 1, **login(**given)).plan()["hosts"]


def test_a_login_on_some_hosts_only_is_refused() -> None:
    (found,) = World(3, 1, **login(ecr=True)).wants("a1", **login(ecr_decided=True)).problems()
    assert "a1: registries_ecr_login is not true there, and is on other hosts -> set it once" in found


def test_all_faults_come_in_one_message() -> None:
    world = (
        World(2, 2)
        .machine("s1", cgroup="v1")
        .wants("s2", config={"tls-sans": "x"})
        .lose("a1")
        .machine("a2", architecture="mips")
    )
    world.wants("a1", config={"disabel": "y"})
    found = world.problems()
    for said in ("cgroup v1", "tls-sans", "a1: it cannot be examined", "mips", "there would be 2 servers", "disabel"):
        assert any(said in line for line in found), said
    with pytest.raises(PlatformError) as caught:
        world.plan()
    assert caught.value.cause.splitlines()[0] == f"{len(found)} problems; nothing was changed."


def test_same_fault_on_several_hosts_takes_one_line() -> None:
    world = World(3, config={"tls-sans": "x"})
    with pytest.raises(PlatformError) as caught:
        world.plan()
    assert caught.value.cause.splitlines()[1].startswith("s1, s2, s3: ")


def named(system: tuple[str, str, str]) -> dict[str, str]:
    return dict(zip(("id", "version_id", "id_like"), system, strict=True))


@pytest.mark.parametrize(
    "system",
    [
        ("debian", "13", ""),
        ("debian", "", ""),
        ("ubuntu", "22.04", "debian"),
        ("ubuntu", "24.04", "debian"),
        ("amzn", "2023", "fedora"),
        ("rocky", "9.4", "rhel centos fedora"),
        ("rhel", "9.6", "fedora"),
        ("fedora", "42", ""),
    ],
)
def test_supported_systems_pass(system: tuple[str, str, str]) -> None:
    assert World(1).machine("s1", os=named(system)).actions() == {"s1": "init"}


@pytest.mark.parametrize(
    "system",
    [
        ("ubuntu", "20.04", "debian"),
        ("amzn", "2", "centos rhel fedora"),
        ("centos", "8", "rhel fedora"),
        ("opensuse-leap", "15.6", "suse opensuse"),
    ],
)
def test_other_systems_are_refused_unless_allowed(system: tuple[str, str, str]) -> None:
    world = World(1).machine("s1", os=named(system))
    assert "not supported" in world.problems()[0]
    assert world.wants("s1", any_os=True).actions() == {"s1": "init"}


def test_no_server_and_both_groups_are_refused() -> None:
    assert "no server" in World(0, 2).problems()[0]
    world = World(1)
    world.order.append(("s1", "agent"))
    assert "in the servers' group and in the agents' group" in world.problems()[0]


def test_ports_of_k3s_itself_and_of_the_kernel_are_no_fault() -> None:
    world = World(1).machine(
        "s1",
        ports_in_use=[
            {"port": 6443, "protocol": "tcp", "process": "k3s-server", "unit": "k3s.service"},
            {"port": 8472, "protocol": "udp", "process": "", "unit": ""},
            {"port": 22, "protocol": "tcp", "process": "sshd", "unit": "ssh.service"},
        ],
    )
    assert world.actions() == {"s1": "init"}


def test_filtered_port_between_nodes_that_run_is_a_warning() -> None:
    plan = World(3).up().machine("s2", connections={"10.0.0.1:10250": "filtered", "192.0.2.1:6443": "filtered"}).plan()
    assert [message for message in plan["messages"] if "no answer" in message] == [
        (
            "s2: it gets no answer from s1 (10.0.0.1), TCP port 10250. Next: Open TCP port 10250 on s1 for 10.0.0.2 "
            "(firewall, security group)."
        )
    ]


def test_slow_round_trip_is_no_wrong_clock() -> None:
    assert (
        World(3)
        .machine("s2", clock={"offset": -20.0, "error": 21.0})
        .machine("s3", clock={"offset": 15.0, "error": 1.0})
        .actions()["s1"]
        == "init"
    )


def test_two_hosts_with_different_clocks_are_both_named() -> None:
    found = (
        World(1, 1)
        .machine("s1", clock={"offset": -20.0, "error": 0.1})
        .machine("a1", clock={"offset": 20.0, "error": 0.1})
        .problems()
    )
    assert any("40 s" in line for line in found), found


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("v1.36.3+k3s1", "older than"),
        ("v1.38.0+k3s1", "skips a minor version"),
        ("v1.37.1+k3s1", "run ansible-playbook wasmfaas.platform.upgrade, or set k3s_version: v1.36.4+k3s1"),
    ],
)
def test_another_version_is_not_installed_by_the_way(wanted: str, said: str) -> None:
    world = World(3, 1).up()
    world.version = wanted
    assert any(said in line for line in world.problems())


def test_upgrade_may_change_the_version_but_not_skip_nor_go_back() -> None:
    world = World(3, 1).up()
    world.version = "v1.37.1+k3s1"
    assert set(world.actions(purpose="upgrade").values()) == {"keep"}
    for name in ("s1", "s2"):
        world.nodes[name]["version"] = "v1.37.1+k3s1"
    assert set(world.actions(purpose="upgrade").values()) == {"keep"}, "it goes on after it was cut off"
    assert any("wasmfaas.platform.upgrade" in line for line in world.problems())
    world.version = "v1.38.0+k3s1"
    assert any("skips" in line for line in world.problems(purpose="upgrade"))


def test_new_server_of_another_version_waits_for_the_upgrade() -> None:
    world = World(1).up().add("s2", "server", "10.0.0.8").add("s3", "server", "10.0.0.9")
    world.version = "v1.37.1+k3s1"
    assert any("run ansible-playbook wasmfaas.platform.upgrade" in line for line in world.problems())


@pytest.mark.parametrize(
    ("key", "value", "refused"),
    [
        ("cluster-cidr", "10.9.0.0/16", True),
        ("flannel-backend", "host-gw", True),
        ("disable", ["servicelb"], True),
        ("disable", ["traefik"], False),
        ("debug", True, False),
    ],
)
def test_critical_keys_do_not_change_server_by_server(key: str, value: t.Any, refused: bool) -> None:
    world = World(3).up()
    world.desired = {"config": {key: value}}
    if refused:
        assert any(f"{key} is" in line and "is asked for" in line for line in world.problems())
    else:
        assert set(world.actions().values()) == {"keep"}


def test_critical_keys_may_change_while_all_servers_are_stopped_but_for_the_lasting_ones() -> None:
    world = World(3).up().stop("s1", "s2", "s3")
    world.desired = {"config": {"flannel-backend": "host-gw"}}
    assert set(world.actions().values()) == {"start"}
    world.desired = {"config": {"cluster-cidr": "10.9.0.0/16"}}
    assert any("for the life of the cluster" in line for line in world.problems())


def test_hardening_of_a_cluster_without_encryption_says_what_to_set() -> None:
    world = World(3, hardening=False).up()
    world.desired = {"hardening": True}
    assert any(
        "secrets-encryption is false in the cluster and true is asked for" in line and "k3s_server_config" in line
        for line in world.problems()
    )


def test_node_keeps_its_name_and_data_store() -> None:
    world = World(3).up().wants("s2", name="new-name")
    assert any("its node is called s2, and the inventory calls it new-name" in line for line in world.problems())
    assert any("SQLite" in line for line in World(1).up().k3s("s1", datastore="sqlite").problems())


def test_address_is_written_down_where_there_is_a_choice_and_then_stays() -> None:
    world = World(1).machine("s1", addresses=["10.0.0.1", "192.168.1.1"])
    plan = world.plan()
    assert plan["hosts"]["s1"]["config"]["node-ip"] == ["10.0.0.1"]
    world.apply(plan).machine("s1", addresses=["10.0.0.1"])
    assert world.plan()["hosts"]["s1"]["config"]["node-ip"] == ["10.0.0.1"]
    virtual = World(1).up().machine("s1", addresses=["10.0.0.1", "10.0.0.100"])
    assert "node-ip" not in virtual.plan()["hosts"]["s1"]["config"], (
        "a virtual address that comes and goes must not restart the node"
    )
    two = World(1).wants("s1", address="10.1.0.1,fd00::1")
    two.machine("s1", interfaces={"10.0.0.1": "eth0", "10.1.0.1": "eth1", "fd00::1": "eth1"})
    config = two.plan()["hosts"]["s1"]["config"]
    assert (config["node-ip"], config["flannel-iface"]) == (["10.1.0.1", "fd00::1"], "eth1")
    two.apply(two.plan()).machine("s1", interfaces={"10.1.0.1": "eth0", "fd00::1": "eth0"})
    assert two.plan()["hosts"]["s1"]["config"] == config, "what a node began with stays"


def test_restart_lists_what_differs_from_the_running_process() -> None:
    world = (
        World(3).up().k3s("s2", stale_inputs=["/etc/rancher/k3s/config.yaml"]).stop("s3").k3s("s3", stale_inputs=["/x"])
    )
    plan = world.plan()
    assert {name: host["restart"] for name, host in plan["hosts"].items()} == {
        "s1": [],
        "s2": ["/etc/rancher/k3s/config.yaml"],
        "s3": [],
    }


def test_messages_warn_of_what_will_hurt_later() -> None:
    world = World(1).machine(
        "s1",
        time_synchronized=False,
        memory_bytes=GIB,
        selinux="enforcing",
        disk={"/var/lib/rancher": {"total_bytes": 100 * GIB, "free_bytes": 12 * GIB}},
    )
    said = " ".join(world.plan()["messages"])
    assert all(word in said for word in ("time server", "1024 MiB", "SELinux", "15% free"))


def test_version_of_the_cluster_is_the_newest_of_its_servers() -> None:
    world = World(3, 1).up()
    world.nodes["s2"]["version"] = "v1.36.5+k3s1"
    world.nodes["a1"]["version"] = "v1.37.0+k3s1"
    assert world.plan(purpose="upgrade", limit=["s1", "s3"])["cluster"]["version"] == "v1.36.5+k3s1"
    assert world.stop("s1", "s2", "s3").plan()["cluster"]["version"] == VERSION


def test_kubectl_works_on_a_voter() -> None:
    world = World(3).up()
    world.nodes["s1"]["voter"] = False
    assert world.plan()["cluster"]["api_host"] == "s2"


def test_addresses_of_ipv6_stand_in_brackets() -> None:
    assert url("fd00::1", 6443) == "https://[fd00::1]:6443"
    assert url_host("https://[fd00::1]:6443") == "fd00::1"
    assert url_host("https://k3s.example.com:6443/x") == "k3s.example.com"
    assert url_host("") == ""


@given(servers=st.sampled_from([1, 3, 5]), agents=st.integers(0, 3), cut=st.integers(0, 8), reverse=st.booleans())
def test_run_that_was_cut_off_is_made_good_by_the_next(servers: int, agents: int, cut: int, reverse: bool) -> None:
    world = World(servers, agents)
    world.apply(world.plan(), until=cut)
    if reverse:
        world.order = [*reversed(world.order[:servers]), *world.order[servers:]]
    world.apply(world.plan())
    assert len([entry for entry in world.nodes.values() if entry["control_plane"]]) == servers
    assert set(world.actions().values()) == {"keep"}
    afterwards = {name: host["join_afterwards"] for name, host in world.plan()["hosts"].items()}
    assert all("cluster-init" not in content for content in afterwards.values())
    for name, _role in world.order:
        assert world.machines[name]["k3s"]["server_url"] == afterwards[name].get("server", "")


@given(servers=st.sampled_from([3, 5]), agents=st.integers(0, 2), lost=st.sets(st.integers(0, 6)), data=st.data())
def test_no_plan_begins_a_second_cluster_or_gives_up_the_majority(
    servers: int, agents: int, lost: set[int], data: st.DataObject
) -> None:
    world = World(servers, agents).up()
    names = [name for name, _role in world.order]
    for number in sorted(lost):
        if number < len(names):
            name = names[number]
            world.stop(name)
            if data.draw(st.booleans()):
                world.blank(name)
    holding = [name for name in names if name.startswith("s") and world.machines[name]["k3s"]["has_server_data"]]
    try:
        plan = world.plan()
    except PlatformError as error:
        assert error.facts["problems"]
        return
    actions = {name: host["action"] for name, host in plan["hosts"].items()}
    if holding or agents:
        assert "init" not in actions.values() or not holding
    if holding:
        assert "init" not in actions.values()
        assert all("cluster-init" not in host["join"] for host in plan["hosts"].values())
    replaced = [name for name, action in actions.items() if action == "replace" and name.startswith("s")]
    if replaced:
        healthy = [name for name in names if name.startswith("s") and world.nodes[name]["ready"]]
        assert 2 * len(healthy) > servers
