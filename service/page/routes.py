# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The paths of the page."""

from __future__ import annotations

from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from ..api.context import Context
from . import deployments, entrance, functions, tokens
from .view import STATIC
from .visit import endpoint


def routes(context: Context) -> list[BaseRoute]:
    """The page as routes of Starlette."""
    tenant, function = "/tenants/{tenant}", "/tenants/{tenant}/functions/{name}"
    deployment = f"{function}/deployments/{{number:int}}"
    shown = {
        "/": entrance.home,
        "/session": entrance.home,
        "/tenants": entrance.tenants,
        tenant: functions.functions,
        f"{tenant}/tokens": tokens.tokens,
        f"{tenant}/new": functions.new,
        f"{tenant}/new/{{starter}}": functions.edit,
        function: functions.function,
        f"{function}/logs": functions.logs,
        f"{function}/delete": functions.confirm_delete,
        deployment: deployments.deployment,
        "/tenants/{rest:path}": entrance.nothing,
    }
    sent = {
        f"{tenant}/tokens": tokens.create,
        f"{tenant}/tokens/{{token}}/revoke": tokens.revoke,
        f"{tenant}/new": functions.create,
        f"{tenant}/new/{{starter}}": functions.create_edited,
        f"{function}/source": functions.upload,
        f"{function}/rollback": functions.roll_back,
        f"{function}/promote": functions.promote,
        f"{function}/variables": functions.set_variable,
        f"{function}/variables/remove": functions.remove_variable,
        f"{function}/delete": functions.delete,
        f"{deployment}/cancel": deployments.cancel,
    }
    return [
        Mount("/static", StaticFiles(directory=STATIC)),
        Route("/session", entrance.sign_in(context), methods=["POST"]),
        Route("/session/end", entrance.sign_out, methods=["POST"]),
        Route("/language", entrance.choose_language, methods=["POST"]),
        *(Route(path, endpoint(context, handler), methods=["GET"]) for path, handler in shown.items()),
        *(Route(path, endpoint(context, handler), methods=["POST"]) for path, handler in sent.items()),
    ]
