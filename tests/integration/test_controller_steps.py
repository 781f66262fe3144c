# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of the playbooks on this machine, with the inventory for AWS, for a user whose sudo fails."""

from __future__ import annotations

import os
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.scripts import terraform_inventory

from .support.playbooks import PlaybookRun, Playbooks, extra
from .support.servers import REPOSITORY

CLUSTER: dict[str, t.Any] = {
    "name": "wasmfaas",
    "region": "us-east-1",
    "api": {"address": "api.example.com", "port": 6443, "certificate_names": ["api.example.com", "198.51.100.11"]},
    "buckets": {"snapshots": "snapshots"},
    "registry": {
        "host": "123456789012.dkr.ecr.us-east-1.amazonaws.com",
        "functions": "123456789012.dkr.ecr.us-east-1.amazonaws.com/wasmfaas",
        "mirrors": {},
    },
    "node_groups": {"control-plane": {"labels": {}, "taints": []}},
}

STEPS = """
- ansible.builtin.import_playbook: {repository}/playbooks/require_hosts.yml

- name: Steps of site.yml and reset.yml on this machine
  hosts: k3s_server
  gather_facts: false
  become: true
  tasks:
    - name: Say what the plan says
      ansible.builtin.set_fact:
        k3s_plan: {{hosts: {{server-1: {{architecture: arm64}}}}}}
    - ansible.builtin.import_role: {{name: wasmfaas.platform.k3s, tasks_from: download}}
    - ansible.builtin.import_role: {{name: wasmfaas.platform.wasm_shims, tasks_from: plan}}
    - ansible.builtin.import_role: {{name: wasmfaas.platform.wasm_shims, tasks_from: download}}
    - ansible.builtin.import_role: {{name: wasmfaas.platform.k3s, tasks_from: forget_cluster}}

- ansible.builtin.import_playbook: {repository}/playbooks/list_functions.yml

- name: What deploy-function.yml is told
  hosts: localhost
  gather_facts: false
  vars: {{ansible_become: false}}
  tasks:
    - ansible.builtin.copy: {{content: of this cluster, dest: "{{{{ inventory_dir }}}}/kubeconfig.yml", mode: "0600"}}
    - ansible.builtin.assert:
        that:
          - kubeconfig == inventory_dir ~ '/kubeconfig.yml'
          - registry == '123456789012.dkr.ecr.us-east-1.amazonaws.com/wasmfaas'
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """As scripts/terraform_inventory.py makes it, with the variables of inventories/aws; its one server is never
    reached."""
    variables = {
        "ansible_host": "192.0.2.1",
        "ansible_user": "ec2-user",
        "node_group": "control-plane",
        "private_ip": "10.20.0.11",
        "provider_id": "aws:///a/i-1",
    }
    hosts = {"server-1": {"group": "control_plane", "role": "server", "variables": variables}}
    directory = tmp_path / "inventory"
    directory.mkdir()
    made = terraform_inventory.inventory({"inventory": {"value": {"hosts": hosts}}, "cluster": {"value": CLUSTER}})
    (directory / "hosts.yml").write_text(yaml.safe_dump(made), encoding="utf-8")
    (directory / "kubeconfig.yml").write_text("of a cluster that is gone", encoding="utf-8")
    group_vars = directory / "group_vars/all"
    group_vars.mkdir(parents=True)
    (group_vars / "aws.yml").symlink_to(REPOSITORY / "inventories/aws/group_vars/all.yml")
    return directory


@pytest.fixture
def run(tmp_path: Path, inventory: Path) -> t.Callable[[], tuple[PlaybookRun, str]]:
    """Runs the steps; gives the run and what sudo was called with."""
    calls, programs = tmp_path / "calls", tmp_path / "programs"
    programs.mkdir()
    (programs / "sudo").write_text(
        f'#!/bin/sh\necho "$*" >>{calls}\necho "a password is required" >&2\nexit 1\n', encoding="utf-8"
    )
    (programs / "sudo").chmod(0o755)
    binary = tmp_path / "binary"
    binary.write_text("a program", encoding="utf-8")
    playbook = tmp_path / "steps.yml"
    playbook.write_text(STEPS.format(repository=REPOSITORY), encoding="utf-8")
    given = extra(
        target="local",
        state_directory=tmp_path / "state",
        k3s_binaries={"arm64": str(binary)},
        wasm_shims_binaries={"spin": {"arm64": str(binary)}},
        wasm_shims_installed=["spin"],
        k3s_cache_directory=str(tmp_path / "cache"),
    )
    # The tests may run as root, who needs no sudo to become root; that is set here to be no difference.
    environment = {
        "PATH": f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_BECOME_ALLOW_SAME_USER": "true",
    }

    def start() -> tuple[PlaybookRun, str]:
        done = Playbooks(tmp_path / "home").run(
            str(playbook), *given, inventory=str(inventory), environment=environment
        )
        return done, calls.read_text(encoding="utf-8") if calls.exists() else ""

    return start


def test_no_step_on_this_machine_asks_for_sudo(run: t.Callable[[], tuple[PlaybookRun, str]], inventory: Path) -> None:
    done, calls = run()
    assert done.exit_code == 0, done.output
    assert calls == ""
    assert (inventory / "kubeconfig.yml").read_text(encoding="utf-8") == "of this cluster", "the one before is removed"
    for step in (
        "Download the k3s binary to this machine",
        "Download the shims to this machine",
        "Remove the kubeconfig",
        "Read the functions",
    ):
        assert step in done.output


def test_group_vars_that_say_become_change_nothing_on_this_machine(
    run: t.Callable[[], tuple[PlaybookRun, str]], inventory: Path
) -> None:
    """As a variable it counts over `become: false` of plays and tasks, but not over their own variables."""
    (inventory / "group_vars/all/own.yml").write_text("ansible_become: true\n", encoding="utf-8")
    done, calls = run()
    assert done.exit_code == 0, done.output
    assert calls == ""
