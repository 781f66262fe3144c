# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of a host, read from made-up machines and from this one."""

from __future__ import annotations

import os
import socket
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.host import facts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('PRETTY_NAME="x"\nID=debian\nVERSION_ID="12"\n', {"id": "debian", "version_id": "12", "id_like": ""}),
        (
            'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID=\'9.4\'\n',
            {"id": "rocky", "version_id": "9.4", "id_like": "rhel centos fedora"},
        ),
        ("nonsense", {"id": "", "version_id": "", "id_like": ""}),
    ],
)
def test_operating_system_is_read(tmp_path: Path, text: str, expected: dict[str, str]) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text(text)
    assert facts.operating_system(str(tmp_path)) == expected


def test_machine_without_anything_has_values_and_no_errors(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert facts.operating_system(root) == {"id": "", "version_id": "", "id_like": ""}
    assert (facts.machine_id(root), facts.boot_id(root), facts.memory_bytes(root), facts.cgroup(root)) == (
        "",
        "",
        0,
        "",
    )
    assert (facts.systemd(root), facts.selinux(root)) == (False, "disabled")
    assert facts.disk(f"{root}/no/such/place")["total_bytes"] > 0


@pytest.mark.parametrize(("machine", "expected"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")])
def test_architecture_has_the_name_of_releases(machine: str, expected: str) -> None:
    assert facts.architecture(machine) == expected


def test_cgroup_version_is_told_by_its_root(tmp_path: Path) -> None:
    directory = tmp_path / "sys/fs/cgroup"
    (directory / "memory").mkdir(parents=True)
    assert facts.cgroup(str(tmp_path)) == "v1"
    (directory / "unified").mkdir()
    assert facts.cgroup(str(tmp_path)) == "v1", "both at once: kubelet works with v1 then"
    (directory / "cgroup.controllers").write_text("cpu memory\n")
    assert facts.cgroup(str(tmp_path)) == "v2"


@pytest.mark.parametrize(("content", "expected"), [("1", "enforcing"), ("0\n", "permissive")])
def test_selinux_is_read(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "sys/fs/selinux").mkdir(parents=True)
    (tmp_path / "sys/fs/selinux/enforce").write_text(content)
    assert facts.selinux(str(tmp_path)) == expected


def test_listener_is_found_with_its_process() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        datagrams.bind(("127.0.0.1", 0))
        port, udp_port = server.getsockname()[1], datagrams.getsockname()[1]
        wanted = [
            {"protocol": "tcp", "port": port},
            {"protocol": "udp", "port": udp_port},
            {"protocol": "udp", "port": port},
        ]
        found = facts.ports_in_use(wanted)
    name = Path("/proc/self/comm").read_text().strip()
    assert [(entry["protocol"], entry["port"], entry["process"]) for entry in found] == [
        ("tcp", port, name),
        ("udp", udp_port, name),
    ]
    assert facts.ports_in_use([{"protocol": "tcp", "port": port}]) == []


def test_process_and_unit_of_a_listener_are_read_from_proc(tmp_path: Path) -> None:
    (tmp_path / "proc/net").mkdir(parents=True)
    header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    line = (
        "   0: 00000000:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 "
        "0 0 10 0\n"
    )
    connected = (
        "   1: 0100007F:094B 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 "
        "100 0 0 10 0\n"
    )
    (tmp_path / "proc/net/tcp6").write_text(header + line + connected)
    process = tmp_path / "proc/77"
    (process / "fd").mkdir(parents=True)
    (process / "comm").write_text("haproxy\n")
    (process / "cgroup").write_text("1:name=systemd:/system.slice/haproxy.service\n")
    (process / "fd/3").symlink_to("socket:[4711]")
    wanted = [{"protocol": "tcp", "port": 6443}, {"protocol": "tcp", "port": 2379}]
    assert facts.ports_in_use(wanted, root=str(tmp_path)) == [
        {"protocol": "tcp", "port": 6443, "process": "haproxy", "unit": "haproxy.service"}
    ]
    (process / "fd/3").unlink()
    assert facts.ports_in_use(wanted, root=str(tmp_path))[0]["process"] == ""


def test_connections_are_told_apart_all_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as gone:
        port, free = server.getsockname()[1], gone.getsockname()[1]
        gone.close()
        found = facts.connections(
            [f"127.0.0.1:{port}", f"127.0.0.1:{free}", "no-such-name.invalid:1", "no port"], seconds=20.0
        )
    assert found == {
        f"127.0.0.1:{port}": "open",
        f"127.0.0.1:{free}": "refused",
        "no-such-name.invalid:1": "unknown",
        "no port": "unknown",
    }


def test_no_answer_ends_in_time() -> None:
    # A full queue of connections that nobody accepts drops further ones, as a firewall does.
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as server,
        socket.socket() as first,
        socket.socket() as second,
    ):
        address = server.getsockname()
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(address)
        started = time.monotonic()
        found = facts.connections([f"127.0.0.1:{address[1]}"] * 2, seconds=0.3)
        assert time.monotonic() - started < 60  # and not the two minutes after which the kernel gives up
    assert found == {f"127.0.0.1:{address[1]}": "filtered"}


@pytest.mark.parametrize(
    ("interface", "own"),
    [
        ("eth0", True),
        ("ens5", True),
        ("bond0.100", True),
        ("cni0", False),
        ("flannel.1", False),
        ("lo", False),
        ("veth12ab", False),
    ],
)
def test_addresses_of_virtual_interfaces_are_no_addresses_of_the_machine(
    interface: str, own: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(facts, "_ipv4_addresses", lambda: [(interface, "10.0.0.1"), (interface, "10.0.0.1")])
    assert facts.own_addresses(facts.interfaces(str(tmp_path))) == (["10.0.0.1"] if own else [])


def test_ipv6_addresses_are_those_that_reach_beyond_the_link(tmp_path: Path) -> None:
    (tmp_path / "proc/net").mkdir(parents=True)
    lines = [
        "fe800000000000000000000000000001 02 40 20 80 eth0",
        "fd000000000000000000000000000002 02 40 00 80 eth0",
        "00000000000000000000000000000001 01 80 10 80 lo",
    ]
    (tmp_path / "proc/net/if_inet6").write_text("\n".join(lines) + "\n")
    assert [address for address in facts.interfaces(str(tmp_path)) if ":" in address] == ["fd00::2"]


def test_this_machine_is_read() -> None:
    assert facts.memory_bytes() > 1 << 20
    assert facts.cpus() == len(os.sched_getaffinity(0))
    assert facts.hostname() == socket.gethostname().lower()
    assert facts.time_synchronized() in (True, False, None)
    assert "127.0.0.1" not in facts.interfaces()
    assert facts.default_address() != "127.0.0.1"


def test_space_of_a_directory_that_is_not_there_yet_is_that_of_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = os.statvfs

    def statvfs(path: t.Any) -> os.statvfs_result:
        asked.append(str(path))
        return real(path)

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert facts.disk(f"{tmp_path}/var/lib/rancher")["free_bytes"] > 0
    assert asked == [str(tmp_path)]


def test_controllers_modules_and_firewall(tmp_path: Path) -> None:
    nothing = facts.kernel_modules(["overlay"], str(tmp_path))
    assert nothing == {"overlay": None}, "a container has no modules of the kernel, and nothing is known"
    for file, content in {
        "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
        f"lib/modules/{os.uname().release}/modules.dep": "kernel/fs/overlayfs/overlay.ko.xz:\n",
        f"lib/modules/{os.uname().release}/modules.builtin": "kernel/net/bridge/bridge.ko\n",
        "sys/module/loaded/refcnt": "0",
        "proc/12/comm": "systemd\n",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(content)
    root = str(tmp_path)
    assert facts.cgroup_controllers(root) == ["cpuset", "cpu", "io", "memory", "pids"]
    found = facts.kernel_modules(["overlay", "bridge", "loaded", "br_netfilter"], root)
    assert found == {"overlay": True, "bridge": True, "loaded": True, "br_netfilter": False}
    assert facts.firewall(root) == ""
    (tmp_path / "proc/34").mkdir()
    (tmp_path / "proc/34/comm").write_text("firewalld\n")
    assert facts.firewall(root) == "firewalld"
    (tmp_path / "etc/ufw").mkdir(parents=True)
    (tmp_path / "etc/ufw/ufw.conf").write_text("# comment\nENABLED=yes\nLOGLEVEL=low\n")
    assert facts.firewall(root) == "ufw"


def test_settings_that_another_file_makes_at_the_next_boot(tmp_path: Path) -> None:
    for file, content in {
        "usr/lib/sysctl.d/99-a.conf": "vm.overcommit_memory = 2\n",
        "etc/sysctl.d/99-a.conf": "# vm.overcommit_memory = 0\n-kernel/panic =  60\nvm.swappiness=1\n",
        "usr/lib/sysctl.d/50-early.conf": "kernel.panic_on_oops = 0\n",
        "etc/sysctl.d/99-b.txt": "vm.panic_on_oom=1\n",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(content)
    names = ["kernel.panic", "vm.overcommit_memory", "kernel.panic_on_oops", "vm.panic_on_oom"]
    found = facts.later_sysctls(names, "90-own.conf", str(tmp_path))
    assert found == {"kernel.panic": {"value": "60", "file": "/etc/sysctl.d/99-a.conf"}}
