# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/v1/tokens and /v1/self."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..tokens import Role, Token
from .content import json_content
from .context import Context


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/tokens."""

    name: str
    tenant: str
    role: Role
    expires: str = ""


async def read_self(request: Request, context: Context) -> Response:
    """GET /v1/self: what the token of the request is."""
    return JSONResponse(_shown(await context.token(request)))


async def list_all(request: Request, context: Context) -> Response:
    """GET."""
    token = await context.token(request)
    found = await run_in_threadpool(context.service.list_tokens, token)
    return JSONResponse({"tokens": [_shown(one) for one in found]})


async def create(request: Request, context: Context) -> Response:
    """POST: the answer shows the token once."""
    token = await context.token(request)
    context.service.may_administer(token)
    wanted = await json_content(request, TokenRequest)
    secret = await run_in_threadpool(
        context.service.create_token, token, wanted.name, wanted.tenant, wanted.role, wanted.expires
    )
    made = next(one for one in await run_in_threadpool(context.service.list_tokens, token) if one.name == wanted.name)
    return JSONResponse({**_shown(made), "token": secret}, 201)


async def delete(request: Request, context: Context) -> Response:
    """DELETE …/{name}."""
    token = await context.token(request)
    await run_in_threadpool(context.service.delete_token, token, request.path_params["name"])
    return Response(status_code=204)


def _shown(token: Token) -> dict[str, str]:
    shown: dict[str, str] = msgspec.to_builtins(token)
    return shown
