# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The root file system that all hosts share: Debian 12, made once by debootstrap, then read-only."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

from .errors import HostsError, call

_RECIPE = 1  # raise it when the code below changes the file system but the lists stay the same
SUITE = "bookworm"  # the last Debian whose systemd boots on a machine with cgroup v1
# Packages of Debian's cloud images that roles and tests use.
PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "iptables",
    "kmod",
    "libfaketime",
    "openssh-server",
    "procps",
    "python3",
    "sudo",
    "systemd",
    "systemd-sysv",
)
# Kernel settings without a namespace that k3s and its hardening guide change. Each host gets its own copy, because one
# host's `sysctl -w` must change neither this machine nor other hosts, and a blank host must have the defaults.
OWN_SETTINGS = (
    "fs/file-max",
    "fs/inotify/max_queued_events",
    "fs/inotify/max_user_instances",
    "fs/inotify/max_user_watches",
    "kernel/dmesg_restrict",
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/pid_max",
    "vm/max_map_count",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "vm/swappiness",
)
_SETTINGS_SCRIPT = f"""#!/bin/sh
# Regular files with the kernel's present values, over the kernel's own: see tests/hosts/rootfs.py.
set -eu
for name in {" ".join(OWN_SETTINGS)}; do
  [ -e "/proc/sys/$name" ] || continue
  mkdir -p "/run/own-settings/$(dirname "$name")"
  cat "/proc/sys/$name" > "/run/own-settings/$name"
  mount --bind "/run/own-settings/$name" "/proc/sys/$name"
done
"""
_FILES = {
    "usr/local/lib/own-settings": _SETTINGS_SCRIPT,
    "etc/systemd/system/own-settings.service": """[Unit]
Description=Own values of the kernel settings that have no namespace
DefaultDependencies=no
Before=systemd-sysctl.service sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/lib/own-settings

[Install]
WantedBy=sysinit.target
""",
    "etc/ssh/sshd_config.d/test-hosts.conf": (
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\nUseDNS no\nMaxStartups 200\nMaxSessions 100\n"
    ),
    # The journal survives a power loss and drops nothing.
    "etc/systemd/journald.conf.d/test-hosts.conf": (
        "[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\nSystemMaxUse=64M\n"
    ),
    "etc/apt/sources.list": "",  # hosts have no network, and the name of the mirror is private
    "etc/resolv.conf": "",
}
_MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
)
_UNUSED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log/bootstrap.log",
)


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wasmfaas" / "hosts"


def digest() -> str:
    """Changes with everything that defines the root file system, except the state of the Debian mirror."""
    recipe = json.dumps([SUITE, PACKAGES, _FILES, _MASKED, _UNUSED, platform.machine(), _RECIPE], sort_keys=True)
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def rootfs() -> Path:
    """The directory of the root file system in the cache, only for reading. The first call builds it in 1 to 2 minutes.

    Raises:
        HostsError: debootstrap failed; the message holds the end of its log.
    """
    directory = cache() / f"rootfs-{digest()}"
    if directory.is_dir():
        return directory
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "rootfs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # if two sessions need it, one builds and the other waits
        if not directory.is_dir():
            partial = directory.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            _bootstrap(partial)
            _finish(partial)
            partial.rename(directory)
    return directory


def _bootstrap(directory: Path) -> None:
    log = directory.with_suffix(".log")
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(directory), *_mirror()]
    with log.open("w") as output:
        done = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False, timeout=3600
        )
    if done.returncode:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise HostsError(
            f"debootstrap ended with {done.returncode}. WASMFAAS_DEBIAN_MIRROR=URL names another mirror. The end of "
            f"{log}:\n{end}"
        )
    log.unlink()


def _mirror() -> list[str]:
    """The mirror that this machine's apt uses for the suite; empty for debootstrap's default."""
    if named := os.environ.get("WASMFAAS_DEBIAN_MIRROR"):
        return [named]
    targets = ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"]
    with contextlib.suppress(HostsError):
        for line in call(targets).splitlines():
            release, _space, address = line.partition(" ")
            if release == SUITE:
                return [address]
    return []


def _finish(root: Path) -> None:
    for name, content in _FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(content)
    (root / "usr/local/lib/own-settings").chmod(0o755)
    call(["systemctl", f"--root={root}", "enable", "systemd-networkd.service", "own-settings.service", "ssh.service"])
    call(["systemctl", f"--root={root}", "mask", *_MASKED])
    for name in _UNUSED:
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
            path.mkdir()
        else:
            path.unlink(missing_ok=True)
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    (root / "var/lib/apt/lists/partial").mkdir(parents=True)
    # Each host makes its own.
    for name in (
        "etc/machine-id",
        "var/lib/dbus/machine-id",
        "etc/hostname",
        *(str(path.relative_to(root)) for path in root.glob("etc/ssh/ssh_host_*")),
    ):
        (root / name).unlink(missing_ok=True)
