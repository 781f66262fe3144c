# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""uninstall.py: what is found and removed, on a host that is a directory."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host import uninstall

RULES = (
    "*nat\n:KUBE-SERVICES - [0:0]\n:MINE - [0:0]\n-A MINE -j ACCEPT\n-A POSTROUTING -j FLANNEL-POSTRTG\n-A "
    "CNI-HOSTPORT -j ACCEPT\nCOMMIT\n"
)


class Machine:
    """The commands of a host; `stops` is whether its unit can be stopped."""

    def __init__(self, *, stops: bool = True) -> None:
        self.asked: list[list[str]] = []
        self.written = ""
        self.running, self.stops, self.rules = True, stops, RULES

    def __call__(self, arguments: list[str], *, standard_input: str = "", seconds: float = 60) -> Completed:
        self.asked.append(arguments)
        if arguments[:2] == ["systemctl", "is-active"]:
            return Completed(0, "active\n" if self.running else "inactive\n", "")
        if arguments[:2] == ["systemctl", "is-enabled"]:
            return Completed(0, "enabled\n" if self.running else "disabled\n", "")
        if arguments[:2] == ["systemctl", "disable"]:
            self.running = not self.stops
            return Completed(0 if self.stops else 1, "", "" if self.stops else "Job timed out")
        if arguments == ["iptables-save"]:
            return Completed(0, self.rules, "")
        if arguments == ["iptables-restore"]:
            self.rules = self.written = standard_input
        return Completed(0, "", "")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server with containers."""
    for path in (
        "etc/rancher/k3s",
        "etc/rancher/node",
        "var/lib/rancher/k3s/server/db",
        "usr/local/bin",
        "etc/systemd/system",
        "run/wasmfaas",
        "sys/class/net/cni0",
        "proc/self",
    ):
        (tmp_path / path).mkdir(parents=True)
    for path in (
        "usr/local/bin/k3s",
        "usr/local/bin/containerd-shim-spin-v2",
        "usr/local/bin/helm",
        "etc/systemd/system/k3s.service",
        "etc/systemd/system/other.service",
    ):
        (tmp_path / path).touch()
    (tmp_path / "sys/class/net/veth1").mkdir()
    (tmp_path / "sys/class/net/veth1/master").symlink_to("../cni0")
    (tmp_path / "sys/class/net/eth0").mkdir()
    mounts = [
        "/",
        "/var/lib/rancher/k3s",
        "/run/k3s/containerd/task/rootfs",
        "/var/lib/kubelet/pods/a\\040b/volume",
        "/var/lib/kubelet/pods",
        "/home",
    ]
    (tmp_path / "proc/self/mounts").write_text(
        "".join(f"dev {mount} ext4 rw 0 0\n" for mount in mounts), encoding="utf-8"
    )
    monkeypatch.setattr(
        uninstall.shutil, "which", lambda name: f"/usr/sbin/{name}" if name.startswith("iptables") else None
    )
    return tmp_path


def process(root: Path, number: int, parent: int, *arguments: str, state: str = "S") -> None:
    directory = root / "proc" / str(number)
    directory.mkdir()
    (directory / "cmdline").write_bytes("\0".join(arguments).encode())
    (directory / "stat").write_text(f"{number} (a name) with (brackets) {state} {parent} 0", encoding="utf-8")


def test_everything_of_k3s_goes_and_nothing_else(root: Path) -> None:
    machine = Machine()
    removed = uninstall.Host(root=str(root), command=machine).remove(check_mode=False)
    assert (
        removed[0] == "unit k3s"
        and "interface cni0" in removed
        and "3 rules of iptables" in removed
        and "/usr/local/bin/k3s" in removed
    )
    left = sorted(
        os.path.relpath(path, root) for path in root.rglob("*") if path.is_file() and "proc" not in path.parts
    )
    assert left == ["etc/systemd/system/other.service", "usr/local/bin/helm"]
    assert machine.written == "*nat\n:MINE - [0:0]\n-A MINE -j ACCEPT\nCOMMIT\n"
    assert ["ip", "link", "delete", "veth1"] in machine.asked and ["ip", "link", "delete", "eth0"] not in machine.asked
    unmounted = [arguments[2] for arguments in machine.asked if arguments[:2] == ["umount", "--force"]]
    assert unmounted == ["/var/lib/kubelet/pods/a b/volume", "/var/lib/kubelet/pods", "/run/k3s/containerd/task/rootfs"]


def test_the_timer_that_makes_nodes_warm_goes_before_k3s(root: Path) -> None:
    for path in (
        "etc/systemd/system/wasmfaas-node-warmer.timer",
        "etc/systemd/system/wasmfaas-node-warmer.service",
        "usr/local/lib/wasmfaas/wasmfaas/errors.py",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("", encoding="utf-8")
    machine = Machine()
    removed = uninstall.Host(root=str(root), command=machine).remove(check_mode=False)
    assert removed[0] == "unit wasmfaas-node-warmer.timer"
    assert ["systemctl", "disable", "--now", "wasmfaas-node-warmer.timer"] in machine.asked
    assert not list(root.rglob("*wasmfaas-node-warmer*")) and not (root / "usr/local/lib/wasmfaas").exists()


def test_check_mode_names_it_and_touches_nothing(root: Path) -> None:
    machine = Machine()
    before = sorted(root.rglob("*"))
    removed = uninstall.Host(root=str(root), command=machine).remove(check_mode=True)
    assert "unit k3s" in removed and "/etc/rancher/k3s" in removed
    assert (
        sorted(root.rglob("*")) == before
        and {arguments[0] for arguments in machine.asked} == {"systemctl", "iptables-save"}
        and machine.running
    )


def test_a_clean_host_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text("dev / ext4 rw 0 0\n", encoding="utf-8")
    monkeypatch.setattr(uninstall.shutil, "which", lambda _name: None)
    machine = Machine()
    assert uninstall.Host(root=str(tmp_path), command=machine).remove(check_mode=False) == [] and machine.asked == []


def test_a_unit_that_does_not_stop_is_an_error_before_data_go(root: Path) -> None:
    with pytest.raises(PlatformError, match="could not be stopped"):
        uninstall.Host(root=str(root), command=Machine(stops=False)).remove(check_mode=False)
    assert (root / "var/lib/rancher/k3s/server/db").exists()


def test_processes_of_containers_are_those_below_shims_of_k3s(root: Path) -> None:
    process(
        root,
        10,
        1,
        "/usr/local/bin/containerd-shim-spin-v2",
        "-namespace",
        "k8s.io",
        "-address",
        "/run/k3s/containerd/containerd.sock",
    )
    process(root, 11, 10, "/app")
    process(root, 12, 11, "/app", "child")
    process(root, 20, 1, "/usr/bin/containerd-shim-runc-v2", "-address", "/run/containerd/containerd.sock")
    process(root, 21, 20, "docker's own")
    process(root, 30, 1, "/bin/sh", "-c", "grep /run/k3s/containerd/containerd.sock")
    process(root, 40, 10, "ended", state="Z")
    assert uninstall.Host(root=str(root), command=Machine()).containers() == [10, 11, 12]


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    uninstall.delete(str(tmp_path / "link"))
    assert (tmp_path / "kept" / "file").exists() and not (tmp_path / "link").is_symlink()


def test_a_mount_point_is_emptied_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "db").mkdir(parents=True)
    (tmp_path / "data" / "lost+found").mkdir()
    is_mount: t.Callable[[t.Any], bool] = lambda path: str(path) == str(tmp_path / "data")  # noqa: E731
    monkeypatch.setattr(uninstall.os.path, "ismount", is_mount)
    uninstall.delete(str(tmp_path / "data"))
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["lost+found"] and uninstall.is_bare_mount(
        str(tmp_path / "data")
    )
