# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's file of tasks: what it refuses, found out without a play (tests/integration/test_role_plays.py has
some)."""

from __future__ import annotations

import typing as t

from .role_rendering import RenderedRole, Variables


def problem(role: RenderedRole, file: str, **variables: t.Any) -> str:
    """The message of the first task of the file that refuses; empty if none does. Minds `when` and `loop`, as Ansible
    does."""
    for task in role.tasks(file):
        if "ansible.builtin.assert" not in task:
            continue
        conditions = task.get("when", [])
        if not all(
            _holds(role, condition, variables)
            for condition in (conditions if isinstance(conditions, list) else [conditions])
        ):
            continue
        items = _expression(role, task["loop"], variables) if "loop" in task else [None]
        for item in items:
            found = role.refusal(task["name"], file, **variables, **({} if item is None else {"item": item}))
            if found:
                return " ".join(found.split())
    return ""


def _holds(role: RenderedRole, condition: str, variables: Variables) -> bool:
    return bool(role.value(f"true if ({condition}) else false", **variables))


def _expression(role: RenderedRole, loop: t.Any, variables: Variables) -> list[t.Any]:
    return list(role.value("__loop", **variables, __loop=loop))
