# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lifecycle.py: what the playbooks for an existing cluster decide."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan import lifecycle
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.hosts import Host

VERSION = "v1.36.4+k3s1"
AUTHORITY = "a" * 64
NAMES = ("server-1", "server-2", "server-3", "worker-1")


def host(
    name: str,
    *,
    ready: bool = True,
    nodes: t.Sequence[str] = NAMES,
    ill: t.Sequence[str] = (),
    memory: dict[str, str] | None = None,
    **changes: t.Any,
) -> Host:
    role = "server" if name.startswith("server") else "agent"
    k3s = {
        "role": role,
        "ready": ready and role == "server",
        "version": VERSION,
        "version_running": "",
        "service": "active",
        "ca_sha256": AUTHORITY,
    }
    k3s.update(changes.pop("k3s", {}))
    cluster = {"nodes": [{"name": node, "ready": node not in ill} for node in nodes]} if k3s["ready"] else None
    info = {"node": {"k3s": k3s, "default_address": "10.0.0.1"}, "cluster": cluster, "restore": memory or {}}
    return Host(name=name, role=role, info=changes.pop("info", info), **changes)


def gone(name: str) -> Host:
    return host(name, info={}, unreachable="no route to host")


def cluster(*hosts: Host) -> lifecycle.Cluster:
    named = {entry.name: entry for entry in hosts}
    return lifecycle.Cluster(
        [named.get(name, host(name)) for name in [*NAMES, *(name for name in named if name not in NAMES)]]
    )


def refused(call: t.Callable[[], t.Any]) -> str:
    with pytest.raises(PlatformError) as raised:
        call()
    return raised.value.cause


def test_serve_names_a_living_server() -> None:
    result = lifecycle.serve(cluster(gone("server-1")))
    assert (
        result["api_host"] == "server-2"
        and result["unreachable_hosts"] == ["server-1"]
        and result["version"] == VERSION
        and result["node_names"] == [*NAMES]
    )


def test_without_a_living_server_it_says_what_each_is() -> None:
    dead = cluster(
        gone("server-1"), host("server-2", ready=False, k3s={"service": "inactive"}), host("server-3", ready=False)
    )
    text = refused(lambda: lifecycle.serve(dead))
    assert "server-1 no route to host" in text and "server-2 inactive" in text and "wasmfaas.platform.site" in text
    assert "no servers" in refused(lambda: lifecycle.serve(lifecycle.Cluster([])))


RENEW = "wasmfaas.platform.rotate -e what=certificates"
ENDED = {"certificates_ended": 1_700_000_000.0}


def test_certificates_that_have_ended_are_named_with_their_command() -> None:
    dark = cluster(*(host(name, ready=False, k3s=ENDED) for name in NAMES))
    text = refused(lambda: lifecycle.serve(dark))
    assert "server-1, server-2, server-3: its certificates ended on 2023-11-14" in text
    assert RENEW in text and "wasmfaas.platform.site" not in text
    one = cluster(host("server-2", ready=False, k3s=ENDED), host("server-1", ill=["server-2"]))
    text = refused(lambda: lifecycle.change_all(one))
    assert text.count(RENEW) == 1 and "server-2" in text and "not Ready" not in text
    stopped = cluster(*(host(name, ready=False, k3s={**ENDED, "service": "inactive"}) for name in NAMES))
    assert RENEW not in refused(lambda: lifecycle.serve(stopped)), "a start renews them"


def test_remove_takes_names_of_hosts_and_of_nodes() -> None:
    renamed = host("worker-1", node_name_hint="ip-10-0-0-9.ec2.internal")
    result = lifecycle.remove(cluster(renamed), ["worker-1"])
    assert (
        result["remove_nodes"] == ["ip-10-0-0-9.ec2.internal"]
        and result["clean_hosts"] == ["worker-1"]
        and result["api_host"] == "server-1"
    )
    assert lifecycle.remove(cluster(renamed), ["ip-10-0-0-9.ec2.internal"])["clean_hosts"] == ["worker-1"]


def test_remove_works_from_a_server_that_stays_and_warns_of_an_even_number() -> None:
    result = lifecycle.remove(cluster(), ["server-1"])
    assert result["api_host"] == "server-2" and result["clean_hosts"] == ["server-1"]
    assert result["messages"] == ["2 servers tolerate no more failures than 1: add one soon"]
    assert lifecycle.remove(cluster(), ["server-1", "server-2"])["messages"] == []


def test_remove_of_a_dead_host_cleans_nothing_and_says_so() -> None:
    result = lifecycle.remove(cluster(gone("worker-1")), ["worker-1"])
    assert result["remove_nodes"] == ["worker-1"] and result["clean_hosts"] == [] and result["stop_hosts"] == []
    assert "systemctl disable k3s k3s-agent" in result["messages"][0] and "before it boots" in result["messages"][0]
    assert (
        lifecycle.remove(cluster(gone("worker-1")), ["worker-1"], keep_hosts=True)["messages"] == result["messages"]
    ), "it comes back as well"


def test_remove_of_a_node_without_a_host() -> None:
    servers = [host(name, nodes=[*NAMES, "forgotten"]) for name in NAMES[:3]]
    result = lifecycle.remove(cluster(*servers), ["forgotten"])
    assert result["remove_nodes"] == ["forgotten"] and result["clean_hosts"] == []
    assert "forgotten: no host of the inventory" in result["messages"][0]


def test_remove_again_still_cleans_the_host() -> None:
    servers = [host(name, nodes=NAMES[:3]) for name in NAMES[:3]]
    assert lifecycle.remove(cluster(*servers), ["worker-1"])["clean_hosts"] == ["worker-1"]
    kept = lifecycle.remove(cluster(*servers), ["worker-1"], keep_hosts=True)
    assert kept["clean_hosts"] == [] and kept["stop_hosts"] == ["worker-1"]


def test_remove_refuses_unknown_names_and_the_last_server() -> None:
    assert "Did you mean worker-1" in refused(lambda: lifecycle.remove(cluster(), ["worker1"]))
    assert "-e node=NAME" in refused(lambda: lifecycle.remove(cluster(), []))
    text = refused(lambda: lifecycle.remove(cluster(), NAMES[:3]))
    assert "no living server would be left" in text and "wasmfaas.platform.reset" in text


def test_change_all_passes_over_nodes_that_joined_by_themselves() -> None:
    autoscaled = {"name": "i-0abc", "ready": True, "labels": {"wasmfaas.dev/join": "self"}}
    servers = [host(name) for name in NAMES[:3]]
    for server in servers:
        server.info["cluster"]["nodes"].append(autoscaled)
    assert lifecycle.change_all(cluster(*servers))["api_host"] == "server-1"
    autoscaled["labels"] = {}
    assert "i-0abc" in refused(lambda: lifecycle.change_all(cluster(*servers)))


def test_change_all_wants_every_node_healthy() -> None:
    assert lifecycle.change_all(cluster())["api_host"] == "server-1"
    ill = [host(name, ill=["server-3"], nodes=[*NAMES, "forgotten"]) for name in NAMES[:3]]
    text = refused(
        lambda: lifecycle.change_all(cluster(*ill, gone("worker-1"), host("worker-2"), host("worker-3", in_play=False)))
    )
    for part in (
        "server-3: its node is not Ready",
        "worker-1: it cannot be reached",
        "the cluster has no node worker-2",
        "worker-3: --limit",
        "forgotten",
    ):
        assert part in text


def test_reset_wants_the_name_of_the_first_server_and_all_hosts() -> None:
    assert lifecycle.reset(cluster(), "server-1")["servers"] == [*NAMES[:3]]
    assert "Add -e confirm=server-1" in refused(lambda: lifecycle.reset(cluster(), "yes"))
    text = refused(lambda: lifecycle.reset(cluster(gone("worker-1"), host("server-2", in_play=False)), ""))
    assert "worker-1: it cannot be reached" in text and "server-2: --limit" in text and "not confirmed" in text


def restored(*hosts: Host, version: str = VERSION, authority: str = AUTHORITY, **options: t.Any) -> dict[str, t.Any]:
    return lifecycle.restore(
        cluster(*hosts), {"version": version, "authority": authority}, "server-1", identity="f00", **options
    )


def test_restore_begins_on_the_first_server_or_the_chosen_one() -> None:
    result = restored()
    assert (
        result["restore_host"] == "server-1"
        and result["others"] == ["server-2", "server-3"]
        and not result["continuing"]
        and result["same_cluster"]
    )
    assert result["keep_nodes"] == [*NAMES]
    assert restored(chosen="server-3")["others"] == ["server-1", "server-2"]
    assert "no server of the inventory" in refused(lambda: restored(chosen="worker-1"))


@pytest.mark.parametrize("done", ["reset", "admitted"])
def test_restore_goes_on_where_it_was_cut_off(done: str) -> None:
    result = restored(
        host("server-2", memory={"identity": "f00", "done": done}),
        host("server-3", memory={"identity": "f00", "done": "cleared"}),
    )
    assert result["restore_host"] == "server-2" and result["continuing"]
    assert "was begun on server-2" in refused(
        lambda: restored(host("server-2", memory={"identity": "f00", "done": done}), chosen="server-1")
    )
    assert not restored(host("server-2", memory={"identity": "another", "done": done}))["continuing"]


def test_restore_to_other_hosts_is_noticed() -> None:
    assert restored(authority="b" * 64)["same_cluster"] is False


def test_restore_works_without_any_living_server() -> None:
    dead = [host(name, ready=False, k3s={"service": "failed"}) for name in NAMES[:3]]
    assert restored(*dead)["restore_host"] == "server-1"


@pytest.mark.parametrize(
    ("own", "snapshot", "text"),
    [
        ("v1.35.8+k3s1", VERSION, "is older than that of the snapshot"),
        ("v1.36.1+k3s1", VERSION, ""),
        ("v1.37.1+k3s1", VERSION, ""),
        ("v1.38.0+k3s1", VERSION, "skips a minor version"),
        (VERSION, "", ""),
    ],
)
def test_restore_wants_a_version_that_can_read_the_snapshot(own: str, snapshot: str, text: str) -> None:
    servers = [host(name, k3s={"version": own}) for name in NAMES[:3]]
    if text:
        assert text in refused(lambda: restored(*servers, version=snapshot))
    else:
        assert restored(*servers, version=snapshot)["restore_host"] == "server-1"


def test_restore_refuses_what_would_bring_the_old_cluster_back() -> None:
    text = refused(
        lambda: restored(
            gone("server-2"),
            host("server-3", k3s={"version": "", "service": "missing"}),
            gone("worker-1"),
            host("worker-2", in_play=False),
        )
    )
    for part in (
        "server-2: it cannot be reached",
        "as it was before",
        "server-3: k3s is not installed",
        "worker-1: it cannot be reached",
        "worker-2: --limit",
    ):
        assert part in text
    assert "Add -e confirm=server-1" in refused(lambda: lifecycle.restore(cluster(), {}, "", identity="f00"))


def survivors(*hosts: Host) -> lifecycle.Cluster:
    """Only server-1 has what it had, and its API does not answer; but for `hosts`."""
    left = {
        "server-1": host("server-1", ready=False, k3s={"has_server_data": True}),
        "server-2": gone("server-2"),
        "server-3": gone("server-3"),
        **{entry.name: entry for entry in hosts},
    }
    return cluster(*left.values())


LOST = ("server-2", "server-3")


def test_a_survivor_becomes_the_only_server() -> None:
    result = lifecycle.recover(survivors(), "server-1", LOST)
    assert (result["restore_host"], result["others"], result["agents"]) == ("server-1", [], ["worker-1"])
    assert result["keep_nodes"] == ["server-1", "worker-1"]
    assert not result["continuing"] and not result["nothing_to_do"]


def test_lost_servers_may_have_left_the_inventory_or_come_back_blank() -> None:
    """They count for the majority all the same."""
    alone = lifecycle.Cluster([survivors().hosts[0], host("worker-1")])
    assert lifecycle.recover(alone, "server-1", LOST)["restore_host"] == "server-1"
    assert "1 of 1" not in refused(lambda: lifecycle.recover(alone, "server-1", []))
    blank = host("server-2", ready=False, k3s={"service": "missing", "role": None})
    assert lifecycle.recover(survivors(blank), "server-1", LOST)["others"] == []


def test_a_second_survivor_joins_the_first_one() -> None:
    five = lifecycle.Cluster(
        [
            *(host(name, ready=False, k3s={"has_server_data": True}) for name in ("server-1", "server-2")),
            *(gone(name) for name in ("server-3", "server-4", "server-5")),
        ]
    )
    assert lifecycle.recover(five, "server-2", ("server-3", "server-4", "server-5"))["others"] == ["server-1"]
    assert "name it with -e lost=NAME" in refused(lambda: lifecycle.recover(five, "server-2", ("server-3",)))


def test_nothing_is_reset_while_a_majority_is_there() -> None:
    second = host("server-2", ready=False, k3s={"has_server_data": True, "service": "inactive"})
    text = refused(lambda: lifecycle.recover(survivors(second), "server-1", ["server-3"]))
    assert "server-1, server-2 are 2 of 3 servers, a majority" in text and "wasmfaas.platform.site" in text
    assert "can be reached and has data" in refused(lambda: lifecycle.recover(survivors(second), "server-1", LOST))
    answers = cluster(host("server-2"), gone("server-3"))
    text = refused(lambda: lifecycle.recover(answers, "server-1", ["server-3"]))
    assert "the cluster answers" in text and "wasmfaas.platform.remove_node -e node=server-3 -e force=true" in text


@pytest.mark.parametrize(
    ("survivor", "lost", "text"),
    [
        ("", LOST, "Name one of server-1 with -e survivor=NAME"),
        ("server-9", LOST, "server-9 is no server of the inventory"),
        ("server-2", LOST, "server-2 is named as lost and as survivor"),
        ("server-2", ("server-3",), "server-2 cannot be reached, or has no data"),
        ("server-1", (), "Name them with -e lost=NAME,NAME"),
    ],
)
def test_a_recovery_wants_to_know_of_each_server(survivor: str, lost: t.Sequence[str], text: str) -> None:
    assert text in refused(lambda: lifecycle.recover(survivors(), survivor, lost))


@pytest.mark.parametrize("done", ["reset", "admitted"])
def test_a_recovery_that_was_cut_off_continues(done: str) -> None:
    """Also where the cluster answers already, and still has the nodes of the lost servers."""
    memory = {"identity": "recovery of server-1", "done": done}
    begun = survivors(host("server-1", k3s={"has_server_data": True}, memory=memory))
    result = lifecycle.recover(begun, "server-1", LOST)
    assert result["continuing"] and not result["nothing_to_do"]


def test_a_recovered_cluster_needs_no_recovery() -> None:
    recovered = survivors(host("server-1", nodes=("server-1", "worker-1"), k3s={"has_server_data": True}))
    assert lifecycle.recover(recovered, "server-1", LOST)["nothing_to_do"]
