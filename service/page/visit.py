# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to the page: who makes it, what it sends, and how its errors are shown."""

from __future__ import annotations

import dataclasses
import logging
import typing as t

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from ...plugins.module_utils.errors import PlatformError
from ..api.context import Context
from ..core import Service
from ..problem import Code, ServiceProblem
from ..tokens import Role, Token
from . import session
from .forms import form_of
from .language import language_of
from .texts import text
from .view import place_to_return, render, see

_LOG = logging.getLogger(__name__)

_COOKIES_OF_ALL_PORTS = ("127.0.0.1", "::1")


@dataclasses.dataclass(frozen=True)
class Visit:
    """A request of somebody who is signed in; `form` is empty for what only shows something."""

    request: Request
    service: Service
    who: Token
    form: FormData

    @property
    def tenant(self) -> str:
        """The tenant in the path."""
        return str(self.request.path_params["tenant"])

    @property
    def name(self) -> str:
        """The function in the path."""
        return str(self.request.path_params["name"])

    @property
    def may_change(self) -> bool:
        """Whether the token allows more than reading."""
        return self.who.role is not Role.READ

    def render(self, template: str, **values: t.Any) -> Response:
        """A page of this visit."""
        return render(self.request, template, self.who, may_change=self.may_change, **values)


Handler = t.Callable[[Visit], Response]
Endpoint = t.Callable[[Request], t.Awaitable[Response]]


def endpoint(context: Context, handler: Handler) -> Endpoint:
    """What Starlette calls for a page of somebody who is signed in. The handler runs in a thread."""

    async def answer(request: Request) -> Response:
        if (elsewhere := other_host(request)) is not None:
            return elsewhere
        if request.method == "POST" and not session.is_from_page(request):
            return foreign_page(request)
        try:
            try:
                who = await context.authenticator.check(request, session.token_of(request))
            except ServiceProblem as problem:
                if problem.code is Code.UNAUTHORIZED:
                    return sign_in_page(request)
                raise
            return await _handled(request, context.service, who, handler)
        except PlatformError as error:
            return problem_page(request, error)
        except Exception:  # a browser gets a page, and not the API's JSON
            _LOG.exception("%s %s", request.method, request.url.path)
            return _error(request, Code.INTERNAL.status, "error.internal")

    return answer


async def _handled(request: Request, service: Service, who: Token, handler: Handler) -> Response:
    if request.method != "POST":
        return await run_in_threadpool(handler, Visit(request, service, who, FormData()))
    tenant = request.path_params.get("tenant")
    if tenant is not None:
        service.may(who, tenant, Role.DEPLOY)  # before anything of an upload is read
    async with form_of(request) as form:
        return await run_in_threadpool(handler, Visit(request, service, who, form))


def other_host(request: Request) -> Response | None:
    """The way to the name localhost, where the page is asked for by the address that it stands for.

    A browser sends a host's cookies to all of its ports, and local functions are ports of 127.0.0.1.
    """
    if request.url.hostname not in _COOKIES_OF_ALL_PORTS:
        return None
    path = request.url.path if request.method in ("GET", "HEAD") else "/"
    return see(str(request.url.replace(hostname="localhost", path=path)))


def foreign_page(request: Request) -> Response:
    """The refusal of what another site's page sends with this browser's cookie."""
    return _error(request, Code.FORBIDDEN.status, "error.origin")


def sign_in_page(request: Request, *, refused: bool = False, back: str = "") -> Response:
    """The form to sign in, in place of a page that needs it; where a session has ended, it says so.

    Args:
        refused: a token was entered that is not valid.
        back: path of the page to go to afterwards; empty for the one that was asked for.
    """
    had_session = bool(session.token_of(request))
    response = render(
        request,
        "sign_in.html",
        None,
        status=200 if request.url.path == "/" and not had_session else Code.UNAUTHORIZED.status,
        problem="sign_in.refused" if refused else "error.expired" if had_session else "",
        back=back or (request.url.path if request.method == "GET" else "/"),
    )
    if had_session:
        session.end(response, request)
    return response


def problem_page(request: Request, error: PlatformError) -> Response:
    """The page that shows an error with its next step."""
    code = error.code if isinstance(error, ServiceProblem) else Code.CONFLICT
    response = render(
        request,
        "error.html",
        None,
        status=code.status,
        cause=error.cause,
        cause_language="en",
        next_step=error.next_step,
        back=place_to_return(request) if request.method == "POST" else "/",
    )
    if isinstance(error, ServiceProblem) and error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _error(request: Request, status: int, key: str) -> Response:
    """The page of an error that the page itself words."""
    language = language_of(request)
    cause, next_step = text(language, key), text(language, f"{key}.next")
    return render(
        request,
        "error.html",
        None,
        status=status,
        cause=cause,
        cause_language=language,
        next_step=next_step,
        back="/",
    )
