# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of the module k3s_charts: archives of charts and definitions of kinds are files of this
machine, read here."""

from __future__ import annotations

import base64
import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ..module_utils.charts.download import chart_from_bundle, checksum, provide_chart
from ..module_utils.download.binaries import downloads_directory
from ..module_utils.download.custom_resource_definitions import (
    read_definitions,
)
from ..module_utils.errors import PlatformError
from ..module_utils.module_run import failure

MODULE = "wasmfaas.platform.k3s_charts"


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no type information
    """See the module k3s_charts."""

    _requires_connection = True
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        super().run(tmp, variables)
        arguments = dict(self._task.args)
        try:
            arguments["sources"] = self._sources(arguments, variables)
            definitions, missing = self._definitions(arguments, variables)
        except PlatformError as error:
            return {"failed": True, "changed": False, **failure(error)}
        arguments["objects"] = [*definitions, *(arguments.get("objects") or [])]
        arguments["definitions"] = []
        result: dict[str, t.Any] = self._execute_module(MODULE, module_args=arguments, task_vars=variables)
        if missing and not result.get("failed"):
            result["changed"] = True
            result["changed_objects"] = [*missing, *result.get("changed_objects", [])]
        return result

    def _directory(self, name: str, variables: dict[str, t.Any]) -> str:
        """A variable of role k3s. Roles that do not depend on that role see what was given with `-e artifacts=…` only
        under that name."""
        given = variables.get(name) or (variables.get("artifacts") if name == "k3s_artifacts" else "")
        return str(self._templar.template(given)) if given else ""

    def _sources(self, arguments: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        """Those of the charts that are asked for, with archives as base64. Behind an air gap, all come from the
        air-gap bundle."""
        artifacts = self._directory("k3s_artifacts", variables)
        given = arguments.get("sources") or {}
        names = [entry.get("name") for entry in arguments.get("charts") or [] if isinstance(entry, dict)]
        sources = {str(name): dict(given[name]) for name in names if isinstance(given.get(name), dict)}
        through_here = boolean(arguments.pop("charts_by_checksum", False))
        for name, source in sources.items():
            if arguments.get("state") != "absent":
                if artifacts:
                    source["content"] = str(chart_from_bundle(name, source, Path(artifacts)))
                elif through_here and checksum(name, source) and not source.get("content"):
                    source["content"] = self._compared(name, source, variables)
            if not source.get("content"):
                source.pop("content", None)
            elif arguments.get("state") == "absent":
                source["content"] = ""
            else:
                source["content"] = self._archive(name, str(source["content"]))
        return sources

    def _compared(self, name: str, source: dict[str, t.Any], variables: dict[str, t.Any]) -> str:
        """Path of the archive of a chart, downloaded to this machine; "" in a check before its download."""
        cache = downloads_directory(self._directory("k3s_cache_directory", variables))
        fetched, place = provide_chart(name, source, cache, check_mode=self._task.check_mode)
        return "" if fetched and self._task.check_mode else place["path"]

    def _archive(self, name: str, path: str) -> str:
        try:
            with open(self._loader.get_real_file(self._find_needle("files", path)), "rb") as file:
                return base64.b64encode(file.read()).decode()
        except (AnsibleError, OSError) as error:
            raise PlatformError(
                f"{path}, the archive of the chart {name}, cannot be read on this machine: {error}.",
                next_step=f"Correct platform_charts.{name}.content.",
            ) from error

    def _definitions(
        self, arguments: dict[str, t.Any], variables: dict[str, t.Any]
    ) -> tuple[list[dict[str, t.Any]], list[str]]:
        """The objects in the option `definitions`, and the files that a check does not download."""
        entries = arguments.get("definitions") or []
        if not entries or (arguments.get("state") == "absent" and not arguments.get("remove_definitions")):
            return [], []
        directories = {key: self._directory(key, variables) for key in ("k3s_cache_directory", "k3s_artifacts")}
        return read_definitions(
            entries,
            cache=directories["k3s_cache_directory"],
            bundle=directories["k3s_artifacts"],
            check_mode=self._task.check_mode,
        )
