# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions in a cluster, read and changed with the rights of their tenants."""

from __future__ import annotations

import typing as t

from ...plugins.module_utils.function import spin_function_version
from ...plugins.module_utils.function.model import LiveFunction
from ...plugins.module_utils.function.spin_function import run
from ...plugins.module_utils.spinkube.canary import canary_name, function_of
from ...plugins.module_utils.spinkube.kinds import DEPLOYMENT, SPIN_APP
from ...plugins.module_utils.spinkube.live import list_functions, live_function
from ...plugins.module_utils.spinkube.logs import function_logs, secret_values
from ..masking import without_secrets
from ..problem import Code, ServiceProblem
from .api import TENANT_LABEL, Apis

Parameters = t.Callable[..., dict[str, t.Any]]


class ClusterFunctions:
    """See `Functions`.

    Args:
        parameters: see `Adapters.parameters`.
    """

    def __init__(self, apis: Apis, parameters: Parameters) -> None:
        self._apis, self._parameters = apis, parameters

    def tenants(self) -> list[str]:
        return self._apis.own.namespaces(TENANT_LABEL)

    def of_tenant(self, tenant: str) -> list[LiveFunction]:
        return list_functions(self._apis.of_tenant(tenant), tenant)

    def read(self, tenant: str, function: str) -> LiveFunction | None:
        api = self._apis.of_tenant(tenant)
        app = api.get(SPIN_APP, tenant, function)
        if app is None:
            return None
        canary = api.get(SPIN_APP, tenant, canary_name(function))
        if canary is None or function_of(canary) != function:
            return live_function(app, api.get(DEPLOYMENT, tenant, function))
        of_canary = api.get(DEPLOYMENT, tenant, canary_name(function))
        return live_function(app, api.get(DEPLOYMENT, tenant, function), canary, of_canary)

    def delete(self, tenant: str, function: str, *, keep_data: bool) -> bool:
        if keep_data:
            raise ServiceProblem(
                Code.INVALID,
                "keep_data: a function in a cluster keeps nothing beyond its pods.",
                next_step="Leave it out.",
            )
        return bool(run(self._parameters(tenant, function, state="absent"), False, set())["changed"])

    def log(self, tenant: str, function: str, lines: int) -> list[str]:
        api = self._apis.of_tenant(tenant)
        if api.get(SPIN_APP, tenant, function) is None:
            return []
        secrets = secret_values(api, tenant, function)
        found = [
            line
            for log in function_logs(api, tenant, function, lines=lines, since_seconds=None)
            for line in (f"==> {log.pod} ({log.state}) <==", *log.lines)
        ]
        return [without_secrets(line, secrets) for line in found[-lines:]]

    def promote(self, tenant: str, function: str) -> None:
        live = self.read(tenant, function)
        if live is None or "canary" not in live.details:
            raise ServiceProblem(
                Code.NO_CANARY,
                f"{tenant}/{function} has no canary.",
                next_step="Deploy the version that you want.",
            )
        parameters = {**self._parameters(tenant, function, state="absent"), "state": "promoted", "to": None}
        spin_function_version.run(parameters, False, set())
