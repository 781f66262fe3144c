# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter `capacity`; its documentation stands in capacity.yml."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils.errors import PlatformError
from ..module_utils.function.capacity import (
    expected_response_time,
    replicas_needed,
)

_LOAD = ("requests_per_second", "service_time_seconds", "concurrency")
_COLD_START = ("cold_probability", "cold_seconds", "warm_seconds")


def capacity(load: dict[str, t.Any]) -> dict[str, t.Any]:
    """Replicas, utilization and expected response time for a load; see capacity.yml."""
    if not isinstance(load, dict):
        raise AnsibleFilterError(f"capacity: takes a dictionary, not a {type(load).__name__}.")
    unknown = sorted(set(load) - {*_LOAD, *_COLD_START})
    missing = [key for key in _LOAD[:2] if key not in load] + (
        [key for key in _COLD_START if key not in load] if set(load) & set(_COLD_START) else []
    )
    if unknown or missing:
        wrong = "unknown " + ", ".join(unknown) if unknown else "missing " + ", ".join(missing)
        raise AnsibleFilterError(f"capacity: {wrong}; it knows {', '.join((*_LOAD, *_COLD_START))}.")
    concurrency = load.get("concurrency", 1)
    try:
        replicas = replicas_needed(load["requests_per_second"], load["service_time_seconds"], concurrency)
        result: dict[str, t.Any] = {"replicas": replicas}
        if replicas:
            result["utilization"] = (
                float(load["requests_per_second"])
                * float(load["service_time_seconds"])
                / (replicas * float(concurrency))
            )
        if _COLD_START[0] in load:
            result["expected_response_time_seconds"] = expected_response_time(*(load[key] for key in _COLD_START))
    except PlatformError as error:
        raise AnsibleFilterError(f"capacity: {error}") from error
    return result


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"capacity": capacity}
