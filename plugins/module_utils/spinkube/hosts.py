# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out whether the host of a function is free. With two HTTPRoutes for one host the older one gets the requests,
and neither reports it in its status."""

from __future__ import annotations

import typing as t

from ..errors import PlatformError
from .api import Forbidden, KubernetesApi
from .kinds import HTTP_ROUTE, Object
from .labels import MANAGED_BY


def check_host_is_free(api: KubernetesApi, route: Object, *, answers: t.Callable[[], bool]) -> None:
    """Refuse a host that another namespace, or another function of this one, has at the same Gateway.

    A user who may not list the HTTPRoutes of all namespaces, as most tenants, only learns of those in the own
    namespace. For the others the host is called: if it answers already, somebody has it.

    Args:
        route: the function's HTTPRoute as it is to become.
        answers: whether the host answers as a function does; only called where the routes of others cannot be listed.

    Raises:
        PlatformError: the host is taken; names the route that has it.
    """
    metadata = route["metadata"]
    try:
        routes = api.list(HTTP_ROUTE)
    except Forbidden:
        routes, everywhere = api.list(HTTP_ROUTE, metadata["namespace"]), False
    else:
        everywhere = True
    host = route["spec"]["hostnames"][0]
    for other in routes:
        if _has(other, route) and _is_in_the_way(other, metadata):
            raise _taken(host, f"by the HTTPRoute {other['metadata']['namespace']}/{other['metadata']['name']}")
    if not everywhere and answers():
        raise _taken(host, "(it answers already, and no HTTPRoute of this namespace has it)")


def _taken(host: str, by: str) -> PlatformError:
    return PlatformError(
        f"The host {host} is taken {by}.",
        next_step="Choose another with `-e hostname=HOST` or `-e domain=DOMAIN`, or have that function deleted first.",
    )


def _is_in_the_way(other: Object, ours: Object) -> bool:
    """Within the namespace only the route of another function is in the way: one that its owner wrote beside ours, as
    for a path, is intended."""
    metadata = other["metadata"]
    if metadata["namespace"] != ours["namespace"]:
        return True
    return metadata["name"] != ours["name"] and MANAGED_BY.items() <= (metadata.get("labels") or {}).items()


def _has(other: Object, route: Object) -> bool:
    hosts = {host.lower() for host in other["spec"].get("hostnames") or []}
    return route["spec"]["hostnames"][0].lower() in hosts and bool(_gateways(other) & _gateways(route))


def _gateways(route: Object) -> set[tuple[str, str]]:
    return {
        (parent.get("namespace") or route["metadata"]["namespace"], parent["name"])
        for parent in route["spec"].get("parentRefs") or []
    }
