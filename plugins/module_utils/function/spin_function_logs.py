# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work of the module spin_function_logs: reads what a function wrote."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from pathlib import Path

from ..directories import state_directory
from ..errors import PlatformError
from .deploy_function import check_namespace

if t.TYPE_CHECKING:
    from ..spinkube.logs import ContainerLog
    from .model import LiveFunction

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """Read the log that the parameters of spin_function_logs name; raises PlatformError."""
    read = _hosted if parameters.get("service") else _cluster
    return read_logs(parameters, lambda since: _local(parameters, since), lambda since: read(parameters, since, hidden))


def read_logs(
    parameters: dict[str, t.Any],
    local: t.Callable[[int | None], list[ContainerLog]],
    cluster: t.Callable[[int | None], list[ContainerLog]],
) -> dict[str, t.Any]:
    """The result of a module that reads logs, after its parameters were checked. The reader of the target gets the
    seconds to look back, or None."""
    check_namespace(parameters["namespace"])
    if parameters["lines"] < 1:
        raise PlatformError("lines: must be 1 or more.", next_step="Give `-e lines=100`.")
    since = seconds_of(parameters["since"])
    logs = (local if parameters["target"] == "local" else cluster)(since)
    return {"changed": False, "logs": [dataclasses.asdict(log) for log in logs], "text": text_of(logs)}


def seconds_of(since: str | None) -> int | None:
    """The seconds of a span such as `15m`; raises PlatformError."""
    if since is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]*)([smhd]?)", since.strip())
    if found is None:
        raise PlatformError(f"since: {since!r} is no span of time.", next_step="Write it as in 90s, 15m, 2h or 1d.")
    return int(found[1]) * _UNITS[found[2] or "s"]


def _cluster(parameters: dict[str, t.Any], since: int | None, hidden: set[str]) -> list[ContainerLog]:
    from ..spinkube.api import KubernetesApi
    from ..spinkube.arguments import connection_options
    from ..spinkube.logs import function_logs, secret_values

    api = KubernetesApi(connection_options(parameters))
    namespace, name = parameters["namespace"], parameters["name"]
    hidden |= secret_values(api, namespace, name)
    return function_logs(api, namespace, name, lines=parameters["lines"], since_seconds=since)


def _hosted(parameters: dict[str, t.Any], since: int | None, hidden: set[str]) -> list[ContainerLog]:
    from ..hosted.function import read_log
    from ..spinkube.logs import ContainerLog

    refuse_since(since, "a hosted function")
    status, lines = read_log(parameters, hidden)
    return [ContainerLog(parameters["name"], "", status, 0, lines)]


def _local(parameters: dict[str, t.Any], since: int | None) -> list[ContainerLog]:
    from ..local import state
    from ..local.target import live_function

    refuse_since(since, "a local function")
    function = state.read(
        state_directory(parameters["state_directory"]) / "functions", parameters["namespace"], parameters["name"]
    )
    if function is None:
        raise PlatformError(
            f"There is no local function {parameters['namespace']}/{parameters['name']}.",
            next_step="See `ansible-playbook wasmfaas.platform.list_functions -e target=local` for those there are.",
        )
    return [local_log(live_function(function), parameters["lines"])]


def refuse_since(since: int | None, what: str) -> None:
    """Refuse a span of time for the log of what has none, such as `a local function`; raises PlatformError."""
    if since is not None:
        raise PlatformError(f"since: the log of {what} has no times.", next_step="Give `-e lines=NUMBER` instead.")


def local_log(live: LiveFunction, lines: int) -> ContainerLog:
    """The last lines of what a local function or program wrote."""
    from ..spinkube.logs import ContainerLog

    file = Path(live.details["log_file"])
    text = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    return ContainerLog(live.name, "", live.status, 0, text[-lines:])


def text_of(logs: list[ContainerLog]) -> list[str]:
    """All logs as lines of text, each log below a line that says whose it is."""
    if not logs:
        return ["no replicas"]
    text = []
    for log in logs:
        times = "once" if log.restarts == 1 else f"{log.restarts} times"
        about = [
            log.state,
            *([f"restarted {times}"] if log.restarts else []),
            *([f"on {log.node}"] if log.node else []),
        ]
        if log.previous:
            about += [
                "its run before"
                + (f", which ended with exit code {log.exit_code}" if log.exit_code is not None else "")
            ]
        text += [f"==> {log.pod} ({', '.join(about)}) <==", *(log.lines or ["(nothing)"])]
    return text
