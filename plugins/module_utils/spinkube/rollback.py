# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the version to roll back to, and makes it run with the current values of its secret variables."""

from __future__ import annotations

import dataclasses
import re

from ..errors import PlatformError
from .kinds import Object
from .objects import FunctionObjects, secret_names
from .version_record import Version, VersionRecord

_SHORTEST_DIGEST = 12
"""As many digits as list_functions.yml shows."""


def version_to_roll_back_to(app: Object, digest: str | None) -> Version | None:
    """Find the version before the one that the SpinApp `app` runs, or the newest one whose artifact has this digest.

    Args:
        digest: of the artifact, at least 12 digits with or without `sha256:`; None for the version before.

    Returns:
        None where the artifact runs already.

    Raises:
        PlatformError: no such version is remembered.
    """
    versions = VersionRecord.of(app).before(app)
    where = f"{app['metadata']['namespace']}/{app['metadata']['name']}"
    if digest is None:
        if not versions:
            raise PlatformError(
                f"No earlier version of {where} is known.",
                next_step="Deploy the one you want from its source: `ansible-playbook "
                "wasmfaas.platform.deploy_function -e src=DIRECTORY`.",
            )
        return versions[0]
    digits = digest.removeprefix("sha256:")
    if not re.fullmatch(rf"[0-9a-f]{{{_SHORTEST_DIGEST},64}}", digits):
        raise PlatformError(
            f"to: {digest!r} is no digest.",
            next_step=f"Give `sha256:` and at least the first {_SHORTEST_DIGEST} digits, as `ansible-playbook "
            "wasmfaas.platform.list_functions` shows them.",
        )
    if app["spec"]["image"].partition("@sha256:")[2].startswith(digits):
        return None
    found = next((version for version in versions if version.digest.removeprefix("sha256:").startswith(digits)), None)
    if found is None:
        known = ", ".join(dict.fromkeys(version.digest[:19] for version in versions)) or "none"
        raise PlatformError(
            f"to: no version of {where} with the digest {digest} is known (known: {known}).",
            next_step="Name one of these, or deploy the one you want from its source: `ansible-playbook "
            "wasmfaas.platform.deploy_function -e src=DIRECTORY`.",
        )
    return found


def with_current_secret(version: Version, app: Object, secret: Object | None) -> FunctionObjects:
    """Give the objects of an earlier version with the current Secret, since its own is not kept.

    Args:
        app: the function's SpinApp.
        secret: the Secret that its secret variables come from; None where it has none.

    Raises:
        PlatformError: the earlier version has a secret variable that the Secret lacks.
    """
    objects = version.objects
    if not secret_names(objects.app):
        return objects
    spec = objects.app["spec"]
    needed = [variable["name"] for variable in spec["variables"] if "secretKeyRef" in (variable.get("valueFrom") or {})]
    missing = sorted(set(needed) - set((secret or {}).get("data") or {}))
    if missing or secret is None:
        raise PlatformError(
            f"The earlier version of {app['metadata']['namespace']}/{app['metadata']['name']} needs the secret "
            f"variable {', '.join(missing)}, whose value is not kept.",
            next_step="Deploy that version from its source, with its `variables`.",
        )
    name = secret["metadata"]["name"]
    variables = [
        {**variable, "valueFrom": {"secretKeyRef": {**variable["valueFrom"]["secretKeyRef"], "name": name}}}
        if variable["name"] in needed
        else variable
        for variable in spec["variables"]
    ]
    changed = {**objects.app, "spec": {**spec, "variables": variables}}
    return dataclasses.replace(objects, app=changed).sealed()
