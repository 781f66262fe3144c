# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives the variables of all hosts to the decisions in module_utils/k3s/plan, and touches no host; see the module of
the same name."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ..doc_fragments.k3s import ModuleDocFragment
from ..module_utils.documented_arguments import documented_arguments
from ..module_utils.errors import PlatformError
from ..module_utils.k3s.plan import purposes
from ..modules.k3s_plan import DOCUMENTATION


class ActionModule(ActionBase):  # type: ignore[misc] # Ansible has no type information
    """See the module k3s_plan."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec=documented_arguments(DOCUMENTATION, ModuleDocFragment.GROUPS)
        )
        try:
            plan = purposes.run(task_vars or {}, arguments)
        except PlatformError as error:  # each problem has its own next step
            return {**result, "failed": True, "msg": error.cause, "problems": [], **error.facts}
        if arguments["purpose"] in (*purposes.INVENTORY, purposes.NODE_BUNDLE):
            for message in plan["messages"]:
                self._display.warning(message)
        return {**result, "changed": False, **plan}
