# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the module managed_files on the controller: reads files there, and transfers those that differ on the
host."""

from __future__ import annotations

import os
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ..module_utils.directories import cache_directory
from ..module_utils.errors import PlatformError
from ..module_utils.host.digests import Digests
from ..module_utils.host.files import UNKNOWN_SIZE
from ..module_utils.module_run import failure

MODULE = "wasmfaas.platform.managed_files"
INLINE_BYTES = 64 * 1024
"""Texts up to this size are part of the module's arguments: this needs one round trip, and their diff can be shown."""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no type information
    _requires_connection = True
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        try:
            sources: dict[str, str] = {}
            arguments["files"] = [self._prepared(entry, sources) for entry in arguments.get("files") or []]
        except PlatformError as error:
            return {"failed": True, "changed": False, **failure(error)}
        result: dict[str, t.Any] = self._execute_module(MODULE, module_args=arguments, task_vars=task_vars)
        transfers = result.pop("transfers", [])
        result.pop("invocation", None)
        if not transfers or result.get("failed"):
            return result
        finished = self._transferred(arguments["files"], transfers, sources, task_vars)
        if finished.get("failed"):
            finished["changed_files"] = [path for path in result["changed_files"] if path not in sources]
            finished["changed"] = bool(finished["changed_files"])
            finished.pop("invocation", None)
            return finished
        return result

    def _prepared(self, entry: t.Any, sources: dict[str, str]) -> t.Any:
        """The entry for the module: with the content of a small text, else with checksum and size; then `sources` gets
        its file."""
        if (
            not isinstance(entry, dict)
            or not entry.get("source")
            or not entry.get("path")
            or entry.get("state") == "absent"
        ):
            return entry
        prepared = {key: value for key, value in entry.items() if key != "source"}
        path = str(entry["path"])
        if entry.get("content") is not None:
            raise PlatformError(
                f"{path} has both content and source; nothing was changed.", next_step="Leave one of them out."
            )
        try:
            found = self._find_needle("files", entry["source"])
            real = self._loader.get_real_file(found)
            digest, size = _digests(real == found).of(real), os.path.getsize(real)
        except (AnsibleError, OSError) as error:
            if self._task.check_mode:
                # Nothing is downloaded in check mode, so the source may be missing, though its checksum may be known.
                return {**prepared, "size": UNKNOWN_SIZE}
            cause = f"{entry['source']}, the source of {path}, cannot be read on the controller: {error}."
            raise PlatformError(cause, next_step="Correct the path.") from error
        if entry.get("sha256") and entry["sha256"] != digest:
            raise PlatformError(
                f"{found} has the checksum {digest}, but {entry['sha256']} was asked for; nothing was changed on the "
                "host.",
                next_step="Remove the file, so that it is downloaded again; or correct the checksum, once you are "
                "sure that the file is what it should be.",
            )
        text = _small_text(real, size)
        if text is not None:
            return {**prepared, "content": text, "sha256": digest}
        sources[path] = real
        return {**prepared, "sha256": digest, "size": size}

    def _transferred(
        self,
        files: list[dict[str, t.Any]],
        transfers: list[dict[str, str]],
        sources: dict[str, str],
        task_vars: dict[str, t.Any] | None,
    ) -> dict[str, t.Any]:
        """Transfer the files, and call the module again to put them into place."""
        for transfer in transfers:
            try:
                self._transfer_file(sources[transfer["path"]], transfer["staged"])
            except AnsibleConnectionFailure:
                raise
            except AnsibleError as error:
                untransferred = PlatformError(
                    f"{transfer['path']} could not be transferred: {error}",
                    next_step="See whether the connection allows transfers (sftp or scp), and whether there is space; "
                    "the file in place was not touched.",
                )
                return {"failed": True, **failure(untransferred)}
        paths = {transfer["path"] for transfer in transfers}
        arguments = {
            "files": [entry for entry in files if entry["path"] in paths],
            "phase": "finish",
            "staged": transfers,
        }
        finished: dict[str, t.Any] = self._execute_module(MODULE, module_args=arguments, task_vars=task_vars)
        return finished


def _digests(lasting: bool) -> Digests:
    """Digests that the controller remembers; those of a decrypted copy are not remembered."""
    return Digests(str(cache_directory(None) / "digests.json") if lasting else os.devnull + "/none")


def _small_text(path: str, size: int) -> str | None:
    if size > INLINE_BYTES:
        return None
    with open(path, "rb") as file:
        content = file.read()
    try:
        return None if b"\0" in content else content.decode()
    except UnicodeDecodeError:
        return None
