# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking k3s off a host, as k3s's own killall and uninstall scripts do it (k3s, install.sh): containers, mounts,
interfaces, packet filter rules, files.

What node_prepare set (kernel modules and settings) stays. Every step looks first, so a run that was cut off is
continued by the next one, and a clean host is left alone.
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
MOUNTS = ("/run/k3s", "/var/lib/kubelet", "/run/netns/cni-", "/var/lib/rancher/k3s")
"""Beginnings of mount points that belong to pods, snapshots or network namespaces."""

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
    paths.SHIM_PATTERN,
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
        """Unmount what k3s mounted, by force, and lazily where something still holds it; a line for each mount."""
        points = self.mounts()
        if not check_mode:
            for point in points:
                self._command(["umount", "--force", point])
            left = self.mounts()
            for point in left:
                self._command(["umount", "--lazy", point])
        return [f"mount {point}" for point in points]

    def mounts(self) -> list[str]:
        """Deepest first. A file system that the whole of /var/lib/rancher/k3s lies on is the user's own, and stays."""
        with open(f"{self.root}/proc/self/mounts", encoding="utf-8", errors="replace") as file:
            points = [line.split()[1].encode().decode("unicode_escape") for line in file]
        kept = {"/var/lib/rancher/k3s", "/var/lib/kubelet"}
        return sorted({point for point in points if point.startswith(MOUNTS) and point not in kept}, reverse=True)

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
        """Delete all that k3s keeps on the host, but no mount point itself.

        Returns:
            The paths, without `root`.

        Raises:
            PlatformError: a file cannot be deleted, since something still uses it.
        """
        found = [
            path for pattern in FILES for path in sorted(glob.glob(self.root + pattern)) if not is_bare_mount(path)
        ]
        try:
            for path in found if not check_mode else []:
                delete(path)
        except OSError as error:
            raise PlatformError(
                f"{error.filename} could not be removed: {error.strerror}.",
                next_step="See who uses it (`fuser -vm PATH`) on that host, and run it again.",
            ) from error
        return [path[len(self.root) :] for path in found]


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


def is_bare_mount(path: str) -> bool:
    """A mount point with nothing in it but what every new file system has."""
    return os.path.ismount(path) and set(os.listdir(path)) <= {"lost+found"}


def delete(path: str) -> None:
    """Delete a file, a link or a directory with all below it; of a mount point only what is in it."""
    if not os.path.isdir(path) or os.path.islink(path):
        os.unlink(path)
    elif os.path.ismount(path):
        for name in os.listdir(path):
            if name != "lost+found":
                delete(f"{path}/{name}")
    else:
        delete_tree(path)


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
