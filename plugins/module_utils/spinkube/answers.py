# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls a function until it answers, and finds out from its route why it does not."""

from __future__ import annotations

from ..errors import PlatformError
from ..function.probe import HEALTH_PATH, probe
from .cluster_function import ClusterFunction
from .kinds import DEPLOYMENT, HTTP_ROUTE
from .objects import URL, FunctionObjects
from .rollout import asleep_advice, is_asleep, pod_problem
from .route_status import advice, is_observed, refusal

_LONGEST_PROBE_SECONDS = 60


def probe_function(function: ClusterFunction, objects: FunctionObjects, *, timeout_seconds: float) -> None:
    """Call the function's URL; raises PlatformError where it does not answer within `timeout_seconds`."""
    app, settings = objects.app, function.settings
    probe(
        app["metadata"]["annotations"][URL],
        path=((app["spec"].get("checks") or {}).get("readiness") or {}).get("httpGet", {}).get("path", HEALTH_PATH),
        timeout_seconds=timeout_seconds,
        address=settings.probe_address,
        ca_file=settings.probe_ca_file,
    )


def ensure_function_answers(
    function: ClusterFunction, objects: FunctionObjects, *, timeout_seconds: float = _LONGEST_PROBE_SECONDS
) -> None:
    """Wait until the function's URL answers.

    Raises:
        PlatformError: it did not within `timeout_seconds`, or the function's `wait_timeout` where that is less; says
            what the Gateway's controller reports, what keeps its pods from running, or that it has none.
    """
    try:
        probe_function(function, objects, timeout_seconds=min(function.settings.wait_timeout, timeout_seconds))
    except PlatformError as error:
        route = function.get(HTTP_ROUTE) or {"metadata": {}}
        if not is_observed(route):
            cause = (
                f"{error.cause.rstrip('.')}; the Gateway's controller has not looked at the route since it was written."
            )
            step = (
                f"See that it runs: `kubectl get pods -n {function.settings.gateway_namespace}` "
                "(wasmfaas.platform.site makes it as deployment traefik), or `ansible-playbook "
                "wasmfaas.platform.doctor`; then run the same command again."
            )
            raise PlatformError(cause, next_step=step, facts=error.facts) from error
        if refused := refusal(route):
            cause = f"{error.cause.rstrip('.')}; the Gateway does not take the route: {refused}."
            raise PlatformError(cause, next_step=advice(refused), facts=error.facts) from error
        if problem := pod_problem(function.api, objects.app):
            raise problem from error
        if is_asleep(function.get(DEPLOYMENT)):
            cause = f"{error.cause.rstrip('.')}; the function sleeps, and this request did not wake it."
            step = asleep_advice(function.namespace, function.name)
            raise PlatformError(cause, next_step=step, facts=error.facts) from error
        raise
