# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the platform's roles that their argument specifications cannot state, by role.

The lookup `role_problems` calls a rule after it has compared each variable with meta/argument_specs.yml, so a rule may
rely on the types there. Numbers and truth values may still be text, as `-e name=value` gives them.
"""

from __future__ import annotations

import typing as t

from ..problems import Problem
from . import (
    aws_integration,
    cert_manager,
    components,
    function_builds,
    function_registry,
    function_service,
    ingress,
    keda,
    key_value_store,
    observability,
    spin_operator,
    tenant,
)
from .checks import Variables

RULES: t.Mapping[str, t.Callable[[Variables], t.Iterator[Problem]]] = {
    "aws_integration": aws_integration.problems,
    "cert_manager": cert_manager.problems,
    "function_builds": function_builds.problems,
    "function_registry": function_registry.problems,
    "function_service": function_service.problems,
    "ingress": ingress.problems,
    "keda": keda.problems,
    "key_value_store": key_value_store.problems,
    "observability": observability.problems,
    "platform": components.problems,
    "spin_operator": spin_operator.problems,
    "tenant": tenant.problems,
}
"""Each yields problems; the place of each is the variable."""
