# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unfinished deployments of all tenants, followed by a watch, and the queue that they are."""

from __future__ import annotations

import logging
import threading
import typing as t

from ..deployments.model import Deployment, Phase
from ..deployments.queue import Limits, order
from ..deployments.store import DeploymentStore
from ..deployments.supervisor import Supervisor, mark_cancelling, position_in
from .api import FUNCTION_DEPLOYMENT, Apis
from .deployments import as_deployment, unfinished_fields

_LIST_SECONDS = 15
"""How often they are listed anew, in case an event was missed."""

_PAUSE_SECONDS = 1.0
"""After an error."""

_LOG = logging.getLogger(__name__)

Key = tuple[str, str, int]


class Unfinished:
    """Follows the unfinished deployments; use as a context.

    Args:
        seen: called with each as it is now, in a thread of its own.
    """

    def __init__(self, apis: Apis, seen: t.Callable[[Deployment], None]) -> None:
        self._apis, self._seen = apis, seen
        self._lock = threading.Lock()
        self._deployments: dict[Key, Deployment] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="unfinished", daemon=True)

    def __enter__(self) -> Unfinished:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.set()  # the thread may wait for an event, and ends with the process

    def all(self) -> list[Deployment]:
        """Those that are known, in the order in which they were created."""
        with self._lock:
            found = list(self._deployments.values())
        return sorted(found, key=lambda one: (one.created, one.key))

    def put(self, deployment: Deployment) -> None:
        """Take notice of a deployment that was just written."""
        with self._lock:
            known = self._deployments.get(deployment.key)
            if known is None or known.revision < deployment.revision:
                self._deployments[deployment.key] = deployment

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow_once()
            except Exception as error:  # this thread must not end; it lists all anew
                _LOG.warning("the unfinished deployments cannot be followed: %s", error)
                self._stopping.wait(_PAUSE_SECONDS)

    def _follow_once(self) -> None:
        api, fields = self._apis.impatient, unfinished_fields()
        objects, version = api.list_versioned(FUNCTION_DEPLOYMENT, fields)
        listed = {one.key: one for one in map(as_deployment, objects)}
        with self._lock:
            # What was written after the list was made is newer than it.
            newer = {key: one for key, one in self._deployments.items() if one.revision > int(version)}
            self._deployments = {**listed, **newer}
        for one in listed.values():
            self._tell(one)
        for event, found in api.watch(FUNCTION_DEPLOYMENT, fields, version, _LIST_SECONDS):
            if self._stopping.is_set():
                return
            deployment = as_deployment(found)
            if event == "DELETED":
                with self._lock:
                    self._deployments.pop(deployment.key, None)
            else:
                self.put(deployment)
                self._tell(deployment)

    def _tell(self, deployment: Deployment) -> None:
        try:
            self._seen(deployment)
        except Exception:  # one deployment must not keep the others from being seen
            _LOG.exception("deployment %s/%s/%d", *deployment.key)


class ClusterQueue:
    """See `Queue`. The replica that works has a supervisor; the others only write down what is wanted of it.

    Args:
        supervisor: gives that of this replica; None where another replica works.
    """

    def __init__(
        self,
        store: DeploymentStore,
        limits: Limits,
        unfinished: Unfinished,
        supervisor: t.Callable[[], Supervisor | None],
    ) -> None:
        self.limits = limits
        self._store, self._unfinished, self._supervisor = store, unfinished, supervisor

    def submit(self, deployment: Deployment) -> None:
        if (supervisor := self._supervisor()) is not None:
            supervisor.see(deployment)

    def queued(self, tenant: str | None = None, function: str | None = None) -> list[Deployment]:
        if (supervisor := self._supervisor()) is not None:
            return supervisor.queued(tenant, function)
        found = self._unfinished.all()
        queued = [one for one in found if one.phase is Phase.QUEUED and not one.cancelling]
        # Whose turn it was before only the replica knows that works: the order is about right.
        ordered = order(queued, [one for one in found if one.phase is not Phase.QUEUED], {})
        return [one for one in ordered if tenant in (None, one.tenant) and function in (None, one.function)]

    def position(self, deployment: Deployment) -> int | None:
        return position_in(self.queued(), deployment)

    def cancel(self, deployment: Deployment, reason: str, next_step: str) -> Deployment | None:
        if (supervisor := self._supervisor()) is not None:
            return supervisor.cancel(deployment, reason, next_step)
        return mark_cancelling(self._store, deployment, reason, next_step)
