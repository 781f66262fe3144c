# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters of the module spin_function for what the service asks of it."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..plugins.module_utils.errors import PlatformError
from ..plugins.modules.spin_function import RULES, argument_spec
from .directories import Directories


def local_parameters(directories: Directories, tenant: str, function: str, **given: t.Any) -> dict[str, t.Any]:
    """The parameters for a function on this machine, with the module's defaults for what is not given; raises
    PlatformError."""
    return validated(
        {
            "name": function,
            "namespace": tenant,
            "target": "local",
            "state_directory": str(directories.state),
            "cache_directory": str(directories.cache),
            "runtime_directory": str(directories.runtime),
            **given,
        }
    )


def validated(arguments: dict[str, t.Any]) -> dict[str, t.Any]:
    """Arguments of spin_function as the module would take them: checked, and with its defaults; raises
    PlatformError."""
    validation = ArgumentSpecValidator(argument_spec(), **RULES).validate(arguments)
    if validation.error_messages:
        raise PlatformError(
            f"The settings of {arguments['namespace']}/{arguments['name']} are invalid: "
            f"{'; '.join(validation.error_messages)}.",
            next_step="Correct the setting that is named.",
            stage="arguments",
        )
    found: dict[str, t.Any] = validation.validated_parameters
    return found
