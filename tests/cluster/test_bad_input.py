# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml reports what is wrong, with the next step, before it changes a host."""

from __future__ import annotations

import re
import typing as t

import pytest

from tests.extent import only_in_full

from .cluster import Cluster
from .conftest import NAMES, VERSION, cluster_of, wipe_all

UNTOUCHED = (
    "find /etc/rancher /var/lib/rancher /usr/local/bin /etc/sysctl.d /etc/systemd/system -newer "
    "/etc/machine-id -type f 2>/dev/null | sort"
)


@pytest.fixture(scope="module")
def hosts_once(environment: t.Any, k3s: t.Any, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """Blank hosts for all tests of this file, none of which may change anything."""
    wipe_all(environment)
    return cluster_of(environment, k3s, tmp_path_factory.mktemp("cluster"))


@pytest.fixture
def cluster(hosts_once: Cluster) -> Cluster:
    return Cluster(hosts_once.environment, hosts_once.directory, dict(hosts_once.groups), dict(hosts_once.variables))


WRONG: dict[str, tuple[dict[str, t.Any], str]] = {
    "typo in a key": ({"k3s_server_config": {"disabel": ["traefik"]}}, r"disabel.*disable"),
    "key of servers on agents": ({"k3s_agent_config": {"disable": ["traefik"]}}, r"disable.*server"),
    "token in the configuration": ({"k3s_config": {"token": "secret-token"}}, r"token.*k3s_token"),
    "cgroup v1": ({"k3s_cgroup_v1_allowed": False}, r"cgroup v1"),
    "disk too small": ({"k3s_minimum_disk_gib": 100_000}, r"GiB"),
    "wrong checksum": ({"k3s_checksums": {VERSION: {"amd64": "0" * 64, "arm64": "0" * 64}}}, r"(?i)sha256|checksum"),
    "no version": ({"k3s_version": "latest"}, r"latest.*v1\."),
    "label that the kubelet refuses": (
        {"k3s_node_labels": {"node-role.kubernetes.io/worker": ["x"]}},
        r"k3s_node_labels",
    ),
}


ALWAYS = ("no version", "wrong checksum")
IN_UNIT_TESTS = (
    "three faults in one message, below; each alone in tests/unit/plugins/module_utils/k3s "
    "(test_k3s_plan.py, test_k3s_configuration.py)"
)


@pytest.mark.parametrize(
    "case", [name if name in ALWAYS else pytest.param(name, marks=only_in_full(IN_UNIT_TESTS)) for name in WRONG]
)
def test_variable_is_refused_before_a_host_is_touched(cluster: Cluster, case: str) -> None:
    variables, message = WRONG[case]
    cluster.variables |= variables
    refused(cluster, message)


@only_in_full("in one message with others, below")
def test_even_number_of_servers_is_refused(cluster: Cluster) -> None:
    cluster.groups = {"k3s_server/control_plane": ["server1", "server2"], "k3s_agent/worker_wasm": ["agent1"]}
    refused(cluster, r"2 servers.*(odd|3|1)")


@only_in_full("tests/unit/plugins/module_utils/k3s/test_k3s_plan.py")
def test_two_hosts_with_the_same_node_name_are_refused(cluster: Cluster) -> None:
    cluster.variables |= {"k3s_node_name": "twin"}
    refused(cluster, r"twin")


def test_port_in_use_is_refused(cluster: Cluster) -> None:
    cluster.environment.run("server2", "systemd-run --unit=squatter python3 -m http.server 6443")
    try:
        refused(cluster, r"6443")
    finally:
        cluster.environment.run("server2", "systemctl stop squatter")


def test_unreachable_host_is_named(cluster: Cluster) -> None:
    cluster.environment.cut("server3")
    try:
        refused(cluster, r"server3.*(reach|SSH)", "-e", "ansible_ssh_timeout=5")
    finally:
        cluster.environment.heal("server3")


def test_all_faults_are_in_one_message(cluster: Cluster) -> None:
    cluster.groups = {"k3s_server/control_plane": ["server1", "server2"], "k3s_agent/worker_wasm": ["agent1"]}
    cluster.variables |= {"k3s_server_config": {"disabel": ["traefik"]}, "k3s_cgroup_v1_allowed": False}
    output = refused(cluster, r"disabel")
    assert "cgroup v1" in output
    assert "2 servers" in output


def refused(cluster: Cluster, message: str, *arguments: str) -> str:
    """Run site.yml, which must fail with `message` and must not change a host. Returns its output."""
    before = {name: cluster.environment.console(name, UNTOUCHED).stdout for name in NAMES}
    run = cluster.play("site.yml", *arguments)
    assert run.exit_code != 0
    assert re.search(message, run.output, re.DOTALL), run.output[-4000:]
    assert "Traceback" not in run.output
    assert run.changed == 0
    assert {name: cluster.environment.console(name, UNTOUCHED).stdout for name in NAMES} == before
    return run.output
