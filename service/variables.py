# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of a function's application variables, plain and secret: the interface, and files on this machine."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import typing as t
from pathlib import Path

import msgspec

from ..plugins.module_utils.host import whole_file
from .deployments.model import Settings
from .problem import Code, ServiceProblem

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")  # Spin's rule: spin-expressions 4.0.2, src/lib.rs, Key
MOST_VARIABLES = 100
LONGEST_VALUE = 32 << 10
"""Bytes of a value."""


class Variable(msgspec.Struct, frozen=True):
    """A value; that of a secret is given to the function and to nobody else."""

    value: str
    secret: bool = False


class VariableStore(t.Protocol):
    """Where the variables of functions are kept."""

    def read(self, tenant: str, function: str) -> dict[str, Variable]:
        """The variables of a function by name."""

    def write(self, tenant: str, function: str, variables: dict[str, Variable]) -> None:
        """Replace the variables of a function; none removes what was kept."""

    def settings_digest(self, tenant: str, settings: Settings, variables: dict[str, Variable]) -> str:
        """A digest that is the same for the same settings and variables, and tells nobody the values."""


class FileVariableStore:
    """Variables as files of mode 0600, one per function; see `VariableStore`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, tenant: str, function: str) -> dict[str, Variable]:
        try:
            content = self._file(tenant, function).read_bytes()
        except FileNotFoundError:
            return {}
        return msgspec.json.decode(content, type=dict[str, Variable])

    def write(self, tenant: str, function: str, variables: dict[str, Variable]) -> None:
        file = self._file(tenant, function)
        if not variables:
            file.unlink(missing_ok=True)
            return
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        whole_file.write(file, msgspec.json.encode(variables).decode(), durable=True)

    def settings_digest(self, tenant: str, settings: Settings, variables: dict[str, Variable]) -> str:
        content = json.dumps([settings.given(), msgspec.to_builtins(variables)], sort_keys=True)
        return "hmac-sha256:" + hmac.new(self._key(), content.encode(), hashlib.sha256).hexdigest()

    def _key(self) -> bytes:
        file = self._directory / "digest-key"
        try:
            return file.read_bytes()
        except FileNotFoundError:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            whole_file.write(file, secrets.token_hex(32), durable=True)
            return file.read_bytes()

    def _file(self, tenant: str, function: str) -> Path:
        return self._directory / tenant / f"{function}.json"


def with_variable(variables: dict[str, Variable], name: str, variable: Variable | None) -> dict[str, Variable]:
    """The variables with one set, or with one less where it is None; raises ServiceProblem."""
    if not _NAME.fullmatch(name) or len(name) > 128:
        raise ServiceProblem(
            Code.INVALID,
            f"{name!r} is no name of a variable: Spin takes words of a-z and 0-9 joined by _, which begin with a "
            "letter (the first) or with either.",
            next_step="Name it as in `[variables]` of spin.toml.",
        )
    if variable is None:
        if name not in variables:
            raise ServiceProblem(
                Code.NOT_FOUND,
                f"The function has no value for the variable {name!r}.",
                next_step="See those that it has: GET …/variables.",
            )
        return {key: value for key, value in variables.items() if key != name}
    if len(variable.value.encode("utf-8", "surrogatepass")) > LONGEST_VALUE:
        raise ServiceProblem(
            Code.TOO_LARGE,
            f"The value of {name!r} has more than {LONGEST_VALUE} bytes.",
            next_step="Put large content into a file of the project.",
        )
    changed = {**variables, name: variable}
    if len(changed) > MOST_VARIABLES:
        raise ServiceProblem(
            Code.CONFLICT,
            f"The function has {MOST_VARIABLES} variables, and more are not kept.",
            next_step="Delete one that is not needed.",
        )
    return changed
