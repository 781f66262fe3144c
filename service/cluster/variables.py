# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of functions as Secrets in the namespaces of their tenants, read and written with the tenants' rights."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import typing as t

import msgspec

from ...plugins.module_utils.errors import PlatformError
from ...plugins.module_utils.function.source_record import RecordKey
from ...plugins.module_utils.spinkube.api import Refused
from ...plugins.module_utils.spinkube.kinds import SECRET
from ..deployments.model import Settings
from ..problem import Code, ServiceProblem
from ..variables import Variable
from .api import Apis

_FIELD = "variables"
LABELS = {"app.kubernetes.io/managed-by": "wasmfaas"}


class ClusterVariableStore:
    """See `VariableStore`.

    Args:
        key: gives the key of a tenant, from which that of its settings digests is made.
    """

    def __init__(self, apis: Apis, key: t.Callable[[str], RecordKey]) -> None:
        self._apis, self._key = apis, key

    def read(self, tenant: str, function: str) -> dict[str, Variable]:
        secret = self._apis.of_tenant(tenant).get(SECRET, tenant, secret_name(function))
        if secret is None:
            return {}
        try:
            content = base64.b64decode((secret.get("data") or {})[_FIELD], validate=True)
            return msgspec.json.decode(content, type=dict[str, Variable])
        except (KeyError, ValueError) as error:
            raise PlatformError(
                f"The Secret {tenant}/{secret_name(function)} with the function's variables is damaged.",
                next_step="Delete it, and set the variables again.",
            ) from error

    def write(self, tenant: str, function: str, variables: dict[str, Variable]) -> None:
        api = self._apis.of_tenant(tenant)
        if not variables:
            api.delete(SECRET, tenant, secret_name(function))
            return
        content = base64.b64encode(msgspec.json.encode(variables)).decode()
        secret = {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.kind,
            "metadata": {"name": secret_name(function), "namespace": tenant, "labels": LABELS},
            "type": "Opaque",
            "data": {_FIELD: content},
        }
        try:
            api.apply(SECRET, secret)
        except Refused as error:  # by the tenant's quota or its policies
            raise ServiceProblem(
                Code.CONFLICT, error.cause, next_step="Delete variables or functions that are not needed."
            ) from error

    def settings_digest(self, tenant: str, settings: Settings, variables: dict[str, Variable]) -> str:
        content = json.dumps([settings.given(), msgspec.to_builtins(variables)], sort_keys=True)
        key = self._key(tenant).ensure()
        if key is None:
            raise PlatformError(
                f"The key of the tenant {tenant} cannot be read.",
                next_step="Have the operator run `ansible-playbook wasmfaas.platform.site`.",
            )
        own = hmac.new(key, b"wasmfaas settings digest 1", hashlib.sha256).digest()
        return "hmac-sha256:" + hmac.new(own, content.encode(), hashlib.sha256).hexdigest()


def secret_name(function: str) -> str:
    """Name of the Secret with the variables of a function; the dot keeps it apart from all that is named after one."""
    return f"{function}.hosted-variables"
