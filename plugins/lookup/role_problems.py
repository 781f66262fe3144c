# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup `role_problems`; its documentation stands in role_problems.yml."""

from __future__ import annotations

import re
import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ..module_utils import role_arguments
from ..module_utils.platform.rules import RULES
from ..module_utils.problems import Problem
from ..plugin_utils.role_variables import ROLES, RoleVariables

HANDED_ON = re.compile(r"\{\{ (\w+) \| default\([^)]*\) \}\}")
"""A default that is another variable, which is what the user wrote and is told of."""

Variables = dict[str, t.Any]


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible has no type information
    """Ansible's entry point."""

    def run(self, terms: list[t.Any], variables: t.Any = None, **_options: t.Any) -> list[str]:
        """All problems of the named roles as text, in their order."""
        replaced: Variables = {}
        return [
            str(problem)
            for role in self._flatten(terms)
            for problem in self._role(str(role), dict(variables or {}), replaced)
        ]

    def _role(self, role: str, given: Variables, replaced: Variables) -> list[Problem]:
        """`replaced` has what goes instead of variables that cannot be used, so that all others are still looked at;
        what is found here is added to it."""
        if not (ROLES / role / "meta/argument_specs.yml").is_file():
            raise AnsibleError(
                f"role_problems: there is no role {role} with argument specifications. Next: Correct the name."
            )
        known = RoleVariables(role, given, self._loader, self._templar, replaced)
        problems: list[Problem] = []
        for name, option in known.arguments().items():
            if name not in known or name in replaced:
                continue
            found = _variable(name, option, known)
            if found:
                known.replace(name, known.defaults.get(name))
                replaced[name] = _instead(name, option, known)
                known.replace(name, replaced[name])
            problems += found
        return problems + list(RULES[role](known) if role in RULES else [])


def _variable(name: str, option: Variables, known: RoleVariables) -> list[Problem]:
    """Problems that name the variable, or the one that its default hands on."""
    label, default = name, known.defaults.get(name)
    handed_on = HANDED_ON.fullmatch(str(default or ""))
    if handed_on and known.written(name) == default:
        label = handed_on[1]
    try:
        return role_arguments.problems(label, option, known[name])
    except AnsibleError as error:
        return [Problem(label, f"cannot be filled in: {error}", "correct it, or what it is made from")]


def _instead(name: str, option: Variables, known: RoleVariables) -> t.Any:
    """What the role is looked at with: the variable's default, else an empty value."""
    return role_arguments.EMPTY.get(option.get("type", "str"), "") if _variable(name, option, known) else known[name]
