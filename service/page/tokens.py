# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tokens of a tenant, for administrators: what there are, another one, and their end."""

from __future__ import annotations

from starlette.responses import Response

from ..problem import Code, ServiceProblem
from ..tokens import Role, Token, has_ended
from .forms import field
from .view import link, see
from .visit import Visit


def tokens(visit: Visit) -> Response:
    """The tokens of a tenant."""
    return _page(visit)


def create(visit: Visit) -> Response:
    """Make a token for a tenant, and show it: no page does again."""
    name = field(visit.form, "name")
    role = Role.DEPLOY if field(visit.form, "deploy") else Role.READ
    day = field(visit.form, "last_day")
    # What browsers send of a field for a day; the service refuses what is no time.
    secret = visit.service.create_token(visit.who, name, visit.tenant, role, f"{day}T23:59:59Z" if day else "")
    return _page(visit, made=name, secret=secret)


def revoke(visit: Visit) -> Response:
    """End a token of a tenant."""
    name = str(visit.request.path_params["token"])
    if name not in {one.name for one in _of_tenant(visit)}:
        raise ServiceProblem(
            Code.NOT_FOUND,
            f"{visit.tenant} has no token {name!r}.",
            next_step="It may have been revoked already: load the page of the tokens again.",
        )
    visit.service.delete_token(visit.who, name)
    return see(link(visit.tenant, "tokens"))


def _page(visit: Visit, *, made: str = "", secret: str = "") -> Response:
    found = _of_tenant(visit)
    ended = {one.name for one in found if has_ended(one)}
    return visit.render("tokens.html", tenant=visit.tenant, tokens=found, ended=ended, made=made, secret=secret)


def _of_tenant(visit: Visit) -> list[Token]:
    """The tokens of the tenant in the path; raises ServiceProblem for all but administrators."""
    visit.service.may(visit.who, visit.tenant, Role.READ)
    return [one for one in visit.service.list_tokens(visit.who) if one.tenant == visit.tenant]
