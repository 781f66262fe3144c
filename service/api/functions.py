# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/v1/tenants and /v1/tenants/{tenant}/functions: what runs, its log and its variables."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ..core import public, public_function
from ..tokens import Role, Token
from ..variables import Variable
from .content import json_content
from .context import Context
from .query import number_in, place, switch


class VariableRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of PUT …/variables/{variable} and …/secrets/{variable}."""

    value: str


async def list_tenants(request: Request, context: Context) -> Response:
    """GET /v1/tenants."""
    token = await context.token(request)
    return JSONResponse({"tenants": await run_in_threadpool(context.service.tenants, token)})


async def list_all(request: Request, context: Context) -> Response:
    """GET: the functions of a tenant."""
    token = await context.token(request)
    found = await run_in_threadpool(context.service.list_functions, token, request.path_params["tenant"])
    return JSONResponse({"functions": [public_function(one) for one in found]})


async def read(request: Request, context: Context) -> Response:
    """GET …/{function}."""
    token = await context.token(request)
    return JSONResponse(public_function(await run_in_threadpool(context.service.function, token, *place(request))))


async def delete(request: Request, context: Context) -> Response:
    """DELETE …/{function}: `?keep_data=true` keeps its stores and databases."""
    token = await context.token(request)
    keep_data = switch(request, "keep_data")
    tenant, name = place(request)
    changed = await run_in_threadpool(lambda: context.service.delete(token, tenant, name, keep_data=keep_data))
    return JSONResponse({"changed": changed})


async def log(request: Request, context: Context) -> Response:
    """GET …/logs: the last `?lines=100` that it wrote."""
    token = await context.token(request)
    lines = number_in(request.query_params.get("lines", "100"), "lines", 1, 10_000)
    found = await run_in_threadpool(context.service.log, token, *place(request), lines)
    return PlainTextResponse("".join(f"{line}\n" for line in found))


async def promote(request: Request, context: Context) -> Response:
    """POST …/promote: make the canary the version."""
    token = await context.token(request)
    await run_in_threadpool(context.service.promote, token, *place(request))
    return JSONResponse({"changed": True})


async def list_variables(request: Request, context: Context) -> Response:
    """GET …/variables: without the values of secrets."""
    token = await context.token(request)
    found = await run_in_threadpool(context.service.variables, token, *place(request))
    return JSONResponse(
        {
            "variables": [
                {"name": name, "value": None if one.secret else one.value, "secret": one.secret}
                for name, one in found.items()
            ],
            "wait": await run_in_threadpool(context.service.variables_wait, token, *place(request)),
        }
    )


async def put_variable(request: Request, context: Context) -> Response:
    """PUT …/variables/{variable}: `?deploy=false` leaves it to the next deployment."""
    return await _put(request, context, secret=False)


async def put_secret(request: Request, context: Context) -> Response:
    """PUT …/secrets/{variable}: its value is never given again."""
    return await _put(request, context, secret=True)


async def delete_variable(request: Request, context: Context) -> Response:
    """DELETE …/variables/{variable} and …/secrets/{variable}."""
    return await _set(request, context, await context.token(request), None)


async def _put(request: Request, context: Context, *, secret: bool) -> Response:
    token = await context.token(request)
    context.service.may(token, request.path_params["tenant"], Role.DEPLOY)
    content = await json_content(request, VariableRequest)
    return await _set(request, context, token, Variable(content.value, secret))


async def _set(request: Request, context: Context, token: Token, value: Variable | None) -> Response:
    tenant, name = place(request)
    deploy = switch(request, "deploy", default=True)
    deployment = await run_in_threadpool(
        lambda: context.service.set_variable(token, tenant, name, request.path_params["variable"], value, deploy=deploy)
    )
    shown = public(deployment, context.service.position(deployment)) if deployment else None
    return JSONResponse({"deployment": shown})
