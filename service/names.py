# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of tenants and functions: they become parts of paths, URLs and Kubernetes objects."""

from __future__ import annotations

from ..plugins.module_utils.errors import PlatformError
from ..plugins.module_utils.function.deploy_function import check_namespace, checked_name
from ..plugins.module_utils.function.reserved_names import RESERVED_FUNCTIONS
from .problem import Code, ServiceProblem


def check_tenant(tenant: str) -> str:
    """The name of a tenant, which is a namespace; raises ServiceProblem."""
    try:
        check_namespace(tenant)
    except PlatformError as error:
        raise ServiceProblem(
            Code.INVALID,
            f"{tenant!r} is no name of a tenant: at most 63 characters a-z, 0-9 and -, with a letter or digit at both "
            "ends.",
            next_step="See the tenants of your token: GET /v1/tenants.",
        ) from error
    return tenant


def check_function(function: str) -> str:
    """The name of a function; raises ServiceProblem."""
    try:
        checked_name(function, f"The function's name {function!r}")
    except PlatformError as error:
        raise ServiceProblem(Code.INVALID, error.cause, next_step="Give another name in the URL.") from error
    if function in RESERVED_FUNCTIONS:
        raise ServiceProblem(
            Code.INVALID,
            f"The name {function!r} is reserved for the platform.",
            next_step="Give another name in the URL.",
        )
    return function
