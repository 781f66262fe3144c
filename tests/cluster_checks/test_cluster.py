# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster agrees with the inventory."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import lightkube
import pytest
import yaml
from lightkube.resources.core_v1 import Node

from .conftest import KUBECTL, Scenario, recap


def _conditions(node: Node) -> dict[str, str]:
    return {condition.type: condition.status for condition in node.status.conditions or []} if node.status else {}


@pytest.fixture(scope="module")
def nodes(api: lightkube.Client) -> dict[str, Node]:
    return {node.metadata.name: node for node in api.list(Node) if node.metadata and node.metadata.name}


def test_nodes_are_the_hosts_of_the_inventory_and_ready(scenario: Scenario, nodes: dict[str, Node]) -> None:
    assert sorted(nodes) == sorted(scenario.hosts)
    assert {name: _conditions(node).get("Ready") for name, node in nodes.items()} == dict.fromkeys(nodes, "True")


def test_every_server_is_a_voter_of_etcd(scenario: Scenario, nodes: dict[str, Node]) -> None:
    voters = {name: _conditions(nodes[name]).get("EtcdIsVoter") for name in scenario.servers}
    assert voters == dict.fromkeys(scenario.servers, "True")
    assert [name for name in scenario.agents if "EtcdIsVoter" in _conditions(nodes[name])] == []


def test_nodes_run_the_version_of_the_inventory(scenario: Scenario, nodes: dict[str, Node]) -> None:
    expected = {name: scenario.variables[name]["k3s_version"] for name in scenario.hosts}
    assert {
        name: node.status.nodeInfo.kubeletVersion
        for name, node in nodes.items()
        if node.status and node.status.nodeInfo
    } == expected


def test_labels_and_taints_are_those_of_the_inventory(scenario: Scenario, nodes: dict[str, Node]) -> None:
    for name in scenario.hosts:
        node = nodes[name]
        assert node.metadata
        assert node.spec
        desired_labels = scenario.variables[name].get("k3s_node_labels", {})
        labels = node.metadata.labels or {}
        assert {key: labels.get(key) for key in desired_labels} == desired_labels, name
        desired_taints = scenario.variables[name].get("k3s_node_taints", [])
        taints = [{"key": taint.key, "value": taint.value, "effect": taint.effect} for taint in node.spec.taints or []]
        assert [taint for taint in desired_taints if taint not in taints] == [], name


def test_only_nodes_with_the_shim_carry_its_label(scenario: Scenario, nodes: dict[str, Node]) -> None:
    labelled = [
        name
        for name, node in nodes.items()
        if node.metadata and (node.metadata.labels or {}).get("wasmfaas.dev/runtime-spin") == "true"
    ]
    assert sorted(labelled) == sorted(scenario.wasm_hosts)


def test_k3s_knows_the_shim(wasm_node: t.Any) -> None:
    assert wasm_node.file("/usr/local/bin/containerd-shim-spin-v2").mode == 0o755
    configuration = wasm_node.file("/var/lib/rancher/k3s/agent/etc/containerd/config.toml").content_string
    assert "runtimes.'spin'" in configuration or 'runtimes."spin"' in configuration


def test_runtime_class_selects_nodes_with_the_shim(server: t.Any) -> None:
    shown = json.loads(server.check_output(f"{KUBECTL} get runtimeclass wasmtime-spin-v2 --output json"))
    assert shown["handler"] == "spin"
    assert shown["scheduling"]["nodeSelector"] == {"wasmfaas.dev/runtime-spin": "true"}


def test_services_run_and_start_at_boot(scenario: Scenario, node: t.Any) -> None:
    unit = "k3s" if node.check_output("hostname") in scenario.servers else "k3s-agent"
    assert node.service(unit).is_running
    assert node.service(unit).is_enabled


def test_k3s_knows_every_key_of_its_configuration(node: t.Any) -> None:
    """A server only warns about an unknown key, and ignores it (k3s v1.35.5: pkg/configfilearg/parser.go)."""
    journal = "journalctl --no-pager --output=cat --unit=k3s.service --unit=k3s-agent.service"
    # grep ends with 1 where it finds nothing.
    assert node.check_output(f"{journal} | grep -F 'Unknown flag' || true") == ""


def test_no_unit_failed(node: t.Any) -> None:
    assert node.check_output("systemctl --failed --plain --no-legend") == ""


def test_no_server_would_make_a_second_cluster(server: t.Any) -> None:
    for file in server.check_output("find /etc/rancher/k3s -name '*.yaml'").split():
        content = yaml.safe_load(server.file(file).content_string)
        assert not (isinstance(content, dict) and content.get("cluster-init")), file


def test_secrets_are_encrypted_in_etcd(server: t.Any) -> None:
    assert "Encryption Status: Enabled" in server.check_output("/usr/local/bin/k3s secrets-encrypt status")


def test_only_its_owner_can_read_the_kubeconfig(kubeconfig: Path) -> None:
    assert kubeconfig.stat().st_mode & 0o777 == 0o600


def test_check_mode_reports_no_change(scenario: Scenario) -> None:
    done = scenario.ansible_playbook("site", "--check", "--diff")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    numbers = recap(done.stdout)
    assert set(scenario.hosts) <= set(numbers)
    changed = {host: result["changed"] for host, result in numbers.items()}
    assert changed == dict.fromkeys(numbers, 0), done.stdout[-4000:]
