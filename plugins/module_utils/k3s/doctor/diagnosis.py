# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds what is wrong with hosts and cluster by what they say about themselves. Pure functions, on the controller.

docs/doctor.md lists all checks; a test compares the two.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import typing as t

from ...problems import ERROR, WARNING, Problem, count
from . import certificates, cluster, etcd, hosted_service, nodes, registries, service, workloads
from . import hosts as host_checks
from .model import Host, Limits, worst_first

HOST_CHECKS = (
    service.service,
    service.inputs,
    service.tokens,
    service.configuration,
    host_checks.disk,
    host_checks.system,
    certificates.unreadable,
    certificates.authorities,
    certificates.leaves,
    service.secrets,
    registries.configuration,
    registries.endpoints,
    registries.login,
    etcd.snapshots,
    etcd.database,
)
CLUSTER_CHECKS = (
    cluster.quorum,
    cluster.members,
    etcd.bucket,
    nodes.unlisted,
    nodes.membership,
    nodes.ready,
    nodes.versions,
    workloads.shims,
    workloads.charts,
    hosted_service.hosted_service,
)


def diagnose(hosts: t.Sequence[Host], limits: Limits) -> list[Problem]:
    """All problems, errors first, then by host in the inventory's order."""
    seen = next((host.cluster for host in hosts if host.cluster), None)
    limits = dataclasses.replace(limits, created=_created(seen))
    examined = [host for host in hosts if not host.problem and not host.left_out]
    problems = [problem for host in hosts for problem in host_checks.access(host)]
    for host in examined:
        for check in HOST_CHECKS:
            problems += check(host, limits)
    problems += host_checks.clocks(examined, limits)
    problems += host_checks.identities(examined)
    problems += service.authorities(examined)
    if seen is None:
        problems += cluster.no_api(hosts)
    else:
        by_name = {node["name"]: node for node in seen["nodes"]}
        for cluster_check in CLUSTER_CHECKS:
            problems += cluster_check(hosts, by_name, limits)
    return worst_first(problems, hosts)


def summary(problems: t.Sequence[Problem]) -> str:
    """One line that counts them."""
    counts = collections.Counter(problem.severity for problem in problems)
    if not counts[ERROR] and not counts[WARNING]:
        return "Nothing is wrong."
    return f"{count(counts[ERROR], 'error')}, {count(counts[WARNING], 'warning')}."


def _created(cluster: dict[str, t.Any] | None) -> float:
    """When the cluster was made (seconds since 1970), by its oldest node; 0 if it is unknown."""
    return min(
        (_epoch(node["created"]) for node in (cluster or {}).get("nodes") or [] if node.get("created")), default=0.0
    )


def _epoch(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()
