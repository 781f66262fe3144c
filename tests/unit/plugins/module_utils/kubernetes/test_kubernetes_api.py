# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node should be, what may be removed, and what kubectl says, without a cluster;
tests/integration/test_k3s_nodes.py has a real API server."""

from __future__ import annotations

import copy
import itertools
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import TIMED_OUT, Completed, run_command
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.waiting import wait_for
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.nodes import (
    drain,
    labels_and_taints,
    node_state,
    removal,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes import objects
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import (
    ApiProblem,
    Conflict,
    Kubectl,
    NotFound,
    Unreachable,
    host_kubectl,
    problem,
)
from hypothesis import given
from hypothesis import strategies as st

KEYS = st.sampled_from(["a", "b", "wasmfaas.dev/wasm", "topology.kubernetes.io/zone"])
LABELS = st.dictionaries(KEYS, st.sampled_from(["", "1", "true"]))
TAINTS = st.lists(
    st.fixed_dictionaries(
        {"key": KEYS, "effect": st.sampled_from(labels_and_taints.EFFECTS)},
        optional={"value": st.sampled_from(["1", "2"])},
    ),
    max_size=3,
    unique_by=lambda taint: (taint["key"], taint["effect"]),
)
ENTRIES = st.fixed_dictionaries({"name": st.just("n"), "labels": LABELS, "taints": TAINTS})


def fresh(labels: dict[str, str], taints: list[dict[str, str]]) -> node_state.Node:
    made: node_state.Node = {
        "metadata": {"name": "n", "labels": {"kubernetes.io/hostname": "n", **labels}},
        "spec": {"podCIDR": "10.42.0.0/24"},
    }
    if taints:
        made["spec"]["taints"] = taints
    return made


def patched(node: node_state.Node, operations: list[dict[str, t.Any]]) -> node_state.Node:
    """RFC 6902, as far as `labels_and_taints.patch` uses it."""
    after = copy.deepcopy(node)
    for operation in operations:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"][1:].split("/")]
        container = after
        for part in way:
            container = container[part]
        if operation["op"] == "test":
            assert container.get(last) == operation["value"]
        elif operation["op"] == "remove":
            del container[last]
        else:
            container[last] = operation["value"]
    # The API leaves out what is empty.
    for container, field in ((after["spec"], "taints"), (after["metadata"], "annotations")):
        if not container.get(field, True):
            del container[field]
    return after


@given(LABELS, TAINTS, ENTRIES, ENTRIES)
def test_wanted_is_there_others_stay_and_the_second_time_nothing_changes(
    labels: dict[str, str], taints: list[dict[str, str]], first: dict[str, t.Any], second: dict[str, t.Any]
) -> None:
    start = fresh(labels, taints)
    before = copy.deepcopy(start)
    one = labels_and_taints.desired(start, first)
    two = labels_and_taints.desired(one, second)
    assert start == before, "the given object was changed"
    assert labels_and_taints.desired(one, first) == one
    assert labels_and_taints.desired(two, second) == two
    assert two["metadata"]["labels"].items() >= second["labels"].items()
    untouched = {key: value for key, value in labels.items() if key not in first["labels"]}
    assert two["metadata"]["labels"] == {"kubernetes.io/hostname": "n", **untouched, **second["labels"]}
    have = {(taint["key"], taint["effect"]): taint.get("value", "") for taint in two["spec"].get("taints", [])}
    theirs = {(taint["key"], taint["effect"]): taint.get("value", "") for taint in taints}
    ours = {(taint["key"], taint["effect"]): taint.get("value", "") for taint in second["taints"]}
    gone = {(taint["key"], taint["effect"]) for taint in first["taints"]}
    assert have == {**{key: value for key, value in theirs.items() if key not in gone}, **ours}
    assert two["spec"]["podCIDR"] == "10.42.0.0/24"


@given(LABELS, TAINTS, ENTRIES, ENTRIES)
def test_patch_makes_the_one_of_the_other(
    labels: dict[str, str], taints: list[dict[str, str]], first: dict[str, t.Any], second: dict[str, t.Any]
) -> None:
    one = labels_and_taints.desired(fresh(labels, taints), first)
    two = labels_and_taints.desired(one, second)
    assert patched(one, labels_and_taints.patch(one, two)) == two
    assert labels_and_taints.patch(two, two) == []


def test_taint_that_is_the_same_keeps_its_time() -> None:
    start = fresh({}, [{"key": "a", "effect": "NoExecute", "value": "1", "timeAdded": "2026-11-22T00:00:00Z"}])
    after = labels_and_taints.desired(start, {"name": "n", "taints": [{"key": "a", "effect": "NoExecute", "value": 1}]})
    assert after["spec"]["taints"] == start["spec"]["taints"]


# Quorum


def server(name: str, state: str) -> node_state.Node:
    conditions = [{"type": "Ready", "status": "Unknown" if state == "dead" else "True"}]
    reason = {
        "learner": "MemberIsLearner",
        "ill": "Unhealthy",
        "no member": "NotAMember",
        "restored": "ClusterRestored",
    }.get(state)
    if state != "joining":
        conditions.append(
            {"type": "EtcdIsVoter", "status": "False" if reason else "True", "reason": reason or "MemberNotLearner"}
        )
    return {
        "metadata": {"name": name, "labels": {node_state.ETCD: "true", node_state.CONTROL_PLANE: "true"}},
        "status": {"conditions": conditions},
    }


def removable(states: t.Sequence[str], *numbers: int) -> bool:
    try:
        removal.check_quorum(
            [server(str(number), state) for number, state in enumerate(states)], [str(number) for number in numbers]
        )
    except PlatformError as error:
        assert error.next_step
        return False
    return True


@given(st.lists(st.sampled_from(["well", "dead"]), min_size=1, max_size=7), st.data())
def test_one_that_is_well_may_go_exactly_if_a_majority_of_the_rest_is_well_too(
    states: list[str], data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, len(states) - 1))
    rest = states[:number] + states[number + 1 :]
    majority = rest.count("well") > len(rest) // 2
    assert removable(states, number) is (bool(rest) and (majority if states[number] == "well" else "well" in rest))


@pytest.mark.parametrize(
    ("states", "numbers", "allowed"),
    [
        (["well", "well", "well"], (2, 1), True),
        (["well", "well", "well"], (2, 1, 0), False),
        (["well", "well", "dead"], (2, 1), True),
        (["well", "well", "dead"], (1,), False),
        (["well", "well", "well", "learner"], (0,), True),
        (["well", "well", "learner"], (2,), True),
        (["well", "learner"], (0,), False),
        (["well", "well", "joining"], (0,), False),
        (["well", "well", "well", "dead", "dead"], (3, 4), True),
        (["well", "well", "well", "dead", "dead"], (0,), False),
        (["well", "dead", "dead"], (1, 2), True),  # after a restore: the Nodes of two servers whose members are gone
        (["dead", "dead"], (0,), False),
        # A member that does not answer is False as a learner is, but counts for the majority (k3s v1.35.5,
        # pkg/etcd/etcd.go manageLearners).
        (["well", "well", "ill"], (0,), False),
        (["well", "well", "ill"], (2, 1), True),
        (["well", "well", "well", "ill", "ill"], (0,), False),
        (["well", "well", "no member"], (0,), True),
        (["well", "well", "restored"], (2,), True),
    ],
)
def test_removals_in_a_row(states: list[str], numbers: tuple[int, ...], allowed: bool) -> None:
    assert removable(states, *numbers) is allowed


def test_agents_are_no_members() -> None:
    agent: node_state.Node = {"metadata": {"name": "agent", "labels": {}}, "status": {"conditions": []}}
    removal.check_quorum([server("0", "well"), agent], ["agent"])
    assert not node_state.has_etcd(agent)


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        (None, {"a": "1"}, False),
        ({}, {"a": "1"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "2"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, {"a": "2"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Unheard"}]}, {"a": "1"}, False),
    ],
)
def test_selectors(selector: dict[str, t.Any] | None, labels: dict[str, str], selected: bool) -> None:
    assert drain.selects(selector, labels) is selected


# What kubectl says


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ('Error from server (NotFound): nodes "x" not found', NotFound),
        (
            (
                'error: resource mapping not found for name: "x" namespace: "" from "STDIN": no matches for kind "Foo" '
                'in version "a/v1"'
            ),
            NotFound,
        ),
        ("Error from server (Conflict): Operation cannot be fulfilled on nodes", Conflict),
        ('Error from server (AlreadyExists): nodes "x" already exists', Conflict),
        (
            "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?",
            Unreachable,
        ),
        ("Unable to connect to the server: net/http: TLS handshake timeout", Unreachable),
        ("Error from server (ServiceUnavailable): the server is currently unable to handle the request", Unreachable),
        ("Error from server: etcdserver: request timed out", Unreachable),
        ("Error from server (Timeout): the server was unable to return a response in the time allotted", Unreachable),
        ('Error from server (Forbidden): nodes "x" is forbidden: User "y" cannot get resource', ApiProblem),
        ('The Node "n1" is invalid: metadata.labels: Invalid value', ApiProblem),
        ("", ApiProblem),
    ],
)
def test_errors_are_told_apart(said: str, kind: type[ApiProblem]) -> None:
    found = problem(Completed(1, "", said), "read something")
    assert found.__class__ is kind
    assert said in found.cause
    assert found.next_step


def test_command_that_took_too_long_is_unreachable() -> None:
    assert isinstance(problem(Completed(TIMED_OUT, "", "k3s was ended after 30 s."), "read"), Unreachable)


def test_api_paths_become_kubectl_arguments() -> None:
    calls: list[list[str]] = []

    def run(arguments: list[str], _input: str | None) -> Completed:
        calls.append(arguments)
        return Completed(0, "{}", "")

    kubectl = Kubectl(run)
    kubectl.patch("/api/v1/nodes/n", {})
    kubectl.patch("/apis/apps/v1/namespaces/s/deployments/d", [], kind="json")
    assert calls[0][1:3] == ["nodes", "n"]
    assert calls[1][1:5] == ["deployments.v1.apps", "d", "-n", "s"]
    with pytest.raises(ValueError, match="not the path of one object"):
        kubectl.patch("/api/v1/nodes", {})


def test_what_is_no_json_is_a_problem() -> None:
    with pytest.raises(ApiProblem, match="no JSON"):
        Kubectl(lambda _arguments, _input: Completed(0, "hello", "")).get("/api/v1/nodes")


def test_missing_program_says_so() -> None:
    with pytest.raises(PlatformError, match="/nowhere/k3s cannot be run"):
        host_kubectl("/nowhere/k3s").get("/api/v1/nodes")


def test_object_names() -> None:
    assert (
        objects.identity({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}})
        == "ConfigMap b/a"
    )
    assert (
        objects.identity({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "a"}})
        == "RuntimeClass.node.k8s.io a"
    )


# Commands and waiting


def test_commands_end_in_time_and_give_all_they_said() -> None:
    done = run_command(["sh", "-c", "cat; echo problem >&2; exit 3"], standard_input="given")
    assert done == Completed(3, "given", "problem\n")
    late = run_command(["sh", "-c", "echo begun; exec sleep 600"], seconds=5)
    assert (late.exit_code, late.output) == (TIMED_OUT, "begun\n")
    assert "ended after 5 s" in late.error


def test_waiting_is_bounded_and_looks_at_the_end() -> None:
    now = itertools.count().__next__
    looks: list[float] = []
    pauses: list[float] = []
    assert wait_for(lambda: looks.append(1), seconds=5, clock=lambda: float(now()), sleep=pauses.append) is None
    assert len(looks) == len(pauses) + 1
    assert all(pause <= 5 for pause in pauses)
    assert wait_for(lambda: "so", seconds=0, sleep=pauses.append) == "so"
    assert wait_for(lambda: len(looks) > 100 or looks.append(1), seconds=1e9, sleep=lambda _pause: None) is True
