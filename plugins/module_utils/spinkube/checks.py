# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the objects that a function is to consist of, and refuses what the cluster would refuse, before any is
written."""

from __future__ import annotations

import contextlib

from ..errors import PlatformError
from ..function.manifest.model import Manifest
from ..function.model import DesiredFunction
from ..function.reserved_names import RESERVED_FUNCTIONS
from .api import Forbidden, KubernetesApi, MissingKind
from .canary import check_shared_route, function_of
from .cluster_function import OPTIONAL_KINDS, ClusterFunction
from .function_objects import function_objects
from .kinds import BY_NAME, DEPLOYMENT, HTTP_ROUTE, JOB, SERVICE, Object
from .objects import PROGRAM, FunctionObjects, labels
from .shared_stores import settings_with_stores
from .url import FunctionAddress

# Imports inside of functions are those that an unchanged function never needs; see function/deploy_function.py.


def desired_objects(function: ClusterFunction, desired: DesiredFunction, secret_name: str | None) -> FunctionObjects:
    """Make the objects of a function at the address that the Gateway gives it; raises PlatformError.

    Args:
        secret_name: of the Secret with its secret variables; None where it has none.
    """
    manifest = desired.manifest
    check_components(manifest, function.settings.components)
    address = function.address if desired.has_http_trigger else FunctionAddress("")
    settings = settings_with_stores(function, manifest)
    return function_objects(desired, settings, address.url, secret_name, address.listener)


def check_components(manifest: Manifest, components: tuple[str, ...]) -> None:
    """Check that the manifest has the components that are to run; raises PlatformError."""
    if unknown := [name for name in components if name not in manifest.components]:
        raise PlatformError(
            f"components: {manifest.path.name} has no component {', '.join(unknown)}, only "
            f"{', '.join(manifest.components)}.",
            next_step="Correct the name, or leave `components` out to have all.",
        )


def check_manifest(function: ClusterFunction, desired: DesiredFunction) -> list[str]:
    """Check what the manifest asks for that only a cluster cannot give.

    Returns:
        Warnings.

    Raises:
        PlatformError: a variable would lose its value in the pod, or a store is not configured.
    """
    from .stores import check_stores
    from .variable_names import check_variable_names

    manifest = desired.manifest
    check_variable_names(manifest)
    settings = settings_with_stores(function, manifest)
    return check_stores(function.api, function.namespace, manifest, settings.components, settings.runtime_config)


def check_name(function: ClusterFunction) -> None:
    """Raises PlatformError where the name is that of another function's canary, or of a WASI program, or where a GitOps
    tool owns the function."""
    check_not_of_git(function.app)
    if function.app is None:
        check_no_program(function.api, function.namespace, function.name)
    if other := function_of(function.app):
        raise PlatformError(
            f"{function.namespace}/{function.name} is the canary of the function {other}.",
            next_step="Choose another name, or end the canary: `ansible-playbook "
            f"wasmfaas.platform.promote_function -e name={other}`, or with `-e undo=true`.",
        )


def check_not_of_git(app: Object | None) -> None:
    """Check that no GitOps tool applies this SpinApp, which would undo what is changed on the cluster; raises
    PlatformError.

    The marks are Argo CD's annotation (its documentation, Resource Tracking) and the labels of Flux's
    kustomize-controller (its documentation, Kustomization).
    """
    metadata = (app or {}).get("metadata") or {}
    owner = ""
    if tracking := (metadata.get("annotations") or {}).get("argocd.argoproj.io/tracking-id"):
        owner = f"the Argo CD application {str(tracking).partition(':')[0]}"
    elif kustomization := (metadata.get("labels") or {}).get("kustomize.toolkit.fluxcd.io/name"):
        owner = f"the Flux Kustomization {kustomization}"
    if owner:
        raise PlatformError(
            f"{metadata['namespace']}/{metadata['name']} belongs to {owner}, which would undo a change made here.",
            next_step="Change its files in Git: write them with `-e state=rendered -e directory=DIR`, or revert the "
            "commit (docs/functions.md, With Git).",
        )


def check_not_reserved(name: str) -> None:
    """Check that a new function does not have a name that is kept for the platform; raises PlatformError."""
    if name in RESERVED_FUNCTIONS:
        raise PlatformError(
            f"No function is called {name}: users may take its host for one of the platform.",
            next_step="Choose another name with `-e name=NAME`.",
        )


def check_no_program(api: KubernetesApi, namespace: str, name: str) -> None:
    """Check that a new function's name, or that of its canary, is not a WASI program's: their routes, Services and
    Deployments would have the same names, and each would be found as part of the other.

    Raises:
        PlatformError: it is.
    """
    for kind in (DEPLOYMENT, JOB, HTTP_ROUTE, SERVICE):
        try:
            found = api.get(kind, namespace, name)
        except (Forbidden, MissingKind):
            continue
        if found is not None and (found["metadata"].get("labels") or {}).get(PROGRAM) == name:
            raise PlatformError(
                f"{namespace}/{name} is a WASI program.",
                next_step="Choose another name with `-e name=NAME`, or delete the program: `ansible-playbook "
                f"wasmfaas.platform.delete_program -e name={name} -e namespace={namespace}`.",
            )


def check_objects(function: ClusterFunction, objects: FunctionObjects) -> None:
    """Check that the function can become these objects.

    Raises:
        PlatformError: the name is reserved, the cluster lacks a kind, a right is missing, the host is taken, or the
            canary could not keep its share of the requests.
    """
    check_name(function)
    if function.app is None:
        check_not_reserved(function.name)
    live_route = None
    for item in objects:
        kind = BY_NAME[item["kind"]]
        live = function.get(kind)
        if live is None:
            # Raises where the cluster lacks the kind.
            function.api.list(kind, function.namespace, labels=labels(function.name))
        live_route = live if kind is HTTP_ROUTE else live_route
    desired_kinds = {item["kind"] for item in objects}
    # What may not be listed could not be removed afterwards.
    list(function.owned(kind for kind in OPTIONAL_KINDS if kind.kind not in desired_kinds and function.had(kind)))
    if function.canary is not None:
        check_shared_route(function.name, live_route, objects.route)
    if objects.route is not None and (
        live_route is None or live_route["spec"].get("hostnames") != objects.route["spec"]["hostnames"]
    ):
        from .hosts import check_host_is_free

        check_host_is_free(function.api, objects.route, answers=lambda: _answers(function, objects))


def _answers(function: ClusterFunction, objects: FunctionObjects) -> bool:
    """Whether somebody answers at the URL of a function that is not there yet."""
    from .answers import probe_function

    with contextlib.suppress(PlatformError):
        probe_function(function, objects, timeout_seconds=0)
        return True
    return False
