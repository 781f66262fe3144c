# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes take a function's pods, and what a SpinApp remembers of them."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.labels import NODE_LABEL
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.warm_record import (
    ARTIFACTS,
    WARM,
    WarmRecord,
    counted,
    wasm_nodes,
)

Object = dict[str, t.Any]
WASM_ONLY = {"key": "wasmfaas.dev/only", "value": "wasm", "effect": "NoSchedule"}
READY = {"type": "Ready", "status": "True"}


class Api:
    """A RuntimeClass as role wasm_shims makes it, and one node."""

    def __init__(self, node: Object, *, runtime_class: bool = True) -> None:
        self._node = node
        self._runtime_class = runtime_class

    def get_outside(self, _kind: t.Any, _name: str) -> Object | None:
        toleration = {"key": "wasmfaas.dev/only", "operator": "Equal", "value": "wasm", "effect": "NoSchedule"}
        scheduling = {"nodeSelector": {"wasmfaas.dev/runtime-spin": "true"}, "tolerations": [toleration]}
        return {"scheduling": scheduling} if self._runtime_class else None

    def list_nodes(self, _kind: t.Any) -> list[Object]:
        return [self._node]


def node(*, labels: dict[str, str] | None = None, status: str = "True", **spec: t.Any) -> Object:
    return {
        "metadata": {
            "name": "n1",
            "uid": "0123456789abcdef",
            "labels": {"wasmfaas.dev/runtime-spin": "true", NODE_LABEL: "0.25.1"} if labels is None else labels,
        },
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": status}]},
    }


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (node(), True),
        (node(taints=[WASM_ONLY]), True),
        (node(taints=[{**WASM_ONLY, "effect": "PreferNoSchedule", "key": "other"}]), True),
        (node(taints=[{**WASM_ONLY, "effect": "NoExecute"}]), False),
        (node(taints=[{**WASM_ONLY, "value": "gpu"}]), False),
        (node(taints=[WASM_ONLY, {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]), False),
        (node(unschedulable=True), False),
        (node(status="Unknown"), False),
        (node(labels={}), False),
        ({"metadata": {"name": "n1", "uid": "0123456789abcdef"}}, False),
    ],
)
def test_nodes_that_take_a_functions_pods(given: Object, taken: bool) -> None:
    assert wasm_nodes(t.cast(t.Any, Api(given)), "wasmtime-spin-v2") == ({"n1": "01234567/0.25.1"} if taken else {})


def test_without_the_runtime_class_no_node_takes_them() -> None:
    assert wasm_nodes(t.cast(t.Any, Api(node(), runtime_class=False)), "wasmtime-spin-v2") == {}


def written(record: WarmRecord) -> WarmRecord:
    """The record as it is read from the annotation."""
    return WarmRecord.of({"metadata": {"annotations": {WARM: record.written()}}})


def test_a_node_stays_warm_only_as_what_it_was() -> None:
    record = written(WarmRecord().with_artifact("class", "sha256:1", {"a": "1/0.25.1", "b": "2/0.25.1"}))
    assert record.runtime_class == "class"
    now = {"a": "9/0.25.1", "b": "2/0.25.1", "c": "3/0.25.1"}  # a is another machine, c is new
    assert record.on("sha256:1", now) == {"b": "2/0.25.1"}
    assert record.on("sha256:2", now) == {}
    assert counted(record, "sha256:1", now) == {"nodes": 1, "of": 3}
    assert counted(record, "sha256:1", None) == {"nodes": 2, "of": None}


def test_more_nodes_of_an_artifact_change_nothing_else() -> None:
    record = WarmRecord()
    for number in range(2):
        record = record.with_artifact("class", f"sha256:{number}", {"a": "1/"})
    more = record.with_nodes("class", "sha256:0", {"b": "2/"})
    assert list(more.artifacts) == ["sha256:1", "sha256:0"] and more.artifacts["sha256:0"] == {"a": "1/", "b": "2/"}
    assert record.artifacts["sha256:0"] == {"a": "1/"}
    assert list(record.with_nodes("class", "sha256:9", {"b": "2/"}).artifacts) == ["sha256:9", "sha256:1", "sha256:0"]


def test_the_record_keeps_few_artifacts_the_newest_first() -> None:
    record = WarmRecord()
    for number in range(ARTIFACTS + 2):
        record = record.with_artifact("class", f"sha256:{number}", {"a": "1/"})
    assert list(written(record).artifacts) == [f"sha256:{number}" for number in (4, 3, 2)]
    assert list(record.with_artifact("class", "sha256:2", {}).artifacts) == ["sha256:2", "sha256:4", "sha256:3"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"artifacts": 3}', '{"artifacts": {"a": 1}}', "null", '"x"', '{"artifacts": ' + 100_000 * "["],
    ids=range(8),
)
def test_a_damaged_record_is_an_empty_one(text: str) -> None:
    assert WarmRecord.of({"metadata": {"annotations": {WARM: text}}}) == WarmRecord()
    assert WarmRecord.of(None) == WarmRecord()
