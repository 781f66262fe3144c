# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletes what a function no longer needs, its canary, or all of it."""

from __future__ import annotations

import typing as t

from ..errors import PlatformError
from .api import KubernetesApi
from .canary import with_idle_canary
from .cluster_function import OPTIONAL_KINDS, ClusterFunction
from .kinds import HORIZONTAL_POD_AUTOSCALER, HTTP_ROUTE, SECRET, SPIN_APP, Kind, Object
from .objects import FunctionObjects, secret_names
from .route_status import wait_until_requests_follow

_DELETE_TIMEOUT_SECONDS = 60


def prune(function: ClusterFunction, keep: FunctionObjects, *secrets_of: Object | None) -> None:
    """Delete the function's objects that `keep` does not name, and the Secrets that nothing refers to any more.

    Args:
        secrets_of: SpinApps whose Secrets stay as well as those of `keep` and of the canary.
    """
    kept = {(item["kind"], item["metadata"]["name"]) for item in keep}
    for app in (keep.app, *secrets_of, function.canary, function.canary_record.good_app):
        kept |= {(SECRET.kind, name) for name in secret_names(app)}
    for kind, name in function.owned((*OPTIONAL_KINDS, SECRET)):
        if (kind.kind, name) not in kept:
            function.api.delete(kind, function.namespace, name)


def remove_function(function: ClusterFunction) -> None:
    """Delete all of a function. The route goes first, so that no request is sent to pods that are going."""
    for kind, name in function.owned(OPTIONAL_KINDS):
        function.api.delete(kind, function.namespace, name)
    if function.canary is not None:
        remove_canary(function)
    _remove_app(function, function.name)  # by its name, as one that somebody else deployed lacks our labels
    for kind, name in function.owned((SECRET,)):
        function.api.delete(kind, function.namespace, name)


def remove_canary(function: ClusterFunction) -> None:
    """Delete the SpinApp of the canary and its scaler; the route must not lead to it any more."""
    for kind, name in function.owned((HORIZONTAL_POD_AUTOSCALER,), by_canary=True):
        function.api.delete(kind, function.namespace, name)
    _remove_app(function, function.canary_name)


def lead_away_from_canary(function: ClusterFunction, route: Object) -> None:
    """Lead all requests to the function with `route`; where its canary is in the route, only once none goes there."""
    if leads_to_canary(function):
        with function.stages("apply"):
            function.api.apply(HTTP_ROUTE, with_idle_canary(route))
        with function.stages("drain"):
            wait_until_requests_follow(function)
    with function.stages("apply"):
        function.api.apply(HTTP_ROUTE, route)


def leads_to_canary(function: ClusterFunction) -> bool:
    """Whether the function's route has the backend of a canary."""
    route = function.get(HTTP_ROUTE)
    return route is not None and len(route["spec"]["rules"][0].get("backendRefs") or []) > 1


def end_canary(function: ClusterFunction, route: Object) -> None:
    """Lead all requests to the function with `route`, and remove its canary once none is on its way there."""
    if function.canary is None:
        return
    lead_away_from_canary(function, route)
    with function.stages("delete"):
        remove_canary(function)
        function.forget()
        good = function.record.good
        if good is not None:
            prune(function, good.objects, function.app)


def _remove_app(function: ClusterFunction, name: str) -> None:
    """Delete a SpinApp and wait until it and its Deployment are gone: a new one of this name must not find the old
    Deployment."""
    delete_and_wait(function.api, SPIN_APP, function.namespace, name, owned_first=True)


def delete_and_wait(api: KubernetesApi, kind: Kind, namespace: str, name: str, *, owned_first: bool) -> None:
    """Delete an object, and wait until it is gone.

    Args:
        owned_first: what it owns goes before it, such as pods.

    Raises:
        PlatformError: it is still there after a minute.
    """
    import tenacity

    api.delete(kind, namespace, name, owned_first=owned_first)

    def give_up(_state: t.Any) -> t.NoReturn:
        raise PlatformError(
            f"The {kind.kind} {namespace}/{name} is still there after {_DELETE_TIMEOUT_SECONDS} s.",
            next_step=f"See what holds it: `kubectl get {kind.kind.lower()} -n {namespace} {name} -o yaml` "
            "(finalizers).",
        )

    tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda found: found is not None),
        wait=tenacity.wait_exponential(multiplier=0.05, max=1),
        stop=tenacity.stop_after_delay(_DELETE_TIMEOUT_SECONDS),
        retry_error_callback=give_up,
    )(lambda: api.get(kind, namespace, name))
