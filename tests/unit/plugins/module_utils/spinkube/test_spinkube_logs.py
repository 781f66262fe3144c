# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is shown of a function's logs, and what never. The API server is a stand-in here."""

from __future__ import annotations

import base64
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function import spin_function_logs as module
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import Forbidden
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.canary import CANARY_OF
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import POD, SECRET, SPIN_APP
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.logs import (
    ContainerLog,
    function_logs,
    secret_values,
)


@pytest.fixture
def api(fake_api: t.Any) -> t.Any:
    made = fake_api()
    made.requests = []

    def container_log(
        namespace: str, name: str, container: str, *, lines: int, since_seconds: int | None, previous: bool = False
    ) -> list[str]:
        made.requests.append((namespace, name, container, lines, since_seconds))
        return [f"{name} before"] if previous else [f"{name} now"]

    made.container_log = container_log
    return made


def app(api: t.Any, name: str = "hello", secret: str = "", canary_of: str = "") -> None:
    variables = [{"name": "token", "valueFrom": {"secretKeyRef": {"name": secret, "key": "token"}}}] if secret else []
    labels = {CANARY_OF: canary_of} if canary_of else {}
    api.put(
        SPIN_APP,
        {
            "metadata": {"name": name, "namespace": "user1", "labels": labels},
            "spec": {"image": "i", "variables": variables},
        },
    )


def pod(api: t.Any, name: str, *, of: str = "hello", ending: bool = False, **container: t.Any) -> None:
    statuses = (
        [{"name": of, "state": {"running": {}}, "ready": True, **container}] if container.get("state", True) else []
    )
    metadata = {
        "name": name,
        "namespace": "user1",
        "labels": {"core.spinkube.dev/app-name": of},
        **({"deletionTimestamp": "now"} if ending else {}),
    }
    api.put(
        POD,
        {
            "metadata": metadata,
            "spec": {"nodeName": "worker-1"},
            "status": {"phase": "Pending", "containerStatuses": statuses},
        },
    )


def read(api: t.Any) -> list[ContainerLog]:
    return function_logs(api, "user1", "hello", lines=7, since_seconds=60)


def test_all_replicas_and_the_canary_by_pod(api: t.Any) -> None:
    app(api)
    app(api, "hello-canary", canary_of="hello")
    pod(api, "hello-b")
    pod(api, "hello-a")
    pod(api, "hello-canary-x", of="hello-canary")
    pod(api, "other-x", of="other")
    assert [(log.pod, log.state, log.lines) for log in read(api)] == [
        ("hello-a", "running", ["hello-a now"]),
        ("hello-b", "running", ["hello-b now"]),
        ("hello-canary-x", "running", ["hello-canary-x now"]),
    ]
    assert api.requests[0][2:] == ("hello", 7, 60)


def test_function_with_the_name_of_a_canary_is_not_read(api: t.Any) -> None:
    app(api)
    app(api, "hello-canary")
    pod(api, "hello-canary-x", of="hello-canary")
    assert read(api) == []


@pytest.mark.parametrize(
    ("container", "ending", "state"),
    [
        ({}, False, "running"),
        ({"ready": False}, False, "not ready"),
        ({"state": {"waiting": {"reason": "ImagePullBackOff"}}, "ready": False}, False, "waiting: ImagePullBackOff"),
        ({"state": {"terminated": {"reason": "Error"}}, "ready": False}, False, "terminated: Error"),
        ({}, True, "ending"),
        ({"state": None}, False, "pending"),
    ],
)
def test_state_of_a_replica(api: t.Any, container: dict[str, t.Any], ending: bool, state: str) -> None:
    app(api)
    pod(api, "hello-a", ending=ending, **container)
    assert [log.state for log in read(api)] == [state]


def test_run_before_a_crash_comes_first(api: t.Any) -> None:
    app(api)
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    pod(api, "hello-a", state=waiting, ready=False, restartCount=3, lastState={"terminated": {"exitCode": 137}})
    pod(api, "hello-b", ready=False, restartCount=1, lastState={"terminated": {"exitCode": 1}})
    pod(api, "hello-c", restartCount=1, lastState={"terminated": {"exitCode": 1}})
    logs = read(api)
    assert [(log.pod, log.previous, log.exit_code, log.lines) for log in logs] == [
        ("hello-a", True, 137, ["hello-a before"]),
        ("hello-b", True, 1, ["hello-b before"]),
        ("hello-b", False, None, ["hello-b now"]),
        ("hello-c", False, None, ["hello-c now"]),
    ], "of one that waits for its next start there is one log, and of one that is well again the present one"
    assert module.text_of(logs) == [
        (
            "==> hello-a (waiting: CrashLoopBackOff, restarted 3 times, on worker-1, its run before, which ended with "
            "exit code 137) <=="
        ),
        "hello-a before",
        "==> hello-b (not ready, restarted once, on worker-1, its run before, which ended with exit code 1) <==",
        "hello-b before",
        "==> hello-b (not ready, restarted once, on worker-1) <==",
        "hello-b now",
        "==> hello-c (running, restarted once, on worker-1) <==",
        "hello-c now",
    ]


def test_text_without_replicas_and_without_lines() -> None:
    assert module.text_of([]) == ["no replicas"]
    assert module.text_of([ContainerLog("p", "", "pending", 0, [])]) == ["==> p (pending) <==", "(nothing)"]


def test_function_that_is_not_there_is_told(api: t.Any) -> None:
    with pytest.raises(PlatformError, match="There is no function user1/hello"):
        read(api)


# Secrets


def put_secret(api: t.Any, name: str, **values: str) -> None:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    api.put(SECRET, {"metadata": {"name": name, "namespace": "user1"}, "data": data})


def test_secret_values_of_the_function_and_its_canary_are_known(api: t.Any) -> None:
    app(api, secret="s-1")
    app(api, "hello-canary", secret="s-2", canary_of="hello")
    put_secret(api, "s-1", token="hunter2", empty="")
    put_secret(api, "s-2", key="-----BEGIN-----\n{\nabcdefghij\n")
    assert secret_values(api, "user1", "hello") == {
        "hunter2",
        "-----BEGIN-----\n{\nabcdefghij\n",
        "-----BEGIN-----",
        "abcdefghij",
    }


def test_who_may_not_read_secrets_gets_no_log(api: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app(api, secret="s-1")
    original = api.get

    def get(kind: t.Any, namespace: str, name: str) -> t.Any:
        if kind is SECRET:
            raise Forbidden("get Secret user1/s-1: forbidden.", next_step="ask")
        return original(kind, namespace, name)

    api.get = get
    with pytest.raises(PlatformError, match=r"may hold values of secret variables.*forbidden") as caught:
        secret_values(api, "user1", "hello")
    assert "Secrets in namespace user1" in caught.value.next_step


# Parameters


@pytest.mark.parametrize(
    ("since", "seconds"), [(None, None), ("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400)]
)
def test_span_of_time(since: str | None, seconds: int | None) -> None:
    assert module.seconds_of(since) == seconds


@pytest.mark.parametrize("since", ["", "0s", "-1m", "yesterday", "1.5h", "2w"])
def test_what_is_no_span_of_time_is_told(since: str) -> None:
    with pytest.raises(PlatformError, match="is no span of time"):
        module.seconds_of(since)


def parameters(**changes: t.Any) -> dict[str, t.Any]:
    return {
        "name": "hello",
        "namespace": "user1",
        "lines": 100,
        "since": None,
        "target": "local",
        "state_directory": None,
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lines": 0}, "lines: must be 1 or more"),
        ({"since": "1h"}, "has no times"),
        ({"namespace": "../x"}, "The namespace '../x'"),
    ],
)
def test_parameters_that_make_no_sense_are_told(tmp_path: t.Any, changes: dict[str, t.Any], said: str) -> None:
    with pytest.raises(PlatformError, match=said):
        module.run(parameters(state_directory=str(tmp_path), **changes), False, set())


def test_local_function_that_is_not_there_is_told(tmp_path: t.Any) -> None:
    with pytest.raises(PlatformError, match="There is no local function user1/hello"):
        module.run(parameters(state_directory=str(tmp_path)), False, set())
