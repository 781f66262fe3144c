# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a canary: a second SpinApp beside that of the function, and two weighted backends in the function's
one HTTPRoute."""

from __future__ import annotations

import dataclasses
import math

from ..errors import PlatformError
from ..function.model import WantedFunction
from .objects import Object, function_objects, sealed, settings_digest
from .settings import ClusterSettings
from .versions import last_good

CANARY_OF = "wasmfaas.dev/canary-of"
"""Label on a canary's SpinApp: the function's name."""

CANARY_PERCENT = "wasmfaas.dev/canary-percent"
_PROMOTES = "wasmfaas.dev/promotes"
"""Annotation: digest over what the function becomes when the canary is promoted. The objects themselves are in
LAST_GOOD, once the canary answered."""

_SUFFIX = "-canary"
MAXIMUM_NAME_LENGTH = 52 - len(_SUFFIX)


def canary_name(name: str) -> str:
    """The name of the SpinApp of the canary of function `name`."""
    return f"{name}{_SUFFIX}"


def function_of(app: Object | None) -> str:
    """The function whose canary a SpinApp is; empty where it is none."""
    return str((((app or {}).get("metadata") or {}).get("labels") or {}).get(CANARY_OF, ""))


def share(canary: Object | None) -> int:
    """The percent of the requests that a canary gets: 0 until it was ready for them."""
    return int(last_good(canary).get("percent", 0))


def canary_objects(
    wanted: WantedFunction, settings: ClusterSettings, percent: int, promoted: list[Object], secret_name: str | None
) -> list[Object]:
    """The SpinApp of the canary, and its scaler: as what is promoted, with as many replicas as its share of the
    requests needs.

    Args:
        promoted: the objects that the function consists of once the canary is promoted.
    """
    scale = settings.autoscale
    fewer = dataclasses.replace(
        settings,
        replicas=_part(settings.replicas or 1, percent) if scale is None else None,
        autoscale=scale and dataclasses.replace(scale, min=_part(scale.min, percent), max=_part(scale.max, percent)),
    )
    renamed = dataclasses.replace(wanted, name=canary_name(wanted.name))
    app, *scaler = function_objects(renamed, fewer, "", secret_name)
    metadata = app["metadata"]
    labelled = {
        **metadata,
        "labels": {**metadata["labels"], CANARY_OF: wanted.name},
        "annotations": {**metadata["annotations"], CANARY_PERCENT: str(percent), _PROMOTES: settings_digest(promoted)},
    }
    return sealed([{**app, "metadata": labelled}, *scaler])


def _part(replicas: int, percent: int) -> int:
    return max(1, math.ceil(replicas * percent / 100))


def with_canary(route: Object, percent: int) -> Object:
    """The HTTPRoute of a function with the backend of its canary beside its own; as it is where the share is 0."""
    if not percent:
        return route
    (rule,) = route["spec"]["rules"]
    (own,) = rule["backendRefs"]
    backends = [{**own, "weight": 100 - percent}, {**own, "name": canary_name(own["name"]), "weight": percent}]
    return {**route, "spec": {**route["spec"], "rules": [{**rule, "backendRefs": backends}]}}


def check_canary(name: str, percent: int, *, wait: bool) -> None:
    """Check the options of a canary; raises PlatformError."""
    if not 1 <= percent <= 100:
        raise PlatformError(
            f"canary: {percent} is no share of the requests in percent, 1 to 100.",
            next_step="`ansible-playbook wasmfaas.platform.promote_function -e name=NAME` gives the canary all "
            "requests for good, and with `-e undo=true` none.",
        )
    if not wait:
        raise PlatformError(
            "canary: can't go with `wait: false`, as requests would go to pods that nobody saw ready.",
            next_step="leave `wait` out.",
        )
    if len(name) > MAXIMUM_NAME_LENGTH:
        raise PlatformError(
            f"canary: the name {name!r} has {len(name)} characters, and with {_SUFFIX} only {MAXIMUM_NAME_LENGTH} fit.",
            next_step="deploy without `canary`, or give the function a shorter name.",
        )


def check_shares(name: str, live_route: Object | None, wanted_route: Object | None) -> None:
    """Refuse what a function can't become while two versions of it share its route.

    Args:
        live_route: the function's HTTPRoute as it is.
        wanted_route: as it is to become, without the canary.

    Raises:
        PlatformError: there is no route, it leads to KEDA's interceptor, or its host or Gateway would change.
    """
    end = (
        f"end the canary first (`ansible-playbook wasmfaas.platform.promote_function -e name={name}`, or with `-e "
        "undo=true`), or deploy without `canary`."
    )
    if wanted_route is None:
        raise PlatformError(
            f"canary: the function {name} has no http trigger, so there are no requests to share.",
            next_step="deploy it without `canary`.",
        )
    for route in (live_route, wanted_route):
        backends = [
            backend["name"]
            for rule in (route or wanted_route)["spec"]["rules"]
            for backend in rule.get("backendRefs") or []
        ]
        if not set(backends) <= {name, canary_name(name)}:
            raise PlatformError(
                f"canary: the function {name} scales by requests, and KEDA's interceptor, through which they all go, "
                "knows no shares.",
                next_step=f"use `replicas`, or autoscale with target_cpu_percent; or {end}",
            )
    if live_route is not None and _place(live_route) != _place(wanted_route):
        raise PlatformError(
            f"canary: the host or the Gateway of {name} would change ({_shown(live_route)} to "
            f"{_shown(wanted_route)}), and both versions share one route.",
            next_step=f"leave `hostname`, `domain`, `tls` and `gateway` as they are; or {end}",
        )


def _place(route: Object) -> tuple[list[str], list[tuple[str, ...]]]:
    """The hosts of a route, and where it is attached."""
    spec = route["spec"]
    parents = [
        tuple(parent.get(key) or "" for key in ("namespace", "name", "sectionName"))
        for parent in spec.get("parentRefs") or []
    ]
    return list(spec.get("hostnames") or []), parents


def _shown(route: Object) -> str:
    hosts, parents = _place(route)
    return f"{', '.join(hosts)} at {', '.join('/'.join(filter(None, parent)) for parent in parents)}"
