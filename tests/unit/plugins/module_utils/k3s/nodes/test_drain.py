# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""drain.py and ready.py, against an API of one dictionary."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.nodes.drain import Drain
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.nodes.ready import Watch
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import Kubectl

VERSION = "v1.36.4+k3s1"


def node(name: str, *, ready: str = "True", voter: str = "", version: str = VERSION) -> dict[str, t.Any]:
    conditions = [
        {"type": "Ready", "status": ready, "reason": "KubeletNotReady", "message": "stopped"},
        *(
            [
                {
                    "type": "EtcdIsVoter",
                    "status": voter,
                    "reason": "MemberIsLearner" if voter == "False" else "MemberNotLearner",
                }
            ]
            if voter
            else []
        ),
    ]
    return {
        "metadata": {"name": name, "annotations": {}},
        "spec": {},
        "status": {"conditions": conditions, "nodeInfo": {"kubeletVersion": version}},
    }


class Api:
    """Nodes behind kubectl; `blocked` lets drains fail."""

    def __init__(self, *nodes: dict[str, t.Any], blocked: bool = False) -> None:
        self.nodes = {entry["metadata"]["name"]: entry for entry in nodes}
        self.blocked, self.done = blocked, []  # type: ignore[var-annotated]

    def __call__(self, arguments: list[str], text: str | None) -> Completed:
        verb, name = arguments[0], arguments[-1].rpartition("/")[2]
        if verb == "get":
            if name == "readyz":
                return Completed(0, "ok", "")
            if name == "nodes":
                return Completed(0, json.dumps({"items": list(self.nodes.values())}), "")
            return (
                Completed(0, json.dumps(self.nodes[name]), "")
                if name in self.nodes
                else Completed(1, "", f'Error (NotFound): nodes "{name}" not found')
            )
        self.done.append(verb)
        if verb == "patch":
            found = self.nodes[arguments[2]]
            for key, value in json.loads(text or "")["metadata"]["annotations"].items():
                found["metadata"]["annotations"].pop(key, None) if value is None else found["metadata"][
                    "annotations"
                ].update({key: value})
            return Completed(0, "{}", "")
        if verb == "drain" and not self.blocked:
            self.nodes[arguments[1]]["spec"]["unschedulable"] = True
        if verb == "uncordon":
            self.nodes[arguments[1]]["spec"].pop("unschedulable", None)
        return Completed(
            1 if verb == "drain" and self.blocked else 0, "", "error when evicting" if self.blocked else ""
        )


def drain(api: Api) -> Drain:
    kubectl = Kubectl(api)
    return Drain(kubectl, kubectl, timeout=1)


def drained(api: Api, *, check_mode: bool = False) -> bool:
    return drain(api).drain_for("worker-1", "upgrade", check_mode=check_mode)


def restored(api: Api) -> bool:
    return drain(api).restore("worker-1", "upgrade", check_mode=False)


def test_a_drained_node_is_given_back_once() -> None:
    api = Api(node("worker-1"))
    assert drained(api) is True and api.nodes["worker-1"]["spec"]["unschedulable"]
    assert restored(api) is True
    assert api.nodes["worker-1"]["spec"] == {} and api.nodes["worker-1"]["metadata"]["annotations"] == {}
    assert restored(api) is False


def test_a_node_that_somebody_else_took_out_of_service_stays_out() -> None:
    api = Api(node("worker-1"))
    api.nodes["worker-1"]["spec"]["unschedulable"] = True
    assert drained(api) is False and restored(api) is False
    assert api.done == [] and api.nodes["worker-1"]["spec"]["unschedulable"]


def test_a_drain_that_was_cut_off_is_known_to_the_next_run() -> None:
    api = Api(node("worker-1"))
    drain(api).note("worker-1", "upgrade")
    api.nodes["worker-1"]["spec"]["unschedulable"] = True
    assert restored(api) is True and api.nodes["worker-1"]["spec"] == {}


def test_check_mode_and_errors() -> None:
    api = Api(node("worker-1"))
    assert drained(api, check_mode=True) is True and api.done == []
    with pytest.raises(PlatformError, match="was not drained"):
        drained(Api(node("worker-1"), blocked=True))
    with pytest.raises(PlatformError, match="no node worker-1"):
        drained(Api())


def test_ready_nodes_of_the_version_are_waited_for_no_longer() -> None:
    kubectl = Kubectl(Api(node("a"), node("b", voter="True")))
    Watch(kubectl, ["a", "b"], version=VERSION, sleep=pytest.fail).wait(10)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (node("a", ready="False"), "a is not Ready"),
        (node("a", voter="False"), "a is no voter"),
        (node("a", version="v1.35.8+k3s1"), "a runs v1.35.8+k3s1 and not"),
        (node("other"), "a is not registered"),
    ],
)
def test_what_is_wrong_with_a_node_is_said(found: dict[str, t.Any], why: str) -> None:
    with pytest.raises(PlatformError) as raised:
        Watch(Kubectl(Api(found)), ["a"], version=VERSION).wait(0)
    assert why in raised.value.cause
