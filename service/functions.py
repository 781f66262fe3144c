# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs: the interface, and functions on this machine."""

from __future__ import annotations

import typing as t

from ..plugins.module_utils.function.model import LiveFunction
from ..plugins.module_utils.function.spin_function import run
from ..plugins.module_utils.function.spin_function_logs import local_log
from ..plugins.module_utils.local import state
from ..plugins.module_utils.local.target import list_functions, live_function
from .directories import Directories
from .parameters import local_parameters
from .problem import Code, ServiceProblem


class Functions(t.Protocol):
    """The functions of all tenants where they run."""

    def tenants(self) -> list[str]:
        """Tenants that have functions, sorted."""

    def of_tenant(self, tenant: str) -> list[LiveFunction]:
        """The functions of a tenant, by name."""

    def read(self, tenant: str, function: str) -> LiveFunction | None:
        """One function; None where there is none."""

    def delete(self, tenant: str, function: str, *, keep_data: bool) -> bool:
        """Remove a function; gives whether there was anything of it. Raises PlatformError."""

    def log(self, tenant: str, function: str, lines: int) -> list[str]:
        """The last lines that a function wrote; none where there is no such function."""

    def promote(self, tenant: str, function: str) -> None:
        """Make the canary of a function its version; raises ServiceProblem."""


class LocalFunctions:
    """Functions as processes of this machine; see `Functions`."""

    def __init__(self, directories: Directories) -> None:
        self._directories = directories
        self._state = directories.state / "functions"

    def tenants(self) -> list[str]:
        return sorted({path.parent.parent.name for path in self._state.glob(f"*/*/{state.STATE_FILE}")})

    def of_tenant(self, tenant: str) -> list[LiveFunction]:
        return list_functions(self._directories.state, tenant)

    def read(self, tenant: str, function: str) -> LiveFunction | None:
        found = state.read(self._state, tenant, function)
        return live_function(found) if found else None

    def delete(self, tenant: str, function: str, *, keep_data: bool) -> bool:
        parameters = local_parameters(
            self._directories, tenant, function, state="absent", keep_data=keep_data, runtime_directory=None
        )
        return bool(run(parameters, False, set())["changed"])

    def log(self, tenant: str, function: str, lines: int) -> list[str]:
        live = self.read(tenant, function)
        return local_log(live, lines).lines if live else []

    def promote(self, tenant: str, function: str) -> None:
        raise ServiceProblem(
            Code.NO_CANARY,
            f"{tenant}/{function} has no canary: functions on this machine have one version.",
            next_step="Deploy the version that you want.",
        )
