# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/v1/tenants/{tenant}/functions/{function}/deployments, and …/source, which uploads and deploys at once."""

from __future__ import annotations

import asyncio
import typing as t

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from ..core import public
from ..deployments.model import Deployment, Settings
from ..names import check_function
from ..problem import Code, ServiceProblem
from ..tokens import Role, Token
from .content import json_content, take_archive
from .context import Context
from .log_stream import NOT_BUFFERED, progress_text
from .query import deployment_number, number_in, place

LONGEST_WAIT = 60
"""Seconds that `?wait` may ask for."""

_LOOK_SECONDS = 0.1


class DeploymentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST …/deployments."""

    source: str
    settings: Settings = Settings()


class RollbackRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST …/rollback."""

    to: t.Annotated[int, msgspec.Meta(ge=1)] | None = None


async def create(request: Request, context: Context) -> Response:
    """POST: deploy a source that was uploaded."""
    token = await context.token(request)
    tenant, function = place(request)
    context.service.may(token, tenant, Role.DEPLOY)
    content = await json_content(request, DeploymentRequest)
    deployment = await run_in_threadpool(
        context.service.deploy, token, tenant, function, content.source, content.settings
    )
    return _accepted(deployment, context)


async def roll_back(request: Request, context: Context) -> Response:
    """POST …/rollback: deploy an earlier version again."""
    token = await context.token(request)
    tenant, function = place(request)
    context.service.may(token, tenant, Role.DEPLOY)
    content = await json_content(request, RollbackRequest)
    deployment = await run_in_threadpool(context.service.roll_back, token, tenant, function, content.to)
    return _accepted(deployment, context)


async def put_source(request: Request, context: Context) -> Response:
    """PUT …/source: the one line `curl -T`; shows the progress, or answers as POST …/deployments for JSON."""
    token = await context.token(request)
    tenant, function = place(request)
    context.service.may(token, tenant, Role.DEPLOY)
    check_function(function)
    settings, wait = _settings_of_query(request)
    with context.service.sources.upload(tenant) as upload:
        await take_archive(request, upload)
        source, _new = await run_in_threadpool(context.service.sources.keep, tenant, upload)
    deployment = await run_in_threadpool(context.service.deploy, token, tenant, function, source.source, settings)
    if "application/json" in request.headers.get("Accept", ""):
        return _accepted(deployment, context)
    location = {"Location": _path(deployment)}
    if not wait:
        return Response(f"deployment {_path(deployment)}\n", 202, location, "text/plain")
    return StreamingResponse(
        progress_text(context.service, deployment),
        200,
        {**location, **NOT_BUFFERED},
        "text/plain; charset=utf-8",
    )


async def list_all(request: Request, context: Context) -> Response:
    """GET: the kept deployments, newest first."""
    token = await context.token(request)
    found = await run_in_threadpool(context.service.list_deployments, token, *place(request))
    return JSONResponse({"deployments": [public(one, context.service.position(one)) for one in found]})


async def read(request: Request, context: Context) -> Response:
    """GET …/{number}: one deployment; `?wait=SECONDS` waits for its end."""
    token = await context.token(request)
    seconds = number_in(request.query_params.get("wait", "0"), "wait", 0, LONGEST_WAIT)
    end = asyncio.get_running_loop().time() + seconds
    while True:
        deployment = await _deployment(request, context, token)
        if deployment.phase.is_finished or asyncio.get_running_loop().time() >= end:
            return JSONResponse(public(deployment, context.service.position(deployment)))
        await asyncio.sleep(_LOOK_SECONDS)


async def cancel(request: Request, context: Context) -> Response:
    """DELETE …/{number}: end a deployment that waits or is built."""
    token = await context.token(request)
    ended = await run_in_threadpool(context.service.cancel, token, *place(request), deployment_number(request))
    return JSONResponse(public(ended), 202)


async def _deployment(request: Request, context: Context, token: Token) -> Deployment:
    return await run_in_threadpool(context.service.deployment, token, *place(request), deployment_number(request))


def _settings_of_query(request: Request) -> tuple[Settings, bool]:
    """Settings, and whether to wait for the end; raises ServiceProblem."""
    given: dict[str, t.Any] = dict(request.query_params)
    wait = given.pop("wait", "true")
    try:
        if wait not in ("true", "false"):
            raise msgspec.ValidationError("wait: must be true or false")
        return msgspec.convert(given, Settings, strict=False), wait == "true"
    except msgspec.ValidationError as error:
        raise ServiceProblem(
            Code.INVALID, f"The query is not what is expected: {error}.", next_step="See /openapi.json for it."
        ) from error


def _accepted(deployment: Deployment, context: Context) -> Response:
    shown = public(deployment, context.service.position(deployment))
    return JSONResponse(shown, 200 if deployment.phase.is_finished else 202, {"Location": _path(deployment)})


def _path(deployment: Deployment) -> str:
    return f"/v1/tenants/{deployment.tenant}/functions/{deployment.function}/deployments/{deployment.number}"
