# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/healthz, /readyz, /metrics and /openapi.json, which need no token."""

from __future__ import annotations

import functools
from pathlib import Path

import prometheus_client
import yaml
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ..problem import Code, ServiceProblem
from .context import Context

OPENAPI = Path(__file__).with_name("openapi.yml")


async def healthz(_request: Request, _context: Context) -> Response:
    """GET /healthz: the process answers."""
    return PlainTextResponse("ok\n")


async def readyz(_request: Request, context: Context) -> Response:
    """GET /readyz: the process can reach what it needs."""
    try:
        await run_in_threadpool(context.service.tokens.all)
    except OSError as error:
        raise ServiceProblem(
            Code.UNAVAILABLE,
            f"The state of the service cannot be read: {error.strerror}.",
            next_step="See its log.",
            retry_after=10,
        ) from error
    return PlainTextResponse("ok\n")


async def metrics(_request: Request, _context: Context) -> Response:
    """GET /metrics: for Prometheus."""
    return Response(
        await run_in_threadpool(prometheus_client.generate_latest), media_type=prometheus_client.CONTENT_TYPE_LATEST
    )


async def openapi(_request: Request, _context: Context) -> Response:
    """GET /openapi.json."""
    return Response(_openapi(), media_type="application/json")


@functools.cache
def _openapi() -> bytes:
    return bytes(JSONResponse(yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))).body)
