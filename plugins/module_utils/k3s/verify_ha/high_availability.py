# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans the proof of high availability, and evaluates its result. Pure functions, on the controller."""

from __future__ import annotations

import dataclasses
import typing as t

from ...problems import Problem

DOCTOR = "run ansible-playbook wasmfaas.platform.doctor, which says more, and mend it first"
CONFIRMATION = "disturb-the-cluster"
FAULTS = ("kill", "pause", "cut", "disk_full")
NEEDED_SERVERS = 3
LOCAL_WRITER = "localhost"
SPARE_SECONDS = 900
"""Seconds after its planned end at which the load ends by itself, if nobody has stopped it."""

SAID = {
    "kill": "k3s killed (-9), not restarted for {seconds} s",
    "pause": "k3s stopped (SIGSTOP) for {seconds} s",
    "cut": "k3s' ports cut off the network for {seconds} s",
    "disk_full": "no byte left on the disk of etcd for {seconds} s",
}


@dataclasses.dataclass(frozen=True)
class Host:
    """One host of the inventory.

    Args:
        role: `server` or `agent`.
        problem: why it could not be examined; "" where it could.
        node: `node` of k3s_node_info.
        cluster: `cluster` of k3s_node_info.
        impossible: result of k3s_fault's state `examined`, servers only.
        fault_active: whether a fault is still being injected there.
    """

    name: str
    role: str
    node_name: str
    problem: str = ""
    node: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    cluster: dict[str, t.Any] | None = None
    impossible: dict[str, str] = dataclasses.field(default_factory=dict)
    fault_active: bool = False


@dataclasses.dataclass(frozen=True)
class Request:
    """What the user asked for; empty lists mean all. `seconds`: how long each fault lasts."""

    confirmed: str
    faults: list[str]
    servers: list[str]
    seconds: int
    writer: str
    api_port: int = 6443


def plan(hosts: t.Sequence[Host], request: Request) -> dict[str, t.Any]:
    """What will be done: `problems` (nothing is done if there is one), `steps`, `skipped`, `writer`, `servers` (URLs),
    `nodes`, `load_seconds`."""
    servers = [host for host in hosts if host.role == "server"]
    cluster = next((host.cluster for host in servers if host.cluster), None)
    nodes = {node["name"]: node for node in (cluster or {}).get("nodes") or []}
    chosen = [host for host in servers if not request.servers or host.name in request.servers]
    faults = [fault for fault in FAULTS if not request.faults or fault in request.faults]
    steps: list[dict[str, t.Any]] = []
    skipped: list[dict[str, str]] = []
    for host in chosen:
        for fault in faults:
            if fault in host.impossible:
                skipped.append({"host": host.name, "fault": fault, "reason": host.impossible[fault]})
            else:
                steps.append(_step(host, fault, servers, nodes, request))
    # Full disks come last: k3s may end because of one, and would be blamed for what an earlier fault left.
    steps.sort(key=lambda step: step["fault"] == "disk_full")
    problems = [*_request_problems(servers, request), *_health_problems(hosts, servers, nodes, cluster)]
    if not steps and not problems:
        reasons = "; ".join(f"{entry['fault']} on {entry['host']}: {entry['reason']}" for entry in skipped)
        problems.append(Problem("", f"there is nothing to do: {reasons}", "choose other faults or servers"))
    return {
        "problems": problems,
        "steps": steps,
        "skipped": skipped,
        "writer": request.writer
        or next((host.name for host in hosts if host.role == "agent" and not host.problem), LOCAL_WRITER),
        "servers": [_url(nodes.get(host.node_name) or {}, host, request.api_port) for host in servers],
        "nodes": [host.node_name for host in hosts],
        "load_seconds": len(steps) * (request.seconds + 300) + SPARE_SECONDS,
        "summary": f"{len(steps)} faults, one after the other, on {', '.join(host.name for host in chosen)}",
    }


def _step(
    host: Host, fault: str, servers: list[Host], nodes: dict[str, dict[str, t.Any]], request: Request
) -> dict[str, t.Any]:
    others = [other for other in servers if other.name != host.name]
    return {
        "host": host.name,
        "fault": fault,
        "phase": f"{fault} {host.name}",
        "seconds": request.seconds,
        "said": SAID[fault].format(seconds=request.seconds),
        "api_host": others[0].name if others else "",
        "peers": sorted(
            {
                address
                for name, node in nodes.items()
                if name != host.node_name
                for address in node.get("addresses") or []
            }
        ),
    }


def _url(node: dict[str, t.Any], host: Host, port: int) -> str:
    address = str(next(iter(node.get("addresses") or []), "") or host.node.get("default_address") or host.name)
    return f"https://[{address}]:{port}" if ":" in address else f"https://{address}:{port}"


def _request_problems(servers: list[Host], request: Request) -> t.Iterator[Problem]:
    if request.confirmed != CONFIRMATION:
        yield Problem(
            "", "this disturbs the cluster, one server at a time", f"confirm it with -e confirm={CONFIRMATION}"
        )
    unknown = sorted(set(request.faults) - set(FAULTS))
    if unknown:
        yield Problem("", f"there is no fault {', '.join(unknown)}", f"choose from {', '.join(FAULTS)}")
    unlisted = sorted(set(request.servers) - {host.name for host in servers})
    if unlisted:
        listed = ", ".join(host.name for host in servers)
        yield Problem("", f"{', '.join(unlisted)} is no server of the inventory", f"choose from {listed}")
    if request.seconds < 5:
        yield Problem("", f"a fault lasts at least 5 s, not {request.seconds} s", "ask for more seconds")


def _health_problems(
    hosts: t.Sequence[Host], servers: list[Host], nodes: dict[str, dict[str, t.Any]], cluster: dict[str, t.Any] | None
) -> t.Iterator[Problem]:
    """A cluster that is not ready cannot lose a server: nothing is done to it."""
    if len(servers) < NEEDED_SERVERS:
        yield Problem(
            "", f"{len(servers)} servers cannot lose one: {NEEDED_SERVERS} are needed", "add servers to the inventory"
        )
    for host in hosts:
        if host.problem:
            yield Problem(host.name, f"could not be examined: {host.problem}", "make it reachable for Ansible")
        elif host.role == "server" and not (host.node.get("k3s") or {}).get("ready"):
            yield Problem(host.name, "its API is not ready", DOCTOR)
        if host.fault_active:
            yield Problem(
                host.name,
                "a fault is still being injected there",
                "wait for its end, or run systemctl stop wasmfaas-verify-ha-fault there",
            )
    if cluster is None:
        yield Problem("", "no server's API answers", DOCTOR)
        return
    yield from (
        Problem(host.name, what, DOCTOR) for host in hosts if (what := _node_problem(host, nodes.get(host.node_name)))
    )
    known = {host.node_name for host in hosts}
    for name, node in nodes.items():
        if name not in known and node.get("control_plane"):
            yield Problem(
                "",
                f"the cluster has a server {name} that the inventory does not have",
                f"add it to the inventory, or run ansible-playbook wasmfaas.platform.remove_node -e node={name}",
            )


def _node_problem(host: Host, node: dict[str, t.Any] | None) -> str:
    if node is None:
        return f"is not in the cluster (as {host.node_name})"
    if not node["ready"]:
        return "its node is not Ready"
    if host.role != "server":
        return ""
    if node.get("member_problem"):
        return f"its etcd member is not healthy ({node['member_problem']})"
    return "" if node.get("voter") else "is no voter of etcd"


# --- afterwards ----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Outcome:
    """`document`: the report as JSON. `rows`: for a table, with `HEADINGS`. `problems`: why it is not a proof."""

    document: dict[str, t.Any]
    rows: list[list[str]]
    problems: list[str]


HEADINGS = ("SERVER", "FAULT", "DONE", "WRITES", "FAILED TRIES", "LONGEST GAP", "BACK AFTER", "RESULT")


def judge(
    planned: dict[str, t.Any], load: dict[str, t.Any] | None, failures: t.Sequence[str], *, gap_limit: float
) -> Outcome:
    """The verdict over a run.

    Args:
        planned: result of `plan`.
        load: `report` of k3s_load, None where it could not be made.
        failures: what went wrong during the run, such as a node that did not come back.
        gap_limit: seconds within which every client must have a write acknowledged again.
    """
    phases = {phase["phase"]: phase for phase in (load or {}).get("phases") or []}
    problems = list(failures)
    rows: list[list[str]] = []
    results: list[dict[str, t.Any]] = []
    for step in planned["steps"]:
        phase = phases.get(step["phase"])
        result = _result(step, phase, gap_limit)
        results.append(result)
        rows.append(_row(step, result))
        problems += [f"{step['phase']}: {problem}" for problem in result["problems"]]
    rows += [
        [entry["host"], entry["fault"], "not done", "", "", "", "", entry["reason"]] for entry in planned["skipped"]
    ]
    if load is None:
        problems.append("acknowledged writes could not be compared with the cluster's data")
    else:
        problems += _loss(load)
    document = {
        "passed": not problems,
        "problems": problems,
        "acknowledged": (load or {}).get("acknowledged"),
        "lost_values": (load or {}).get("lost_values"),
        "lost": (load or {}).get("lost") or [],
        "longest_gap": max(
            (result["longest_gap"] for result in results if result["longest_gap"] is not None), default=None
        ),
        "gap_limit": gap_limit,
        "faults": results,
        "skipped": planned["skipped"],
        "writer": planned["writer"],
        "servers": planned["servers"],
    }
    return Outcome(document, rows, problems)


def summary(document: dict[str, t.Any]) -> str:
    """One line."""
    gap, done = document["longest_gap"], sum(result["done"] for result in document["faults"])
    counted = (
        f"{document['acknowledged']} acknowledged writes, {document['lost_values']} lost, longest gap "
        f"{'?' if gap is None else gap} s "
        f"(limit {document['gap_limit']:g} s), {done} {'fault' if done == 1 else 'faults'}"
    )
    return f"{'Passed' if document['passed'] else 'FAILED'}: {counted}"


def _result(step: dict[str, t.Any], phase: dict[str, t.Any] | None, gap_limit: float) -> dict[str, t.Any]:
    events = (phase or {}).get("events") or {}
    done, back = "done" in events, None
    if "undone" in events and "ready" in events:
        back = round(events["ready"] - events["undone"], 1)
    problems = []
    gap = phase["longest_gap"] if phase and done else None
    if not done:
        problems.append("the fault was not injected")
    elif gap is not None and gap > gap_limit:
        problems.append(f"a client waited {gap} s for the next acknowledged write, more than {gap_limit:g} s")
    if done and back is None:
        problems.append("the cluster did not become ready again")
    return {
        "server": step["host"],
        "fault": step["fault"],
        "said": step["said"],
        "seconds": step["seconds"],
        "done": done,
        "acknowledged": phase["acknowledged"] if phase else None,
        "failed_attempts": phase["failed_attempts"] if phase else None,
        "errors": phase.get("errors", {}) if phase else {},
        "longest_gap": gap,
        "back_after": back,
        "events": events,
        "problems": problems,
    }


def _row(step: dict[str, t.Any], result: dict[str, t.Any]) -> list[str]:
    def shown(value: t.Any, unit: str = "") -> str:
        return "" if value is None else f"{value}{unit}"

    return [
        step["host"],
        step["fault"],
        step["said"] if result["done"] else "not done",
        shown(result["acknowledged"]),
        shown(result["failed_attempts"]),
        shown(result["longest_gap"], " s"),
        shown(result["back_after"], " s"),
        "; ".join(result["problems"]) or "ok",
    ]


def _loss(load: dict[str, t.Any]) -> t.Iterator[str]:
    if load["lost_values"]:
        first = load["lost"][0]
        yield (
            f"{load['lost_values']} acknowledged writes are lost, such as {first['object']}/{first['key']} on "
            f"{first['server']}"
        )
    for server, why in sorted(load["unread"].items()):
        yield f"{server} could not be read at the end: {why}"
    if not load["acknowledged"]:
        yield "no write was acknowledged"
