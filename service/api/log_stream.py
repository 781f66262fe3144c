# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a deployment while it grows: as text, as lines of JSON, as events, and as the progress of `curl -T`."""

from __future__ import annotations

import asyncio
import collections.abc
import json
import time
import typing as t

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..core import Service, public
from ..deployments.model import Deployment, Phase
from .context import Context
from .query import MOST_NUMBER, deployment_number, number_in, place, switch

NOT_BUFFERED = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
"""Headers of an answer that grows: proxies hand each piece on at once."""

_LOOK_SECONDS = 0.2
_NEXT_LINE_SECONDS = 15
"""How often a stream without news says that it goes on: proxies end silent ones."""


SILENT_SECONDS = 60.0
"""After how long `curl -T` shows that a deployment goes on. Envoy ends a stream that is silent for 300 s (1.38,
stream_idle_timeout), a load balancer of AWS a connection after 350 s."""


async def log(request: Request, context: Context) -> Response:
    """GET …/log: `?follow=true` goes on until the deployment is finished; `?offset` and Last-Event-ID resume."""
    token = await context.token(request)
    deployment = await run_in_threadpool(context.service.deployment, token, *place(request), deployment_number(request))
    offset = _offset(request)
    follow = switch(request, "follow")
    accepted = request.headers.get("Accept", "")
    if "text/event-stream" in accepted:
        return EventSourceResponse(_events(context.service, deployment, offset), ping=_NEXT_LINE_SECONDS)
    pieces = _pieces(context.service, deployment, offset, follow=follow)
    if "application/x-ndjson" in accepted:
        return StreamingResponse(_json_lines(pieces), 200, NOT_BUFFERED, "application/x-ndjson")
    return StreamingResponse(_texts(pieces), 200, NOT_BUFFERED, "text/plain; charset=utf-8")


def _offset(request: Request) -> int:
    """Where to begin: after the last event that the client has, else `offset`. Raises ServiceProblem."""
    offset = number_in(request.query_params.get("offset", "0"), "offset", 0, MOST_NUMBER)
    if (last := request.headers.get("Last-Event-ID")) is not None:
        return number_in(last, "Last-Event-ID", 0, MOST_NUMBER)
    return offset


async def _looks(
    service: Service, deployment: Deployment, offset: int
) -> collections.abc.AsyncIterator[tuple[Deployment | None, int, bytes]]:
    """Looks at a deployment and its log until it is finished or gone (None).

    Yields:
        The deployment as it is and whole lines of the log with the offset at which they begin; then, once for each
        look, the deployment with no more lines.
    """
    while True:
        # Read before the log: what a finished deployment wrote is there.
        live = await run_in_threadpool(service.deployments.read, *deployment.key)
        while data := await run_in_threadpool(service.logs.read, live or deployment, offset):
            yield live, offset, data
            offset += len(data)
        yield live, offset, b""
        if live is None or live.phase.is_finished:
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def _pieces(
    service: Service, deployment: Deployment, offset: int, *, follow: bool
) -> collections.abc.AsyncIterator[tuple[int, bytes]]:
    """Whole lines with the offset at which they begin."""
    async for _live, begin, data in _looks(service, deployment, offset):
        if data:
            yield begin, data
        elif not follow:
            return


async def _texts(pieces: collections.abc.AsyncIterator[tuple[int, bytes]]) -> collections.abc.AsyncIterator[bytes]:
    async for _offset_of, data in pieces:
        yield data


def _lines(offset: int, data: bytes) -> t.Iterator[tuple[int, str]]:
    """Lines with the offset after each."""
    for line in data.splitlines(keepends=True):
        offset += len(line)
        yield offset, line[:-1].decode("utf-8", "replace")


async def _json_lines(
    pieces: collections.abc.AsyncIterator[tuple[int, bytes]],
) -> collections.abc.AsyncIterator[bytes]:
    async for begin, data in pieces:
        yield b"".join(
            json.dumps({"offset": offset, "text": text}, ensure_ascii=False).encode() + b"\n"
            for offset, text in _lines(begin, data)
        )


async def _events(
    service: Service, deployment: Deployment, offset: int
) -> collections.abc.AsyncIterator[ServerSentEvent]:
    """Events `line`, whose id is the offset after the line, and at last `end` with the deployment. With `phase` each
    new state of the deployment is told."""
    told = ""
    async for live, begin, data in _looks(service, deployment, offset):
        for after, text in _lines(begin, data):
            yield ServerSentEvent(text, event="line", id=str(after), sep="\n")
        if data or live is None:
            continue
        shown = json.dumps(public(live, service.position(live)))
        if live.phase.is_finished:
            yield ServerSentEvent(shown, event="end", sep="\n")
        elif shown != told:
            told = shown
            yield ServerSentEvent(shown, event="phase", sep="\n")


async def progress_text(service: Service, deployment: Deployment) -> collections.abc.AsyncIterator[bytes]:
    """What `curl -T` shows: the place in the queue, the log, that it goes on where both say nothing for long, and at
    last the URL or why there is none."""
    yield f"deployment {deployment.number} of {deployment.tenant}/{deployment.function}\n".encode()
    if deployment.phase is Phase.READY:
        yield f"unchanged\nready {deployment.url}\n".encode()
        return
    told, spoke = 0, time.monotonic()
    async for live, begin, data in _looks(service, deployment, 0):
        if data:
            spoke = time.monotonic()
            yield data
        elif live is None:
            continue
        elif live.phase.is_finished:
            if live.phase is Phase.CANCELLED or not begin:  # the worker wrote no end, or nothing at all
                yield f"{live.phase.lower()}: {live.reason}\nnext: {live.next_step}\n".encode()
        else:
            position = service.position(live) or 0
            if position and position != told:
                yield f"queued, {position} in the queue\n".encode()
                told, spoke = position, time.monotonic()
            elif time.monotonic() - spoke >= SILENT_SECONDS:
                yield f"{live.phase} goes on\n".encode()
                spoke = time.monotonic()
