# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work of the module spin_function_info: lists functions."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ..directories import state_directory
from .model import LiveFunction


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """Read the functions that the parameters of spin_function_info name; raises PlatformError."""
    found = (
        _hosted(parameters, hidden)
        if parameters.get("service")
        else _local(parameters)
        if parameters["target"] == "local"
        else _cluster(parameters)
    )
    wanted = [function for function in found if parameters["name"] in (None, function.name)]
    table = _table(wanted) + (_versions(wanted) if parameters["name"] else [])
    table += [text for function in wanted if (damage := function.details.get("damage")) for text in ("", damage)]
    return {
        "changed": False,
        "functions": [{**dataclasses.asdict(function), "digest": function.digest} for function in wanted],
        "table": table,
    }


def _table(functions: list[LiveFunction]) -> list[str]:
    """The functions as lines of text."""
    if not functions:
        return ["no functions"]
    rows = [
        (
            f.namespace,
            f.name,
            f.status,
            _replicas(f),
            _canary(f.details.get("canary")),
            warm_nodes(f.details.get("warm")),
            f.url or "-",
            f.digest[7:19] or f.image,
            age(f.created),
        )
        for f in functions
    ]
    return table_lines(rows, ("NAMESPACE", "NAME", "STATUS", "REPLICAS", "CANARY", "WARM", "URL", "DIGEST", "AGE"))


def _versions(functions: list[LiveFunction]) -> list[str]:
    """The versions that rollback_function.yml may go back to, below the table; nothing where there are none."""
    rows = [
        (entry["digest"][7:19], age(entry["deployed"]), entry["image"])
        for function in functions
        for entry in function.details.get("earlier") or []
    ]
    return ["", *table_lines(rows, ("EARLIER", "AGE", "IMAGE"))] if rows else []


def table_lines(rows: t.Sequence[tuple[str, ...]], headers: tuple[str, ...]) -> list[str]:
    """Rows below their headers as lines of text; a list, since Ansible shows each item of one as a line."""
    import tabulate

    return str(tabulate.tabulate(rows, headers=headers, tablefmt="plain", disable_numparse=True)).splitlines()


def _replicas(function: LiveFunction) -> str:
    details = function.details
    return (
        f"{details['ready_replicas']}/{details['replicas']}"
        if "replicas" in details
        else "1"
        if function.status == "ready"
        else "0"
    )


def _canary(canary: dict[str, t.Any] | None) -> str:
    """Weight, digest and replicas of a canary."""
    return (
        f"{canary['weight']}% {canary['digest'][7:19]} {canary['ready_replicas']}/{canary['replicas']}"
        if canary
        else "-"
    )


def warm_nodes(warm: dict[str, t.Any] | None) -> str:
    """The number of nodes on which a function is warm, and of all, as in `2/3`; `-` where there is no such number."""
    if not warm:
        return "-"
    return f"{warm['nodes']}/{'?' if warm['of'] is None else warm['of']}"


def age(since: str) -> str:
    """How long ago an RFC 3339 time was, in its largest unit, as kubectl shows it."""
    if not since:
        return "-"
    seconds = max(
        0, int((datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(since)).total_seconds())
    )
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _hosted(parameters: dict[str, t.Any], hidden: set[str]) -> list[LiveFunction]:
    from ..hosted.function import list_functions

    return list_functions(parameters, hidden)


def _local(parameters: dict[str, t.Any]) -> list[LiveFunction]:
    from ..local.target import list_functions

    return list_functions(state_directory(parameters["state_directory"]), parameters["namespace"])


def _cluster(parameters: dict[str, t.Any]) -> list[LiveFunction]:
    from ..spinkube.api import KubernetesApi
    from ..spinkube.arguments import connection_options
    from ..spinkube.live import list_functions

    return list_functions(KubernetesApi(connection_options(parameters)), parameters["namespace"])
