# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the Secret for a function's secret variables."""

from __future__ import annotations

import base64
import dataclasses
import secrets

from ..function.model import DesiredFunction
from .cluster_function import ClusterFunction
from .kinds import SECRET, Object
from .objects import secret_names, secret_object

_UNKNOWN_NAME = "<a new Secret>"
"""Stands in a difference for the name of a Secret that is not made yet."""


@dataclasses.dataclass(frozen=True)
class SecretChoice:
    """The Secret that a function is to use.

    Attributes:
        name: None where the function has no secret variables.
        new: the Secret, where it has to be made; without it, one that is there holds the same values.
    """

    name: str | None
    new: Object | None = None


def planned_secret(function: ClusterFunction, desired: DesiredFunction) -> tuple[str | None, bool]:
    """Give the name of the Secret to use, and whether it has to be made.

    A running pod keeps the values it started with, so changed values get a Secret of a new name, and with it new pods.
    """
    if not desired.variables.secret:
        return None, False
    for name in dict.fromkeys((*secret_names(function.app)[:1], *secret_names(function.canary)[:1])):
        live = function.api.get(SECRET, function.namespace, name)
        if live is not None and (live.get("data") or {}) == _encoded(desired.variables.secret):
            return name, False
    return _UNKNOWN_NAME, True


def chosen_secret(function: ClusterFunction, desired: DesiredFunction) -> SecretChoice:
    """Give the Secret to use, with its content where it has to be made."""
    name, is_new = planned_secret(function, desired)
    if not is_new:
        return SecretChoice(name)
    name = f"{function.name}-variables-{secrets.token_hex(4)}"
    return SecretChoice(name, secret_object(desired, name))


def _encoded(values: dict[str, str]) -> dict[str, str]:
    return {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
