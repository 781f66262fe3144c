# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP endpoint for the pods of builds, on a port of its own: source, dependencies, log, result, and why there is
none.

Whoever calls has the bearer of one build, and runs code of a tenant: all that is sent is checked and bounded here or by
`result.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import typing as t
from pathlib import Path

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ..api.content import json_content, stated_size
from ..problem import Code, ServiceProblem
from .dependencies import ARCHITECTURES
from .dependencies import MOST_BYTES as MOST_DEPENDENCY_BYTES
from .exchange import MOST_LOG_BYTES, MOST_RESULT_BYTES, Exchange, Failure

MOST_BATCH_BYTES = 256 << 10
"""Of log lines at once."""

_ANSWER_SECONDS = 300
"""How long lines may wait for the worker to take them; a build that prints waits as long."""

_PATH = "/builds/{tenant}/{function}/{number:int}"


class BuildEndpoint:
    """Serves the builds whose workers are in this replica.

    Args:
        root: see `Exchange`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._log_bytes: dict[str, int] = {}
        self._busy: set[str] = set()

    def routes(self) -> list[Route]:
        """Its URLs."""
        return [
            Route(_PATH, self._describe, methods=["GET"]),
            Route(f"{_PATH}/source", self._source, methods=["GET"]),
            Route(f"{_PATH}/dependencies/{{architecture}}", self._dependencies, methods=["GET"]),
            Route(f"{_PATH}/dependencies/{{architecture}}", self._new_dependencies, methods=["PUT"]),
            Route(f"{_PATH}/log", self._log, methods=["POST"]),
            Route(f"{_PATH}/result", self._result, methods=["PUT"]),
            Route(f"{_PATH}/failure", self._failure, methods=["PUT"]),
        ]

    async def _describe(self, request: Request) -> Response:
        exchange = await self._exchange(request)
        description = await run_in_threadpool(exchange.description)
        if description is None:
            raise _not_here()
        return Response(msgspec.json.encode(description), media_type="application/json")

    async def _source(self, request: Request) -> Response:
        exchange = await self._exchange(request)
        if not await run_in_threadpool(exchange.source.is_file):
            raise _not_here()
        return FileResponse(exchange.source, media_type="application/octet-stream")

    async def _dependencies(self, request: Request) -> Response:
        exchange = await self._exchange(request)
        archive = exchange.dependencies(_architecture(request))
        if not await run_in_threadpool(archive.is_file):
            return Response(status_code=204)
        return FileResponse(archive, media_type="application/octet-stream")

    async def _new_dependencies(self, request: Request) -> Response:
        exchange = await self._exchange(request)
        await self._take(request, exchange, exchange.new_dependencies(_architecture(request)), MOST_DEPENDENCY_BYTES)
        return Response(status_code=204)

    async def _failure(self, request: Request) -> Response:
        exchange = await self._exchange(request)
        failure = await json_content(request, Failure)
        with _while_it_waits():
            await run_in_threadpool(exchange.fail, failure)
        return Response(status_code=204)

    async def _result(self, request: Request) -> Response:
        exchange = await self._exchange(request)
        await self._take(request, exchange, exchange.result, MOST_RESULT_BYTES)
        return Response(status_code=204)

    async def _take(self, request: Request, exchange: Exchange, target: Path, most: int) -> None:
        """Write the body of a request to a file that appears when it is whole; raises ServiceProblem where it has more
        than `most` bytes."""
        if stated_size(request) > most:
            raise _too_large(most)
        with self._alone(request), _while_it_waits():
            # Else it would be taken and nobody uses it: a worker that was killed left its directory.
            with exchange.log_address() as address:
                _reader, writer = await asyncio.open_unix_connection(address)
                writer.close()
            partial = exchange.partial()
            try:
                with open(partial, "xb") as stream:
                    async for data in _bounded(request, most):
                        await run_in_threadpool(stream.write, data)
                os.replace(partial, target)
            finally:
                partial.unlink(missing_ok=True)

    async def _log(self, request: Request) -> Response:
        """Hand lines to the worker, and answer when it took them: that slows down who prints faster."""
        exchange = await self._exchange(request)
        batch = request.headers.get("Batch", "")
        if not (batch.isascii() and batch.isdigit() and len(batch) <= 12):
            raise ServiceProblem(
                Code.BAD_REQUEST, "The header Batch is no number.", next_step="Count the requests for a build's log."
            )
        path = request.url.path
        if self._log_bytes.get(path, 0) > MOST_LOG_BYTES:
            async for _data in _bounded(request, MOST_BATCH_BYTES):
                pass  # an answer before the end of the body may be lost
            raise _too_large(MOST_LOG_BYTES)
        with self._alone(request), _while_it_waits(), exchange.log_address() as address:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(address)
                try:
                    writer.write(f"{batch}\n".encode())
                    async for data in _bounded(request, MOST_BATCH_BYTES):
                        self._count(path, len(data))
                        writer.write(data)
                        await writer.drain()
                    writer.write_eof()
                    if await reader.read(1) != b".":
                        raise ConnectionResetError
                finally:
                    writer.close()
        return Response(status_code=204)

    def _count(self, path: str, size: int) -> None:
        """Count bytes of a log; of the builds that are remembered for it the oldest are forgotten."""
        self._log_bytes[path] = self._log_bytes.get(path, 0) + size
        while len(self._log_bytes) > 1000:
            del self._log_bytes[next(iter(self._log_bytes))]

    async def _exchange(self, request: Request) -> Exchange:
        """The exchange of the build that the request is for; raises ServiceProblem."""
        found = request.path_params
        exchange = Exchange(self._root, (found["tenant"], found["function"], found["number"]))
        scheme, _space, bearer = request.headers.get("Authorization", "").partition(" ")
        admitted = await run_in_threadpool(exchange.admits, bearer)
        if admitted is None:
            raise _not_here()
        if not admitted or scheme.lower() != "bearer":
            raise ServiceProblem(
                Code.UNAUTHORIZED, "This is not the bearer of the build.", next_step="Deploy again for a new build."
            )
        return exchange

    @contextlib.contextmanager
    def _alone(self, request: Request) -> t.Iterator[None]:
        """Refuse a second request of the same kind at the same time: no builder of ours sends it."""
        path = request.url.path
        if path in self._busy:
            raise ServiceProblem(
                Code.TOO_MANY, "Another request does the same.", next_step="Wait for its end.", retry_after=1
            )
        self._busy.add(path)
        try:
            yield
        finally:
            self._busy.discard(path)


def _architecture(request: Request) -> str:
    """The architecture that a request names; raises ServiceProblem."""
    found = str(request.path_params["architecture"])
    if found not in ARCHITECTURES:
        raise ServiceProblem(
            Code.BAD_REQUEST,
            "Dependencies are kept for no such architecture.",
            next_step=f"Name one of these: {', '.join(ARCHITECTURES)}.",
        )
    return found


async def _bounded(request: Request, most: int) -> t.AsyncIterator[bytes]:
    """The body in pieces; raises ServiceProblem where it is longer, ClientDisconnect where it is cut off."""
    size = 0
    async for data in request.stream():
        size += len(data)
        if size > most:
            raise _too_large(most)
        yield data


@contextlib.contextmanager
def _while_it_waits() -> t.Iterator[None]:
    try:
        yield
    except (FileNotFoundError, ConnectionError) as error:
        raise _not_here() from error
    except TimeoutError as error:
        raise _unavailable("The worker of the deployment takes no log lines.") from error
    except OSError as error:
        raise _unavailable(f"What the build sends cannot be kept: {error.strerror}.") from error


def _not_here() -> ServiceProblem:
    """Another replica may have it, or it is over."""
    return ServiceProblem(
        Code.NOT_FOUND, "No worker of this replica waits for the build.", next_step="Try again.", retry_after=1
    )


def _unavailable(cause: str) -> ServiceProblem:
    return ServiceProblem(Code.UNAVAILABLE, cause, next_step="Try again.", retry_after=5)


def _too_large(most: int) -> ServiceProblem:
    return ServiceProblem(
        Code.TOO_LARGE, f"A build may send no more than {most >> 10} KiB of this.", next_step="Send less."
    )
