# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a large inventory: what it takes on this machine, with what the hosts say given to it. The hosts are this
machine's own look at itself, with names and addresses of their own."""

from __future__ import annotations

import copy
import ipaddress
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host import node_info

from .measure import ANSIBLE_PLAYBOOK, REPOSITORY, Entry, NotMeasuredError, Row, environment
from .site import load

HOSTS, SERVERS = 500, 5
ROUNDS = 3
SECONDS, GIB = 30.0, 1.0
NETWORK = ipaddress.IPv4Network("10.20.0.0/20")
PLAY = """\
- name: Plan
  hosts: k3s_server:k3s_agent
  gather_facts: false
  tasks:
    - name: Describe the desired state of the hosts
      ansible.builtin.import_role: {name: wasmfaas.platform.k3s, tasks_from: desired}
    - name: Decide
      wasmfaas.platform.k3s_plan:
      run_once: true
      register: k3s_plan
    - name: Check that each host has its place
      ansible.builtin.assert: {that: "k3s_plan.hosts | length == %d", quiet: true}
      run_once: true
"""


def measure() -> list[Entry]:
    before = load()
    with tempfile.TemporaryDirectory(prefix="bench-plan-") as temporary:
        directory = Path(temporary)
        (directory / "plan.yml").write_text(PLAY % HOSTS, encoding="utf-8")
        (directory / "hosts.json").write_text(json.dumps(inventory()), encoding="utf-8")
        command = [ANSIBLE_PLAYBOOK, "-i", str(directory / "hosts.json"), str(directory / "plan.yml")]
        took = [_run(command) for _round in range(ROUNDS)]
    seconds = statistics.median(wall for wall, _memory in took)
    memory = max(memory for _wall, memory in took)
    return [
        Row(
            f"Plan of {HOSTS} hosts, whose facts are given", f"{seconds:.1f} s", f"≤ {SECONDS:g} s", seconds <= SECONDS
        ),
        Row("… memory of its largest process", f"{memory:.2f} GiB", f"≤ {GIB:g} GiB", memory <= GIB),
        f"Median of {ROUNDS}, with 20 forks as ansible.cfg says. Load average of the machine just before: {before}.",
    ]


def inventory() -> dict[str, t.Any]:
    """An inventory of YAML in JSON: new hosts, each of which could become a node."""
    look = node_info.read(ask=False, ports=[], connections=[], disk_paths=["/var/lib/rancher"])
    hosts = {}
    for number, address in zip(range(HOSTS), NETWORK.hosts(), strict=False):
        name = f"node-{number}"
        found = copy.deepcopy(look)
        found["node"] |= {
            "hostname": name,
            "machine_id": f"{number:032x}",
            "addresses": [str(address)],
            "interfaces": {str(address): "eth0"},
            "default_address": str(address),
            "firewall": "",
            "ports_in_use": [],
            "cgroup": "v2",
            "cgroup_controllers": ["cpu", "cpuset", "io", "memory", "pids"],
            "systemd": True,
            "disk": {"/var/lib/rancher": {"total_bytes": 50 << 30, "free_bytes": 40 << 30}},
        }
        found["node"].pop("time")
        hosts[name] = {
            "ansible_host": str(address),
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "k3s_node": {"changed": False, "clock": {"offset": 0.0, "error": 0.5}, **found},
        }
    names = list(hosts)
    groups = {"k3s_server": names[:SERVERS], "k3s_agent": names[SERVERS:]}
    return {
        "all": {
            "children": {group: {"hosts": {name: hosts[name] for name in members}} for group, members in groups.items()}
        }
    }


def _run(command: list[str]) -> tuple[float, float]:
    """Seconds, and GiB of the largest process so far."""
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, timeout=600, check=False
    )
    seconds = time.monotonic() - started
    if done.returncode:
        raise NotMeasuredError(f"the plan failed: {(done.stdout + done.stderr).strip()[-600:]}")
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
