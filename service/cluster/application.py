# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service in a cluster, as one of its replicas."""

from __future__ import annotations

import contextlib
import os
import typing as t
from pathlib import Path

from ..core import Service
from ..deployments.model import Deployment
from ..deployments.supervisor import Supervisor
from ..metrics import Metrics
from .adapters import ClusterAdapters
from .lease import Leadership, ServiceLease
from .tokens import ClusterTokenStore
from .unfinished import ClusterQueue, Unfinished


class Replica:
    """One replica: all serve the API, and the one with the Lease works on deployments.

    Attributes:
        service: what the API serves.
        lease: says which replica works, with the address at which it answers.
    """

    def __init__(self, settings_file: Path, holder: str) -> None:
        """Args:
        holder: this replica, `<pod>_<address>:<port>`.
        """
        self.adapters = ClusterAdapters(settings_file, os.getpid())
        settings, apis = self.adapters.settings, self.adapters.apis
        self._metrics = Metrics()
        self._supervisor: Supervisor | None = None
        self._unfinished = Unfinished(apis, self._see)
        queue = ClusterQueue(self.adapters.deployments, settings.limits, self._unfinished, lambda: self._supervisor)
        self._queue = queue
        self.lease = ServiceLease(lambda: apis.impatient, settings.namespace, holder, settings.lease_seconds)
        self.service = Service(
            self.adapters.deployments,
            self.adapters.sources,
            self.adapters.functions,
            self.adapters.variables,
            ClusterTokenStore(lambda: apis.own, settings.namespace),
            queue,
        )

    @property
    def works(self) -> bool:
        """Whether this replica works on deployments."""
        return self._supervisor is not None

    @property
    def address_of_worker(self) -> str:
        """`<address>:<port>` of the replica that works on deployments, as far as this one knows; empty for none."""
        return self.lease.current.partition("_")[2]

    @contextlib.contextmanager
    def running(self) -> t.Iterator[Service]:
        """Inside of the context the replica follows the deployments, and works on them while it holds the Lease."""
        with self._unfinished, self._metrics.queue_of(self._queue), Leadership(self.lease, self._work):
            yield self.service

    def _work(self, wait: t.Callable[[], bool]) -> None:
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
