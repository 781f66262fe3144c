# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test hosts themselves: every accident happens, nothing of it reaches this machine, and nothing is left
afterwards."""

from __future__ import annotations

import collections.abc
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.tests.hosts import (
    Environment,
    HostsError,
    HostSpecification,
    environments,
    prune,
    unavailable,
    write_inventory,
)

from .support.servers import REPOSITORY, wait_until

_reason = unavailable()
pytestmark = pytest.mark.skipif(bool(_reason), reason=_reason or "hosts can be made")

MEBIBYTE = 1 << 20
DATA = 256 * MEBIBYTE


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[Environment]:
    environment = Environment.create(
        tmp_path_factory.mktemp("hosts") / "state", [HostSpecification("one", data_size=DATA), "two"]
    )
    identifier, directory = environment.network.identifier, environment.directory
    yield environment
    environment.destroy()
    assert not directory.exists()
    assert _traces(identifier, directory) == []


def _traces(identifier: str, directory: Path) -> list[str]:
    """What is left of an environment: mounts, links, network namespaces, loop devices, control groups, processes."""
    commands = (
        ["ip", "-o", "link"],
        ["ip", "netns"],
        ["losetup", "--all"],
        ["ps", "-eo", "args"],
        ["cat", "/proc/mounts"],
    )
    groups = ["find", "/sys/fs/cgroup", "-name", f"{identifier}-*"]
    lines = [
        line
        for command in (*commands, groups)
        for line in subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    ]
    return [
        line
        for line in lines
        if str(directory) in line
        or f"wf-{identifier}" in line
        or f"wasmfaas-{identifier}" in line
        or f"{identifier}-" in line
    ]


def _reaches(hosts: Environment, source: str, target: str) -> bool:
    address = hosts.host(target).address
    return hosts.console(source, f"timeout 2 bash -c '</dev/tcp/{address}/22'", check=False).returncode == 0


def test_hosts_are_systems_of_their_own(hosts: Environment) -> None:
    found = {
        name: hosts.run(name, "hostname; cat /etc/machine-id; systemctl is-system-running --wait").stdout.split()
        for name in ("one", "two")
    }
    assert [found[name][0] for name in found] == ["one", "two"]
    assert found["one"][1] != found["two"][1]
    assert {name: lines[2] for name, lines in found.items()} == {"one": "running", "two": "running"}
    assert _reaches(hosts, "one", "two")


def test_kernel_settings_of_one_host_are_its_own(hosts: Environment) -> None:
    setting = Path("/proc/sys/vm/max_map_count")
    before = setting.read_text()
    other = hosts.run("two", f"cat {setting}").stdout
    hosts.run("one", "sysctl -w vm.max_map_count=123456 net.ipv4.ip_forward=1")
    assert hosts.run("one", f"cat {setting}").stdout == "123456\n"
    assert setting.read_text() == before
    assert hosts.run("two", f"cat {setting}").stdout == other


def test_create_again_keeps_what_is_there(hosts: Environment) -> None:
    boot = hosts.run("one", "cat /proc/sys/kernel/random/boot_id").stdout
    Environment.create(hosts.directory, [HostSpecification("one", data_size=DATA), "two"])
    assert hosts.run("one", "cat /proc/sys/kernel/random/boot_id").stdout == boot


def test_power_loss_keeps_the_disk(hosts: Environment) -> None:
    hosts.run("one", "echo kept | tee /root/system /var/lib/rancher/data; nohup sleep 1000 >/dev/null 2>&1 &")
    hosts.kill("one")
    assert not hosts.running("one")
    assert not _reaches(hosts, "two", "one")
    hosts.boot("one")
    assert hosts.run("one", "cat /root/system /var/lib/rancher/data; pgrep sleep || echo gone").stdout.split() == [
        "kept",
        "kept",
        "gone",
    ]


def test_frozen_host_does_nothing_until_it_thaws(hosts: Environment) -> None:
    hosts.run(
        "two",
        "nohup sh -c 'while true; do date +%s%N > /run/beat; sleep 0.05; done' >/dev/null 2>&1 & until [ -s "
        "/run/beat ]; do sleep 0.05; done",
    )
    hosts.freeze("two")
    # The sleep gives the host time for two beats, which it must not use.
    beats = {hosts.console("two", "cat /run/beat").stdout for _attempt in range(3) if not time.sleep(0.1)}
    assert len(beats) == 1
    with pytest.raises(HostsError, match="did not end within"):
        hosts.run("two", "true", timeout=1)
    hosts.thaw("two")
    hosts.run("two", f"until [ $(cat /run/beat) != {beats.pop().strip()} ]; do sleep 0.05; done", timeout=10)


def test_cut_host_reaches_nobody_also_after_a_boot(hosts: Environment) -> None:
    hosts.cut("two")
    assert not _reaches(hosts, "two", "one")
    assert not _reaches(hosts, "one", "two")
    hosts.kill("two")
    hosts.boot("two")
    assert not _reaches(hosts, "two", "one")
    hosts.heal("two")
    # Nobody could see whether its sshd was up when it had booted.
    wait_until(
        lambda: hosts.run("two", "echo healed", check=False).stdout == "healed\n", seconds=60, what="the host answers"
    )


def test_full_disk_is_the_hosts_only(hosts: Environment) -> None:
    hosts.fill_disk("one")
    failed = hosts.run("one", "echo more > /var/lib/rancher/more", check=False)
    assert failed.returncode != 0
    assert "No space left on device" in failed.stderr
    hosts.run("one", "echo more > /root/more")
    hosts.free_disk("one")
    hosts.run("one", "echo more > /var/lib/rancher/more")
    with pytest.raises(HostsError, match="no disk of its own"):
        hosts.fill_disk("two")


def test_wiped_host_is_a_new_one_at_the_old_address(hosts: Environment) -> None:
    before, key = hosts.host("one"), hosts.known_hosts.read_text()
    hosts.run("one", "touch /root/old /var/lib/rancher/old")
    hosts.wipe("one")
    after = hosts.host("one")
    assert (after.address, after.hostname) == (before.address, before.hostname)
    assert hosts.run(
        "one", "cat /etc/machine-id; ls /root/old /var/lib/rancher/old 2>/dev/null | wc -l"
    ).stdout.split() == [after.machine_id, "0"]
    assert after.machine_id != before.machine_id
    assert hosts.known_hosts.read_text() != key


def test_clock_can_be_wrong_for_what_ssh_runs(hosts: Environment) -> None:
    hosts.set_clock_offset("two", 3600)
    shown = float(hosts.run("two", "python3 -c 'import time; print(time.time())'").stdout)
    assert shown - time.time() == pytest.approx(3600, abs=5)
    hosts.set_clock_offset("two", 0)
    assert float(hosts.run("two", "date +%s").stdout) == pytest.approx(time.time(), abs=5)


def test_host_reboots_by_itself(hosts: Environment) -> None:
    before = hosts.run("two", "cat /proc/sys/kernel/random/boot_id").stdout
    hosts.run("two", "systemctl reboot", check=False)
    end = time.monotonic() + 30
    while (after := hosts.run("two", "cat /proc/sys/kernel/random/boot_id", check=False, timeout=15).stdout) in {
        "",
        before,
    }:
        assert time.monotonic() < end
    assert after != before


def test_ansible_reaches_the_hosts_by_the_inventory(hosts: Environment, tmp_path: Path) -> None:
    write_inventory(
        hosts, {"k3s_server/control_plane": ["one"], "k3s_agent/worker_wasm": ["two"]}, tmp_path / "hosts.yml"
    )
    arguments = ["k3s_agent", "-i", tmp_path / "hosts.yml", "-m", "ansible.builtin.command", "-a", "hostname"]
    command = [Path(sys.executable).parent / "ansible", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "two" in done.stdout
    assert "one |" not in done.stdout


def test_two_environments_at_the_same_time(hosts: Environment, tmp_path: Path) -> None:
    other = Environment.create(tmp_path / "other", ["one"])
    try:
        assert other.network.subnet != hosts.network.subnet
        other.run("one", "touch /root/other")
        assert hosts.run("one", "ls /root/other", check=False).returncode != 0
    finally:
        other.destroy()
    assert hosts.run("one", "echo still here").stdout == "still here\n"


def test_what_a_deleted_directory_leaves_is_pruned(hosts: Environment, tmp_path: Path) -> None:
    lost = Environment.create(tmp_path / "lost", ["one"])
    identifier = lost.network.identifier
    (lost.directory / "hosts.json").unlink()
    assert str(lost.directory) in prune()
    assert identifier not in environments()
    assert hosts.running("one")


def test_command_line(hosts: Environment) -> None:
    command = [sys.executable, "-m", "tests.hosts"]
    listed = subprocess.run(
        [*command, "list", "--state", str(hosts.directory)], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert [(host["name"], host["running"]) for host in json.loads(listed.stdout)] == [("one", True), ("two", True)]
    failed = subprocess.run(
        [*command, "kill", "--state", str(hosts.directory), "three"],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert failed.returncode == 1
    assert failed.stderr == "Error: no test host is called three: there are one, two\n"
