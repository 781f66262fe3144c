# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host as this machine sees it: a supervisor (systemd-nspawn), the host's processes, their control group and their
mounts.

The overlay and the data disk are mounted in a mount namespace of the supervisor alone, so they disappear with the
supervisor, however it ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from .errors import HostsError, call, wait_until
from .network import Network
from .rootfs import cache as rootfs_cache
from .rootfs import digest, rootfs

DATA_PATH = "/var/lib/rancher"
_GROUP = "wasmfaas-hosts"
_PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "mkfs.ext4": "e2fsprogs",
}
# $1: control group, $2: overlay options, $3: mount point, $4: image of the data disk or empty, $5: its mount point; the
# rest is the command. systemd-nspawn ends with 133 when a host reboots itself.
_START = """
group="$1"
mkdir -p "$group/start"
echo $$ > "$group/start/cgroup.procs"
mount -t overlay -o "$2" overlay "$3"
[ -z "$4" ] || mount -o loop "$4" "$5"
shift 5
while true; do
  code=0
  sh -euc 'echo $$ > "$0/cgroup.procs"; exec "$@"' "$group" "$@" || code=$?
  [ "$code" = 133 ] || exit "$code"
done
"""


@dataclasses.dataclass(frozen=True)
class Supervisor:
    """A process, identified by its id and its start time, because the kernel uses ids again."""

    process: int
    started: int

    def alive(self) -> bool:
        return self.process > 0 and _started(self.process) == self.started

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.alive():
                os.kill(self.process, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            wait_until(
                lambda: not self.alive() or os.waitpid(self.process, os.WNOHANG)[0] != 0,
                f"the end of process {self.process}",
                seconds=60,
            )
        wait_until(lambda: not self.alive(), f"the end of process {self.process}", seconds=60)

    def init(self) -> int:
        """The id, on this machine, of the host's process 1; 0 if there is none. It changes when the host reboots."""
        if not self.alive():
            return 0
        own = _namespace(self.process)
        children = _children(self.process)
        below = [*children, *(grandchild for child in children for grandchild in _children(child))]
        return next((process for process in below if _namespace(process) not in {own, ""}), 0)


@dataclasses.dataclass(frozen=True)
class Machine:
    """The files, the control group and the network interface of a host.

    Attributes:
        name: Unique on this machine, at most 11 characters (the interface is called vb-NAME).
        hostname: The host's own name.
        directory: Holds the upper layer, the data disk and the console's log.
        data_size: Bytes of the data disk; 0 is none.
    """

    name: str
    hostname: str
    directory: Path
    network: Network
    data_size: int = 0

    @property
    def upper(self) -> Path:
        return self.directory / "upper"

    @property
    def console_log(self) -> Path:
        return self.directory / "console.log"

    @property
    def image(self) -> Path:
        return self.directory / "data.ext4"

    @property
    def interface(self) -> str:
        return f"vb-{self.name}"

    @property
    def control_group(self) -> Path:
        return _unified() / _GROUP / self.name

    def blank_disk(self) -> None:
        """Make an empty upper layer and an empty data disk; their former content is deleted."""
        self.remove_disk()
        for name in ("upper", "work", "root"):
            (self.directory / name).mkdir(parents=True)
        if self.data_size:
            (self.directory / "data").mkdir()
            (self.upper / DATA_PATH.lstrip("/")).mkdir(parents=True)
            with self.image.open("wb") as file:
                file.truncate(self.data_size)
            call(["mkfs.ext4", "-q", "-F", "-m", "0", str(self.image)])

    def remove_disk(self) -> None:
        for name in ("upper", "work", "root", "data"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        self.image.unlink(missing_ok=True)

    def start(self) -> Supervisor:
        """Boot the host, which keeps running when this process ends."""
        self.control_group.mkdir(parents=True, exist_ok=True)
        # With volatile, fsync does not write to this machine's disk, and a host ends without waiting for it. This loses
        # nothing, because a power loss here does not affect the kernel and its unwritten data. The kernel requires that
        # the mark of the last mount is removed (overlayfs.rst, "Volatile mount").
        shutil.rmtree(self.directory / "work" / "work" / "incompat", ignore_errors=True)
        layers = f"lowerdir={rootfs()},upperdir={self.upper},workdir={self.directory / 'work'},volatile"
        nspawn = [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--console=read-only",
            "--capability=all",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            f"--machine={self.name}",
            f"--hostname={self.hostname}",
            f"--directory={self.directory / 'root'}",
            f"--network-bridge={self.network.bridge}",
        ]
        if self.data_size:
            nspawn.append(f"--bind={self.directory / 'data'}:{DATA_PATH}")
        modules = Path("/lib/modules") / platform.release()
        if modules.is_dir():
            nspawn.append(f"--bind-ro={modules}")
        image = str(self.image) if self.data_size else ""
        isolated = [f"--net={self.network.namespace_path}", "unshare", "--mount", "--propagation", "private"]
        mounts = [layers, str(self.directory / "root"), image, str(self.directory / "data")]
        command = ["nsenter", *isolated, "sh", "-euc", _START, "sh", str(self.control_group), *mounts, *nspawn]
        # Only the network's kernel settings have a namespace; see OWN_SETTINGS in rootfs.py for the others.
        environment = {
            **os.environ,
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
            "SYSTEMD_NSPAWN_LOCK": "0",
            "SYSTEMD_LOG_COLOR": "0",
        }
        with self.console_log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
                cwd="/",
            )
        process.returncode = 0  # otherwise the object warns that the process outlives it
        return Supervisor(process.pid, _started(process.pid))

    def end_of_console(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.console_log.read_text(errors="replace").splitlines()[-15:])
        return ""

    def freeze(self, frozen: bool) -> None:
        """Stop or continue all processes of the host at once, including those that it forks at this moment."""
        payload = self.control_group / "payload"
        (payload / "cgroup.freeze").write_text("1" if frozen else "0")
        wait_until(
            lambda: f"frozen {int(frozen)}" in (payload / "cgroup.events").read_text(),
            f"{self.hostname} frozen={frozen}",
            seconds=10,
        )

    def power_off(self, supervisor: Supervisor) -> None:
        """End all processes at once without a shutdown. Returns when the mounts and the network link are gone too."""
        if init := supervisor.init():
            # When process 1 ends, all processes in its namespace end, including frozen ones.
            with contextlib.suppress(ProcessLookupError):
                os.kill(init, signal.SIGKILL)
        supervisor.kill()
        wait_until(self._kill_processes, f"the end of all processes of {self.hostname}", seconds=60)
        # The kernel would remove the interface with the host's network namespace, but later.
        self.network.remove_interface(self.interface)
        self.remove_control_group()

    def _kill_processes(self) -> bool:
        """Kill all processes in the host's control group. Returns whether there were none."""
        found: list[str] = []
        for file in self.control_group.rglob("cgroup.procs") if self.control_group.is_dir() else ():
            with contextlib.suppress(OSError):
                found += file.read_text().split()
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)
        return not found

    def remove_control_group(self) -> None:
        for hierarchy in (_unified(), _unified().parent / "systemd"):
            group = hierarchy / _GROUP / self.name
            below = sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True) if group.is_dir() else []
            # rmdir fails on a group that is in use. The host's own groups are empty by now.
            for directory in (*below, group, group.parent):
                with contextlib.suppress(OSError):
                    directory.rmdir()


def unavailable() -> str:
    """Why this machine cannot make hosts, with the next step; empty if it can."""
    if sys.platform != "linux":
        return "test hosts need Linux (systemd-nspawn)"
    if os.geteuid() != 0:
        return "test hosts need root for their mounts and network links"
    missing = {program: package for program, package in _PROGRAMS.items() if shutil.which(program) is None}
    if not (rootfs_cache() / f"rootfs-{digest()}").is_dir() and shutil.which("debootstrap") is None:
        missing["debootstrap"] = "debootstrap"
    if missing:
        return (
            f"not installed: {', '.join(sorted(missing))}. On Debian: apt-get install "
            f"{' '.join(sorted(set(missing.values())))}"
        )
    try:
        group = _unified() / _GROUP
        group.mkdir(exist_ok=True)
        call(["unshare", "--mount", "--net", "true"])
    except HostsError as error:
        return f"test hosts need mount and network namespaces and a cgroup2 hierarchy: {error}"
    except OSError as error:
        return f"test hosts need their own control group, but the hierarchy cannot be written: {error}"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "test hosts need overlayfs, and this kernel has none (modprobe overlay)"
    return ""


def file_system(path: Path) -> str:
    """The type of the file system that holds `path`, as `stat -f` names it."""
    return call(["stat", "-f", "-c", "%T", str(path)]).strip()


def _unified() -> Path:
    """The mount point of cgroup2: /sys/fs/cgroup, or a directory beside the hierarchies of cgroup v1."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _device, directory, kind, *_options = line.split()
        if kind == "cgroup2":
            return Path(directory)
    raise HostsError("cgroup2 is not mounted")


def _started(process: int) -> int:
    """When a process started, in ticks since boot; 0 if it does not exist or is a zombie."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def _children(process: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            children += [int(child) for child in (task / "children").read_text().split()]
    return children


def _namespace(process: int) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{process}/ns/pid")
    return ""
