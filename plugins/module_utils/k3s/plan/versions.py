# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions of k3s may meet in a cluster."""

from __future__ import annotations

import typing as t

from ...problems import Problem
from ..version import agent_problem, is_version, upgrade_problem, version_order
from .hosts import Host, Settings
from .live_cluster import Cluster, present_version


def version_problems(play: t.Sequence[Host], cluster: Cluster, settings: Settings) -> list[Problem]:
    """Versions that may not meet."""
    problems = []
    desired = {host.version for host in play if host.role == "server" and is_version(host.version)}
    if len(desired) > 1:
        problems.append(
            Problem(
                "",
                f"the servers are to have different versions ({', '.join(sorted(desired))})",
                "set k3s_version once, for the whole cluster",
            )
        )
    newest = max(desired, key=version_order, default=cluster.version)
    for host in play:
        if host.role == "agent" and (found := agent_problem(host.version, newest)):
            problems.append(Problem(host.name, *found))
        present = present_version(host, cluster)
        if not is_version(present) or present == host.version or not is_version(host.version):
            continue
        forbidden = (
            upgrade_problem(present, host.version) if host.role == "server" else _agent_step(present, host.version)
        )
        if forbidden:
            problems.append(Problem(host.name, *forbidden))
        elif settings.purpose != "upgrade":
            problems.append(
                Problem(
                    host.name,
                    f"{present} runs, and {host.version} is asked for",
                    f"run ansible-playbook wasmfaas.platform.upgrade, or set k3s_version: {present}",
                )
            )
    joining = [
        host
        for host in play
        if host.role == "server" and not host.has_data and cluster.version and is_version(host.version)
    ]
    if settings.purpose != "upgrade" and not problems:
        problems += [
            Problem(
                host.name,
                f"the cluster's servers run {cluster.version}, and {host.version} is asked for",
                f"run ansible-playbook wasmfaas.platform.upgrade, or set k3s_version: {cluster.version}",
            )
            for host in joining
            if host.version != cluster.version
        ]
    return problems


def _agent_step(present: str, desired: str) -> tuple[str, str] | None:
    """An agent may skip minor versions, since only the servers' version limits its kubelet, but may not go back."""
    found = upgrade_problem(present, desired)
    return found if found and "older" in found[0] else None
