# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of etcd on a server: its snapshots and the size of its database."""

from __future__ import annotations

import typing as t

from ...problems import ERROR, WARNING, Problem
from .hosts import DISK_WARNING
from .model import Host, Limits, Nodes, found, one_line, warning

BACKUP = "ansible-playbook wasmfaas.platform.backup"
ETCD_ERROR, ETCD_WARNING = 0.9, 0.75
"""Share of etcd's quota; at the quota it refuses all writes (etcd, op-guide/maintenance, space quota)."""


def snapshots(host: Host, limits: Limits) -> t.Iterator[Problem]:
    """Whether a server has a recent snapshot."""
    snapshots = host.diagnosis.get("snapshots")
    if snapshots is None or not host.k3s.get("has_data"):
        return
    if snapshots["newest"] is None:
        if limits.now - limits.created > limits.snapshot_age:
            yield warning(
                host.name,
                "snapshots-none",
                f"no etcd snapshot in {snapshots['directory']}",
                f"Run {BACKUP}; etcd-disable-snapshots and etcd-snapshot-schedule-cron tell why k3s made none",
            )
    elif limits.now - snapshots["newest"] > limits.snapshot_age:
        yield warning(
            host.name,
            "snapshots-old",
            f"the newest etcd snapshot is {(limits.now - snapshots['newest']) / 3600:.0f} h old",
            f"Run {BACKUP}; journalctl -u k3s | grep -i snapshot tells why k3s made none",
        )


def bucket(hosts: t.Sequence[Host], _nodes: Nodes, limits: Limits) -> t.Iterator[Problem]:
    """Whether the bucket of `etcd-s3` has a recent snapshot. k3s lists it for the whole cluster."""
    listed = (host.diagnosis.get("snapshots") or {} for host in hosts)
    seen = next((snapshots["bucket"] for snapshots in listed if snapshots.get("bucket") is not None), None)
    if seen is None or limits.now - (seen["newest"] or limits.created) <= limits.snapshot_age:
        return
    age = f"the newest one is {(limits.now - seen['newest']) / 3600:.0f} h old" if seen["newest"] else "there is none"
    why = f" ({one_line(seen['error'])})" if seen["error"] else ""
    yield warning(
        "cluster",
        "snapshots-not-in-bucket",
        f"etcd-s3 is set, but the bucket has no recent etcd snapshot: {age}{why}",
        f"Run {BACKUP}, which says what is wrong; see the etcd-s3-* keys in k3s_server_config, and the keys of S3 "
        "(docs/operations/backup.md)",
    )


def database(host: Host, _limits: Limits) -> t.Iterator[Problem]:
    """Whether etcd's database fits its quota and the disk."""
    size = host.diagnosis.get("etcd_size")
    if not size or not size["quota"]:
        return
    share = size["bytes"] / size["quota"]
    if share > ETCD_WARNING:
        yield found(
            ERROR if share > ETCD_ERROR else WARNING,
            host.name,
            "etcd-size",
            f"etcd's database has {share:.0%} of its quota of {size['quota'] / 2**30:.1f} GiB, at which all writes "
            "are refused",
            "Delete what fills it and restart k3s, which defragments it; or raise the quota: k3s_server_config: "
            "{etcd-arg: [quota-backend-bytes=8589934592]}",
        )
    # k3s copies the database beside itself at a start, to compare its keys with it (k3s v1.35.5, pkg/etcd/etcd.go,
    # db/etcd-tmp).
    system = next(iter((host.diagnosis.get("file_systems") or [])[-1:]), None)
    if system and system["bytes_free"] < size["bytes"] and system["bytes_free"] >= DISK_WARNING * system["bytes"]:
        yield warning(
            host.name,
            "disk-space",
            f"{system['bytes_free'] / 2**20:.0f} MiB left below {system['path']}, and k3s copies etcd's "
            f"{size['bytes'] / 2**20:.0f} MiB there at its start",
            "Before k3s restarts, free space or enlarge the disk (k3s crictl rmi --prune; journalctl "
            "--vacuum-size=500M)",
        )
