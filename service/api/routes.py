# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The URLs of the API."""

from __future__ import annotations

import functools

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import deployments, functions, health, log_stream, sources, tokens
from .context import Context, Handler

_FUNCTION = "/v1/tenants/{tenant}/functions/{function}"

ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/healthz", health.healthz),
    ("GET", "/readyz", health.readyz),
    ("GET", "/metrics", health.metrics),
    ("GET", "/openapi.json", health.openapi),
    ("GET", "/v1/self", tokens.read_self),
    ("GET", "/v1/tokens", tokens.list_all),
    ("POST", "/v1/tokens", tokens.create),
    ("DELETE", "/v1/tokens/{name}", tokens.delete),
    ("GET", "/v1/tenants", functions.list_tenants),
    ("POST", "/v1/tenants/{tenant}/sources", sources.post),
    ("HEAD", "/v1/tenants/{tenant}/sources/{digest}", sources.look_up),
    ("PUT", "/v1/tenants/{tenant}/sources/{digest}", sources.put),
    ("GET", "/v1/tenants/{tenant}/functions", functions.list_all),
    ("GET", _FUNCTION, functions.read),
    ("DELETE", _FUNCTION, functions.delete),
    ("GET", f"{_FUNCTION}/logs", functions.log),
    ("PUT", f"{_FUNCTION}/source", deployments.put_source),
    ("POST", f"{_FUNCTION}/deployments", deployments.create),
    ("GET", f"{_FUNCTION}/deployments", deployments.list_all),
    ("GET", f"{_FUNCTION}/deployments/{{number}}", deployments.read),
    ("DELETE", f"{_FUNCTION}/deployments/{{number}}", deployments.cancel),
    ("GET", f"{_FUNCTION}/deployments/{{number}}/log", log_stream.log),
    ("POST", f"{_FUNCTION}/rollback", deployments.roll_back),
    ("POST", f"{_FUNCTION}/promote", functions.promote),
    ("GET", f"{_FUNCTION}/variables", functions.list_variables),
    ("PUT", f"{_FUNCTION}/variables/{{variable}}", functions.put_variable),
    ("DELETE", f"{_FUNCTION}/variables/{{variable}}", functions.delete_variable),
    ("PUT", f"{_FUNCTION}/secrets/{{variable}}", functions.put_secret),
    ("DELETE", f"{_FUNCTION}/secrets/{{variable}}", functions.delete_variable),
)
"""Method, URL and handler; openapi.yml describes the same (tests/unit/service/api)."""


def routes(context: Context) -> list[Route]:
    """The API as routes of Starlette."""
    by_path: dict[str, dict[str, Handler]] = {}
    for method, path, handler in ROUTES:
        by_path.setdefault(path, {})[method] = handler
    return [
        Route(path, functools.partial(_answer, handlers, context), methods=list(handlers))
        for path, handlers in by_path.items()
    ]


async def _answer(handlers: dict[str, Handler], context: Context, request: Request) -> Response:
    handler = handlers.get(request.method) or handlers["GET"]  # HEAD where there is GET
    return await handler(request, context)
