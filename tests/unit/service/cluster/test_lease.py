# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which replica works: taking, renewing, losing and giving up the Lease."""

from __future__ import annotations

import copy
import threading
import time
import typing as t

from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import Conflict
from ansible_collections.wasmfaas.platform.service.cluster.lease import Leadership, ServiceLease

SECONDS = 60.0


class RememberedLease:
    """The API server with one object, which refuses a writer that read an earlier version."""

    def __init__(self) -> None:
        self.object: dict[str, t.Any] | None = None
        self.answers = True

    def get(self, *_names: object) -> dict[str, t.Any] | None:
        self._answer()
        return copy.deepcopy(self.object)

    def create(self, _kind: object, desired: dict[str, t.Any]) -> None:
        self._answer()
        if self.object is not None:
            raise Conflict("exists", next_step="")
        self._keep(desired, 1)

    def replace(self, _kind: object, desired: dict[str, t.Any]) -> None:
        self._answer()
        assert self.object is not None
        version = int(self.object["metadata"]["resourceVersion"])
        if desired["metadata"]["resourceVersion"] != str(version):
            raise Conflict("changed", next_step="")
        self._keep(desired, version + 1)

    def _keep(self, desired: dict[str, t.Any], version: int) -> None:
        kept = copy.deepcopy(desired)
        kept["metadata"]["resourceVersion"] = str(version)
        self.object = kept

    def _answer(self) -> None:
        if not self.answers:
            raise PlatformError("no answer", next_step="")


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def lease(api: RememberedLease, holder: str, clock: t.Callable[[], float], seconds: int = 15) -> ServiceLease:
    given: t.Any = api
    return ServiceLease(lambda: given, "wasmfaas-service", holder, seconds, clock)


def test_one_replica_has_it_as_long_as_it_renews_it() -> None:
    api, clock = RememberedLease(), Clock()
    first, second = lease(api, "a_10.0.0.1:8800", clock), lease(api, "b_10.0.0.2:8800", clock)
    assert first.take()
    for _round in range(5):
        assert not second.take()
        assert second.current == "a_10.0.0.1:8800"
        clock.seconds += 14
        assert first.take()
    assert not second.take()
    clock.seconds += 16
    assert second.take()
    assert not first.take()
    assert api.object is not None and api.object["spec"]["leaseTransitions"] == 2


def test_one_that_was_given_up_is_taken_at_once() -> None:
    api, clock = RememberedLease(), Clock()
    first, second = lease(api, "a", clock), lease(api, "b", clock)
    assert first.take() and not second.take()
    second.release()  # which is not its own
    assert not second.take()
    first.release()
    assert second.take()


def test_a_container_that_starts_again_takes_its_own_at_once() -> None:
    api, clock = RememberedLease(), Clock()
    assert lease(api, "a", clock).take()
    assert lease(api, "a", clock).take()


def test_a_replica_that_cannot_renew_it_stops_and_works_again_later() -> None:
    api = RememberedLease()
    held = lease(api, "a", time.monotonic, seconds=1)
    begun, ends = threading.Semaphore(0), list[bool]()
    ended = threading.Semaphore(0)

    def work(wait: t.Callable[[], bool]) -> None:
        begun.release()
        ends.append(wait())
        ended.release()

    with Leadership(held, work):
        assert begun.acquire(timeout=SECONDS)
        api.answers = False
        assert ended.acquire(timeout=SECONDS)
        assert ends[0] is True
        api.answers = True
        assert begun.acquire(timeout=SECONDS)
    assert ends[-1] is False
    assert api.object is not None and api.object["spec"]["holderIdentity"] == ""


def test_work_that_fails_is_begun_again() -> None:
    begun = threading.Semaphore(0)

    def work(_wait: t.Callable[[], bool]) -> None:
        begun.release()
        raise PlatformError("no list", next_step="")

    with Leadership(lease(RememberedLease(), "a", time.monotonic, seconds=1), work):
        assert begun.acquire(timeout=SECONDS) and begun.acquire(timeout=SECONDS)
