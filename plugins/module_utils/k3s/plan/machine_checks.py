# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the hosts as machines: operating system, disk, ports, network, clock."""

from __future__ import annotations

import datetime
import re
import statistics
import typing as t

from ...problems import Problem
from ..host.node_info import KERNEL_DEFAULTS
from .hosts import Host, Settings
from .inventory_checks import article

ARCHITECTURES = ("amd64", "arm64")
OLDEST = {"debian": (12,), "ubuntu": (22, 4), "amzn": (2023,), "rhel": (9,)}
"""Oldest supported version of each system; "rhel" stands for all that are like it."""
CONTROLLERS = ("cpuset", "cpu", "memory", "pids")
"""Those that the kubelet needs (kubernetes v1.34.1, pkg/kubelet/cm/cgroup_manager_linux.go,
getSupportedUnifiedControllers; k3s v1.36.4, pkg/cgroups/cgroups_linux.go)."""
RHEL_LIKE = ("rhel", "fedora", "centos")
SUPPORTED = "Debian 12 and newer, Ubuntu 22.04 and newer, Amazon Linux 2023, and RHEL 9 and newer with its likes"
SERVER_PORTS = {6443, 2379, 2380, 2381, 6444, 10010, 10248, 10249, 10250, 10256, 10257, 10258, 10259, 8472}
AGENT_PORTS = {6444, 10010, 10248, 10249, 10250, 10256, 8472}
OWN_UNITS = ("k3s.service", "k3s-agent.service")
SERVER_MEMORY_BYTES = 2 * 1024**3
AGENT_MEMORY_BYTES = 512 * 1024**2
"""docs.k3s.io, installation/requirements."""
MEMORY_LEFT_BYTES = 256 * 1024**2
"""Part of the nominal memory that kernel and firmware may keep."""
EVICTION_SHARE = 0.15
"""The kubelet begins to delete images and pods when less of the disk is free (kubernetes.io,
concepts/scheduling-eviction/node-pressure-eviction)."""


FIREWALLS = {
    "firewalld": "firewall-cmd --permanent --zone=trusted --add-source=10.42.0.0/16 --add-source=10.43.0.0/16, and "
    "TCP ports 6443, 2379, 2380, 10250 and UDP port 8472 for the other nodes; then firewall-cmd --reload",
    "ufw": "ufw allow from 10.42.0.0/16; ufw allow from 10.43.0.0/16; and, for each other node, ufw allow from ADDRESS",
}
"""What to do about each firewall."""


RENEW = "ansible-playbook wasmfaas.platform.rotate -e what=certificates"


def certificate_problems(host: Host) -> list[Problem]:
    """Certificates that have ended: nobody accepts them, so no other step of a run would reach its end."""
    if not host.certificates_ended:
        return []
    day = datetime.datetime.fromtimestamp(host.certificates_ended, tz=datetime.timezone.utc).date().isoformat()
    return [Problem(host.name, f"its certificates ended on {day}, and k3s renews them at a start only", f"run {RENEW}")]


def machine_problems(host: Host) -> list[Problem]:
    """What keeps k3s from running on the host."""
    node, problems = host.node, []
    if not _is_supported(node.get("os") or {}) and not host.desired.get("any_os"):
        system = " ".join(filter(None, (node["os"].get("id"), node["os"].get("version_id")))) or "unknown"
        problems.append(
            Problem(host.name, f"its operating system ({system}) is not supported", f"use one of {SUPPORTED}")
        )
    if node.get("architecture") not in ARCHITECTURES:
        problems.append(
            Problem(
                host.name,
                f"its architecture ({node.get('architecture')}) is not supported",
                f"use a machine with {' or '.join(ARCHITECTURES)}",
            )
        )
    if not node.get("systemd"):
        problems.append(
            Problem(host.name, "systemd does not run it", "use a machine, or a container, that systemd has booted")
        )
    if node.get("cgroup") != "v2" and not host.desired.get("cgroup_v1_allowed"):
        problems.append(
            Problem(
                host.name,
                "it has cgroup v1, on which the kubelet of Kubernetes 1.35 and newer does not start",
                "boot it with systemd.unified_cgroup_hierarchy=1 (k3s_cgroup_v1_allowed: true allows it)",
            )
        )
    missing = [name for name in CONTROLLERS if name not in (node.get("cgroup_controllers") or CONTROLLERS)]
    if missing:
        problems.append(
            Problem(
                host.name,
                f"its kernel has no cgroup controller {', '.join(missing)}, without which the kubelet does not start",
                "add cgroup_enable=memory to the kernel's command line (on a Raspberry Pi in "
                "/boot/firmware/cmdline.txt, with cgroup_memory=1), and reboot it",
            )
        )
    absent = [name for name, found in (node.get("kernel_modules") or {}).items() if found is False]
    if absent:
        problems.append(
            Problem(
                host.name,
                f"its kernel has no module {', '.join(absent)}",
                "install the package with more modules: dnf install kernel-modules-extra-$(uname -r) on RHEL 10 and "
                "its likes, apt install linux-modules-extra-$(uname -r) on Ubuntu",
            )
        )
    problems += [
        Problem(
            host.name,
            f"{later['file']} sets {name} = {later['value']} at the next boot, with which the kubelet does not start",
            f"take the line out of that file (role node_prepare sets {KERNEL_DEFAULTS[name]})",
        )
        for name, later in (node.get("later_sysctls") or {}).items()
        if later["value"] != KERNEL_DEFAULTS.get(name, later["value"]) and host.desired.get("hardening")
    ]
    problems += [
        Problem(
            host.name,
            f"{path} lies on a file system that is mounted with noexec, and k3s starts its programs from there",
            "mount it with exec (/etc/fstab; then mount -o remount,exec DIRECTORY), or mount another disk there",
        )
        for path, space in (node.get("disk") or {}).items()
        if space.get("noexec")
    ]
    return problems


def space_problems(host: Host, settings: Settings) -> list[Problem]:
    """Too little disk space for a new node."""
    space = (host.node.get("disk") or {}).get("/var/lib/rancher") or {}
    free = int(space.get("free_bytes", 0))
    if not space or free >= settings.minimum_disk_bytes:
        return []
    return [
        Problem(
            host.name,
            f"/var/lib/rancher has {_gib(free)} GiB free, a new node needs {_gib(settings.minimum_disk_bytes)} GiB",
            "free space, enlarge the disk, or mount another one there (k3s_minimum_disk_gib sets the limit)",
        )
    ]


def port_problems(host: Host, settings: Settings) -> list[Problem]:
    """Ports of k3s that something else listens on."""
    needed = (SERVER_PORTS - {6443}) | {settings.api_port} if host.role == "server" else AGENT_PORTS
    return [
        Problem(
            host.name,
            f"port {entry['port']}/{entry['protocol']} is taken by {entry['process']}"
            + (f" ({entry['unit']})" if entry.get("unit") else ""),
            f"stop it{': systemctl disable --now ' + entry['unit'] if entry.get('unit') else ''}, or give it another "
            "port",
        )
        for entry in host.node.get("ports_in_use") or []
        # Without a process it is the kernel's: the VXLAN interface that an earlier k3s left.
        if entry["port"] in needed and entry.get("process") and entry.get("unit") not in OWN_UNITS
    ]


def connection_problems(host: Host, hosts: t.Sequence[Host]) -> list[Problem]:
    """Other hosts that this one gets no answer from.

    Only the other host's own addresses count: one that is translated, such as a public one, may be closed to them.
    """
    owners = {
        address: other
        for other in hosts
        if other.known
        for address in [*(other.node.get("addresses") or []), *other.desired_addresses]
    }
    problems = []
    for target, outcome in sorted((host.node.get("connections") or {}).items()):
        address, _colon, port = target.rpartition(":")
        other = owners.get(address.strip("[]"))
        if outcome == "filtered" and other is not None and other.name != host.name:
            problems.append(
                Problem(
                    host.name,
                    f"it gets no answer from {other.name} ({address}), TCP port {port}",
                    f"open TCP port {port} on {other.name} for {host.address or host.name} (firewall, security group)",
                )
            )
    return problems


def clock_problems(hosts: t.Sequence[Host], settings: Settings) -> list[Problem]:
    """Clocks too far apart: certificates would not be valid yet, and etcd's members would refuse each other."""
    clocks = {host.name: host.info["clock"] for host in hosts if host.known and host.info.get("clock")}
    if len(clocks) < 2:
        return []
    lowest = min(clock["offset"] + clock["error"] for clock in clocks.values())
    highest = max(clock["offset"] - clock["error"] for clock in clocks.values())
    if highest - lowest <= settings.clock_tolerance:
        return []
    middle = statistics.median_low([clock["offset"] for clock in clocks.values()])
    apart = {
        name: clock["offset"] - middle
        for name, clock in clocks.items()
        if abs(clock["offset"] - middle) > settings.clock_tolerance + clock["error"]
    }
    if not apart:
        apart = {name: clock["offset"] - middle for name, clock in clocks.items()}
    return [
        Problem(
            name,
            f"its clock is {abs(difference):.0f} s {'ahead of' if difference > 0 else 'behind'} the other hosts'",
            "set it and keep it right: systemctl enable --now systemd-timesyncd (or chrony), then timedatectl",
        )
        for name, difference in apart.items()
        if abs(difference) > 1
    ]


def warnings(host: Host) -> list[str]:
    """What does no harm yet on this host."""
    node, said = host.node, []
    if node.get("time_synchronized") is False:
        said.append("the clock does not follow a time server: systemctl enable --now systemd-timesyncd (or chrony).")
    if node.get("firewall") in FIREWALLS:
        said.append(
            f"{node['firewall']} is active. It must let pods and nodes through: {FIREWALLS[node['firewall']]} "
            "(docs.k3s.io, installation/requirements)."
        )
    memory, needed = (
        int(node.get("memory_bytes") or 0),
        SERVER_MEMORY_BYTES if host.role == "server" else AGENT_MEMORY_BYTES,
    )
    if 0 < memory < needed - MEMORY_LEFT_BYTES:
        said.append(
            f"it has {memory // 1024**2} MiB of memory; k3s asks for {needed // 1024**2} MiB on {article(host.role)}."
        )
    for path, space in (node.get("disk") or {}).items():
        if space.get("total_bytes") and space["free_bytes"] < EVICTION_SHARE * space["total_bytes"]:
            said.append(f"{path} has less than {EVICTION_SHARE:.0%} free: the kubelet deletes images and pods there.")
    if node.get("selinux") == "enforcing" and not (host.desired.get("config") or {}).get("selinux"):
        said.append(
            "SELinux is enforcing; install the package k3s-selinux and set selinux: true in k3s_config to confine "
            "containers."
        )
    if str((host.k3s.get("config") or {}).get("data-dir") or "/var/lib/rancher/k3s") != "/var/lib/rancher/k3s":
        said.append("its config.yaml sets data-dir, which this collection ignores.")
    return said


def _is_supported(system: t.Mapping[str, str]) -> bool:
    name, likes = system.get("id", ""), system.get("id_like", "").split()
    family = name if name in OLDEST else "rhel" if name in RHEL_LIKE or set(RHEL_LIKE) & set(likes) else ""
    if name == "fedora":
        return True
    if not family:
        return False
    numbers = tuple(int(number) for number in re.findall(r"\d+", system.get("version_id", "")))
    # Debian's next release has no number yet.
    return numbers >= OLDEST[family] if numbers else family == "debian"


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f}".removesuffix(".0")
