# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""autoscaled/plan.py: what the machines of a group have in common."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.autoscaled.plan import (
    OF_THE_MACHINE,
    AutoscaledGroup,
    plan_groups,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.config import configuration
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.hosts import Host

WASM = AutoscaledGroup(
    "arm64",
    {"wasmfaas.dev/group": "worker-wasm"},
    [{"key": "wasmfaas.dev/only", "value": "wasm", "effect": "NoSchedule"}],
)


def host(**desired: t.Any) -> Host:
    ours = {
        "role": "agent",
        "name": "autoscaled-worker-wasm",
        "version": "v1.36.4+k3s1",
        "config": {},
        "labels": {},
        "taints": [],
        "hardening": True,
    }
    return Host("autoscaled-worker-wasm", "agent", desired={**ours, **desired})


def plan(**desired: t.Any) -> dict[str, t.Any]:
    found: dict[str, t.Any] = plan_groups([(host(**desired), WASM)])["hosts"]["autoscaled-worker-wasm"]
    return found


def test_settings_are_those_of_other_agents_without_what_is_the_machines() -> None:
    config = {"kubelet-arg": ["cloud-provider=external", f"provider-id={OF_THE_MACHINE}", "max-pods=250"]}
    found = plan(config=config, address=OF_THE_MACHINE)
    other = configuration.build(host(config={"kubelet-arg": ["max-pods=250"]}).desired)
    assert found["config"] == {key: value for key, value in other.items() if key != "node-name"}
    assert (
        found["role"] == "agent"
        and found["architecture"] == "arm64"
        and found["unit"] == "k3s-agent"
        and found["action"] == "join"
    )


def test_labels_and_taints_that_terraform_gives_are_not_given_twice() -> None:
    labels = {"wasmfaas.dev/group": "worker-wasm", "wasmfaas.dev/containerd-shim-spin": "0.25.1", "own": True}
    taints = [*WASM.taints, {"key": "own", "effect": "NoExecute"}]
    found = plan(labels=labels, taints=taints)["config"]
    assert found["node-label"] == ["own=true", "wasmfaas.dev/containerd-shim-spin=0.25.1"]
    assert found["node-taint"] == ["own=:NoExecute"]


def test_terraforms_label_counts_where_both_have_one() -> None:
    assert "node-label" not in plan(labels={"wasmfaas.dev/group": "another"})["config"]


def test_the_settings_of_a_group_follow_terraforms_label() -> None:
    group = AutoscaledGroup("arm64", {"wasmfaas.dev/group": "worker-build"})
    (found,) = plan_groups([(host(labels={"wasmfaas.dev/group": "another"}), group)])["hosts"].values()
    assert "pod-max-pids=4096" in found["config"]["kubelet-arg"]
    assert "pod-max-pids=4096" not in plan()["config"]["kubelet-arg"]


def test_a_label_that_no_node_can_give_itself_is_told() -> None:
    found = plan_groups([(host(labels={"node-role.kubernetes.io/worker": "true"}), WASM)])
    assert "node-label" not in found["hosts"]["autoscaled-worker-wasm"]["config"]
    assert found["messages"] == [
        (
            "autoscaled-worker-wasm: a node cannot give itself the label node-role.kubernetes.io/worker; autoscaled "
            "nodes do not get it."
        )
    ]


@pytest.mark.parametrize(
    ("desired", "message"),
    [
        ({"config": {"no-such-key": 1}}, "k3s knows no key no-such-key"),
        ({"version": "latest"}, "is no version of k3s"),
        ({"labels": {"a b": "c"}}, "is no label"),
        (
            {"config": {"node-external-ip": OF_THE_MACHINE}},
            "node-external-ip of config.yaml is made of a variable that only one machine has",
        ),
        ({"labels": {"zone": "z-" + OF_THE_MACHINE}}, "is no value of a label"),
    ],
)
def test_wrong_variables_are_told_before_anything_is_done(desired: dict[str, t.Any], message: str) -> None:
    with pytest.raises(PlatformError, match=message):
        plan(**desired)
