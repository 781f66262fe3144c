# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows a deployment of the hosted service to its end."""

from __future__ import annotations

import time
import typing as t

from .. import progress
from ..errors import PlatformError
from .service import FINISHED, HostedService, Json, function_path

_QUEUE_SECONDS = 5
"""How long the service waits before it tells the place in the queue again."""

_SHOWN_LINES = 20
_PAUSE_SECONDS = 0.5


def deployment_path(deployment: Json) -> str:
    """The path of a deployment in the API."""
    return f"{function_path(deployment['tenant'], deployment['function'])}/deployments/{int(deployment['number'])}"


def wait_for(service: HostedService, deployment: Json) -> Json:
    """Tell the log of a deployment until it is Ready, and give it as it is then.

    Raises:
        PlatformError: it failed, or was cancelled; or the service cannot be reached any more, and the deployment goes
            on.
    """
    path = deployment_path(deployment)
    log = _Log()
    position = None
    while deployment["phase"] == "Queued":
        if deployment.get("position") not in (None, position):
            position = deployment["position"]
            progress.tell(f"deployment {deployment['number']} is queued, number {position} in the queue")
        deployment = service.ask("GET", path, query={"wait": _QUEUE_SECONDS})
    try:
        offset = 0
        while True:
            # The phase was read before the log: what a finished deployment wrote is there.
            is_finished = deployment["phase"] in FINISHED
            before = offset
            for end, text in service.log_lines(f"{path}/log", before):
                offset = end
                log.line(text)
            if is_finished:
                break
            deployment = service.ask("GET", path)
            if offset == before and deployment["phase"] not in FINISHED:
                time.sleep(_PAUSE_SECONDS)  # the connection was lost at once
    finally:
        log.end_stage()
    if deployment["phase"] != "Ready":
        raise _failure(deployment, log.lines)
    return deployment


class _Log:
    """Tells the lines of a log, and the stages that its headings name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._in_stage = False

    def line(self, text: str) -> None:
        if text.startswith("--- "):
            self.end_stage()
            progress.tell_stage(text.removeprefix("--- ").replace(" ", "_"))
            self._in_stage = True
            return
        self.lines = [*self.lines[1 - _SHOWN_LINES :], text]
        if not text.startswith(("failed: ", "next: ", "ready ")):  # the result says the same
            progress.tell(text)

    def end_stage(self) -> None:
        if self._in_stage:
            progress.tell_stage("")
        self._in_stage = False


def _failure(deployment: Json, lines: list[str]) -> PlatformError:
    number, name = deployment["number"], f"{deployment['tenant']}/{deployment['function']}"
    facts: dict[str, t.Any] = dict(deployment.get("facts") or {})
    stage = str(facts.pop("stage", ""))
    if deployment["phase"] == "Cancelled":
        return PlatformError(
            f"Deployment {number} of {name} was cancelled: {deployment['reason']}",
            next_step=deployment["next_step"] or "Run again.",
        )
    output = [line for line in lines if not line.startswith(("failed: ", "next: "))]
    return PlatformError(
        deployment["reason"] or f"Deployment {number} of {name} failed.",
        next_step=deployment["next_step"] or f"See its log: `wasmfaas logs --build {number} {deployment['function']}`.",
        stage=stage,
        facts={**facts, "output": "\n".join(output), **({"shown": True} if progress.is_shown() else {})},
    )
