# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks of the doctor know of hosts and cluster, and how they report a problem."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ...problems import ERROR, INFO, SEVERITIES, WARNING, Problem, Severity
from ..host import journal
from ..plan.machine_checks import RENEW

DAY = 86400.0
"""Seconds."""
SITE = "ansible-playbook wasmfaas.platform.site"
UPGRADE = "ansible-playbook wasmfaas.platform.upgrade"
REPAIR = "ansible-playbook wasmfaas.platform.rotate -e what=repair"

CHECKS = frozenset(
    {
        "api-down",
        "api-not-ready",
        "authority-ends",
        "certificate-ends",
        "certificate-unreadable",
        "cgroup-v1",
        "clock-differs",
        "clock-not-synchronized",
        "cluster-init-left",
        "disk-inodes",
        "disk-space",
        "etcd-member",
        "etcd-size",
        "even-servers",
        "file-mode",
        "host-left-out",
        "host-not-examined",
        "host-not-in-cluster",
        "host-twice",
        "host-unreachable",
        "hosted-deployments-fail",
        "hosted-queue-stuck",
        "hosted-service-definition",
        "hosted-service-not-ready",
        "k3s-missing",
        "k3s-not-enabled",
        "k3s-not-running",
        "k3s-restarts",
        "learner",
        "node-cordoned",
        "node-not-in-inventory",
        "node-not-ready",
        "node-role-differs",
        "other-cluster",
        "platform-not-running",
        "quorum",
        "reboot-needed",
        "registries-file",
        "registries-file-missing",
        "registry-distrusted",
        "registry-login-missing",
        "registry-unreachable",
        "restart-pending",
        "role-differs",
        "server-removed",
        "shim-missing",
        "shim-not-loaded",
        "shim-unknown",
        "snapshots-none",
        "snapshots-not-in-bucket",
        "snapshots-old",
        "tokens-not-stored",
        "version-behind",
        "version-differs",
        "version-skew",
        "versions-mixed",
    }
)
"""Names of the checks. docs/doctor.md lists them."""

Nodes = dict[str, dict[str, t.Any]]
"""The cluster's nodes by name, as k3s_node_info describes them."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """`now`, `created` (of the cluster): seconds since 1970; `clock`: seconds between hosts; `snapshot_age`: seconds;
    `version`: the inventory's, or ""."""

    now: float
    clock: float = 30.0
    snapshot_age: float = DAY
    version: str = ""
    created: float = 0.0


@dataclasses.dataclass(frozen=True)
class Host:
    """What is known of one host of the inventory.

    Args:
        name: in the inventory.
        role: `server` or `agent`, by its group.
        node_name: the name that its node has or shall have.
        problem: why it could not be examined; "" where it could.
        left_out: whether it was not meant to be examined (--limit).
        unreachable: whether the problem is that Ansible does not reach it.
        node: `node` of k3s_node_info.
        cluster: `cluster` of k3s_node_info, None but for a server whose API answers.
        diagnosis: `diagnosis` in the result of k3s_node_info.
        clock: seconds by which its clock is ahead of the controller's, None where it was not measured.
        ecr_registry: registry of Amazon ECR that functions come from and that nodes are to log in to; "" for another
            one.
    """

    name: str
    role: str
    node_name: str
    problem: str = ""
    left_out: bool = False
    unreachable: bool = False
    node: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    cluster: dict[str, t.Any] | None = None
    diagnosis: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    clock: float | None = None
    ecr_registry: str = ""

    @property
    def k3s(self) -> dict[str, t.Any]:
        return self.node.get("k3s") or {}

    @property
    def certificates_ended(self) -> bool:
        """Whether certificates have ended of a k3s that runs, and that renews them at a start only."""
        return bool(self.k3s.get("certificates_ended")) and is_active(self)


def found(severity: Severity, where: str, check: str, what: str, next_step: str) -> Problem:
    """A problem that a check has found.

    Args:
        where: an inventory name, a node's name where no host of the inventory has it, or `cluster`.
        check: name of the check, of `CHECKS`.
    """
    if check not in CHECKS:
        raise ValueError(f"{check} is no check of the doctor")
    return Problem(where, what, next_step, severity, check)


def error(where: str, check: str, what: str, next_step: str) -> Problem:
    """See `found`."""
    return found(ERROR, where, check, what, next_step)


def warning(where: str, check: str, what: str, next_step: str) -> Problem:
    """See `found`."""
    return found(WARNING, where, check, what, next_step)


def info(where: str, check: str, what: str) -> Problem:
    """See `found`."""
    return found(INFO, where, check, what, "")


def worst_first(problems: t.Iterable[Problem], hosts: t.Sequence[Host]) -> list[Problem]:
    """Errors first, then those of the whole cluster, then by host in the inventory's order."""
    place = {host.name: number for number, host in enumerate(hosts)}
    return sorted(
        problems,
        key=lambda problem: (
            SEVERITIES.index(problem.severity),
            place.get(problem.where, -1),
            problem.check,
            problem.what,
        ),
    )


def remove_node(name: str) -> str:
    """The command that removes a node and cleans its host."""
    return f"ansible-playbook wasmfaas.platform.remove_node -e node={name}"


def owner(hosts: t.Sequence[Host], node_name: str) -> str:
    """Inventory name of the host that has a node; the node's name where none has."""
    return next((host.name for host in hosts if host.node_name == node_name), node_name)


def is_active(host: Host) -> bool:
    """Whether k3s runs on the host."""
    return bool(((host.diagnosis.get("unit") or {}).get("active") or host.k3s.get("service")) == "active")


def why(host: Host | None) -> str:
    """What k3s' certificates or its journal on the host tell of, to be appended to a text; "" where they tell
    nothing."""
    if host and host.certificates_ended:
        return ": its certificates have ended"
    problem = _journal_problem(host)
    return f": {problem['what']}" if problem else ""


def step(host: Host | None) -> str:
    """The next step for what `why` tells of; "" where it tells nothing."""
    if host and host.certificates_ended:
        return f"Run {RENEW}"
    problem = _journal_problem(host)
    return problem["next_step"].replace(journal.NODE, host.node_name) if host and problem else ""


def _journal_problem(host: Host | None) -> dict[str, str]:
    problem: dict[str, str] = (host.diagnosis.get("unit") or {}).get("problem") or {} if host else {}
    return problem


def one_line(text: str) -> str:
    """The beginning of a message of another program, without line breaks and without a full stop at its end."""
    return " ".join(text.split())[:300].rstrip(".")


def minor(version: str) -> tuple[int, int]:
    """Major and minor number of a version; zeros where it is none."""
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
