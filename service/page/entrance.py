# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signing in and out, the language, and the choice of a tenant."""

from __future__ import annotations

import typing as t

from starlette.requests import Request
from starlette.responses import Response

from ...plugins.module_utils.errors import PlatformError
from ..api.context import Context
from ..names import check_tenant
from ..problem import Code, ServiceProblem
from ..tokens import Role
from . import session
from .forms import field, form_of
from .language import switch
from .texts import LANGUAGES
from .view import link, see
from .visit import Visit, foreign_page, other_host, problem_page, sign_in_page


def sign_in(context: Context) -> t.Callable[[Request], t.Awaitable[Response]]:
    """Takes a token, and keeps it in a cookie if it is valid."""

    async def answer(request: Request) -> Response:
        if (refusal := _refusal(request)) is not None:
            return refusal
        try:
            async with form_of(request) as form:
                token, back = field(form, "token"), _local(field(form, "back"))
        except PlatformError as error:
            return problem_page(request, error)
        try:
            await context.authenticator.check(request, token)
        except ServiceProblem as problem:
            refused = problem.code is Code.UNAUTHORIZED
            return sign_in_page(request, refused=True, back=back) if refused else problem_page(request, problem)
        response = see(back)
        session.begin(response, request, token)
        return response

    return answer


async def sign_out(request: Request) -> Response:
    """Forgets the token."""
    if (refusal := _refusal(request)) is not None:
        return refusal
    response = see("/")
    session.end(response, request)
    return response


async def choose_language(request: Request) -> Response:
    """Keeps the chosen language, and goes back."""
    if (refusal := _refusal(request)) is not None:
        return refusal
    try:
        async with form_of(request) as form:
            language, back = field(form, "language"), _local(field(form, "back"))
    except PlatformError as error:
        return problem_page(request, error)
    response = see(back)
    if language in LANGUAGES:
        switch(response, request, language)
    return response


def home(visit: Visit) -> Response:
    """The functions of the token's tenant; for an administrator the choice of one."""
    return see("/tenants" if visit.who.role is Role.ADMIN else link(visit.who.tenant))


def tenants(visit: Visit) -> Response:
    """The tenants that the token may see; `?tenant=NAME` goes to one."""
    chosen = visit.request.query_params.get("tenant", "").strip()
    if chosen:
        return see(link(check_tenant(chosen)))
    return visit.render("tenants.html", tenants=visit.service.tenants(visit.who))


def nothing(visit: Visit) -> Response:
    """The answer for a path that has no page."""
    raise ServiceProblem(
        Code.NOT_FOUND,
        f"There is no page {visit.request.url.path}.",
        next_step="Go on from the functions of your tenant.",
    )


def _refusal(request: Request) -> Response | None:
    if (elsewhere := other_host(request)) is not None:
        return elsewhere
    return None if session.is_from_page(request) else foreign_page(request)


def _local(path: str) -> str:
    """A path of this host to go to, whoever made the form: `//host` and `/\\host` would lead away."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"
