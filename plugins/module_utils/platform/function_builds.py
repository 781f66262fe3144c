# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of role function_builds."""

from __future__ import annotations

import re
import typing as t

from ..problems import Problem
from .checks import Variables, network_problems, range_problems

LIMITS = {"function_builds_priority": (-10, 1_000_000)}
"""The cluster autoscaler adds no machine for pods of a lower priority than -10 (cluster-autoscaler 1.34, FAQ.md,
`expendable-pods-priority-cutoff`)."""
KINDS = ("default", "defaultRequest", "max", "min", "maxLimitRequestRatio")
_HANDLER = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A label as of RFC 1123 (Kubernetes v1.34.1, pkg/apis/node/validation/validation.go)."""


def problems(variables: Variables) -> t.Iterator[Problem]:
    """What is wrong with the limits and the networks."""
    for kind in variables["function_builds_limits"]:
        if kind not in KINDS:
            yield Problem("function_builds_limits", f"a LimitRange has no {kind}", f"use {', '.join(KINDS)}")
    for name in ("function_builds_blocked_networks", "function_builds_egress_networks"):
        yield from network_problems(name, variables[name], "10.1.2.0/24")
    yield from range_problems(variables, LIMITS)
    handler = str(variables["function_builds_runtime_handler"])
    if handler and not _HANDLER.fullmatch(handler):
        yield Problem(
            "function_builds_runtime_handler",
            f"{handler} is no handler of containerd",
            "use small letters, digits and dashes, at most 63, as in runsc",
        )
