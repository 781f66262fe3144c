# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a function was before: the good states that its SpinApp remembers, and which of them to go back to.

The annotation LAST_GOOD holds one state with its objects, and below `earlier` those that answered before it, newest
first. Secret values are in none of them, and the Secrets of earlier states are not kept: a token that was replaced is
gone, and an earlier version gets the values of now.
"""

from __future__ import annotations

import datetime
import json
import re
import typing as t

from ..errors import PlatformError
from .objects import LAST_GOOD, SOURCE_DIGEST, Object, sealed, secret_names, settings_digest

EARLIER_STATES = 5
_EARLIER_BYTES = 100_000
"""All annotations of an object may have 256 KiB; the last good state and what others write need some of it."""

_SHORTEST_DIGEST = 12
"""As many digits as list_functions.yml shows."""


def last_good(app: Object | None) -> Object:
    """What the SpinApp remembers; empty where it never answered, or somebody else deployed it."""
    annotations = ((app or {}).get("metadata") or {}).get("annotations") or {}
    return t.cast(Object, json.loads(annotations.get(LAST_GOOD, "{}")))


def with_last_good(app: Object, good: Object) -> Object:
    """`app` with the annotation."""
    annotations = dict(app["metadata"]["annotations"])
    if good:
        annotations[LAST_GOOD] = json.dumps(good, sort_keys=True, separators=(",", ":"))
    return {**app, "metadata": {**app["metadata"], "annotations": annotations}}


def next_good(before: Object, objects: list[Object], *, answered: bool) -> Object:
    """What to remember once `objects` are applied.

    Args:
        before: what was remembered until now.
        answered: whether somebody saw them answer; without, what did so before stays the state to go back to.
    """
    digest = settings_digest(objects)
    if not answered:
        return {**before, "settings_digest": digest, "objects": before.get("objects") or []}
    states = [_state(before), *(before.get("earlier") or [])] if before.get("objects") else []
    earlier = [state for state in states if settings_digest(state["objects"]) != digest][:EARLIER_STATES]
    while len(json.dumps(earlier)) > _EARLIER_BYTES:
        earlier.pop()
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"settings_digest": digest, "objects": objects, "time": now, **({"earlier": earlier} if earlier else {})}


def earlier_states(app: Object) -> list[Object]:
    """The good states before the one that runs, newest first."""
    good = last_good(app)
    if not good.get("objects"):
        return []
    states = [_state(good), *(good.get("earlier") or [])]
    return [state for state in states if settings_digest(state["objects"]) != settings_digest([app])]


def _state(good: Object) -> Object:
    return {key: good[key] for key in ("objects", "time") if key in good}


def described(state: Object) -> dict[str, t.Any]:
    """A state as users see it."""
    app = state["objects"][0]
    image = str(app["spec"]["image"])
    return {
        "image": image,
        "digest": image.partition("@")[2],
        "source_digest": app["metadata"]["annotations"].get(SOURCE_DIGEST, ""),
        "deployed": state.get("time", ""),
    }


def state_to_go_back_to(app: Object, digest: str | None) -> Object | None:
    """The state before the one that runs, or the newest one whose artifact has this digest; None where the artifact
    runs already.

    Args:
        digest: of the artifact, `sha256:` and at least 12 digits; None for the state before.

    Raises:
        PlatformError: no such state is remembered.
    """
    states = earlier_states(app)
    where = f"{app['metadata']['namespace']}/{app['metadata']['name']}"
    if digest is None:
        if not states:
            raise PlatformError(
                f"no earlier version of {where} is known.",
                next_step="deploy the one you want from its source: `ansible-playbook "
                "wasmfaas.platform.deploy_function -e src=FOLDER`.",
            )
        return states[0]
    digits = digest.removeprefix("sha256:")
    if not re.fullmatch(rf"[0-9a-f]{{{_SHORTEST_DIGEST},64}}", digits):
        raise PlatformError(
            f"to: {digest!r} is no digest.",
            next_step=f"give `sha256:` and at least the first {_SHORTEST_DIGEST} digits, as "
            "wasmfaas.platform.list_functions shows them.",
        )
    if app["spec"]["image"].partition("@sha256:")[2].startswith(digits):
        return None
    found = next(
        (state for state in states if described(state)["digest"].removeprefix("sha256:").startswith(digits)), None
    )
    if found is None:
        known = ", ".join(dict.fromkeys(described(state)["digest"][:19] for state in states)) or "none"
        raise PlatformError(
            f"to: no version of {where} with the digest {digest} is known (known: {known}).",
            next_step="name one of these, or deploy the one you want from its source: `ansible-playbook "
            "ansible-playbook wasmfaas.platform.deploy_function -e src=FOLDER`.",
        )
    return found


def with_current_secret(state: Object, app: Object, secret: Object | None) -> list[Object]:
    """The objects of an earlier state with the Secret of now, since its own is not kept.

    Args:
        secret: the Secret that the function's secret variables come from now; None where it has none.

    Raises:
        PlatformError: the earlier version has a secret variable that the Secret lacks.
    """
    objects: list[Object] = state["objects"]
    if not secret_names(objects[0]):
        return objects
    spec = objects[0]["spec"]
    needed = [variable["name"] for variable in spec["variables"] if "secretKeyRef" in (variable.get("valueFrom") or {})]
    missing = sorted(set(needed) - set((secret or {}).get("data") or {}))
    if missing or secret is None:
        raise PlatformError(
            f"the earlier version of {app['metadata']['namespace']}/{app['metadata']['name']} needs the secret "
            f"variable {', '.join(missing)},"
            " whose value is not kept.",
            next_step="deploy that version from its source, with its `variables`.",
        )
    name = secret["metadata"]["name"]
    variables = [
        {**variable, "valueFrom": {"secretKeyRef": {**variable["valueFrom"]["secretKeyRef"], "name": name}}}
        if variable["name"] in needed
        else variable
        for variable in spec["variables"]
    ]
    return sealed([{**objects[0], "spec": {**spec, "variables": variables}}, *objects[1:]])
