# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls a function until it answers, and finds out from its route why it does not."""

from __future__ import annotations

from ..errors import PlatformError
from ..function.probe import HEALTH_PATH, probe
from .cluster_function import ClusterFunction
from .kinds import DEPLOYMENT, HTTP_ROUTE, Object
from .objects import CALLED_PATH, URL, FunctionObjects
from .rollout import asleep_advice, is_asleep, pod_problem
from .route_status import ensure_served

LONGEST_PROBE_SECONDS = 60
_INVOCATION_SECONDS = 10
"""How long an invocation may fail: the function answers by now, and the cause of a failure does not pass by itself."""


def probe_function(function: ClusterFunction, objects: FunctionObjects, *, timeout_seconds: float) -> None:
    """Call the function's URL; raises PlatformError where it does not answer within `timeout_seconds`."""
    app, settings = objects.app, function.settings
    probe(
        app["metadata"]["annotations"][URL],
        path=_readiness_path(app),
        timeout_seconds=timeout_seconds,
        address=settings.probe_address,
        ca_file=settings.probe_ca_file,
    )


def _readiness_path(app: Object) -> str:
    readiness = (app["spec"].get("checks") or {}).get("readiness") or {}
    return str(readiness.get("httpGet", {}).get("path", HEALTH_PATH))


def ensure_function_answers(
    function: ClusterFunction, objects: FunctionObjects, *, timeout_seconds: float = LONGEST_PROBE_SECONDS
) -> None:
    """Wait until the function's URL answers.

    Raises:
        PlatformError: it did not within `timeout_seconds`, or the function's `wait_timeout` where that is less; says
            what the Gateway's controller reports, what keeps its pods from running, or that it has none.
    """
    try:
        probe_function(function, objects, timeout_seconds=min(function.settings.wait_timeout, timeout_seconds))
    except PlatformError as error:
        ensure_served(function.get(HTTP_ROUTE), function.settings.gateway_namespace, error)
        if problem := pod_problem(function.api, objects.app):
            raise problem from error
        if is_asleep(function.get(DEPLOYMENT)):
            cause = f"{error.cause.rstrip('.')}; the function sleeps, and this request did not wake it."
            step = asleep_advice(function.namespace, function.name)
            raise PlatformError(cause, next_step=step, facts=error.facts) from error
        raise
    _ensure_an_invocation_fits(function, objects)


def _ensure_an_invocation_fits(function: ClusterFunction, objects: FunctionObjects) -> None:
    """Call a component of the function where its invocations have a memory limit.

    Raises:
        PlatformError: it fails, as Spin lets each invocation fail that needs more memory than the limit.
    """
    app, settings = objects.app, function.settings
    annotations = app["metadata"]["annotations"]
    path = annotations.get(CALLED_PATH)
    if path is None or _readiness_path(app) != HEALTH_PATH:  # a path of the function itself was called already
        return
    try:
        probe(
            annotations[URL],
            path=path,
            timeout_seconds=min(settings.wait_timeout, _INVOCATION_SECONDS),
            address=settings.probe_address,
            ca_file=settings.probe_ca_file,
            failing_status=500,
        )
    except PlatformError as error:
        limit = app["spec"]["invocationLimits"]["memory"]
        raise PlatformError(
            f"{error.cause.rstrip('.')}, and its invocations have no more than {limit} of memory "
            "(invocation_limits.memory), which may be too little.",
            next_step='Raise it, as in `-e \'{"invocation_limits": {"memory": "128Mi"}}\'`, or leave it out. If the '
            "function fails at this path for another reason, name one that works with `-e probe_path=/…`.",
            facts=error.facts,
        ) from error
