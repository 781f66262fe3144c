# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/v1/tenants/{tenant}/sources: uploads by digest or as a form."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..problem import Code, ServiceProblem
from ..sources.store import Source, is_digest
from ..tokens import Role
from .content import keep_form, take_archive
from .context import Context


async def look_up(request: Request, context: Context) -> Response:
    """HEAD …/{digest}: whether the source is there."""
    tenant, digest = request.path_params["tenant"], request.path_params["digest"]
    context.service.may(await context.token(request), tenant, Role.READ)
    _check_digest(digest)
    found = await run_in_threadpool(context.service.sources.find, tenant, digest)
    return Response(status_code=200 if found else 404)


async def put(request: Request, context: Context) -> Response:
    """PUT …/{digest}: an archive with that digest."""
    tenant, digest = request.path_params["tenant"], request.path_params["digest"]
    context.service.may(await context.token(request), tenant, Role.DEPLOY)
    _check_digest(digest)
    with context.service.sources.upload(tenant) as upload:
        await take_archive(request, upload)
        source, new = await run_in_threadpool(context.service.sources.keep, tenant, upload, digest)
    return _answer(source, 201 if new else 200, tenant)


async def post(request: Request, context: Context) -> Response:
    """POST: a form with an archive or with files."""
    tenant = request.path_params["tenant"]
    context.service.may(await context.token(request), tenant, Role.DEPLOY)
    source, _new = await keep_form(request, context.service, tenant)
    return _answer(source, 201, tenant)


def _answer(source: Source, status: int, tenant: str) -> Response:
    return JSONResponse(
        msgspec.to_builtins(source), status, {"Location": f"/v1/tenants/{tenant}/sources/{source.source}"}
    )


def _check_digest(digest: str) -> None:
    if not is_digest(digest):
        raise ServiceProblem(
            Code.INVALID,
            "The digest in the URL is none.",
            next_step="Write it as `sha256:` and what `sha256sum FILE` prints.",
        )
