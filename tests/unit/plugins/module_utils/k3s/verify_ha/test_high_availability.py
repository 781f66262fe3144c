# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What verify_ha does and refuses to do, and when it says that high availability is proved."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.verify_ha import high_availability
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.verify_ha.high_availability import (
    CONFIRMATION,
    Host,
    Request,
    judge,
    plan,
    summary,
)

NAMES = ("server-1", "server-2", "server-3", "worker-1")
REQUEST = Request(confirmed=CONFIRMATION, faults=[], servers=[], seconds=30, writer="")


def hosts(**changed: t.Any) -> list[Host]:
    """A healthy cluster; `nodes` changes fields of nodes, `hosts` of hosts, by name."""
    nodes = [
        {
            "name": name,
            "ready": True,
            "control_plane": name.startswith("server"),
            "voter": True if name.startswith("server") else None,
            "addresses": [f"192.0.2.{number}"],
            **changed.get("nodes", {}).get(name, {}),
        }
        for number, name in enumerate(NAMES, 11)
    ]
    made = []
    for name in NAMES:
        server = name.startswith("server")
        host = Host(
            name=name,
            role="server" if server else "agent",
            node_name=name,
            node={"k3s": {"ready": server}},
            cluster={"nodes": nodes} if server else None,
        )
        made.append(dataclasses.replace(host, **changed.get("hosts", {}).get(name, {})))
    return made


def test_every_fault_to_every_server() -> None:
    planned = plan(hosts(), REQUEST)
    assert planned["problems"] == []
    assert [step["phase"] for step in planned["steps"]] == [
        *[f"{fault} server-{number}" for number in (1, 2, 3) for fault in ("kill", "pause", "cut")],
        *[f"disk_full server-{number}" for number in (1, 2, 3)],
    ]
    assert planned["servers"] == ["https://192.0.2.11:6443", "https://192.0.2.12:6443", "https://192.0.2.13:6443"]
    assert planned["nodes"] == list(NAMES)
    assert planned["writer"] == "worker-1"
    first = planned["steps"][0]
    assert (first["api_host"], first["peers"], first["seconds"]) == (
        "server-2",
        ["192.0.2.12", "192.0.2.13", "192.0.2.14"],
        30,
    )
    assert all(step["api_host"] != step["host"] for step in planned["steps"])
    assert planned["load_seconds"] > 12 * 30


def test_choices() -> None:
    request = dataclasses.replace(
        REQUEST, faults=["cut", "kill"], servers=["server-3"], writer="server-1", api_port=7443
    )
    planned = plan(hosts(), request)
    assert [step["phase"] for step in planned["steps"]] == ["kill server-3", "cut server-3"]
    assert planned["writer"] == "server-1" and planned["servers"][0] == "https://192.0.2.11:7443"


def test_without_agents_the_controller_writes() -> None:
    assert plan([host for host in hosts() if host.role == "server"], REQUEST)["writer"] == "localhost"


def test_an_address_of_ip_6() -> None:
    planned = plan(hosts(nodes={"server-1": {"addresses": ["2001:db8::1"]}}), REQUEST)
    assert planned["servers"][0] == "https://[2001:db8::1]:6443"


def test_what_a_host_can_not_do_is_left_out_and_said() -> None:
    changed = {name: {"impossible": {"disk_full": "no file system of its own"}} for name in ("server-1", "server-2")}
    planned = plan(hosts(hosts=changed), REQUEST)
    assert len(planned["steps"]) == 10
    assert [(entry["host"], entry["fault"]) for entry in planned["skipped"]] == [
        ("server-1", "disk_full"),
        ("server-2", "disk_full"),
    ]


@pytest.mark.parametrize(
    ("changed", "asked", "said"),
    [
        ({}, {"confirmed": "yes"}, "-e confirm=disturb-the-cluster"),
        ({}, {"faults": ["burn"]}, "there is no fault burn. Next: Choose from kill, pause, cut, disk_full"),
        ({}, {"servers": ["worker-1"]}, "worker-1 is no server of the inventory"),
        ({}, {"seconds": 1}, "at least 5 s"),
        ({"hosts": {"worker-1": {"problem": "timed out"}}}, {}, "worker-1: could not be examined: timed out"),
        ({"hosts": {"server-2": {"node": {"k3s": {"ready": False}}}}}, {}, "server-2: its API is not ready"),
        ({"hosts": {"server-2": {"fault_active": True}}}, {}, "server-2: a fault is still being injected there"),
        ({"nodes": {"worker-1": {"ready": False}}}, {}, "worker-1: its node is not Ready"),
        ({"nodes": {"server-3": {"voter": False}}}, {}, "server-3: is no voter of etcd"),
        ({"nodes": {"server-3": {"voter": None}}}, {}, "server-3: is no voter of etcd"),
        ({"hosts": {"worker-1": {"node_name": "other"}}}, {}, "worker-1: is not in the cluster (as other)"),
        ({"hosts": {name: {"cluster": None} for name in NAMES}}, {}, "no server's API answers"),
        (
            {"hosts": {name: {"impossible": dict.fromkeys(high_availability.FAULTS, "no systemd")} for name in NAMES}},
            {},
            "there is nothing to do: kill on server-1",
        ),
    ],
)
def test_refusals(changed: dict[str, t.Any], asked: dict[str, t.Any], said: str) -> None:
    problems = plan(hosts(**changed), dataclasses.replace(REQUEST, **asked))["problems"]
    assert said in " | ".join(map(str, problems))


def test_two_servers_can_not_lose_one() -> None:
    two = [host for host in hosts() if host.name != "server-3"]
    assert [problem.what for problem in plan(two, REQUEST)["problems"]] == [
        "2 servers cannot lose one: 3 are needed",
        "the cluster has a server server-3 that the inventory does not have",
    ]


def load_report(planned: dict[str, t.Any], **changed: t.Any) -> dict[str, t.Any]:
    events = {"begin": 0.0, "done": 1.0, "undone": 31.5, "ready": 42.0}
    phases = [
        {
            "phase": step["phase"],
            "seconds": 45.0,
            "acknowledged": 600,
            "failed_attempts": 3,
            "longest_gap": 5.5,
            "events": events,
        }
        for step in planned["steps"]
    ]
    return {
        "acknowledged": 7200,
        "failed_attempts": 36,
        "lost": [],
        "lost_values": 0,
        "unread": {},
        "phases": phases,
        **changed,
    }


def test_a_proof() -> None:
    planned = plan(hosts(), REQUEST)
    outcome = judge(planned, load_report(planned), [], gap_limit=30)
    assert outcome.problems == [] and outcome.document["passed"] is True
    assert outcome.rows[0] == [
        "server-1",
        "kill",
        "k3s killed (-9), not restarted for 30 s",
        "600",
        "3",
        "5.5 s",
        "10.5 s",
        "ok",
    ]
    assert (
        summary(outcome.document)
        == "Passed: 7200 acknowledged writes, 0 lost, longest gap 5.5 s (limit 30 s), 12 faults"
    )


def test_what_is_no_proof() -> None:
    planned = plan(hosts(), REQUEST)
    lost = [{"server": "https://192.0.2.11:6443", "object": "load-0", "key": "k7", "expected": "x", "found": None}]
    assert judge(planned, load_report(planned, lost=lost, lost_values=1), [], gap_limit=30).problems == [
        "1 acknowledged writes are lost, such as load-0/k7 on https://192.0.2.11:6443"
    ]
    assert (
        "could not be read at the end"
        in judge(planned, load_report(planned, unread={"https://a": "refused"}), [], gap_limit=30).problems[0]
    )
    assert judge(planned, load_report(planned, acknowledged=0), [], gap_limit=30).problems == [
        "no write was acknowledged"
    ]
    assert judge(planned, load_report(planned), ["worker-1 did not come back"], gap_limit=30).problems == [
        "worker-1 did not come back"
    ]
    slow = judge(planned, load_report(planned), [], gap_limit=5)
    assert len(slow.problems) == 12 and "a client waited 5.5 s" in slow.problems[0]
    assert summary(slow.document).startswith("FAILED: ")


def test_a_run_that_ended_early() -> None:
    planned = plan(hosts(), REQUEST)
    report = load_report(planned)
    report["phases"] = report["phases"][:2]
    report["phases"][1]["events"] = {"begin": 0.0, "done": 1.0, "undone": 31.0}
    outcome = judge(planned, report, ["it did not settle"], gap_limit=30)
    assert "pause server-1: the cluster did not become ready again" in outcome.problems
    assert outcome.problems.count("disk_full server-3: the fault was not injected") == 1
    assert [row[2] for row in outcome.rows][2:] == ["not done"] * 10


def test_without_a_report() -> None:
    planned = plan(hosts(hosts={"server-1": {"impossible": {"cut": "no iptables"}}}), REQUEST)
    outcome = judge(planned, None, [], gap_limit=30)
    assert "acknowledged writes could not be compared with the cluster's data" in outcome.problems
    assert outcome.rows[-1][-1] == "no iptables"
    assert "None" not in "".join("".join(row) for row in outcome.rows)
