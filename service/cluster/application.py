# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service in a cluster, as one of its replicas."""

from __future__ import annotations

import contextlib
import os
import shutil
import typing as t
from pathlib import Path

from starlette.applications import Starlette

from ..api.problems import HANDLERS
from ..builds.endpoint import BuildEndpoint
from ..core import Service
from ..deployments.model import Deployment
from ..deployments.supervisor import Supervisor
from ..metrics import Metrics
from ..tokens import TokenStore
from .adapters import ClusterAdapters
from .lease import Leadership, ServiceLease
from .logs import PORT
from .tokens import ClusterTokenStore
from .unfinished import ClusterQueue, Unfinished


class Replica:
    """One replica: all serve the API, and the one with the Lease works on deployments.

    Attributes:
        service: what the API serves.
        logs: as this replica sees them.
        lease: says which replica works, with the address at which it answers.
    """

    def __init__(self, settings_file: Path, holder: str, builds_port: int = PORT) -> None:
        """Args:
        holder: this replica, `<pod>_<address>:<port>`.
        builds_port: at which each replica serves `builds_application`.
        """
        self.adapters = ClusterAdapters(settings_file, os.getpid())
        settings, apis = self.adapters.settings, self.adapters.apis
        self._metrics = Metrics()
        self._supervisor: Supervisor | None = None
        self._unfinished = Unfinished(apis, self._see)
        queue = ClusterQueue(self.adapters.deployments, settings.limits, self._unfinished, lambda: self._supervisor)
        self._queue = queue
        self.lease = ServiceLease(lambda: apis.impatient, settings.namespace, holder, settings.lease_seconds)
        self.logs = self.adapters.logs_of(lambda: self._another_worker, builds_port)
        self.service = Service(
            self.adapters.deployments,
            self.adapters.sources,
            self.adapters.functions,
            self.adapters.variables,
            self._tokens(),
            queue,
            self.logs,
        )

    def _tokens(self) -> TokenStore:
        settings = self.adapters.settings
        own = ClusterTokenStore(lambda: self.adapters.apis.own, settings.namespace)
        if settings.oidc is None:
            return own
        # Not before it is needed: its library takes 20 MiB.
        from .oidc_tokens import OidcTokenStore

        return OidcTokenStore(settings.oidc, own)

    def builds_application(self) -> Starlette:
        """What the pods of builds and the other replicas ask for."""
        endpoint = BuildEndpoint(self.adapters.exchanges)
        routes = [*endpoint.routes(), *self.logs.routes(self.adapters.deployments.read)]
        return Starlette(routes=routes, exception_handlers=HANDLERS)

    @property
    def _another_worker(self) -> str:
        """`<address>:<port>` of the other replica that works on deployments; empty where this one does, or none."""
        current = self.lease.current
        return "" if self._supervisor is not None or current == self.lease.holder else current.partition("_")[2]

    @contextlib.contextmanager
    def running(self) -> t.Iterator[Service]:
        """Inside of the context the replica follows the deployments, and works on them while it holds the Lease."""
        with self._unfinished, self._metrics.queue_of(self._queue), Leadership(self.lease, self._work):
            yield self.service

    def _work(self, wait: t.Callable[[], bool]) -> None:
        try:
            self._supervise(wait)
        finally:
            # A killed worker leaves its own, and a build that hands its result over there has done so for nobody.
            shutil.rmtree(self.adapters.exchanges, ignore_errors=True)

    def _supervise(self, wait: t.Callable[[], bool]) -> None:
        shutil.rmtree(self.adapters.exchanges, ignore_errors=True)  # of a container before this one
        with Supervisor(self.adapters, self.adapters.settings.limits, self._finished) as supervisor:
            self._supervisor = supervisor
            try:
                for deployment in self._unfinished.all():
                    supervisor.see(deployment)
                if wait():
                    supervisor.abandon()
            finally:
                self._supervisor = None

    def _see(self, deployment: Deployment) -> None:
        if (supervisor := self._supervisor) is not None:
            supervisor.see(deployment)

    def _finished(self, deployment: Deployment) -> None:
        self._metrics.finished(deployment)
        self.service.forget_oldest(deployment)
