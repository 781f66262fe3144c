# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the checks: the scenario's inventory, its hosts over SSH by testinfra, and its API with the kubeconfig
that site.yml wrote.

molecule/shared/verify.yml runs the checks, and sets TEST_INVENTORIES to the inventories of the scenario.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import subprocess
import typing as t
from pathlib import Path

import lightkube
import pytest
import testinfra  # type: ignore[import-untyped]
from ansible_collections.wasmfaas.platform.tests.hosts import Environment

PROJECT = Path(__file__).resolve().parents[2]
KUBECTL = "/usr/local/bin/k3s kubectl"


@dataclasses.dataclass(frozen=True)
class Scenario:
    """The inventory as Ansible reads it.

    Attributes:
        groups: Names of hosts by group, including hosts of child groups.
        variables: Variables by host.
    """

    inventories: tuple[str, ...]
    groups: dict[str, list[str]]
    variables: dict[str, dict[str, t.Any]]

    @property
    def servers(self) -> list[str]:
        return self.groups.get("k3s_server", [])

    @property
    def agents(self) -> list[str]:
        return self.groups.get("k3s_agent", [])

    @property
    def hosts(self) -> list[str]:
        return [*self.servers, *self.agents]

    @property
    def wasm_hosts(self) -> list[str]:
        """The hosts of the group worker_wasm, or all if it has none (roles/wasm_shims/defaults/main.yml)."""
        return self.groups.get("worker_wasm", []) or self.hosts

    @property
    def directory(self) -> Path:
        return Path(os.environ["TEST_DIRECTORY"])

    @property
    def environment(self) -> Environment:
        return Environment(self.directory / "hosts")

    def ansible_playbook(self, playbook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the shipped playbooks against the scenario's hosts."""
        inventories = [part for inventory in self.inventories for part in ("--inventory", inventory)]
        command = ["ansible-playbook", *inventories, f"wasmfaas.platform.{playbook}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)


@functools.cache
def load_scenario() -> Scenario:
    sources = os.environ.get("TEST_INVENTORIES")
    if not sources:
        raise pytest.UsageError("these checks are part of the molecule scenarios: make molecule SCENARIO=single")
    inventories = tuple(source for source in sources.split(":") if source)
    options = [part for inventory in inventories for part in ("--inventory", inventory)]
    command = ["ansible-inventory", "--list", *options]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT).stdout)

    def members(group: str) -> list[str]:
        content = listed.get(group, {})
        return [*content.get("hosts", []), *(host for child in content.get("children", []) for host in members(child))]

    variables = listed["_meta"]["hostvars"]
    return Scenario(inventories, {group: sorted(members(group)) for group in listed if group != "_meta"}, variables)


def connect(name: str) -> t.Any:
    variables = load_scenario().variables[name]
    return testinfra.get_host(
        f"ssh://{variables['ansible_user']}@{variables['ansible_host']}",
        ssh_identity_file=variables["ansible_ssh_private_key_file"],
        ssh_extra_args=variables["ansible_ssh_common_args"],
    )


def recap(output: str) -> dict[str, dict[str, int]]:
    """The numbers in the recap of ansible-playbook, by host."""
    lines = re.findall(r"^(\S+)\s+: (ok=.*)$", re.sub(r"\x1b\[[0-9;]*m", "", output), re.MULTILINE)
    return {host: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", numbers)} for host, numbers in lines}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    scenario = load_scenario()
    for fixture, names in (
        ("server", scenario.servers),
        ("agent", scenario.agents),
        ("node", scenario.hosts),
        ("wasm_node", scenario.wasm_hosts),
    ):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, names, indirect=True)


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    return load_scenario()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> t.Any:
    return connect(request.param)


@pytest.fixture
def agent(request: pytest.FixtureRequest) -> t.Any:
    return connect(request.param)


@pytest.fixture
def node(request: pytest.FixtureRequest) -> t.Any:
    """Each server and each agent in turn, as a testinfra host."""
    return connect(request.param)


@pytest.fixture
def wasm_node(request: pytest.FixtureRequest) -> t.Any:
    return connect(request.param)


@pytest.fixture(scope="session")
def kubeconfig(scenario: Scenario) -> Path:
    """The administrator's kubeconfig on this machine."""
    return scenario.directory / "kubeconfig.yml"


@pytest.fixture(scope="session")
def api(kubeconfig: Path) -> lightkube.Client:
    """The API with the administrator's kubeconfig on this machine."""
    return lightkube.Client(config=lightkube.KubeConfig.from_file(kubeconfig))
