# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A namespace of its own, and the right to write ConfigMaps in it and nothing else, for the load of verify_ha. Runs on
a server."""

from __future__ import annotations

import contextlib
import typing as t

from ...errors import PlatformError
from ...host.waiting import wait_for
from ...kubernetes.kubectl import Conflict, Kubectl, NotFound, host_kubectl
from .. import paths

NAME = "load"
SERVER_AUTHORITY = f"{paths.SERVER_DIRECTORY}/tls/server-ca.crt"
GONE_SECONDS = 90


def run(parameters: dict[str, t.Any], check_mode: bool, _hidden: set[str]) -> dict[str, t.Any]:
    """What the module k3s_load_access does; see its documentation."""
    namespace, kubectl = parameters["namespace"], host_kubectl(parameters["k3s_program"])
    if parameters["state"] == "absent":
        return {"changed": remove(kubectl, namespace, check_mode=check_mode)}
    if check_mode:
        return {"changed": True}
    try:
        with open(SERVER_AUTHORITY, encoding="utf-8") as file:
            authority = file.read()
    except FileNotFoundError as error:
        raise PlatformError(
            f"There is no {SERVER_AUTHORITY}: this host is no server.", next_step="Run it on a server."
        ) from error
    return {"changed": True, "token": grant(kubectl, namespace, parameters["seconds"]), "authority": authority}


def grant(kubectl: Kubectl, namespace: str, seconds: int) -> str:
    """Make what is missing, and a token that is good for `seconds`.

    Raises:
        PlatformError: the namespace is somebody else's.
    """
    rules = "/apis/rbac.authorization.k8s.io/v1"
    desired = (
        (
            "/api/v1/namespaces",
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": namespace, "labels": {"wasmfaas.dev/verify-ha": "load"}},
            },
        ),
        (
            f"/api/v1/namespaces/{namespace}/serviceaccounts",
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME}},
        ),
        (
            f"{rules}/namespaces/{namespace}/roles",
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": NAME},
                "rules": [
                    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "get", "list", "patch"]}
                ],
            },
        ),
        (
            f"{rules}/namespaces/{namespace}/rolebindings",
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": NAME},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
                "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
            },
        ),
    )
    remove(kubectl, namespace)
    for path, content in desired:
        with contextlib.suppress(Conflict):
            kubectl.create(path, content)
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": max(600, seconds)},
    }
    return str(
        kubectl.create(f"/api/v1/namespaces/{namespace}/serviceaccounts/{NAME}/token", request)["status"]["token"]
    )


def remove(kubectl: Kubectl, namespace: str, *, check_mode: bool = False) -> bool:
    """Delete the namespace with all that was written, and wait until it is gone. Whether it was there."""
    path = f"/api/v1/namespaces/{namespace}"
    try:
        labels = kubectl.get(path)["metadata"].get("labels") or {}
    except NotFound:
        return False
    if "wasmfaas.dev/verify-ha" not in labels:
        raise PlatformError(
            f"The namespace {namespace} was not made by verify_ha.",
            next_step="Name another one: -e verify_ha_namespace=NAME",
        )
    if check_mode:
        return True
    kubectl.delete(path)

    def gone() -> bool:
        try:
            kubectl.get(path)
        except NotFound:
            return True
        return False

    if not wait_for(gone, seconds=GONE_SECONDS):
        raise PlatformError(
            f"The namespace {namespace} is not gone after {GONE_SECONDS} s.",
            next_step=f"k3s kubectl get namespace {namespace} -o yaml says why.",
        )
    return True
