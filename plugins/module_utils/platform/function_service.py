# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of role function_service, its images, and its access to tenants."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

from ..errors import PlatformError
from ..problems import Problem
from ..service_images.collection import published_version
from .checks import Variables, range_problems, whole

NAMESPACE, ACCOUNT = "wasmfaas-service", "function-service"
IMAGES = ("function-service", "builder-python", "builder-javascript", "builder-go", "builder-rust")
LIMITS = {
    "function_service_running": (1, 1000),
    "function_service_running_per_tenant": (1, 1000),
    "function_service_queued": (1, 100_000),
    "function_service_queued_per_tenant": (1, 100_000),
    "function_service_build_seconds": (30, 86_400),
    "function_service_replicas": (1, 20),
    "function_service_ready_timeout": (0, 86_400),
}
OIDC_RULE = ("claim", "value", "tenant", "role")
ROLES = ("read", "deploy", "admin")
LOGIN = ("server", "username", "password")
HOST = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)+")
_COLLECTION = Path(__file__).resolve().parents[3]


def problems(variables: Variables) -> t.Iterator[Problem]:
    """What is wrong with the images, the address, the logins and the queue."""
    overrides = variables["function_service_image_overrides"]
    if not variables["function_service_images"] and not set(IMAGES) <= set(overrides):
        yield Problem(
            "function_service_images",
            "is empty, so nobody knows where the images of the service are",
            "add function_registry to platform_components, or set `registry` or function_service_images",
        )
    for name in overrides:
        if name not in IMAGES:
            yield Problem("function_service_image_overrides", f"there is no image {name}", f"use {', '.join(IMAGES)}")
    host = str(variables["function_service_host"])
    if host and not HOST.fullmatch(host):
        yield Problem("function_service_host", f"{host} is no host", "write it as in api.example.com, without a scheme")
    if bool(variables["function_service_registry_username"]) != bool(variables["function_service_registry_password"]):
        yield Problem(
            "function_service_registry_username",
            "and function_service_registry_password belong together",
            "give both or neither",
        )
    if any(
        not isinstance(login, dict) or not set(LOGIN) <= set(login)
        for login in variables["function_service_image_credentials"]
    ):
        yield Problem(
            "function_service_image_credentials", "an entry lacks server, username or password", "give all three"
        )
    for name in ("function_service_registry_ca_file", "function_service_record_key_file"):
        if (file := str(variables[name])) and not Path(file).is_file():
            yield Problem(name, f"there is no file {file} on this machine", "correct the path, or leave it empty")
    yield from _oidc_problems(variables["function_service_oidc"])
    yield from range_problems(variables, LIMITS)
    for whose in ("running", "queued"):
        each, all_of_them = (whole(variables[f"function_service_{whose}{end}"]) for end in ("_per_tenant", ""))
        if each > all_of_them:
            yield Problem(
                f"function_service_{whose}_per_tenant",
                f"{each} is more than function_service_{whose}, {all_of_them}",
                "lower it, or raise the other one",
            )
    if "function_builds" not in variables["__platform_installed"]:
        yield Problem(
            "platform_components",
            "function_service builds in the namespace of function_builds, which is not among them",
            "add function_builds",
        )


def _oidc_problems(oidc: t.Any) -> t.Iterator[Problem]:
    """As service/cluster/settings.py judges, before anything is changed."""
    name = "function_service_oidc"
    if not oidc:
        return
    if not isinstance(oidc, dict) or not {"issuer", "client_id", "rules"} <= set(oidc):
        yield Problem(name, "lacks issuer, client_id or rules", "give all three, or leave it empty")
        return
    if unknown := sorted(set(oidc) - {"issuer", "client_id", "rules", "name_claim"}):
        yield Problem(name, f"there is no {', '.join(unknown)}", "use issuer, client_id, rules and name_claim")
    if not str(oidc["issuer"]).startswith("https://"):
        yield Problem(f"{name}.issuer", f"{oidc['issuer']} is no https URL", "write it as `iss` of its tokens has it")
    if not oidc["client_id"]:
        yield Problem(
            f"{name}.client_id", "is empty", "give the name of the service at the provider (`aud` of a token)"
        )
    for number, rule in enumerate(oidc["rules"] if isinstance(oidc["rules"], list) else [None]):
        if not isinstance(rule, dict) or set(rule) != set(OIDC_RULE) or rule["role"] not in ROLES:
            yield Problem(
                f"{name}.rules[{number}]",
                "is no rule",
                f"write it with {', '.join(OIDC_RULE)}; the role is {', '.join(ROLES)}",
            )
        elif (rule["role"] == "admin") != (rule["tenant"] == "*"):
            yield Problem(
                f"{name}.rules[{number}]",
                f"the role {rule['role']} cannot be for the tenant {rule['tenant']}",
                "give the role admin with the tenant `*`, or another role with a tenant's name",
            )


def images(place: str, version: str, overrides: t.Mapping[str, str]) -> dict[str, str]:
    """The full names of the service's images, by name.

    Args:
        place: registry and path.
        version: their tag; empty for the collection's version.
        overrides: full names that count instead.
    """
    tag = version or collection_version()
    return {**{name: f"{place}/{name}:{tag}" for name in IMAGES}, **overrides}


def collection_version() -> str:
    """The version of this collection; raises PlatformError."""
    try:
        return published_version(_COLLECTION)
    except (OSError, ValueError, KeyError) as error:
        raise PlatformError(
            f"The collection's version cannot be read from {_COLLECTION}.",
            next_step="Install the collection again, or name the images' tag in function_service_version.",
        ) from error


def binding(tenant: str) -> dict[str, t.Any]:
    """Lets the service act as the account of a tenant, in the tenant's namespace and nowhere else."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {
            "name": ACCOUNT,
            "namespace": tenant,
            "labels": {"app.kubernetes.io/managed-by": "wasmfaas", "wasmfaas.dev/function-service": "access"},
        },
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "wasmfaas-function-service-tenant",
        },
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
    }
