# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what the Gateway's controller says of a function's HTTPRoute, and waits until a change of it has an effect."""

from __future__ import annotations

import time

from ..errors import PlatformError
from .cluster_function import ClusterFunction
from .kinds import HTTP_ROUTE, Object

_ROUTE_TIMEOUT_SECONDS = 10.0
_LAST_REQUESTS_SECONDS = 3.0
"""How long a backend still runs after it left the route: no condition says that every proxy knows of it, nor that the
requests on their way are answered."""


def is_observed(route: Object) -> bool:
    """Whether the Gateway's controller has seen an HTTPRoute as it is now.

    For controllers that set no observedGeneration, any condition counts.
    """
    seen = [condition.get("observedGeneration", 0) for condition in _conditions(route)]
    return bool(seen) and (max(seen) == 0 or max(seen) >= route["metadata"].get("generation", 0))


def refusal(route: Object) -> str:
    """Why the Gateway's controller does not serve an HTTPRoute; empty where it does."""
    return "; ".join(
        f"{condition['reason']}: {condition['message']}"
        for condition in _conditions(route)
        if condition["status"] == "False"
    )


def ensure_served(route: Object | None, gateway_namespace: str, error: PlatformError) -> None:
    """Look in an HTTPRoute for the cause of `error`: that nobody answers at its host.

    Args:
        route: as it is now; None where it is gone.
        gateway_namespace: of the Gateway and its controller.

    Raises:
        PlatformError: the Gateway's controller does not serve the route, or has not looked at it.
    """
    cause, found = error.cause.rstrip("."), route or {"metadata": {}}
    if not is_observed(found):
        raise PlatformError(
            f"{cause}; the Gateway's controller has not looked at the route since it was written.",
            next_step=f"See that it runs: `kubectl get pods -n {gateway_namespace}` (wasmfaas.platform.site makes it "
            "as deployment traefik), or `ansible-playbook wasmfaas.platform.doctor`; then run the same command again.",
            facts=error.facts,
        ) from error
    if refused := refusal(found):
        raise PlatformError(
            f"{cause}; the Gateway does not take the route: {refused}.",
            next_step=_advice(refused),
            facts=error.facts,
        ) from error


def _advice(refused: str) -> str:
    """The next step after a refusal."""
    if "RefNotPermitted" in refused:
        return (
            "Allow it with a ReferenceGrant in the namespace keda, from HTTPRoutes of the function's namespace to "
            "Services (`ansible-playbook wasmfaas.platform.site` makes it)."
        )
    return "See that the Gateway has a listener for the host and allows routes from the function's namespace."


def wait_until_requests_follow(function: ClusterFunction) -> None:
    """Wait until no request goes where the function's route no longer leads, and those on their way are answered."""
    import tenacity

    def is_taken() -> bool:
        route = function.get(HTTP_ROUTE) or {"metadata": {}}
        seen = [condition.get("observedGeneration", 0) for condition in _conditions(route)]
        return bool(seen) and min(seen) >= route["metadata"].get("generation", 0)

    tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda taken: not taken),
        wait=tenacity.wait_exponential(multiplier=0.05, max=1),
        stop=tenacity.stop_after_delay(_ROUTE_TIMEOUT_SECONDS),
        retry_error_callback=lambda _state: None,  # some controllers set no observedGeneration
    )(is_taken)
    time.sleep(_LAST_REQUESTS_SECONDS)


def _conditions(route: Object) -> list[Object]:
    return [
        condition
        for parent in (route.get("status") or {}).get("parents") or []
        for condition in parent.get("conditions") or []
    ]
