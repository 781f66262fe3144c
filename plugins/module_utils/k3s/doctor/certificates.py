# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of when the certificates of k3s end."""

from __future__ import annotations

import collections
import datetime
import typing as t

from ...problems import ERROR, WARNING, Problem, Severity, count
from ..host.certificates import RENEWAL_DAYS
from ..plan.machine_checks import RENEW
from .model import DAY, Host, Limits, found, warning

LEAF_ERROR_DAYS, LEAF_WARNING_DAYS = 30, 90
"""Days left of a leaf certificate. A node that restarts once in a while stays above both, since k3s renews what ends
within RENEWAL_DAYS whenever it starts."""
AUTHORITY_ERROR_DAYS, AUTHORITY_WARNING_DAYS = 90, 365


def unreadable(host: Host, _limits: Limits) -> t.Iterator[Problem]:
    """Certificate files that hold no certificate."""
    unit = "k3s" if host.role == "server" else "k3s-agent"
    for certificate in _certificates(host):
        if "problem" in certificate:
            yield warning(
                host.name,
                "certificate-unreadable",
                f"{certificate['path']}: {certificate['problem']}",
                f"Restart {unit}, which makes a missing leaf certificate again; an authority comes back only by "
                "ansible-playbook wasmfaas.platform.restore",
            )


def authorities(host: Host, limits: Limits) -> t.Iterator[Problem]:
    """Certificate authorities that end soon."""
    for certificate in _certificates(host):
        days = _days_left(certificate, limits)
        if certificate["authority"] and days is not None and days < AUTHORITY_WARNING_DAYS:
            yield found(
                ERROR if days < AUTHORITY_ERROR_DAYS else WARNING,
                host.name,
                "authority-ends",
                f"{certificate['path']} {_ends(certificate['ends'], limits.now)}",
                "Make a new authority with k3s certificate rotate-ca (docs.k3s.io/cli/certificate); "
                "wasmfaas.platform.rotate renews leaf certificates only",
            )


def leaves(host: Host, limits: Limits) -> t.Iterator[Problem]:
    """Leaf certificates that end soon: one problem for each directory and severity."""
    ending: dict[tuple[Severity, str], list[tuple[float, str]]] = collections.defaultdict(list)
    for certificate in _certificates(host):
        path, days = certificate["path"], _days_left(certificate, limits)
        if not certificate["authority"] and days is not None and days < LEAF_WARNING_DAYS:
            severity = ERROR if days < LEAF_ERROR_DAYS else WARNING
            ending[severity, path.rpartition("/")[0]].append((certificate["ends"], path))
    for (severity, _directory), beside in sorted(ending.items()):
        ends, first = min(beside)
        more = f" and {count(len(beside) - 1, 'other')} beside it" if len(beside) > 1 else ""
        yield found(
            severity,
            host.name,
            "certificate-ends",
            f"{first}{more} {_ends(ends, limits.now)}",
            f"Run {RENEW}"
            + ("" if ends < limits.now else f", or restart k3s, which renews what ends within {RENEWAL_DAYS} days"),
        )


def _ends(ends: float, now: float) -> str:
    date = datetime.datetime.fromtimestamp(ends, tz=datetime.UTC).date().isoformat()
    days = int(abs(ends - now) / DAY)
    return f"ended {count(days, 'day')} ago ({date})" if ends < now else f"ends in {count(days, 'day')} ({date})"


def _certificates(host: Host) -> list[dict[str, t.Any]]:
    return host.diagnosis.get("certificates") or []


def _days_left(certificate: dict[str, t.Any], limits: Limits) -> float | None:
    """None where the file holds no certificate."""
    return (certificate["ends"] - limits.now) / DAY if "ends" in certificate else None
