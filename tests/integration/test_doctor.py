# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user sees of doctor.yml and verify_ha.yml, with the real ansible-playbook, where no host can be reached:
problems and refusals, never a traceback."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from .support.playbooks import Playbooks, extra

INVENTORY = """
all:
  vars:
    ansible_connection: ssh
    ansible_port: 1
    ansible_ssh_common_args: "-F none -o BatchMode=yes -o ConnectTimeout=2"
k3s_server:
  hosts:
    server-1: {ansible_host: 127.0.0.1}
    server-2: {ansible_host: 127.0.0.1}
k3s_agent:
  hosts:
    worker-1: {ansible_host: 127.0.0.1}
"""


@pytest.fixture
def inventory(tmp_path: Path) -> str:
    file = tmp_path / "hosts.yml"
    file.write_text(INVENTORY)
    return str(file)


@pytest.fixture
def playbooks(tmp_path: Path) -> Playbooks:
    return Playbooks(tmp_path / "home")


def test_hosts_that_are_gone_are_problems(playbooks: Playbooks, inventory: str, tmp_path: Path) -> None:
    run = playbooks.run(
        "wasmfaas.platform.doctor", "-i", inventory, *extra(doctor_file=tmp_path / "problems.json"), inventory="local"
    )
    assert run.exit_code == 2
    lines = re.findall(r"^(ERROR|WARNING|INFO) +(\S+): .* \[([a-z-]+)\]\. Next: ", run.output, re.MULTILINE)
    assert lines == [
        ("ERROR", "cluster", "api-down"),
        ("ERROR", "server-1", "host-unreachable"),
        ("ERROR", "server-2", "host-unreachable"),
        ("ERROR", "worker-1", "host-unreachable"),
    ]
    assert "4 errors, 0 warnings." in run.output and "Traceback" not in run.output
    written = json.loads((tmp_path / "problems.json").read_text())
    assert (written["errors"], written["warnings"]) == (4, 0)
    assert [(problem["where"], problem["check"]) for problem in written["problems"]] == [
        (host, check) for _severity, host, check in lines
    ]
    assert all(problem["next_step"] for problem in written["problems"])


def test_problems_as_json(playbooks: Playbooks, inventory: str) -> None:
    run = playbooks.run("wasmfaas.platform.doctor", "-i", inventory, *extra(doctor_format="json"), inventory="local")
    [line] = [line for line in run.output.splitlines() if line.startswith("{")]
    assert json.loads(line)["errors"] == 4


def test_a_cluster_that_is_not_whole_is_not_disturbed(playbooks: Playbooks, inventory: str) -> None:
    run = playbooks.run("wasmfaas.platform.verify_ha", "-i", inventory, inventory="local")
    assert run.exit_code != 0
    for problem in (
        "Confirm it with -e confirm=disturb-the-cluster",
        "2 servers cannot lose one: 3 are needed",
        "could not be examined:",
        "no server's API answers",
    ):
        assert problem in run.output
    assert "Do one fault" not in run.output and "Let the load in" not in run.output
