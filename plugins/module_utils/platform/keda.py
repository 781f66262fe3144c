# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of role keda."""

from __future__ import annotations

import json
import typing as t

from ..function.time_limit import MAXIMUM_SECONDS
from ..problems import Problem
from .checks import Variables, namespace_problems, range_problems, resources_problems, whole

PODS = ("operator", "metrics_server", "webhooks", "http_operator", "http_scaler", "interceptor")

LIMITS = {
    "keda_interceptor_pending_requests": (1, 1_000_000),
    "keda_cold_start_timeout": (1, MAXIMUM_SECONDS),
    "keda_response_timeout": (1, MAXIMUM_SECONDS),
    "keda_connect_timeout": (1, 60_000),
    "keda_stream_interval": (10, 60_000),
    "keda_queue_interval": (10, 60_000),
}
"""The least and the most of each number, in its own unit. The interceptor takes 0 s for no limit at all."""


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
    yield from range_problems(variables, LIMITS)
    yield from namespace_problems("keda_route_namespaces", variables["keda_route_namespaces"])
    yield from resources_problems("keda", variables["keda_resources"], PODS)
