# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks of the platform's roles that ask no cluster, in real plays; tests/unit/roles has the cases that need none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from .support.servers import REPOSITORY

Variables = dict[str, t.Any]


def play(role: str, directory: Path, groups: dict[str, dict[str, Variables]], variables: Variables, tasks: str = "check") -> subprocess.CompletedProcess[str]:
    """Run tasks of a role that ask no host by ansible-playbook; `groups` has the variables of hosts, by group and name."""
    hosts = {group: {"hosts": {host: {"ansible_connection": "local", **own} for host, own in members.items()}} for group, members in groups.items()}
    (directory / "inventory.json").write_text(json.dumps({"all": {"children": hosts, "vars": variables}}), encoding="utf-8")
    include = {"ansible.builtin.include_role": {"name": f"wasmfaas.platform.{role}", "tasks_from": tasks}}
    (directory / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [include]}]), encoding="utf-8")
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(REPOSITORY / ".ansible/collections"), "ANSIBLE_INVENTORY_ENABLED": "ansible.builtin.yaml"}
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(directory / "inventory.json"), str(directory / "play.yml")]
    return subprocess.run(command, env=environment, cwd=directory, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(("version", "code"), [("v1.36.4+k3s1", 0), ("v1.99.0+k3s1", 2)])
def test_aws_integration_is_let_pass_or_stopped(version: str, code: int, tmp_path: Path) -> None:
    cluster = {
        "name": "shop",
        "region": "eu-central-1",
        "vpc_id": "vpc-0123456789abcdef0",
        "interruption_queue": "https://sqs.eu-central-1.amazonaws.com/123456789012/shop-interruptions",
        "autoscaler_tags": ["k8s.io/cluster-autoscaler/enabled", "k8s.io/cluster-autoscaler/shop"],
        "node_groups": {"control-plane": {"permissions": ["cloud_controller", "cluster_autoscaler", "ebs_csi", "termination_handler"]}},
    }
    servers = {f"server-{number}": {"node_group": "control-plane"} for number in (1, 2, 3)}
    variables = {"aws_cluster": cluster, "k3s_server_config": {"disable-cloud-controller": True}, "k3s_version": version}
    result = play("aws_integration", tmp_path, {"k3s_server": servers}, variables)
    assert result.returncode == code, result.stdout + result.stderr
    assert ("is known for Kubernetes v1.99.0+k3s1" in result.stdout) == (code == 2)


def test_function_registry_makes_its_files_once_and_keeps_them(tmp_path: Path) -> None:
    plan = {"cluster": {"api_host": "server-1", "state": "new"}, "hosts": {"server-1": {"role": "server", "address": "192.0.2.11"}}}
    plan["hosts"]["server-2"] = {"role": "server", "address": "192.0.2.12"}
    hosts: dict[str, dict[str, Variables]] = {"k3s_server": {"server-1": {}, "server-2": {}}}
    variables = {"k3s_plan": plan, "function_registry_directory": str(tmp_path / "access")}
    first = play("function_registry", tmp_path, hosts, variables, "trust")
    assert first.returncode == 0, first.stdout + first.stderr
    content = (tmp_path / "access/function-registry.json").read_text(encoding="utf-8")
    made = json.loads(content)
    assert made["registry"] == "192.0.2.11:30500/functions"
    second = play("function_registry", tmp_path, hosts, variables, "trust")
    assert second.returncode == 0, second.stdout + second.stderr
    assert (tmp_path / "access/function-registry.json").read_text(encoding="utf-8") == content
    for secret in (made["password"], made["users"]["nodes"], made["server"]["key"].splitlines()[1]):
        assert secret not in first.stdout + second.stdout
