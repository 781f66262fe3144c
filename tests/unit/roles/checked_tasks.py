# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's file of checks: what it refuses, found out without a play, and once by a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml

from .role_rendering import PROJECT, RenderedRole, Variables


def problem(role: RenderedRole, file: str = "check.yml", **variables: t.Any) -> str:
    """The message of the first task of the file that refuses; empty if none does. Minds `when` and `loop`, as Ansible does."""
    for task in role.tasks(file):
        if "ansible.builtin.assert" not in task:
            continue
        conditions = task.get("when", [])
        if not all(_holds(role, condition, variables) for condition in (conditions if isinstance(conditions, list) else [conditions])):
            continue
        items = _expression(role, task["loop"], variables) if "loop" in task else [None]
        for item in items:
            found = role.refusal(task["name"], file, **variables, **({} if item is None else {"item": item}))
            if found:
                return " ".join(found.split())
    return ""


def _holds(role: RenderedRole, condition: str, variables: Variables) -> bool:
    return bool(role.value(f"true if ({condition}) else false", **variables))


def _expression(role: RenderedRole, loop: t.Any, variables: Variables) -> list[t.Any]:
    return list(role.value("__loop", **variables, __loop=loop))


def play(role: str, directory: Path, groups: dict[str, dict[str, Variables]], variables: Variables, tasks: str = "check") -> subprocess.CompletedProcess[str]:
    """Run tasks of a role that ask no host by ansible-playbook; `groups` has the variables of hosts, by group and name."""
    hosts = {group: {"hosts": {host: {"ansible_connection": "local", **own} for host, own in members.items()}} for group, members in groups.items()}
    (directory / "inventory.json").write_text(json.dumps({"all": {"children": hosts, "vars": variables}}), encoding="utf-8")
    include = {"ansible.builtin.include_role": {"name": f"wasmfaas.platform.{role}", "tasks_from": tasks}}
    (directory / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [include]}]), encoding="utf-8")
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / ".ansible/collections"), "ANSIBLE_INVENTORY_ENABLED": "ansible.builtin.yaml"}
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(directory / "inventory.json"), str(directory / "play.yml")]
    return subprocess.run(command, env=environment, cwd=directory, capture_output=True, text=True, check=False, timeout=120)
