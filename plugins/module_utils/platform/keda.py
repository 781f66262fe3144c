# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of role keda."""

from __future__ import annotations

import json
import typing as t

from ..problems import Problem
from .checks import Variables, namespace_problems, resources_problems, whole

PODS = ("operator", "metrics_server", "webhooks", "http_operator", "http_scaler", "interceptor")


def problems(variables: Variables) -> t.Iterator[Problem]:
    """What is wrong with the interceptor, its limits and its routes."""
    replicas = variables["keda_interceptor_replicas"]
    if sorted(replicas) != ["max", "min"] or not 1 <= whole(replicas["min"]) <= whole(replicas["max"]):
        yield Problem(
            "keda_interceptor_replicas",
            f"{json.dumps(replicas)} is no range",
            "give min and max, 1 <= min <= max: all requests to functions that scale by requests go through "
            "these pods, so there is always one",
        )
    for name in ("keda_cold_start_timeout", "keda_connect_timeout"):
        if whole(variables[name]) < 1:
            yield Problem(name, "must be 1 or more", "leave it out to have the default")
    yield from namespace_problems("keda_route_namespaces", variables["keda_route_namespaces"])
    yield from resources_problems("keda", variables["keda_resources"], PODS)
