# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of k3s on a host: its service, what it was started with, and its secrets."""

from __future__ import annotations

import collections
import typing as t

from ...problems import Problem
from .model import REPAIR, SITE, Host, Limits, error, is_active, remove_node, step, warning, why

RESTARTS, RESTART_SECONDS = 3, 3600.0
"""Restarts by systemd are reported from this number on, until k3s has been up for so long."""


def service(host: Host, _limits: Limits) -> t.Iterator[Problem]:
    """Whether k3s is installed, runs, and starts at boot."""
    if not host.k3s.get("role"):
        yield error(host.name, "k3s-missing", "k3s is not installed", f"Run {SITE}")
        return
    if host.k3s["role"] != host.role:
        yield error(
            host.name,
            "role-differs",
            f"it runs as {host.k3s['role']}, the inventory says {host.role}",
            f"Put it back in its group, or remove it with {remove_node(host.name)} first and then run {SITE}",
        )
    if _is_removed(host):
        yield error(
            host.name,
            "server-removed",
            f"the cluster removed this server, but its data is still here; {_unit(host)} is "
            f"{_state(host) or 'missing'}, and does not start on this data",
            f"Clean it: {remove_node(host.name)}. Then take it out of the inventory, or run {SITE}, which lets it join "
            "anew",
        )
        return
    yield from _running(host)
    if (host.diagnosis.get("unit") or {}).get("enabled") is False:
        yield warning(host.name, "k3s-not-enabled", f"{_unit(host)} does not start at boot", f"Run {SITE}")
    if _state(host) == "active" and host.role == "server" and not host.k3s.get("ready"):
        yield error(
            host.name,
            "api-not-ready",
            f"its API does not say that it is ready{why(host)}",
            step(host)
            or "Run k3s kubectl get --raw '/readyz?verbose' on it, which names the part that is not ready; without "
            "quorum start the other servers first",
        )


def _running(host: Host) -> t.Iterator[Problem]:
    unit, name, state = host.diagnosis.get("unit") or {}, _unit(host), _state(host)
    if state != "active":
        exit_status = f" (last exit status {unit['exit_status']})" if unit.get("exit_status") else ""
        yield error(
            host.name,
            "k3s-not-running",
            f"{name} is {state or 'missing'}{why(host) or exit_status}",
            step(host) or f"Run systemctl start {name}, and journalctl -u {name} where it fails",
        )
    elif unit.get("restarts", 0) >= RESTARTS and unit.get("started", 0) < RESTART_SECONDS:
        yield warning(
            host.name,
            "k3s-restarts",
            f"{name} has ended by itself {unit['restarts']} times, and has been up for "
            f"{unit.get('started', 0) / 60:.0f} min since{why(host)}",
            step(host) or f"See journalctl -u {name}",
        )


def _unit(host: Host) -> str:
    name = (host.diagnosis.get("unit") or {}).get("name")
    return str(name or ("k3s" if host.role == "server" else "k3s-agent"))


def _state(host: Host) -> str:
    return str((host.diagnosis.get("unit") or {}).get("active") or host.k3s.get("service", ""))


def _is_removed(host: Host) -> bool:
    return host.role == "server" and bool(host.k3s.get("tombstone"))


def inputs(host: Host, _limits: Limits) -> t.Iterator[Problem]:
    """Whether k3s runs with the binaries and files that are there now."""
    changed = set((host.diagnosis.get("shims") or {}).get("changed") or [])
    stale = [path for path in host.k3s.get("stale_inputs") or [] if path.rsplit("/", 1)[-1] not in changed]
    if host.k3s.get("service") != "active":
        return
    if changed:
        yield warning(
            host.name,
            "shim-not-loaded",
            f"changed since k3s started, which reads shims at its start only: {', '.join(sorted(changed))}",
            f"Run {SITE}",
        )
    if stale:
        yield warning(host.name, "restart-pending", f"k3s still runs with an older {', '.join(stale)}", f"Run {SITE}")


def tokens(host: Host, _limits: Limits) -> t.Iterator[Problem]:
    """Whether etcd has the tokens that a server runs with."""
    if host.diagnosis.get("tokens_unsaved") and is_active(host):
        yield error(
            host.name,
            "tokens-not-stored",
            "it runs with tokens that etcd does not have: k3s would refuse its next start (server/cred/passwd newer "
            "than datastore)",
            f"Run {REPAIR}",
        )


def configuration(host: Host, _limits: Limits) -> t.Iterator[Problem]:
    """Whether a server that lost its disk would join its cluster again."""
    for path in host.diagnosis.get("cluster_init_in") or []:
        yield warning(
            host.name,
            "cluster-init-left",
            f"cluster-init is still in {path}: if its disk is lost, it begins a cluster of its own",
            f"Run {SITE}, which takes it away once a second server has joined",
        )


def secrets(host: Host, _limits: Limits) -> t.Iterator[Problem]:
    """Whether root alone can read files with secrets."""
    for file in host.diagnosis.get("exposed_files") or []:
        yield error(
            host.name,
            "file-mode",
            f"{file['path']} holds secrets and can be read by others (mode {file['mode']})",
            f"Run chmod 600 {file['path']}; chown root:root {file['path']}",
        )


def authorities(hosts: t.Sequence[Host]) -> t.Iterator[Problem]:
    """Whether all hosts belong to one cluster, by the certificate of its authority."""
    clusters: dict[str, list[str]] = collections.defaultdict(list)
    for host in hosts:
        if host.k3s.get("ca_sha256"):
            clusters[host.k3s["ca_sha256"]].append(host.name)
    most = max(clusters, key=lambda digest: len(clusters[digest]), default="")
    for digest, names in clusters.items():
        for name in names if digest != most else []:
            yield error(
                name,
                "other-cluster",
                f"it belongs to another cluster than {clusters[most][0]}: its authority's certificate differs",
                "Take it out of this inventory; if nothing on it is needed, run ansible-playbook "
                f"wasmfaas.platform.reset with an inventory that has only this host, then {SITE}",
            )
