# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work of the module spin_function_info: lists functions."""

from __future__ import annotations

import dataclasses
import typing as t

from .directories import state_directory
from .function import LiveFunction


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """Read the functions that the parameters of spin_function_info name; raises PlatformError."""
    found = _local(parameters) if parameters["target"] == "local" else _cluster(parameters)
    wanted = [function for function in found if parameters["name"] in (None, function.name)]
    return {"changed": False, "functions": [{**dataclasses.asdict(function), "digest": function.digest} for function in wanted], "table": _table(wanted)}


def _table(functions: list[LiveFunction]) -> list[str]:
    """The functions as lines of text; a list, since Ansible shows each item of one as a line."""
    import tabulate

    if not functions:
        return ["no functions"]
    rows = [(f.namespace, f.name, f.status, _replicas(f), f.url or "-", f.digest[7:19] or f.image, f.created or "-") for f in functions]
    return str(tabulate.tabulate(rows, headers=("NAMESPACE", "NAME", "STATUS", "REPLICAS", "URL", "DIGEST", "SINCE"), tablefmt="plain")).splitlines()


def _replicas(function: LiveFunction) -> str:
    details = function.details
    return f"{details['ready_replicas']}/{details['replicas']}" if "replicas" in details else "1" if function.status == "ready" else "0"


def _local(parameters: dict[str, t.Any]) -> list[LiveFunction]:
    from .local.target import list_functions

    return list_functions(state_directory(parameters["state_directory"]), parameters["namespace"])


def _cluster(parameters: dict[str, t.Any]) -> list[LiveFunction]:
    from .cluster.api import KubernetesApi
    from .cluster.arguments import connection_options
    from .cluster.target import list_functions

    return list_functions(KubernetesApi(connection_options(parameters)), parameters["namespace"])
