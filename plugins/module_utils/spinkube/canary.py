# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a canary: a second SpinApp beside that of the function, and two weighted backends in the function's
one HTTPRoute."""

from __future__ import annotations

import dataclasses
import math

from ..errors import PlatformError
from ..function.model import DesiredFunction
from .function_objects import function_objects
from .kinds import Object
from .objects import FunctionObjects
from .settings import ClusterSettings

CANARY_OF = "wasmfaas.dev/canary-of"
"""Label on a canary's SpinApp: the function's name."""

_WEIGHT = "wasmfaas.dev/canary-weight"
_PROMOTES = "wasmfaas.dev/promotes"
"""Annotation: digest over the objects that the function consists of once the canary is promoted. The objects are in
LAST_GOOD, once the canary answered."""

_SUFFIX = "-canary"
MAXIMUM_NAME_LENGTH = 52 - len(_SUFFIX)


def canary_name(name: str) -> str:
    """The name of the SpinApp of the canary of function `name`."""
    return f"{name}{_SUFFIX}"


def function_of(app: Object | None) -> str:
    """The function whose canary a SpinApp is; empty where it is none."""
    return str((((app or {}).get("metadata") or {}).get("labels") or {}).get(CANARY_OF, ""))


def canary_objects(
    desired: DesiredFunction,
    settings: ClusterSettings,
    weight: int,
    promoted: FunctionObjects,
    secret_name: str | None,
) -> FunctionObjects:
    """Make the SpinApp of the canary and its scaler: like those to promote, with as many replicas as its weight needs.

    Args:
        weight: the canary's share of the requests, in percent.
        promoted: the objects that the function consists of once the canary is promoted.
    """
    scale = settings.autoscale
    fewer = dataclasses.replace(
        settings,
        replicas=_part(settings.replicas or 1, weight) if scale is None else None,
        warm="none",  # it runs for a while, and the nodes are made warm for what is promoted
        autoscale=scale and dataclasses.replace(scale, min=_part(scale.min, weight), max=_part(scale.max, weight)),
    )
    renamed = dataclasses.replace(desired, name=canary_name(desired.name))
    objects = function_objects(renamed, fewer, "", secret_name)
    metadata = objects.app["metadata"]
    labelled = {
        **metadata,
        "labels": {**metadata["labels"], CANARY_OF: desired.name},
        "annotations": {**metadata["annotations"], _WEIGHT: str(weight), _PROMOTES: promoted.settings_digest},
    }
    return dataclasses.replace(objects, app={**objects.app, "metadata": labelled}).sealed()


def _part(replicas: int, weight: int) -> int:
    return max(1, math.ceil(replicas * weight / 100))


def with_canary(route: Object, weight: int) -> Object:
    """The HTTPRoute of a function with the backend of its canary beside its own; as it is where the weight is 0."""
    return _with_backends(route, weight) if weight else route


def with_idle_canary(route: Object) -> Object:
    """The same with a canary that gets no request: the step after which its backend gets some, and before it leaves.

    A proxy that learns of routes and of backends one after the other answers 503 to a request for a backend that it
    does not know. Envoy 1.38.3 with Contour 1.33.8 did so while a backend left ("NC" in its access log).
    """
    return _with_backends(route, 0)


def _with_backends(route: Object, weight: int) -> Object:
    (rule,) = route["spec"]["rules"]
    (own,) = rule["backendRefs"]
    backends = [{**own, "weight": 100 - weight}, {**own, "name": canary_name(own["name"]), "weight": weight}]
    return {**route, "spec": {**route["spec"], "rules": [{**rule, "backendRefs": backends}]}}


def check_canary(name: str, weight: int, *, wait: bool) -> None:
    """Check the options of a canary; raises PlatformError."""
    if not 1 <= weight <= 100:
        raise PlatformError(
            f"canary: {weight} is no weight in percent, 1 to 100.",
            next_step="`ansible-playbook wasmfaas.platform.promote_function -e name=NAME` gives the canary all "
            "requests for good, and with `-e undo=true` none.",
        )
    if not wait:
        raise PlatformError(
            "canary: excludes `wait: false`, since requests would go to pods that nobody saw ready.",
            next_step="Leave `wait` out.",
        )
    if len(name) > MAXIMUM_NAME_LENGTH:
        raise PlatformError(
            f"canary: the name {name!r} has {len(name)} characters, and with {_SUFFIX} only {MAXIMUM_NAME_LENGTH} fit.",
            next_step="Deploy without `canary`, or give the function a shorter name.",
        )


def check_shared_route(name: str, live_route: Object | None, desired_route: Object | None) -> None:
    """Refuse what a function cannot become while two versions of it share its route.

    Args:
        live_route: the function's HTTPRoute as it is.
        desired_route: as it is to become, without the canary.

    Raises:
        PlatformError: there is no route, it leads to KEDA's interceptor, or its host or Gateway would change.
    """
    end = (
        f"end the canary first (`ansible-playbook wasmfaas.platform.promote_function -e name={name}`, or with `-e "
        "undo=true`), or deploy without `canary`."
    )
    if desired_route is None:
        raise PlatformError(
            f"canary: the function {name} has no http trigger, so there are no requests to divide.",
            next_step="Deploy it without `canary`.",
        )
    for route in (live_route, desired_route):
        backends = [
            backend["name"]
            for rule in (route or desired_route)["spec"]["rules"]
            for backend in rule.get("backendRefs") or []
        ]
        if not set(backends) <= {name, canary_name(name)}:
            raise PlatformError(
                f"canary: the function {name} scales by requests, and KEDA's interceptor, which all its requests pass, "
                "knows no weights.",
                next_step=f"Use `replicas`; or {end}",
            )
    if live_route is not None and _place(live_route) != _place(desired_route):
        raise PlatformError(
            f"canary: the host or the Gateway of {name} would change ({_shown(live_route)} to "
            f"{_shown(desired_route)}), and both versions share one route.",
            next_step=f"Leave `hostname`, `domain`, `tls` and `gateway` as they are; or {end}",
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
