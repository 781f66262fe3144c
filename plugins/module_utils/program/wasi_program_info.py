# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work of the module wasi_program_info: lists programs."""

from __future__ import annotations

import dataclasses
import typing as t

from ..directories import state_directory
from ..function.model import LiveFunction
from ..function.spin_function_info import age, table_lines

_HEADERS = ("NAMESPACE", "NAME", "KIND", "STATUS", "REPLICAS", "URL", "DIGEST", "AGE")


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """Read the programs that the parameters of wasi_program_info name; raises PlatformError."""
    found = _local(parameters) if parameters["target"] == "local" else _cluster(parameters)
    wanted = [program for program in found if parameters["name"] in (None, program.name)]
    return {
        "changed": False,
        "programs": [{**dataclasses.asdict(program), "digest": program.digest} for program in wanted],
        "table": [
            *(table_lines([_row(program) for program in wanted], _HEADERS) if wanted else ["no programs"]),
            *(text for program in wanted if (damage := program.details.get("damage")) for text in ("", damage)),
        ],
    }


def _local(parameters: dict[str, t.Any]) -> list[LiveFunction]:
    from .local import list_local_programs

    return list_local_programs(state_directory(parameters["state_directory"]), parameters["namespace"])


def _cluster(parameters: dict[str, t.Any]) -> list[LiveFunction]:
    from ..spinkube.api import KubernetesApi
    from ..spinkube.arguments import connection_options
    from .live import list_programs

    return list_programs(KubernetesApi(connection_options(parameters)), parameters["namespace"])


def _row(program: LiveFunction) -> tuple[str, ...]:
    details = program.details
    return (
        program.namespace,
        program.name,
        details["kind"],
        program.status,
        f"{details['ready_replicas']}/{details['replicas']}" if "replicas" in details else "-",
        program.url or "-",
        program.digest[7:19] or program.image,
        age(program.created),
    )
