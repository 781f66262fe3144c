# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a snapshot on the host and brings it, with the tokens, to the controller.

An action of its own, since Ansible's `fetch` reads a whole file into memory where privileges are escalated, and shows
what it reads at -vvv.
"""

from __future__ import annotations

import os
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.recovery import backup

SNAPSHOT_OPTIONS = {"name": "name", "keep_on_server": "keep", "snapshot_directory": "directory", "timeout": "timeout"}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no type information
    """See the documentation of the module of the same name."""

    _requires_connection = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        task_vars = task_vars or {}
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "directory": {"type": "path", "required": True},
                "keep": {"type": "int", "default": 7},
                "fetch": {"type": "bool", "default": True},
                "node": {"type": "str", "required": True},
                "nodes": {"type": "list", "elements": "str", "default": []},
                "config": {"type": "dict", "default": {}},
                "name": {"type": "str", "default": "wasmfaas"},
                "keep_on_server": {"type": "int", "default": 5},
                "snapshot_directory": {"type": "path"},
                "timeout": {"type": "int", "default": 600},
            }
        )
        try:
            result.update(self.save(arguments, task_vars))
        except PlatformError as error:
            result.update(failed=True, msg=str(error), cause=error.cause, next_step=error.next_step)
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def save(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        if not arguments["fetch"] and not backup.bucket(arguments["config"]):
            raise PlatformError(
                "The snapshot would stay on the server alone: it is not to be fetched, and k3s uploads to no bucket.",
                next_step="Leave out -e backup_fetch=false, or configure etcd-s3 in k3s_server_config.",
            )
        options = {there: arguments[here] for here, there in SNAPSHOT_OPTIONS.items() if arguments[here] is not None}
        user = self.connection_user()
        if user != "root":
            options["stage_for"] = user
        taken = self._execute_module("wasmfaas.platform.k3s_snapshot", module_args=options, task_vars=task_vars)
        if taken.get("failed"):
            raise PlatformError(
                str(taken.get("cause") or taken.get("msg")),
                next_step=str(taken.get("next_step") or "See the output of the task."),
            )
        if self._task.check_mode:
            return {
                "changed": True,
                "backup": {},
                "removed": [],
                "summary": f"would be kept in {arguments['directory']}",
            }
        seconds = backup.now()
        folder = backup.begin(arguments["directory"], seconds=seconds)
        try:
            self.transfer(taken["files"], folder, arguments["fetch"])
        finally:
            if taken["staged"]:
                self._execute_module(
                    "ansible.builtin.file",
                    module_args={"path": taken["staged"], "state": "absent"},
                    task_vars=task_vars,
                )
        described = backup.described(
            taken, node=arguments["node"], nodes=arguments["nodes"], config=arguments["config"]
        )
        made = backup.finish(folder, described, seconds=seconds)
        removed = backup.prune(arguments["directory"], arguments["keep"], made.authority)
        return {"changed": True, "backup": made.described(), "removed": removed, "summary": backup.summary(made)}

    def connection_user(self) -> str:
        """Who transfers files on the host; the settings do not always say it, since ssh has some of its own."""
        said = self._low_level_execute_command("id -un", sudoable=False)
        user: str = said["stdout"].strip().splitlines()[-1] if said["stdout"].strip() else ""
        if said["rc"] != 0 or not user:
            raise PlatformError(
                "The user of the connection could not be found out.", next_step="See that `ssh HOST id -un` works."
            )
        return user

    def transfer(self, files: dict[str, str], folder: str, with_snapshot: bool) -> None:
        """The connection's own transfer: block by block, and without privileges."""
        for name, path in files.items():
            if name == backup.SNAPSHOT and not with_snapshot:
                continue
            # Made before it is filled: the connection would make it with the umask's mode.
            target = os.path.join(folder, name)
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            self._connection.fetch_file(path, target)
