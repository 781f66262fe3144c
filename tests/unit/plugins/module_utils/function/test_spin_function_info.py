# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of functions as data and as a table."""

from __future__ import annotations

import datetime
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function import spin_function_info as module
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.model import LiveFunction

SOME_TIME_AGO = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=50.5)).strftime("%Y-%m-%dT%H:%M:%SZ")
FUNCTIONS = [
    LiveFunction(
        "a",
        "user1",
        "sha256:s",
        "r/a@sha256:" + "1" * 64,
        "http://a",
        "ready",
        "2026-01-01T00:00:00Z",
        {
            "replicas": 2,
            "ready_replicas": 1,
            "warm": {"nodes": 2, "of": 3},
            "canary": {"weight": 10, "digest": "sha256:" + "2" * 64, "replicas": 1, "ready_replicas": 1},
            "earlier": [{"digest": "sha256:" + "3" * 64, "image": "r/a@sha256:" + "3" * 64, "deployed": SOME_TIME_AGO}],
        },
    ),
    LiveFunction("b", "user1", "", "r/b:latest", "", "stopped"),
]


@pytest.fixture(autouse=True)
def functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_cluster", lambda _parameters: FUNCTIONS)


def info(name: str | None = None) -> dict[str, t.Any]:
    return module.run({"target": "cluster", "name": name, "namespace": None}, False, set())


def test_functions_come_with_their_digest() -> None:
    result = info()
    assert not result["changed"]
    assert [(function["name"], function["digest"]) for function in result["functions"]] == [
        ("a", "sha256:" + "1" * 64),
        ("b", ""),
    ]


def test_one_function_by_its_name() -> None:
    assert [function["name"] for function in info("b")["functions"]] == ["b"]
    assert info("c")["functions"] == []
    assert info("c")["table"] == ["no functions"]


def test_table_has_a_line_for_each() -> None:
    head, first, second = info()["table"]
    assert head.split() == ["NAMESPACE", "NAME", "STATUS", "REPLICAS", "CANARY", "WARM", "URL", "DIGEST", "AGE"]
    age = (datetime.datetime.now(datetime.UTC) - datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)).days
    assert first.split() == [
        "user1",
        "a",
        "ready",
        "1/2",
        "10%",
        "2" * 12,
        "1/1",
        "2/3",
        "http://a",
        "1" * 12,
        f"{age}d",
    ]
    assert second.split() == ["user1", "b", "stopped", "0", "-", "-", "-", "r/b:latest", "-"]


def test_nodes_that_a_tenant_does_not_see_are_not_counted() -> None:
    assert module.warm_nodes({"nodes": 2, "of": None}) == "2/?"


def test_table_of_one_function_has_its_earlier_versions() -> None:
    assert [line.split() for line in info("a")["table"][2:]] == [
        [],
        ["EARLIER", "AGE", "IMAGE"],
        ["3" * 12, "2d", "r/a@sha256:" + "3" * 64],
    ]
    assert len(info("b")["table"]) == 2


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "119m"),
        (7200, "2h"),
        (172_799, "47h"),
        (172_800, "2d"),
    ],
)
def test_age_is_that_of_kubectl(monkeypatch: pytest.MonkeyPatch, seconds: int, age: str) -> None:
    now = datetime.datetime(2026, 1, 10, tzinfo=datetime.UTC)
    monkeypatch.setattr(
        module,
        "datetime",
        types.SimpleNamespace(
            UTC=datetime.UTC,
            datetime=types.SimpleNamespace(now=lambda _zone: now, fromisoformat=datetime.datetime.fromisoformat),
        ),
    )
    assert module.age((now - datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")) == age


def test_local_functions_are_read_from_the_state_directory(tmp_path: Path) -> None:
    result = module.run(
        {"target": "local", "name": None, "namespace": None, "state_directory": str(tmp_path)}, False, set()
    )
    assert result["functions"] == []
