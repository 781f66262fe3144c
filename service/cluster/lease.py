# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Lease that says which replica works on deployments."""

from __future__ import annotations

import contextlib
import datetime
import logging
import threading
import time
import typing as t

from ...plugins.module_utils.spinkube.api import Conflict
from ...plugins.module_utils.spinkube.kinds import LEASE, Object
from .api import ServiceApi

_LOG = logging.getLogger(__name__)

NAME = "function-service"
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"

_RENEWALS = 5
"""How often it is renewed in the time after which it ends."""

_LOST_AFTER = 0.6
"""After which part of that time without a renewal the holder stops working, so that it has stopped at its end."""


class ServiceLease:
    """The Lease, as one replica sees it.

    Args:
        api: one that is not patient.
        holder: this replica, `<pod>_<address>:<port>`.
        seconds: after how many without a renewal another replica takes it.
        clock: gives seconds.
    """

    def __init__(
        self,
        api: t.Callable[[], ServiceApi],
        namespace: str,
        holder: str,
        seconds: int,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self.holder, self.seconds = holder, seconds
        self.current = ""
        """Who held it when it was last looked at; empty for nobody."""
        self._api, self._namespace, self._clock = api, namespace, clock
        self._seen, self._seen_at = "", 0.0

    def take(self) -> bool:
        """Take or renew it; gives whether this replica holds it. Raises PlatformError or an error of the connection."""
        found = self._api().get(LEASE, self._namespace, NAME)
        if found is None:
            with contextlib.suppress(Conflict):
                self._api().create(LEASE, self._object(None))
                self.current = self.holder
                return True
            return False
        self.current = str(found["spec"].get("holderIdentity") or "")
        if self.current not in ("", self.holder) and not self._has_ended(found):
            return False
        with contextlib.suppress(Conflict):
            self._api().replace(LEASE, self._object(found))
            self.current = self.holder
            return True
        return False

    def release(self) -> None:
        """Let another replica take it at once; nothing where it cannot be told."""
        with contextlib.suppress(Exception):
            found = self._api().get(LEASE, self._namespace, NAME)
            if found is not None and found["spec"].get("holderIdentity") == self.holder:
                found["spec"]["holderIdentity"] = ""
                self._api().replace(LEASE, found)

    def _has_ended(self, found: Object) -> bool:
        version = found["metadata"]["resourceVersion"]
        if version != self._seen:
            self._seen, self._seen_at = version, self._clock()
        # As in client-go, only the time counts that we saw no renewal: the clocks of two machines may differ.
        return self._clock() - self._seen_at > float(found["spec"].get("leaseDurationSeconds") or self.seconds)

    def _object(self, found: Object | None) -> Object:
        now = datetime.datetime.now(datetime.UTC).strftime(_TIME_FORMAT)
        before = found["spec"] if found else {}
        kept = before.get("holderIdentity") == self.holder
        metadata = {"name": NAME, "namespace": self._namespace}
        if found:
            metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": metadata,
            "spec": {
                "holderIdentity": self.holder,
                "leaseDurationSeconds": self.seconds,
                "acquireTime": before.get("acquireTime", now) if kept else now,
                "renewTime": now,
                "leaseTransitions": int(before.get("leaseTransitions") or 0) + (not kept),
            },
        }


class Leadership:
    """Works while this replica holds the Lease; use as a context.

    Args:
        work: called in a thread each time the Lease is taken, with a function that waits until the work must stop and
            gives whether the Lease was lost: then everything must be stopped at once.
    """

    def __init__(self, lease: ServiceLease, work: t.Callable[[t.Callable[[], bool]], None]) -> None:
        self._lease, self._work = lease, work
        self._stopping, self._lost = threading.Event(), threading.Event()
        self._renewed = 0.0
        self._thread = threading.Thread(target=self._run, name="leadership")

    def __enter__(self) -> Leadership:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        interval = self._lease.seconds / _RENEWALS
        while not self._stopping.is_set():
            if not self._take():
                self._stopping.wait(interval)
                continue
            self._lost.clear()
            ended = threading.Event()
            renewing = threading.Thread(target=self._renew_until, args=(ended,), name="lease", daemon=True)
            renewing.start()
            try:
                self._work(self._wait)
            except Exception:  # this thread must not end
                _LOG.exception("this replica cannot work on deployments")
            finally:
                ended.set()
                renewing.join()
            if not self._lost.is_set():
                self._lease.release()
                self._stopping.wait(interval)

    def _take(self) -> bool:
        begun = time.monotonic()
        try:
            taken = self._lease.take()
        except Exception:  # whatever keeps it from the API server: it does not have the Lease, and tries again
            return False
        if taken:
            self._renewed = begun
        return taken

    def _renew_until(self, ended: threading.Event) -> None:
        while not ended.wait(self._lease.seconds / _RENEWALS):
            if not self._take() and self._lease.current not in ("", self._lease.holder):
                self._lost.set()

    def _wait(self) -> bool:
        """Wait until the work must stop; gives whether the Lease was lost."""
        while not self._stopping.wait(0.2):
            if time.monotonic() - self._renewed > self._lease.seconds * _LOST_AFTER:
                self._lost.set()
            if self._lost.is_set():
                return True
        return False
