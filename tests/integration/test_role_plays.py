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


def play(
    role: str, directory: Path, groups: dict[str, dict[str, Variables]], variables: Variables, tasks: str = "check"
) -> subprocess.CompletedProcess[str]:
    """Run tasks of a role that ask no host by ansible-playbook; `groups` has the variables of hosts, by group and
    name."""
    hosts = {
        group: {"hosts": {host: {"ansible_connection": "local", **own} for host, own in members.items()}}
        for group, members in groups.items()
    }
    (directory / "inventory.json").write_text(
        json.dumps({"all": {"children": hosts, "vars": variables}}), encoding="utf-8"
    )
    include = {"ansible.builtin.include_role": {"name": f"wasmfaas.platform.{role}", "tasks_from": tasks}}
    (directory / "play.yml").write_text(
        yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [include]}]), encoding="utf-8"
    )
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(REPOSITORY / ".ansible/collections"),
        "ANSIBLE_INVENTORY_ENABLED": "ansible.builtin.yaml",
    }
    command = [
        sys.executable,
        "-m",
        "ansible",
        "playbook",
        "-i",
        str(directory / "inventory.json"),
        str(directory / "play.yml"),
    ]
    return subprocess.run(
        command, env=environment, cwd=directory, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize(("version", "code"), [("v1.36.4+k3s1", 0), ("v1.99.0+k3s1", 2)])
def test_aws_integration_is_let_pass_or_stopped(version: str, code: int, tmp_path: Path) -> None:
    cluster = {
        "name": "shop",
        "region": "eu-central-1",
        "vpc_id": "vpc-0123456789abcdef0",
        "interruption_queue": "https://sqs.eu-central-1.amazonaws.com/123456789012/shop-interruptions",
        "autoscaler_tags": ["k8s.io/cluster-autoscaler/enabled", "k8s.io/cluster-autoscaler/shop"],
        "node_groups": {
            "control-plane": {
                "permissions": ["cloud_controller", "cluster_autoscaler", "ebs_csi", "termination_handler"]
            }
        },
    }
    servers = {f"server-{number}": {"node_group": "control-plane"} for number in (1, 2, 3)}
    variables = {
        "aws_cluster": cluster,
        "k3s_server_config": {"disable-cloud-controller": True},
        "k3s_version": version,
    }
    given = {**variables, "__platform_role": "aws_integration"}
    result = play("platform", tmp_path, {"k3s_server": servers}, given, "component_check")
    assert result.returncode == code, result.stdout + result.stderr
    assert ("is known for Kubernetes v1.99.0+k3s1" in result.stdout) == (code == 2)


def test_function_registry_makes_its_files_once_and_keeps_them(tmp_path: Path) -> None:
    plan = {
        "cluster": {"api_host": "server-1", "state": "new"},
        "hosts": {"server-1": {"role": "server", "address": "192.0.2.11"}},
    }
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

    tenants = {"tenants": [{"name": "user1"}, {"name": "user2", "state": "absent"}]}
    third = play("function_registry", tmp_path, hosts, {**variables, **tenants}, "trust")
    assert third.returncode == 0, third.stdout + third.stderr
    content = (tmp_path / "access/function-registry.json").read_text(encoding="utf-8")
    users = json.loads(content)["users"]
    assert sorted(users) == ["deployer", "nodes", "tenant-user1"] and users["tenant-user1"] not in third.stdout
    # Role tenant finds its account made by the run that installs the registry.
    given = {**variables, **tenants, "function_registry_trust": str(tmp_path / "access/function-registry.json")}
    fourth = play("function_registry", tmp_path, hosts, given, "tenants")
    assert fourth.returncode == 0 and "changed=0" in fourth.stdout, fourth.stdout + fourth.stderr
    assert (tmp_path / "access/function-registry.json").read_text(encoding="utf-8") == content


def asked(directory: Path, **variables: t.Any) -> subprocess.CompletedProcess[str]:
    """The check of all parts, as site.yml runs it when it has planned."""
    plan = {
        "cluster": {"api_host": "server-1", "state": "new"},
        "hosts": {"server-1": {"role": "server", "address": "192.0.2.11"}},
    }
    return play("platform", directory, {"k3s_server": {"server-1": {}}}, {"k3s_plan": plan, **variables})


def sentences(result: subprocess.CompletedProcess[str]) -> list[str]:
    """What is wrong, as the user reads it."""
    assert result.returncode == 2, result.stdout + result.stderr
    lines = [line.strip() for line in (result.stdout + result.stderr).splitlines()]
    return list(dict.fromkeys(line.removeprefix("- ") for line in lines if line.startswith("- ")))


def test_defaults_of_all_parts_and_tenants_pass(tmp_path: Path) -> None:
    result = asked(tmp_path, tenants=[{"name": "user1"}])
    assert result.returncode == 0, result.stdout + result.stderr


def test_all_that_is_wrong_with_all_parts_comes_in_one_message_before_anything_is_touched(tmp_path: Path) -> None:
    result = asked(
        tmp_path,
        platform_components=[
            "cert_manager",
            "spin_operator",
            "ingress",
            "keda",
            "observability",
            "aws_integration",
            "function_registry",
            "key_value_store",
            "kedda",
        ],
        platform_components_removed=["cert_manager"],
        platform_only=[],
        platform_chart_overrides={"cert_manager": {"version": "v1.0.0"}},
        spin_operator_executor_namespaces="default",
        ingress_addresses="198.51.100.7",
        ingress_tls="issuer",
        ingress_domain="example.com",
        keda_resources={"interceptor": {}},
        observability_metrics_size="20Gi",
        function_registry_port=80,
        tenants=["user1"],
        tenant_token_days=0,
    )
    found = sentences(result)
    for beginning in (
        "platform_components: there is no component kedda.",
        "platform_components_removed: the SpinKube operator's webhook",
        "platform_chart_overrides: there is no chart cert_manager.",
        "aws_cluster: what Terraform knows of the cluster is missing",
        "aws_integration_cloud_controller: is true and k3s's own controller is on",
        "spin_operator_executor_namespaces: 'default' is text, and a list is needed.",
        "ingress_addresses: '198.51.100.7' is text, and a list is needed.",
        "ingress_tls: issuer needs cert-manager.",
        "keda_resources: must hold operator,",
        "observability_metrics_size: '20Gi' is no whole number.",
        "function_registry_port: is 80.",
        "tenants, entry 1: 'user1' is no dictionary.",
        "tenant_token_days: 0 is no time.",
    ):
        assert len([sentence for sentence in found if sentence.startswith(beginning)]) == 1, (beginning, found)
    assert len(found) == 13, "\n".join(found)
    assert all("Next: " in sentence for sentence in found)


@pytest.mark.parametrize(
    ("variables", "beginning"),
    [
        ({"platform_components": "keda"}, "platform_components: 'keda' is text, and a list is needed."),
        ({"tenants": "user1"}, "tenants: 'user1' is text, and a list is needed."),
        (
            {"platform_only": ["aws_integration"]},
            "platform_only: aws_integration is neither to be installed nor to be removed.",
        ),
        (
            {"tenants": [{"name": "a", "hosts": "a.example.com"}]},
            "tenants, a, hosts: 'a.example.com' is text, and a list is needed.",
        ),
        (
            {"tenant_registry_credentials": "s3cret", "tenants": [{"name": "a"}]},
            "tenant_registry_credentials: what it has is no dictionary.",
        ),
    ],
)
def test_one_thing_wrong_is_one_sentence(variables: Variables, beginning: str, tmp_path: Path) -> None:
    result = asked(tmp_path, **variables)
    (sentence,) = sentences(result)
    assert sentence.startswith(beginning)
    assert "s3cret" not in result.stdout + result.stderr


def test_a_run_for_one_part_does_not_ask_the_others(tmp_path: Path) -> None:
    result = asked(tmp_path, platform_only=["keda"], ingress_tls="issuer", tenants=[{"name": "default"}])
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("role", ["cert_manager", "spin_operator", "keda"])
def test_a_role_alone_asks_before_it_touches_anything(role: str, tmp_path: Path) -> None:
    variables = {"platform_host": "server-1", "platform_kubectl": ["no-such-kubectl"], f"{role}_values": "none"}
    given = {**variables, "__platform_role": role}
    result = play("platform", tmp_path, {"k3s_server": {"server-1": {}}}, given, "component_check")
    assert result.returncode == 2
    assert f"{role}_values: 'none' is no dictionary." in result.stdout + result.stderr


def test_function_registry_says_why_the_cluster_does_not_answer_and_nothing_that_it_read(tmp_path: Path) -> None:
    script = tmp_path / "kubectl"
    script.write_text("#!/bin/sh\necho s3cret\necho 'connection refused' >&2\nexit 1\n", encoding="utf-8")
    script.chmod(0o755)
    plan = {
        "cluster": {"api_host": "server-1", "state": "running"},
        "hosts": {"server-1": {"role": "server", "address": "192.0.2.11"}},
    }
    variables = {
        "k3s_plan": plan,
        "function_registry_directory": str(tmp_path / "access"),
        "platform_kubectl": [str(script)],
    }
    variables["ansible_python_interpreter"] = sys.executable
    result = play("function_registry", tmp_path, {"k3s_server": {"server-1": {}}}, variables, "trust")
    printed = " ".join((result.stdout + result.stderr).split())
    assert result.returncode == 2, printed
    assert "cannot be read: connection refused" in printed and "s3cret" not in printed
    assert not (tmp_path / "access").exists()
