# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking k3s off a host, as k3s's own killall and uninstall scripts do it (k3s, install.sh): containers, mounts,
interfaces, packet filter rules, files.

What node_prepare set (kernel modules and settings) stays, as do the shims, which the role wasm_shims removes. Every
step looks first, so a run that was cut off is continued by the next one, and a clean host is left alone.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import signal
import time
import typing as t

from ...errors import PlatformError
from ...host.commands import Completed, run_command
from ...host.waiting import wait_for
from .. import paths

UNITS = (f"{paths.NODE_WARMER}.timer", f"{paths.SERVER_UNIT}.service", f"{paths.AGENT_UNIT}.service")
CONTAINERD_SOCKET = "/run/k3s/containerd/containerd.sock"
MOUNTS = ("/run/k3s/", "/var/lib/kubelet/", "/run/netns/cni-", f"{paths.AGENT_DIRECTORY}/containerd/")
"""Beginnings of mount points that belong to pods, snapshots or network namespaces. All else below the data of k3s is
mounted by the user: k3s itself mounts nothing there, and containerd only below its own directory."""

INTERFACES = (
    "cni0",
    "flannel.1",
    "flannel-v6.1",
    "kube-ipvs0",
    "flannel-wg",
    "flannel-wg-v6",
    "cilium_host",
    "cilium_net",
    "cilium_vxlan",
)
RULES = re.compile(r"KUBE-|CNI-|flannel|CILIUM_", re.IGNORECASE)
TABLES = ("iptables", "ip6tables")
FILES = (
    # Tokens first; the binary last, since without it nothing here can be looked at by hand.
    "/etc/rancher/k3s",
    "/etc/rancher/node",
    "/var/lib/rancher/k3s",
    "/var/lib/rancher/credentialprovider",
    "/var/lib/kubelet",
    "/var/lib/cni",
    "/run/k3s",
    "/run/flannel",
    "/etc/systemd/system/k3s.service",
    "/etc/systemd/system/k3s.service.d",
    "/etc/systemd/system/k3s-agent.service",
    "/etc/systemd/system/k3s-agent.service.d",
    f"{paths.UNIT_DIRECTORY}/{paths.NODE_WARMER}.*",
    paths.NODE_WARMER_DIRECTORY,
    "/run/wasmfaas",
    paths.K3S_BINARY,
)
STOP_SECONDS = 120

Command = t.Callable[..., Completed]


class Host:
    """The host; `root` is put before every path of a file, for tests."""

    def __init__(self, *, root: str = "", command: Command = run_command) -> None:
        self.root = root
        self._command = command

    def remove(self, *, check_mode: bool) -> list[str]:
        """Take everything off; what was, or would be, removed.

        Raises:
            PlatformError: k3s does not stop, or something is still in use.
        """
        removed = self.stop(check_mode)
        for step in (self.kill, self.unmount, self.delete_interfaces, self.delete_rules, self.delete_files):
            removed += step(check_mode)
        if removed and not check_mode:
            self._command(["systemctl", "daemon-reload"])
            self._command(["systemctl", "reset-failed", *UNITS])
        return removed

    def stop(self, check_mode: bool) -> list[str]:
        """Stop k3s and keep it from starting at boot: a node that left the cluster would enter it again.

        Raises:
            PlatformError: k3s does not stop.
        """
        units = [
            unit
            for unit in UNITS
            if os.path.exists(f"{self.root}{paths.UNIT_DIRECTORY}/{unit}")
            and (self._says("is-active", unit) or self._says("is-enabled", unit))
        ]
        if check_mode:
            return [f"unit {name_of(unit)}" for unit in units]
        for unit in units:
            completed = self._command(["systemctl", "disable", "--now", unit], seconds=STOP_SECONDS)
            if completed.exit_code != 0:
                raise PlatformError(
                    f"{name_of(unit)} could not be stopped: {completed.error.strip() or completed.output.strip()}.",
                    next_step=f"See `systemctl status {name_of(unit)}` on that host, and run it again.",
                )
        return [f"unit {name_of(unit)}" for unit in units]

    def _says(self, question: str, unit: str) -> bool:
        return self._command(["systemctl", question, unit]).output.strip() in (
            "active",
            "activating",
            "reloading",
            "deactivating",
            "enabled",
        )

    def kill(self, check_mode: bool) -> list[str]:
        """End the shims of containers and all below them, which go on when k3s stops (KillMode=process).

        Raises:
            PlatformError: some are still there after 30 seconds.
        """
        found = self.containers()
        if not check_mode:
            for process in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            if not wait_for(lambda: not self.containers(), seconds=30):
                raise PlatformError(
                    "Processes of containers do not end.",
                    next_step="Look at them with `ps -ef | grep containerd-shim` on that host, or boot it; then run "
                    "it again.",
                )
        return [f"{len(found)} processes of containers"] if found else []

    def containers(self) -> list[int]:
        """Shims of k3s's containerd, and all that runs below them."""
        parents: dict[int, int] = {}
        shims = set()
        for name in os.listdir(f"{self.root}/proc"):
            if not name.isdigit():
                continue
            try:
                with open(f"{self.root}/proc/{name}/cmdline", "rb") as file:
                    arguments = file.read().decode("utf-8", "replace").split("\0")
                with open(f"{self.root}/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    status = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if status[0] == "Z":
                continue
            parents[int(name)] = int(status[1])
            if os.path.basename(arguments[0]).startswith("containerd-shim") and any(
                CONTAINERD_SOCKET in argument for argument in arguments
            ):
                shims.add(int(name))
        return sorted(process for process in parents if is_below(process, shims, parents))

    def unmount(self, check_mode: bool) -> list[str]:
        """Unmount what k3s mounted, by force, and lazily where something still holds it; a line for each mount.

        Raises:
            PlatformError: something is still mounted.
        """
        points = self.mounts()
        left = [] if check_mode else points
        while left:
            for option in ("--force", "--lazy"):
                for point in self.mounts():
                    self._command(["umount", option, point])
            before, left = left, self.mounts()
            # A second mount on the same point shows only when the first is gone.
            if len(left) >= len(before):
                raise still_mounted(left)
        return [f"mount {point}" for point in dict.fromkeys(points)]

    def mounts(self) -> list[str]:
        """The mount points of k3s, its containers and pods, deepest first; one that is mounted twice is there twice.

        What /etc/fstab mounts is the user's own, as is a file system that one of the directories as a whole lies on.
        """
        own = fstab_mount_points(self.root)
        return sorted(
            (point for point in self.all_mounts() if point.startswith(MOUNTS) and point not in own), reverse=True
        )

    def all_mounts(self) -> list[str]:
        """Every mount point of the host."""
        with open(f"{self.root}/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
            return [unescaped(line.split()[1]) for line in file]

    def delete_interfaces(self, check_mode: bool) -> list[str]:
        """Delete the interfaces of the pod network and the network namespaces of pods; a line for each."""
        directory = f"{self.root}/sys/class/net"
        ports = [
            os.path.basename(os.path.dirname(path))
            for path in glob.glob(f"{directory}/*/master")
            if os.path.basename(os.path.realpath(path)) == "cni0"
        ]
        names = [*ports, *(name for name in INTERFACES if os.path.exists(f"{directory}/{name}"))]
        for name in names if not check_mode else []:
            self._command(["ip", "link", "delete", name])
        namespaces = [os.path.basename(path) for path in glob.glob(f"{self.root}/run/netns/cni-*")]
        for name in namespaces if not check_mode else []:
            self._command(["ip", "netns", "delete", name])
        return [*(f"interface {name}" for name in names), *(f"network namespace {name}" for name in namespaces)]

    def delete_rules(self, check_mode: bool) -> list[str]:
        """Rules and chains of kube-proxy, the network plugins and Cilium; all others stay as they are."""
        changed = []
        for table in TABLES:
            if shutil.which(f"{table}-save") is None or shutil.which(f"{table}-restore") is None:
                continue
            saved = self._command([f"{table}-save"])
            lines = saved.output.splitlines()
            kept = [line for line in lines if not RULES.search(line)]
            if saved.exit_code != 0 or len(kept) == len(lines):
                continue
            if not check_mode:
                restored = self._command([f"{table}-restore"], standard_input="\n".join(kept) + "\n")
                if restored.exit_code != 0:
                    raise PlatformError(
                        f"The rules of {table} could not be written: {restored.error.strip()}.",
                        next_step=f"See `{table}-save` on that host. Nothing was changed by this step: it replaces "
                        "all rules at once or none.",
                    )
            changed.append(f"{len(lines) - len(kept)} rules of {table}")
        return changed

    def delete_files(self, check_mode: bool) -> list[str]:
        """Delete all that k3s keeps on the host. File systems of the user are emptied and stay mounted.

        Returns:
            The paths, without `root`.

        Raises:
            PlatformError: something of k3s is mounted, so that the data of a volume would be deleted; or a file cannot
                be deleted, since something still uses it.
        """
        if not check_mode and (left := self.mounts()):
            raise still_mounted(left)
        # Not os.path.ismount, which does not see a directory that is mounted from the same file system.
        kept = {self.root + point for point in {*self.all_mounts()} - {*self.mounts()}}
        found = [
            path for pattern in FILES for path in sorted(glob.glob(self.root + pattern)) if not is_bare(path, kept)
        ]
        try:
            for path in found if not check_mode else []:
                delete(path, kept)
        except OSError as error:
            raise PlatformError(
                f"{error.filename} could not be removed: {error.strerror}.",
                next_step="See who uses it (`fuser -vm PATH`) on that host, and run it again.",
            ) from error
        return [path[len(self.root) :] for path in found]


def still_mounted(points: t.Sequence[str]) -> PlatformError:
    """The error that keeps the data of volumes from being deleted."""
    return PlatformError(
        f"{', '.join(dict.fromkeys(points))} cannot be unmounted, and to delete the files of k3s would delete the data "
        "there. No file was deleted.",
        next_step="See who uses it (`fuser -vm PATH`) on that host and unmount it, or boot the host, which starts no "
        "k3s; then run it again.",
    )


def fstab_mount_points(root: str = "") -> set[str]:
    """Where /etc/fstab mounts file systems (fstab(5)); `root` is put before its path, for tests."""
    try:
        with open(f"{root}/etc/fstab", encoding="utf-8", errors="surrogateescape") as file:
            fields = [line.split() for line in file if not line.lstrip().startswith("#")]
    except OSError:
        return set()
    return {unescaped(entry[1]).rstrip("/") for entry in fields if len(entry) > 1}


def unescaped(path: str) -> str:
    """A path of /proc/self/mounts or /etc/fstab, which write a space, a tab, a line's end and a backslash as three
    octal digits (proc_pid_mounts(5))."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def name_of(unit: str) -> str:
    """A unit as one calls it: k3s, and not k3s.service."""
    return unit[: -len(".service")] if unit.endswith(".service") else unit


def is_below(process: int, roots: set[int], parents: dict[int, int]) -> bool:
    """Whether a process is one of `roots` or descends from one.

    Args:
        process: a process id, like those of `roots`.
        parents: the parent of each process, by process id. A process that is not in it has none.
    """
    seen = set()
    while process > 1 and process not in seen:
        if process in roots:
            return True
        seen.add(process)
        process = parents.get(process, 0)
    return False


def is_bare(path: str, mounts: t.Collection[str]) -> bool:
    """Whether nothing can be deleted at `path`: it is a mount point, or leads to mount points, and holds nothing else
    but what every new file system has."""
    if os.path.islink(path) or not os.path.isdir(path) or not has_mounts(path, mounts):
        return False
    return all(is_bare(entry, mounts) for entry in entries(path, mounts))


def delete(path: str, mounts: t.Collection[str]) -> None:
    """Delete a file, a link, or a directory with all below it; of a mount point, and of a directory that leads to one,
    only what is in it.

    Args:
        mounts: all mount points.
    """
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
    elif has_mounts(path, mounts):
        for entry in entries(path, mounts):
            delete(entry, mounts)
    else:
        delete_tree(path)


def has_mounts(path: str, mounts: t.Collection[str]) -> bool:
    """Whether `path` is a mount point or has one below it."""
    return any(point == path or point.startswith(f"{path}/") for point in mounts)


def entries(path: str, mounts: t.Collection[str]) -> list[str]:
    """What is in a directory, without the directory lost+found that a new file system has."""
    return [f"{path}/{name}" for name in os.listdir(path) if name != "lost+found" or path not in mounts]


def delete_tree(path: str, tries: int = 3) -> None:
    """Delete a directory with all below it, and try again a second later where files were added meanwhile.

    Raises:
        OSError: of the last try.
    """
    try:
        shutil.rmtree(path)
    except OSError:
        if tries == 1:
            raise
        time.sleep(1)  # a process that was just ended may still have written
        delete_tree(path, tries - 1)


def run(params: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """What the module k3s_uninstall does; its documentation says what the parameters and the result mean."""
    removed = Host().stop(check_mode) if params.get("only_stop") else Host().remove(check_mode=check_mode)
    return {
        "changed": bool(removed),
        "removed": removed,
        "diff": {"before": "".join(f"{entry}\n" for entry in removed), "after": ""},
    }
