# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of the module k3s_node_diagnosis: reads registries.yaml, for which hosts have no parser, and
keeps its passwords to itself."""

from __future__ import annotations

import base64
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s import paths
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.config.registry_trust import RegistryFile, examine

MODULE = "wasmfaas.platform.k3s_node_diagnosis"


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no type information
    """See the documentation of the module of the same name."""

    _requires_connection = True
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        file = self._registries(task_vars)
        arguments = {**self._task.args, "registry_endpoints": file.endpoints, "registry_files": file.files}
        result: dict[str, t.Any] = self._execute_module(MODULE, module_args=arguments, task_vars=task_vars)
        result.pop("invocation", None)
        if not result.get("failed"):
            result["registries"]["problems"] = file.problems
        return result

    def _registries(self, task_vars: dict[str, t.Any] | None) -> RegistryFile:
        # The connection shows at -vvv what comes back, unless the play's context says otherwise.
        context, shown = self._play_context, self._play_context.no_log
        context.no_log = True
        try:
            read = self._execute_module(
                "ansible.legacy.slurp", module_args={"src": paths.REGISTRIES}, task_vars=task_vars
            )
        finally:
            context.no_log = shown
        if read.get("failed"):
            return RegistryFile([], [], [])
        return examine(base64.b64decode(read["content"]).decode("utf-8", "replace"))
