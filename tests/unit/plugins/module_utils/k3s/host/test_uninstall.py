# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""uninstall.py: what is found and removed, on a host that is a directory."""

from __future__ import annotations

import os
import subprocess
import sys
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
    """The commands of a host whose files are below `root`.

    Args:
        stops: whether its unit can be stopped.
        mounts: its mount points; None leaves the file as it is.
        busy: mount points that cannot be unmounted.
    """

    def __init__(
        self, root: Path, *, stops: bool = True, mounts: t.Sequence[str] | None = None, busy: t.Sequence[str] = ()
    ) -> None:
        self.asked: list[list[str]] = []
        self.table, self.busy = root / "proc/self/mounts", busy
        if mounts is not None:
            self.mounts = list(mounts)
        self.written = ""
        self.running, self.stops, self.rules = True, stops, RULES

    @property
    def mounts(self) -> list[str]:
        points = [line.split()[1] for line in self.table.read_text(encoding="utf-8").splitlines()]
        return [point.replace("\\040", " ") for point in points]

    @mounts.setter
    def mounts(self, points: list[str]) -> None:
        lines = ["dev {} ext4 rw 0 0\n".format(point.replace(" ", "\\040")) for point in points]
        self.table.write_text("".join(lines), encoding="utf-8")

    def mount(self, point: str) -> None:
        self.mounts = [*self.mounts, point]

    def __call__(self, arguments: list[str], *, standard_input: str = "", seconds: float = 60) -> Completed:
        self.asked.append(arguments)
        if arguments[:2] == ["systemctl", "is-active"]:
            return Completed(0, "active\n" if self.running else "inactive\n", "")
        if arguments[:2] == ["systemctl", "is-enabled"]:
            return Completed(0, "enabled\n" if self.running else "disabled\n", "")
        if arguments[:2] == ["systemctl", "disable"]:
            self.running = not self.stops
            return Completed(0 if self.stops else 1, "", "" if self.stops else "Job timed out")
        if arguments[0] == "umount" and arguments[2] not in self.busy:
            points = self.mounts
            points.remove(arguments[2])
            self.mounts = points
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
    machine = Machine(root)
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
    assert left == [
        "etc/systemd/system/other.service",
        "usr/local/bin/containerd-shim-spin-v2",
        "usr/local/bin/helm",
    ]
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
    machine = Machine(root)
    removed = uninstall.Host(root=str(root), command=machine).remove(check_mode=False)
    assert removed[0] == "unit wasmfaas-node-warmer.timer"
    assert ["systemctl", "disable", "--now", "wasmfaas-node-warmer.timer"] in machine.asked
    assert not list(root.rglob("*wasmfaas-node-warmer*")) and not (root / "usr/local/lib/wasmfaas").exists()


def test_check_mode_names_it_and_touches_nothing(root: Path) -> None:
    machine = Machine(root)
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
    machine = Machine(tmp_path)
    assert uninstall.Host(root=str(tmp_path), command=machine).remove(check_mode=False) == [] and machine.asked == []


def test_a_unit_that_does_not_stop_is_an_error_before_data_go(root: Path) -> None:
    with pytest.raises(PlatformError, match="could not be stopped"):
        uninstall.Host(root=str(root), command=Machine(root, stops=False)).remove(check_mode=False)
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
    assert uninstall.Host(root=str(root), command=Machine(root)).containers() == [10, 11, 12]


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    uninstall.delete(str(tmp_path / "link"), ())
    assert (tmp_path / "kept" / "file").exists() and not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("mount", ["server", "agent", "storage", "server/db", "agent/containerd"])
def test_a_disk_of_the_user_is_emptied_and_stays_mounted(root: Path, mount: str) -> None:
    disk = root / "var/lib/rancher/k3s" / mount
    (disk / "lost+found").mkdir(parents=True)
    (disk / "data").write_text("of the cluster", encoding="utf-8")
    point = f"/var/lib/rancher/k3s/{mount}"
    machine = Machine(root, mounts=["/", point, "/run/k3s/containerd/a"])
    if mount == "agent/containerd":
        machine.mount(f"{point}/tmpmounts/1")
    removed = uninstall.Host(root=str(root), command=machine).remove(check_mode=False)
    assert "/var/lib/rancher/k3s" in removed
    assert machine.mounts == ["/", point], "what containers have mounted is gone, the disk is not"
    assert [path.name for path in disk.iterdir()] == ["lost+found"]
    assert not any(path.is_file() for path in (root / "var/lib/rancher").rglob("*"))
    assert uninstall.Host(root=str(root), command=machine).delete_files(False) == [], "the second run"


def test_what_fstab_mounts_below_the_kubelet_stays(root: Path) -> None:
    (root / "etc/fstab").write_text(
        "# pods\nUUID=1 /var/lib/kubelet/my\\040pods/ ext4 defaults 0 2\n", encoding="utf-8"
    )
    (root / "var/lib/kubelet/my pods/pod").mkdir(parents=True)
    machine = Machine(root, mounts=["/", "/var/lib/kubelet/my pods", "/var/lib/kubelet/my pods/pod"])
    uninstall.Host(root=str(root), command=machine).remove(check_mode=False)
    assert (
        machine.mounts == ["/", "/var/lib/kubelet/my pods"] and list((root / "var/lib/kubelet/my pods").iterdir()) == []
    )


@pytest.mark.parametrize(
    "sibling",
    ["/run/k3s-data", "/var/lib/kubelet2/volume", "/var/lib/rancher/k3s-old/a"],
)
def test_what_only_begins_like_a_directory_of_k3s_is_left_alone(root: Path, sibling: str) -> None:
    (root / sibling[1:]).mkdir(parents=True)
    (root / sibling[1:] / "data").touch()
    machine = Machine(root, mounts=["/", sibling])
    uninstall.Host(root=str(root), command=machine).remove(check_mode=False)
    assert machine.mounts == ["/", sibling] and (root / sibling[1:] / "data").exists()


@pytest.mark.parametrize("point", ["/var/lib/kubelet/pods/p/volumes/größe", "/run/k3s/containerd/a b"])
def test_a_volume_that_cannot_be_unmounted_keeps_its_data(root: Path, point: str) -> None:
    (root / point[1:]).mkdir(parents=True)
    (root / point[1:] / "data").touch()
    machine = Machine(root, mounts=["/", point], busy=[point])
    with pytest.raises(PlatformError, match="cannot be unmounted") as caught:
        uninstall.Host(root=str(root), command=machine).remove(check_mode=False)
    assert point in caught.value.cause
    assert (root / point[1:] / "data").exists() and (root / "etc/rancher/k3s").exists()
    machine.busy = []
    uninstall.Host(root=str(root), command=machine).remove(check_mode=False)
    assert machine.mounts == ["/"] and not (root / "etc/rancher/k3s").exists()


def test_what_is_mounted_several_times_is_unmounted_as_often(root: Path) -> None:
    point = "/var/lib/kubelet/pods/p/volume"
    machine = Machine(root, mounts=["/", *[point] * 5])
    removed = uninstall.Host(root=str(root), command=machine).remove(check_mode=False)
    assert machine.mounts == ["/"] and removed.count(f"mount {point}") == 1


def test_shims_of_others_stay(root: Path) -> None:
    """The role wasm_shims removes those of its catalogue."""
    shim = root / "usr/local/bin/containerd-shim-runc-v2"
    shim.touch()
    uninstall.Host(root=str(root), command=Machine(root)).remove(check_mode=False)
    assert shim.exists()


MOUNT_AND_REMOVE = """
set -eu
mount --make-rprivate /
mount -t tmpfs pods pods
mkdir pods/same
mount --bind data pods/same
mount --bind disk k3s/server
exec "$0" -c "$1" "$PWD"
"""
REMOVE = """
import sys
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host import uninstall
uninstall.MOUNTS = (sys.argv[1] + "/pods",)
uninstall.FILES = (sys.argv[1] + "/pods", sys.argv[1] + "/k3s")
host = uninstall.Host()
print(host.unmount(False), host.delete_files(False), host.delete_files(False))
"""


@pytest.mark.parametrize("works", [True, False], ids=["umount works", "umount fails"])
def test_real_mounts(tmp_path: Path, works: bool) -> None:
    """The kernel's own mounts, in a mount namespace. Those of directories of the same file system are what
    os.path.ismount does not see."""
    for name in ("pods", "data", "disk", "k3s/server", "programs"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data/precious").touch()
    (tmp_path / "disk/of the cluster").touch()
    if not works:
        (tmp_path / "programs/umount").write_text("#!/bin/sh\nexit 32\n", encoding="utf-8")
        (tmp_path / "programs/umount").chmod(0o755)
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", MOUNT_AND_REMOVE, sys.executable, REMOVE],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{tmp_path}/programs:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        },
        check=False,
        capture_output=True,
        text=True,
    )
    if "unshare" in done.stderr:
        pytest.skip(f"a mount namespace needs root: {done.stderr.strip()}")
    assert (tmp_path / "data/precious").exists(), "the volume of a pod"
    if works:
        assert done.returncode == 0, done.stderr
        assert list((tmp_path / "disk").iterdir()) == [] and done.stdout.endswith(" []\n"), done.stdout
    else:
        assert "cannot be unmounted" in done.stderr and (tmp_path / "disk/of the cluster").exists()
