# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of the module k3s_backup: copies the snapshot that the host takes, and the tokens.

An action of its own, since Ansible's `fetch` reads a whole file into memory where privileges are escalated, and shows
what it reads at -vvv.
"""

from __future__ import annotations

import os
import typing as t

from ansible.plugins.action import ActionBase

from ..module_utils.documented_arguments import documented_arguments
from ..module_utils.errors import PlatformError
from ..module_utils.k3s.recovery import backup
from ..modules.k3s_backup import DOCUMENTATION

MODULE = "wasmfaas.platform.k3s_backup"
HOST_OPTIONS = ("name", "keep_on_server", "snapshot_directory", "timeout")
"""What the host needs of the options; `config` may hold credentials."""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no type information
    """See the documentation of the module of the same name."""

    _requires_connection = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        task_vars = task_vars or {}
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec=documented_arguments(DOCUMENTATION), required_by={"directory": "node"}
        )
        try:
            result.update(self.save(arguments, task_vars))
        except PlatformError as error:
            result.update(failed=True, msg=str(error), cause=error.cause, next_step=error.next_step)
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def save(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        directory = arguments["directory"]
        if directory and not arguments["fetch"] and not backup.bucket(arguments["config"]):
            raise PlatformError(
                "The snapshot would stay on the server alone: it is not to be fetched, and k3s uploads to no bucket.",
                next_step="Leave out -e backup_fetch=false, or configure etcd-s3 in k3s_server_config.",
            )
        options = {name: arguments[name] for name in HOST_OPTIONS if arguments[name] is not None}
        user = self.connection_user() if directory else "root"
        if user != "root":
            options["stage_for"] = user
        taken = self._execute_module(MODULE, module_args=options, task_vars=task_vars)
        if taken.get("failed"):
            raise PlatformError(
                str(taken.get("cause") or taken.get("msg")),
                next_step=str(taken.get("next_step") or "See the output of the task."),
            )
        on_server = {key: taken[key] for key in ("snapshot", "removed_snapshots")}
        if self._task.check_mode or not directory:
            where = f"in {directory}" if directory else "on the server"
            said = f"would be kept {where}" if self._task.check_mode else f"{taken['snapshot']['path']} {where}"
            return {"changed": True, "backup": {}, "removed": [], "summary": said, **on_server}
        seconds = backup.now()
        unfinished = backup.begin(directory, seconds=seconds)
        try:
            self.transfer(taken["files"], unfinished, arguments["fetch"])
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
        made = backup.finish(unfinished, described, seconds=seconds)
        removed = backup.prune(directory, arguments["keep"], made.authority)
        return {
            "changed": True,
            "backup": made.described(),
            "removed": removed,
            "summary": backup.summary(made),
            **on_server,
        }

    def connection_user(self) -> str:
        """Who transfers files on the host; the settings do not always say it, since ssh has some of its own."""
        said = self._low_level_execute_command("id -un", sudoable=False)
        user: str = said["stdout"].strip().splitlines()[-1] if said["stdout"].strip() else ""
        if said["rc"] != 0 or not user:
            raise PlatformError(
                "The user of the connection could not be found out.", next_step="See that `ssh HOST id -un` works."
            )
        return user

    def transfer(self, files: dict[str, str], directory: str, with_snapshot: bool) -> None:
        """The connection's own transfer: block by block, and without privileges."""
        for name, path in files.items():
            if name == backup.SNAPSHOT and not with_snapshot:
                continue
            # Made before it is filled: the connection would make it with the umask's mode.
            target = os.path.join(directory, name)
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            self._connection.fetch_file(path, target)
