# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a deployment: its stages, its log, and how it ended."""

from __future__ import annotations

from starlette.responses import Response

from ..deployments.model import Deployment, Phase
from .stage_bar import stage_bar
from .view import link, see
from .visit import Visit

_SHOWN_LOG_BYTES = 32 << 10
"""Of the log's end; the whole log is a link."""


def deployment(visit: Visit) -> Response:
    """One deployment; `?log=no` leaves out the log, for the script that follows it by itself."""
    tenant, name = visit.tenant, visit.name
    found = visit.service.deployment(visit.who, tenant, name, _number(visit))
    with_log = visit.request.query_params.get("log") != "no"
    log, start, end = _end_of_log(visit, found) if with_log else (b"", 0, 0)
    return visit.render(
        "deployment.html",
        tenant=tenant,
        name=name,
        deployment=found,
        position=visit.service.position(found),
        stages=stage_bar(found),
        may_cancel=visit.may_change and _may_be_cancelled(found),
        with_log=with_log,
        log=log.decode("utf-8", "replace"),
        log_cut=start > 0,
        log_offset=end,
        log_link=f"/v1{link(tenant, 'functions', name, 'deployments', found.number, 'log')}",
    )


def cancel(visit: Visit) -> Response:
    """End a deployment that waits or is built."""
    number = _number(visit)
    visit.service.cancel(visit.who, visit.tenant, visit.name, number)
    return see(link(visit.tenant, "functions", visit.name, "deployments", number))


def _number(visit: Visit) -> int:
    return int(visit.request.path_params["number"])


def _may_be_cancelled(found: Deployment) -> bool:
    return not found.phase.is_finished and found.phase is not Phase.ROLLING_OUT and not found.cancelling


def _end_of_log(visit: Visit, found: Deployment) -> tuple[bytes, int, int]:
    """The last whole lines of a log, with the byte offsets of their start and end."""
    logs = visit.service.logs
    start = max(logs.size(found) - _SHOWN_LOG_BYTES, 0)
    data = logs.read(found, start)
    if start:
        cut = data.find(b"\n") + 1  # it begins within a line
        start, data = start + cut, data[cut:]
    return data, start, start + len(data)
