# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of a role of this collection as a task of the role would have them, for plugins on the controller."""

from __future__ import annotations

import collections.abc
import typing as t
from pathlib import Path

ROLES = Path(__file__).resolve().parents[2] / "roles"


class RoleVariables(collections.abc.Mapping[str, t.Any]):
    """A role's defaults, what is given over them, and its vars/main.yml. Templates are filled in when a variable is
    read.

    Args:
        role: its name, without the collection's.
        given: all variables of the task at hand.
        loader, templar: those of the plugin at hand.
        replaced: variables that count over all others.
    """

    def __init__(
        self, role: str, given: t.Mapping[str, t.Any], loader: t.Any, templar: t.Any, replaced: t.Mapping[str, t.Any]
    ) -> None:
        self.path = ROLES / role
        self._loader, self._templar = loader, templar
        names = [*self._dependencies(), role]
        self.defaults = self._files(names, "defaults/main.yml")
        self._known: dict[str, t.Any] = {**self.defaults, **given, **self._files(names, "vars/main.yml")}
        search_path = [str(self.path), *given.get("ansible_search_path", [])]
        self._known |= {"role_path": str(self.path), "ansible_search_path": search_path, **replaced}

    def __getitem__(self, name: str) -> t.Any:
        return self.template(self._known[name])

    def __iter__(self) -> t.Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def written(self, name: str) -> t.Any:
        """A variable with its templates."""
        return self._known[name]

    def replace(self, name: str, value: t.Any) -> None:
        """Set a variable; it may hold templates."""
        self._known[name] = value

    def template(self, value: t.Any) -> t.Any:
        """A value with its templates filled in, of plain lists and dictionaries."""
        return _plain(self._templar.copy_with_new_env(available_variables=self._known).template(value))

    def arguments(self) -> dict[str, t.Any]:
        """The role's options of all entry points, as meta/argument_specs.yml has them."""
        entries: dict[str, t.Any] = self._load(self.path / "meta/argument_specs.yml")["argument_specs"]
        return {name: option for entry in entries.values() for name, option in (entry.get("options") or {}).items()}

    def _files(self, roles: list[str], file: str) -> dict[str, t.Any]:
        found: dict[str, t.Any] = {}
        for role in roles:
            found |= self._load(ROLES / role / file) or {}
        return found

    def _dependencies(self) -> list[str]:
        listed = (self._load(self.path / "meta/main.yml") or {}).get("dependencies") or []
        return [str(entry["role"]).rpartition(".")[2] for entry in listed]

    def _load(self, file: Path) -> t.Any:
        return self._loader.load_from_file(str(file), trusted_as_template=True) if file.is_file() else None


def _plain(value: t.Any) -> t.Any:
    """Without Ansible's containers, which fill in templates as late as they are read."""
    if isinstance(value, collections.abc.Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value
