# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets only one deployment of a function run at a time, by a Kubernetes Lease with a heartbeat.

The second deployment waits and then deploys on top: the last writer wins. It takes the lock of a holder that died,
after LEASE_SECONDS without a heartbeat.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import secrets
import socket
import threading
import time
import typing as t

from ..errors import PlatformError
from .api import Conflict, KubernetesApi
from .kinds import LEASE, Object
from .objects import labels

LEASE_SECONDS = 20
HEARTBEAT_SECONDS = 5.0
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


class DeploymentLock:
    """The lock while it is held; the holder asks it before its last writes."""

    def __init__(self) -> None:
        self.lost = threading.Event()

    def ensure_held(self) -> None:
        """Raises PlatformError where another deployment took over, which then decides the state."""
        if self.lost.is_set():
            raise PlatformError(
                "Another deployment of this function took over.",
                next_step="Look at what it did with `ansible-playbook wasmfaas.platform.list_functions`; "
                "nothing has to be undone.",
            )


@contextlib.contextmanager
def deployment_lock(
    api: KubernetesApi, namespace: str, name: str, *, timeout_seconds: float
) -> t.Iterator[DeploymentLock]:
    """Hold the lock of function `name`; raises PlatformError where it is not free within `timeout_seconds`."""
    holder = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
    lease_name = f"{name}-deployment"
    _acquire(api, namespace, lease_name, name, holder, timeout_seconds)
    lock = DeploymentLock()
    stop = threading.Event()
    heartbeat = threading.Thread(
        target=_renew_until, args=(api, namespace, lease_name, holder, stop, lock), daemon=True
    )
    heartbeat.start()
    try:
        yield lock
    finally:
        stop.set()
        heartbeat.join(timeout=HEARTBEAT_SECONDS)
        if not lock.lost.is_set():
            with contextlib.suppress(PlatformError):  # the Lease expires by itself
                current = api.get(LEASE, namespace, lease_name)
                if current is not None and current["spec"].get("holderIdentity") == holder:
                    api.delete(LEASE, namespace, lease_name)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _lease(namespace: str, lease_name: str, function_name: str, holder: str) -> Object:
    now = _now().strftime(_TIME_FORMAT)
    return {
        "apiVersion": LEASE.api_version,
        "kind": LEASE.kind,
        "metadata": {"name": lease_name, "namespace": namespace, "labels": labels(function_name)},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": LEASE_SECONDS, "acquireTime": now, "renewTime": now},
    }


def _acquire(
    api: KubernetesApi, namespace: str, lease_name: str, function_name: str, holder: str, timeout_seconds: float
) -> None:
    import tenacity

    desired = _lease(namespace, lease_name, function_name, holder)
    seen, seen_at = "", 0.0

    def attempt() -> str | None:
        """None once the lock is ours, else who holds it."""
        nonlocal seen, seen_at
        with contextlib.suppress(Conflict):
            api.create(LEASE, desired)
            return None
        current = api.get(LEASE, namespace, lease_name)
        if current is None:
            return "a deployment that is just ending"
        spec = current["spec"]
        if spec.get("holderIdentity") == holder:  # our create was sent twice, and this is the answer to the second
            return None
        heartbeat = current["metadata"]["resourceVersion"]
        if heartbeat != seen:
            seen, seen_at = heartbeat, time.monotonic()
        # As in client-go, only the time counts that we saw no heartbeat: the clocks of two machines may differ.
        if time.monotonic() - seen_at > spec.get("leaseDurationSeconds", LEASE_SECONDS):
            with contextlib.suppress(Conflict):
                api.replace(
                    LEASE,
                    {
                        **desired,
                        "metadata": {**desired["metadata"], "resourceVersion": current["metadata"]["resourceVersion"]},
                    },
                )
                return None
        return str(spec.get("holderIdentity"))

    def give_up(state: t.Any) -> t.NoReturn:
        raise PlatformError(
            f"Another deployment of this function is under way (held by {state.outcome.result()}) and did not end "
            f"within {timeout_seconds:g} s.",
            next_step="Wait for it, or run again with a longer `-e wait_timeout=SECONDS`.",
        )

    tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda held_by: held_by is not None),
        wait=tenacity.wait_random(0.2, 0.6),
        stop=tenacity.stop_after_delay(max(timeout_seconds, LEASE_SECONDS + 5)),
        retry_error_callback=give_up,
    )(attempt)


def _renew_until(
    api: KubernetesApi, namespace: str, lease_name: str, holder: str, stop: threading.Event, lock: DeploymentLock
) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        try:
            current = api.get(LEASE, namespace, lease_name)
            if current is None or current["spec"].get("holderIdentity") != holder:
                lock.lost.set()
                return
            current["spec"]["renewTime"] = _now().strftime(_TIME_FORMAT)
            api.replace(LEASE, current)
        except Conflict:
            continue  # the next heartbeat reads it again, and sees whether it is still ours
        except PlatformError:
            continue  # the API server is away for all; the next heartbeat tells whether the lock is still ours
