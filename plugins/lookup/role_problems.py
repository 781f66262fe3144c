# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup `role_problems`; its documentation stands in role_problems.yml."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template
from ansible_collections.wasmfaas.platform.plugins.module_utils import role_arguments

ROLES = Path(__file__).resolve().parents[2] / "roles"
HANDED_ON = re.compile(r"\{\{ (\w+) \| default\([^)]*\) \}\}")
"""A default that is another variable, which is what the user wrote and is told of."""

Variables = dict[str, t.Any]


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible has no type information
    """Ansible's entry point."""

    def run(self, terms: list[t.Any], variables: t.Any = None, **_options: t.Any) -> list[str]:
        """All sentences about the named roles, in their order."""
        replaced: Variables = {}
        return [
            sentence
            for role in self._flatten(terms)
            for sentence in self._role(str(role), dict(variables or {}), replaced)
        ]

    def _role(self, role: str, given: Variables, replaced: Variables) -> list[str]:
        """`replaced` has what goes instead of variables that can't be used, so that all others are still looked at;
        what is found here is added to it."""
        path = ROLES / role
        if not (path / "meta/argument_specs.yml").is_file():
            raise AnsibleError(
                f"role_problems: there is no role {role} with argument specifications. Next: correct the name."
            )
        names = [*self._dependencies(path), role]
        defaults = self._files(names, "defaults/main.yml")
        known = {**defaults, **given, **self._files(names, "vars/main.yml")}
        # What a task of the role itself would have, for its templates and files.
        known |= {"role_path": str(path), "ansible_search_path": [str(path), *given.get("ansible_search_path", [])]}
        known |= replaced
        sentences: list[str] = []
        for name, option in self._arguments(path).items():
            if name in known and name not in replaced:
                label = name
                if handed_on := HANDED_ON.fullmatch(str(defaults.get(name, ""))):
                    label = handed_on[1] if known[name] == defaults[name] else name
                found = self._variable(name, option, known, label)
                if found:
                    replaced[name] = known[name] = self._instead(name, option, {**known, name: defaults.get(name)})
                sentences += found
        return sentences + self._own(path, known)

    def _variable(self, name: str, option: Variables, known: Variables, label: str = "") -> list[str]:
        """Sentences that name the variable, or `label` instead."""
        try:
            return role_arguments.problems(label or name, option, self._template(known[name], known))
        except AnsibleError as error:
            return [f"{label or name}: can't be filled in: {error}. Next: correct it, or what it is made from."]

    def _instead(self, name: str, option: Variables, known: Variables) -> t.Any:
        if self._variable(name, option, known):
            return role_arguments.EMPTY.get(option.get("type", "str"), "")
        return self._template(known[name], known)

    def _own(self, path: Path, known: Variables) -> list[str]:
        file = path / "templates/problems.yml.j2"
        if not file.is_file():
            return []
        # As the lookup `template` does, without its deep copy of all variables for each role.
        template = trust_as_template(file.read_text(encoding="utf-8"))
        text = self._templar.copy_with_new_env(available_variables=known).template(template, escape_backslashes=False)
        return [str(sentence) for sentence in yaml.safe_load(text or "") or []]

    def _template(self, value: t.Any, known: Variables) -> t.Any:
        return self._templar.copy_with_new_env(available_variables=known).template(value)

    def _load(self, file: Path) -> t.Any:
        return self._loader.load_from_file(str(file), trusted_as_template=True) if file.is_file() else None

    def _files(self, names: list[str], file: str) -> Variables:
        found: Variables = {}
        for name in names:
            found |= self._load(ROLES / name / file) or {}
        return found

    def _dependencies(self, path: Path) -> list[str]:
        listed = (self._load(path / "meta/main.yml") or {}).get("dependencies") or []
        return [str(entry["role"]).rpartition(".")[2] for entry in listed]

    def _arguments(self, path: Path) -> Variables:
        entries: Variables = self._load(path / "meta/argument_specs.yml")["argument_specs"]
        return {name: option for entry in entries.values() for name, option in (entry.get("options") or {}).items()}
