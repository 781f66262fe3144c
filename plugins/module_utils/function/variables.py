# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settles which value each application variable gets, and which of them are secret."""

from __future__ import annotations

import dataclasses
import difflib

from ..errors import PlatformError
from .manifest.model import Manifest


@dataclasses.dataclass(frozen=True)
class VariableValues:
    """Values by variable name; what keeps its default from spin.toml is in neither."""

    plain: dict[str, str]
    secret: dict[str, str] = dataclasses.field(repr=False)

    def all(self) -> dict[str, str]:
        return {**self.plain, **self.secret}


def variable_values(manifest: Manifest, given: dict[str, object]) -> VariableValues:
    """Check `given` against the manifest and split it by `secret`.

    Raises:
        PlatformError: an undeclared variable is given, a required one is missing, or a value is neither text nor a
            number nor a boolean.
    """
    plain: dict[str, str] = {}
    secret: dict[str, str] = {}
    for name, value in given.items():
        declared = manifest.variables.get(name)
        if declared is None:
            near = difflib.get_close_matches(str(name), manifest.variables, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Add it to [variables] in {manifest.path.name}."
            raise PlatformError(f"variables: {name} is not declared in {manifest.path.name}.", next_step=hint)
        (secret if declared.secret else plain)[name] = _text(name, value)
    missing = [name for name, variable in manifest.variables.items() if variable.required and name not in given]
    if missing:
        raise PlatformError(
            f"variables: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} required by "
            f"{manifest.path.name} and not given.",
            next_step=f"""Add `-e '{{"variables": {{"{missing[0]}": "…"}}}}'`, or put it in a vars file """
            "(encrypted with ansible-vault where it is a secret).",
        )
    return VariableValues(plain, secret)


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise PlatformError(
        f"variables: {name} must be text, and is a {type(value).__name__}.",
        next_step="Give it as a string; as JSON text if it has structure.",
    )
