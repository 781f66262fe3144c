# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors as application/problem+json (RFC 9457)."""

from __future__ import annotations

import logging
import typing as t

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from ...plugins.module_utils.errors import PlatformError
from ...plugins.module_utils.spinkube.connection import NoAnswer
from ..problem import Code, ServiceProblem

_LOG = logging.getLogger(__name__)

_BY_STATUS = {
    400: ServiceProblem(Code.BAD_REQUEST, "The request cannot be read.", next_step="See /openapi.json for its form."),
    404: ServiceProblem(
        Code.NOT_FOUND, "There is nothing at this URL.", next_step="See /openapi.json for those there are."
    ),
    405: ServiceProblem(
        Code.METHOD_NOT_ALLOWED,
        "This URL does not take the method.",
        next_step="See /openapi.json for those that it takes.",
    ),
    413: ServiceProblem(Code.TOO_LARGE, "The content is too large.", next_step="Send less at once."),
}


def problem_response(problem: ServiceProblem, more_headers: t.Mapping[str, str] | None = None) -> Response:
    """The answer for a problem."""
    code = problem.code
    headers = dict(more_headers or {})
    if code is Code.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return JSONResponse(
        {
            "type": "about:blank",
            "title": code.title,
            "status": code.status,
            "code": code.code,
            "detail": problem.cause,
            "next_step": problem.next_step,
        },
        code.status,
        headers,
        media_type="application/problem+json",
    )


async def on_problem(request: Request, error: Exception) -> Response:
    """Answer ServiceProblem, PlatformError, HTTPException and what nobody expected."""
    # Starlette puts `Allow` into the error of a method that the URL does not take.
    return problem_response(_as_problem(request, error), getattr(error, "headers", None))


def _as_problem(request: Request, error: Exception) -> ServiceProblem:
    if isinstance(error, ServiceProblem):
        return error
    if isinstance(error, NoAnswer):
        return ServiceProblem(Code.UNAVAILABLE, error.cause, next_step="Try again later.", retry_after=10)
    if isinstance(error, PlatformError):
        return ServiceProblem(Code.CONFLICT, error.cause, next_step=error.next_step)
    if isinstance(error, ClientDisconnect):
        return _BY_STATUS[400]
    if isinstance(error, HTTPException):
        return _BY_STATUS.get(error.status_code, _BY_STATUS[400])
    _LOG.error("%s %s", request.method, request.url.path, exc_info=error)
    return ServiceProblem(
        Code.INTERNAL,
        "The service made a mistake; its log says more.",
        next_step="Try again; if it stays, tell whoever runs the service.",
    )


HANDLERS: dict[t.Any, t.Any] = {
    PlatformError: on_problem,
    ClientDisconnect: on_problem,
    HTTPException: on_problem,
    Exception: on_problem,
}
"""For Starlette's `exception_handlers`."""
