# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of functions: the list, a new one, and what one does with one."""

from __future__ import annotations

from starlette.responses import Response

from ..core import Service
from ..deployments.model import Deployment, Phase
from ..names import check_function
from ..problem import Code, ServiceProblem
from ..sources.store import MOST_BYTES
from ..tokens import Role, Token
from ..variables import Variable
from .forms import field
from .starters import Starter, starters
from .upload import keep_starter, keep_upload, settings_of
from .view import link, see
from .visit import Visit

_LOG_LINES = 200


def functions(visit: Visit) -> Response:
    """The functions of a tenant."""
    found = visit.service.list_functions(visit.who, visit.tenant)
    return visit.render(
        "functions.html",
        tenant=visit.tenant,
        functions=found,
        unfinished=any(one.status == "progressing" or _goes_on(one.deployment) for one in found),
        several_tenants=visit.who.role is Role.ADMIN,
    )


def new(visit: Visit) -> Response:
    """The form for a new function: an upload or a template."""
    visit.service.may(visit.who, visit.tenant, Role.DEPLOY)
    return visit.render("new.html", tenant=visit.tenant, most_bytes=MOST_BYTES, starters=starters())


def create(visit: Visit) -> Response:
    """Deploy an upload under a new name."""
    name = _new_name(visit)
    settings = settings_of(visit.form)
    source = keep_upload(visit.service, visit.tenant, visit.form)
    return _see(visit.service.deploy(visit.who, visit.tenant, name, source, settings))


def edit(visit: Visit) -> Response:
    """A template with its files to edit."""
    visit.service.may(visit.who, visit.tenant, Role.DEPLOY)
    return visit.render("editor.html", tenant=visit.tenant, starter=_starter(visit))


def create_edited(visit: Visit) -> Response:
    """Deploy a template with edited files under a new name."""
    name = _new_name(visit)
    settings = settings_of(visit.form)
    source = keep_starter(visit.service, visit.tenant, _starter(visit), visit.form)
    return _see(visit.service.deploy(visit.who, visit.tenant, name, source, settings))


def function(visit: Visit) -> Response:
    """One function."""
    service, who, tenant, name = visit.service, visit.who, visit.tenant, visit.name
    found = service.function(who, tenant, name)
    deployments = service.list_deployments(who, tenant, name)
    # Several deployments may have made the same artifact: the newest of them counts.
    live = next((one.number for one in deployments if one.phase is Phase.READY and one.artifact == found.digest), None)
    return visit.render(
        "function.html",
        tenant=tenant,
        name=name,
        function=found,
        deployments=deployments,
        newest=found.deployment,
        live=live,
        unfinished=found.status == "progressing" or _goes_on(found.deployment),
        variables=service.variables(who, tenant, name),
        most_bytes=MOST_BYTES,
    )


def upload(visit: Visit) -> Response:
    """Deploy a new version of a function."""
    check_function(visit.name)
    settings = settings_of(visit.form)
    source = keep_upload(visit.service, visit.tenant, visit.form)
    return _see(visit.service.deploy(visit.who, visit.tenant, visit.name, source, settings))


def roll_back(visit: Visit) -> Response:
    """Deploy an earlier version again."""
    to = field(visit.form, "to")
    if not (to.isascii() and to.isdecimal()):
        raise ServiceProblem(Code.INVALID, f"{to!r} is no deployment.", next_step="Choose one of the versions.")
    return _see(visit.service.roll_back(visit.who, visit.tenant, visit.name, int(to)))


def promote(visit: Visit) -> Response:
    """Make the canary the function's version."""
    visit.service.promote(visit.who, visit.tenant, visit.name)
    return see(link(visit.tenant, "functions", visit.name))


def set_variable(visit: Visit) -> Response:
    """Set a variable or a secret."""
    value = visit.form.get("value", "")
    text = value.replace("\r\n", "\n") if isinstance(value, str) else ""
    variable = Variable(text, secret=bool(field(visit.form, "secret")))
    return _changed(visit, variable)


def remove_variable(visit: Visit) -> Response:
    """Remove a variable or a secret."""
    return _changed(visit, None)


def logs(visit: Visit) -> Response:
    """What a function wrote last."""
    lines = visit.service.log(visit.who, visit.tenant, visit.name, _LOG_LINES)
    return visit.render("logs.html", tenant=visit.tenant, name=visit.name, logs="\n".join(lines))


def confirm_delete(visit: Visit) -> Response:
    """The question before a function is deleted."""
    visit.service.may(visit.who, visit.tenant, Role.DEPLOY)
    visit.service.function(visit.who, visit.tenant, visit.name)
    return visit.render("delete.html", tenant=visit.tenant, name=visit.name)


def delete(visit: Visit) -> Response:
    """Delete a function."""
    keep_data = bool(field(visit.form, "keep_data"))
    visit.service.delete(visit.who, visit.tenant, visit.name, keep_data=keep_data)
    return see(link(visit.tenant))


def _changed(visit: Visit, variable: Variable | None) -> Response:
    name = field(visit.form, "name")
    deployment = visit.service.set_variable(visit.who, visit.tenant, visit.name, name, variable)
    return _see(deployment) if deployment is not None else see(link(visit.tenant, "functions", visit.name))


def _new_name(visit: Visit) -> str:
    """The name in the form, which no function has yet; raises ServiceProblem."""
    name = check_function(field(visit.form, "name"))
    if _exists(visit.service, visit.who, visit.tenant, name):
        raise ServiceProblem(
            Code.CONFLICT,
            f"There is a function {name!r} already.",
            next_step="Give another name, or upload a new version on the function's own page.",
        )
    return name


def _exists(service: Service, who: Token, tenant: str, name: str) -> bool:
    try:
        service.function(who, tenant, name)
    except ServiceProblem as problem:
        if problem.code is Code.NOT_FOUND:
            return False
        raise
    return True


def _starter(visit: Visit) -> Starter:
    wanted = visit.request.path_params["starter"]
    for starter in starters():
        if starter.name == wanted:
            return starter
    raise ServiceProblem(
        Code.NOT_FOUND, f"There is no template {wanted!r}.", next_step="Choose one of the page for a new function."
    )


def _goes_on(deployment: Deployment | None) -> bool:
    return deployment is not None and not deployment.phase.is_finished


def _see(deployment: Deployment) -> Response:
    return see(link(deployment.tenant, "functions", deployment.function, "deployments", deployment.number))
