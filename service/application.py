# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service as an ASGI application."""

from __future__ import annotations

import contextlib
import typing as t

from starlette.applications import Starlette

from .api.authentication import Authenticator
from .api.context import Context
from .api.problems import HANDLERS
from .api.routes import routes
from .core import Service
from .deployments.model import Deployment
from .deployments.queue import Limits
from .deployments.supervisor import Supervisor
from .directories import Directories
from .local_adapters import LocalAdapters
from .metrics import Metrics
from .page.routes import routes as page_routes
from .page.session import token_of
from .tokens import FileTokenStore


@contextlib.contextmanager
def local_service(directories: Directories, limits: Limits) -> t.Iterator[Service]:
    """The service on this machine: builds as processes, functions on the local target, files for what it knows. Inside
    of the context it works on deployments."""
    directories.service.mkdir(parents=True, exist_ok=True, mode=0o700)
    adapters = LocalAdapters(directories)
    metrics = Metrics()

    def finished(deployment: Deployment) -> None:
        metrics.finished(deployment)
        service.forget_oldest(deployment)

    supervisor = Supervisor(adapters, limits, finished)
    service = Service(
        adapters.deployments,
        adapters.sources,
        adapters.functions,
        adapters.variables,
        FileTokenStore(directories.service / "tokens.json"),
        supervisor,
    )
    with supervisor, metrics.queue_of(supervisor):
        yield service


def application(service: Service) -> Starlette:
    """The API and the page over a service."""
    context = Context(service, Authenticator(service, token_of))
    return Starlette(routes=[*routes(context), *page_routes(context)], exception_handlers=HANDLERS)
