# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the test hosts that need no root: names, addresses, inventories, the choice of k3s, the command line."""

from __future__ import annotations

import argparse
import ipaddress
import json
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.tests.hosts import (
    Environment,
    HostsError,
    HostSpecification,
    inventory,
    write_inventory,
)
from ansible_collections.wasmfaas.platform.tests.hosts.__main__ import main, parser, size
from ansible_collections.wasmfaas.platform.tests.hosts.environment import MAXIMUM_HOSTS, Host, check_specifications
from ansible_collections.wasmfaas.platform.tests.hosts.k3s_binary import (
    STAND_IN_VERSION,
    K3s,
    architecture,
    origin,
    selected,
)
from ansible_collections.wasmfaas.platform.tests.hosts.k3s_binary import inventory as k3s_inventory
from ansible_collections.wasmfaas.platform.tests.hosts.machine import Supervisor
from ansible_collections.wasmfaas.platform.tests.hosts.network import Network, free_subnet
from ansible_collections.wasmfaas.platform.tests.hosts.rootfs import digest


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """The state of two hosts that were never booted."""
    hosts = {
        name: {
            "name": name,
            "index": index,
            "address": f"10.200.1.{10 + index}",
            "hostname": name,
            "machine_id": str(index) * 32,
        }
        for index, name in enumerate(("server1", "worker1"), start=1)
    }
    state = {
        "version": 1,
        "network": {"identifier": "abcde", "subnet": "10.200.1.0/24"},
        "inotify_before": 0,
        "hosts": hosts,
    }
    (tmp_path / "hosts.json").write_text(json.dumps(state))
    return Environment(tmp_path)


@pytest.mark.parametrize("name", ["", "Server1", "a_b", "-a", "a-", "a.b", "x" * 64, "a b"])
def test_name_that_is_not_a_dns_label_is_refused(name: str) -> None:
    with pytest.raises(HostsError, match="cannot be a host's name"):
        check_specifications([HostSpecification(name)], {})


def test_too_many_hosts_are_refused() -> None:
    present = {f"a{number}": Host(f"a{number}", number, "", "", "") for number in range(20)}
    check_specifications([HostSpecification(f"a{number}") for number in range(MAXIMUM_HOSTS)], present)
    with pytest.raises(HostsError, match="25 hosts are too many"):
        check_specifications([HostSpecification(f"b{number}") for number in range(5)], present)


def test_same_name_twice_or_with_another_disk_is_refused() -> None:
    with pytest.raises(HostsError, match="named twice"):
        check_specifications([HostSpecification("a"), HostSpecification("a")], {})
    with pytest.raises(HostsError, match="another data_size"):
        check_specifications([HostSpecification("a", data_size=1 << 20)], {"a": Host("a", 1, "", "", "")})


def test_free_subnet_overlaps_nothing_that_is_taken() -> None:
    taken = [
        ipaddress.IPv4Network(text) for text in ("10.128.0.0/24", "10.128.1.0/25", "10.128.2.0/23", "192.168.0.0/16")
    ]
    assert free_subnet(taken, 0) == "10.128.4.0/24"
    assert free_subnet([], 5) == "10.128.5.0/24"
    assert free_subnet([ipaddress.IPv4Network("10.255.255.0/24")], (1 << 15) - 1) == "10.128.0.0/24"
    with pytest.raises(HostsError, match="No free network"):
        free_subnet([ipaddress.IPv4Network("10.0.0.0/8")], 0)


def test_names_of_interfaces_fit_into_the_kernels_15_characters() -> None:
    network = Network("abcde", "10.200.1.0/24")
    assert len(network.link) <= 15
    assert len(f"vb-{network.identifier}-{MAXIMUM_HOSTS}") <= 15
    assert network.gateway == "10.200.1.1"
    assert [network.address(index) for index in (1, MAXIMUM_HOSTS)] == ["10.200.1.11", "10.200.1.34"]


def test_inventory_nests_groups_and_leaves_empty_ones(environment: Environment) -> None:
    content = inventory(
        environment,
        {"k3s_server/control_plane": ["server1"], "k3s_agent/worker_wasm": ["worker1"], "k3s_agent/worker_build": []},
    )
    children = content["all"]["children"]
    assert children["k3s_server"]["children"]["control_plane"] == {
        "hosts": {"server1": {"ansible_host": "10.200.1.11"}}
    }
    assert children["k3s_agent"]["children"] == {
        "worker_wasm": {"hosts": {"worker1": {"ansible_host": "10.200.1.12"}}},
        "worker_build": {},
    }
    assert content["all"]["vars"]["ansible_ssh_private_key_file"] == str(environment.key)
    assert "StrictHostKeyChecking=yes" in content["all"]["vars"]["ansible_ssh_common_args"]


def test_inventory_without_groups_holds_only_addresses(environment: Environment, tmp_path: Path) -> None:
    write_inventory(environment, {}, tmp_path / "new" / "hosts.yml")
    content = yaml.safe_load((tmp_path / "new" / "hosts.yml").read_text())["all"]
    assert sorted(content["hosts"]) == ["server1", "worker1"]
    assert "children" not in content


def test_error_names_an_unknown_host_and_the_known_ones(environment: Environment) -> None:
    with pytest.raises(HostsError, match=re.escape("group k3s_agent: no test host is called worker9")):
        inventory(environment, {"k3s_agent": ["worker9"]})
    with pytest.raises(HostsError, match="no test host is called worker9: there are server1, worker1"):
        environment.run("worker9", "true")
    with pytest.raises(HostsError, match="server1 is off"):
        environment.console("server1", "true")
    with pytest.raises(HostsError, match="no disk of its own"):
        environment.fill_disk("server1")


def test_error_says_that_an_environment_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--state", str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().err == f"Error: no test hosts in {tmp_path / 'nowhere'}: create them first\n"


def test_process_with_the_id_of_a_former_one_is_not_the_host() -> None:
    assert not Supervisor(1, 1).alive()  # process 1 started, but not at this tick
    assert Supervisor(1, 1).init() == 0
    assert not Supervisor(0, 0).alive()


@pytest.mark.parametrize(
    ("text", "expected"), [("512M", 512 << 20), ("2G", 2 << 30), ("1k", 1 << 10), ("0", 0), ("4096", 4096)]
)
def test_size_is_read_with_its_unit(text: str, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "2T", "G", "1.5G"])
def test_text_that_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a size"):
        size(text)


def test_environment_has_every_accident_of_the_command_line() -> None:
    options = parser().parse_args(["fill-disk", "--state", "/x", "server1", "server2"])
    assert options.hosts == ["server1", "server2"]
    for name in ("kill", "boot", "freeze", "thaw", "cut", "heal", "fill_disk", "free_disk", "wipe", "remove"):
        assert callable(getattr(Environment, name))


def test_digest_of_the_root_file_system_is_stable() -> None:
    assert digest() == digest()
    assert re.fullmatch(r"[0-9a-f]{16}", digest())


def test_real_k3s_is_asked_for_its_version(tmp_path: Path) -> None:
    program = tmp_path / "k3s"
    program.write_text("#!/bin/sh\necho 'k3s version v1.36.4+k3s1 (abc)'\necho 'go version go1.25'\n")
    program.chmod(0o755)
    chosen = selected(environment={"K3S_BINARY": str(program)})
    assert (chosen.version, chosen.binary) == ("v1.36.4+k3s1", program)
    assert chosen.variables() == {"k3s_version": "v1.36.4+k3s1", "k3s_binaries": {architecture(): str(program)}}
    assert origin({"K3S_BINARY": str(program)}) == f"real, K3S_BINARY={program}"
    program.write_text("#!/bin/sh\necho other\n")
    with pytest.raises(HostsError, match="is not k3s"):
        selected(environment={"K3S_BINARY": str(program)})


def test_version_alone_is_downloaded_by_the_roles() -> None:
    assert selected(environment={"K3S_VERSION": "v1.36.4+k3s1"}).variables() == {
        "k3s_version": "v1.36.4+k3s1",
        "k3s_binaries": {},
    }
    with pytest.raises(HostsError, match="K3S_UPGRADE_BINARY or K3S_UPGRADE_VERSION"):
        selected(upgrade=True, environment={"K3S_VERSION": "v1.36.4+k3s1"})
    assert "stand-in" in origin({})


def test_inventory_of_k3s_has_a_stand_in_of_the_shim(tmp_path: Path) -> None:
    variables = k3s_inventory(tmp_path, K3s(STAND_IN_VERSION, tmp_path / "k3s", "stand-in"))["all"]["vars"]
    shim = Path(variables["wasm_shims_binaries"]["spin"][architecture()])
    assert shim.stat().st_mode & 0o777 == 0o755
    assert "stand-in" in shim.read_text()
    assert variables["k3s_version"] == STAND_IN_VERSION
