# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the hosts themselves: access, disk, kernel, clocks, identity."""

from __future__ import annotations

import collections
import statistics
import typing as t

from ...problems import ERROR, WARNING, Problem
from .model import SITE, Host, Limits, error, found, info, minor, one_line, remove_node, warning

DISK_ERROR, DISK_WARNING = 0.05, 0.15
"""Share of free space. k3s tells the kubelet to evict pods below 5 % (k3s, pkg/daemons/agent/agent_linux.go,
eviction-hard)."""
CLOCK_WARNING_SECONDS = 2.0


def access(host: Host) -> t.Iterator[Problem]:
    """Whether the host could be examined."""
    if host.left_out:
        yield info(host.name, "host-left-out", "it was left out of this run (--limit)")
    elif host.unreachable:
        yield error(
            host.name,
            "host-unreachable",
            f"Ansible does not reach it: {one_line(host.problem)}",
            f"Start the host, or correct its network, SSH and address; if it is lost, run {SITE} with a new host of "
            f"the same name, or {remove_node(host.node_name)}",
        )
    elif host.problem:
        yield error(
            host.name,
            "host-not-examined",
            f"it could not be examined: {one_line(host.problem)}",
            "Correct what the message names and run ansible-playbook wasmfaas.platform.doctor again",
        )


def disk(host: Host, _limits: Limits) -> t.Iterator[Problem]:
    """Whether the file systems have space and inodes left."""
    for system in host.diagnosis.get("file_systems") or []:
        for what, total, free in (
            ("space", system["bytes"], system["bytes_free"]),
            ("inodes", system["inodes"], system["inodes_free"]),
        ):
            share = free / total if total else 1.0
            if share < DISK_WARNING:
                left = f"{free / 2**30:.1f} GiB" if what == "space" else f"{free} inodes"
                yield found(
                    ERROR if share < DISK_ERROR else WARNING,
                    host.name,
                    f"disk-{what}",
                    f"{left} left below {system['path']} ({share:.0%})",
                    "Free space or enlarge the disk (k3s crictl rmi --prune; journalctl --vacuum-size=500M): below 5 % "
                    "pods are evicted, without space etcd ends",
                )


def system(host: Host, _limits: Limits) -> t.Iterator[Problem]:
    """Whether the operating system is as k3s needs it."""
    if host.node.get("cgroup") == "v1" and minor(host.k3s.get("version", "")) >= (1, 35):
        yield warning(
            host.name,
            "cgroup-v1",
            "the host has cgroup v1, which kubelet 1.35 and newer refuse",
            "Boot with systemd.unified_cgroup_hierarchy=1, or use an operating system of 2022 or newer",
        )
    if host.node.get("time_synchronized") is False:
        yield warning(
            host.name,
            "clock-not-synchronized",
            "its clock is not synchronized",
            "Install and start chrony (or systemd-timesyncd); on EC2 its server is 169.254.169.123",
        )

    if reason := host.diagnosis.get("reboot_reason"):
        yield warning(
            host.name,
            "reboot-needed",
            f"it should be rebooted: {reason}",
            "ansible-playbook wasmfaas.platform.reboot drains and reboots one node after the other",
        )


def clocks(hosts: t.Sequence[Host], limits: Limits) -> t.Iterator[Problem]:
    """Whether the clocks agree, compared with the one in the middle."""
    known = [(host, host.clock) for host in hosts if host.clock is not None]
    if len(known) < 2:
        return
    middle = statistics.median_low([clock for _host, clock in known])
    for host, clock in known:
        off = clock - middle
        if abs(off) >= CLOCK_WARNING_SECONDS:
            yield found(
                ERROR if abs(off) > limits.clock else WARNING,
                host.name,
                "clock-differs",
                f"its clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the other hosts'",
                "Install and start chrony (or systemd-timesyncd), then run chronyc makestep",
            )


def identities(hosts: t.Sequence[Host]) -> t.Iterator[Problem]:
    """Whether each host is a machine of its own."""
    for what, key in (("machine-id", "machine_id"), ("address", "default_address")):
        owners: dict[str, list[str]] = collections.defaultdict(list)
        for host in hosts:
            if host.node.get(key):
                owners[host.node[key]].append(host.name)
        for value, names in owners.items():
            if len(names) > 1:
                next_step = (
                    "On all but one run rm /etc/machine-id; systemd-machine-id-setup; reboot"
                    if key == "machine_id"
                    else "If these are two names of one host, remove one from the inventory"
                )
                yield error(names[1], "host-twice", f"it has the {what} {value}, as {names[0]} has", next_step)
