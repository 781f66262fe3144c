# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a function, without an API server; the integration tests have two real deployments at once."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube import lock as module
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import LEASE
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.lock import deployment_lock


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", 60)
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.02)


def lease(renewed_seconds_ago: float, *, holder: str = "other/1/aa", seconds: int = 20) -> dict[str, t.Any]:
    time = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=renewed_seconds_ago)).strftime(
        "%Y-%m-%dT%H:%M:%S.%fZ"
    )
    return {
        "metadata": {"name": "hello-deployment", "namespace": "user1", "resourceVersion": "7"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": time},
    }


def test_lock_is_a_lease_of_the_function_and_goes_afterwards(fake_api: t.Any) -> None:
    api = fake_api()
    with deployment_lock(api, "user1", "hello", timeout_seconds=1) as lock:
        (found,) = api.list(LEASE, "user1")
        assert found["metadata"]["name"] == "hello-deployment"
        assert found["metadata"]["labels"]["app.kubernetes.io/name"] == "hello"
        lock.ensure_held()
    assert api.list(LEASE) == []


def test_lock_goes_also_after_an_error(fake_api: t.Any) -> None:
    api = fake_api()
    with pytest.raises(KeyboardInterrupt), deployment_lock(api, "user1", "hello", timeout_seconds=1):
        raise KeyboardInterrupt
    assert api.list(LEASE) == []


def test_lock_of_a_dead_holder_is_taken_over(fake_api: t.Any) -> None:
    api = fake_api()
    api.put(LEASE, lease(100))
    with deployment_lock(api, "user1", "hello", timeout_seconds=1):
        assert api.list(LEASE)[0]["spec"]["holderIdentity"] != "other/1/aa"


def test_living_holder_is_waited_for_and_then_named(
    fake_api: t.Any, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", -4.5)  # the wait is at least this and 5 s
    api = fake_api()
    api.put(LEASE, lease(0))
    with (
        pytest.raises(PlatformError, match="held by other/1/aa"),
        deployment_lock(api, "user1", "hello", timeout_seconds=0.5),
    ):
        pass
    assert api.list(LEASE)[0]["spec"]["holderIdentity"] == "other/1/aa"


def test_heartbeat_renews_the_lease(fake_api: t.Any, quick: None) -> None:
    api = fake_api()
    with deployment_lock(api, "user1", "hello", timeout_seconds=1) as lock:
        before = api.list(LEASE)[0]["spec"]["renewTime"]
        deadline = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
        while api.list(LEASE)[0]["spec"]["renewTime"] == before:
            assert datetime.datetime.now(datetime.UTC) < deadline
        lock.ensure_held()


def test_lock_that_another_took_over_is_noticed_and_left_alone(fake_api: t.Any, quick: None) -> None:
    api = fake_api()
    with deployment_lock(api, "user1", "hello", timeout_seconds=1) as lock:
        api.put(LEASE, lease(0))
        assert lock.lost.wait(timeout=60)
        with pytest.raises(PlatformError, match="Another deployment of this function took over"):
            lock.ensure_held()
    assert api.list(LEASE)[0]["spec"]["holderIdentity"] == "other/1/aa"
