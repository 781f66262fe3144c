# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an object still is what was applied, told from its managed fields; tests/integration/test_charts.py has a
real API server for it."""

from __future__ import annotations

import base64
import copy
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes import applied
from hypothesis import given
from hypothesis import strategies as st

SERVICE: applied.Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop", "labels": {"part": "web"}},
    "spec": {
        "type": "ClusterIP",
        "selector": {"app": "web"},
        "ports": [{"port": 80, "name": "http"}],
        "externalIPs": ["192.0.2.1"],
    },
}
FIELDS: dict[str, t.Any] = {
    "f:metadata": {"f:annotations": {f"f:{applied.APPLIED}": {}}, "f:labels": {"f:part": {}}},
    "f:spec": {
        "f:type": {},
        "f:selector": {},  # kept as a whole
        # The protocol is the API server's default
        "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}}},
        "f:externalIPs": {'v:"192.0.2.1"': {}},
    },
}


def live(
    wanted: applied.Object,
    fields: dict[str, t.Any],
    *,
    manager: str = "wasmfaas",
    operation: str = "Apply",
    **more: t.Any,
) -> applied.Object:
    """As the API server gives an object back."""
    made = copy.deepcopy(applied.prepared(wanted))
    entry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    theirs = {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:sessionAffinity": {}}}}
    made["metadata"] = {
        **made["metadata"],
        "resourceVersion": "1",
        "uid": "u",
        "managedFields": [theirs, entry],
        **more,
    }
    return made


def is_applied(wanted: applied.Object, found: applied.Object | None) -> bool:
    return applied.is_applied(applied.prepared(wanted), found)


def test_what_nobody_has_touched_is_applied() -> None:
    assert is_applied(SERVICE, live(SERVICE, FIELDS))


def without(fields: dict[str, t.Any], *way: str) -> dict[str, t.Any]:
    """The fields less those of a way; the API server keeps no parent that has nothing left."""
    if len(way) == 1:
        return {key: below for key, below in fields.items() if key != way[0]}
    left = without(fields[way[0]], *way[1:])
    return {**fields, way[0]: left} if left else {key: below for key, below in fields.items() if key != way[0]}


@pytest.mark.parametrize(
    "way",
    [
        ("f:metadata", "f:labels", "f:part"),
        ("f:metadata", "f:annotations", f"f:{applied.APPLIED}"),
        ("f:spec", "f:type"),
        ("f:spec", "f:selector"),
        ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}'),
        ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:name"),
        ("f:spec", "f:externalIPs", 'v:"192.0.2.1"'),
        ("f:spec",),
    ],
)
def test_a_field_that_another_took_is_applied_again(way: tuple[str, ...]) -> None:
    assert not is_applied(SERVICE, live(SERVICE, without(FIELDS, *way)))


def test_what_is_not_there_or_going_or_not_ours_is_applied_again() -> None:
    assert not is_applied(SERVICE, None)
    assert not is_applied(SERVICE, live(SERVICE, FIELDS, deletionTimestamp="2026-11-22T00:00:00Z"))
    assert not is_applied(SERVICE, live(SERVICE, FIELDS, manager="helm"))
    assert not is_applied(SERVICE, live(SERVICE, FIELDS, operation="Update"))
    assert not is_applied(SERVICE, live(SERVICE, {}))


def test_another_wish_is_applied_again() -> None:
    assert not is_applied({**SERVICE, "spec": {**SERVICE["spec"], "type": "NodePort"}}, live(SERVICE, FIELDS))
    fewer = {**SERVICE, "spec": {key: value for key, value in SERVICE["spec"].items() if key != "externalIPs"}}
    assert not is_applied(fewer, live(SERVICE, FIELDS)), "what is no longer wanted must go"


def test_empty_fields_that_the_api_server_leaves_out_count_only_while_they_are_empty() -> None:
    wanted = {**SERVICE, "spec": {**SERVICE["spec"], "publishNotReadyAddresses": False, "loadBalancerSourceRanges": []}}
    found = live(wanted, FIELDS)
    del found["spec"]["publishNotReadyAddresses"], found["spec"]["loadBalancerSourceRanges"]
    assert is_applied(wanted, found)
    found["spec"]["publishNotReadyAddresses"] = True
    assert not is_applied(wanted, found), "another has switched it on"


def test_what_only_the_api_server_sets_is_not_looked_for() -> None:
    """Definitions as their projects publish them have `creationTimestamp: null`."""
    wanted = {**SERVICE, "metadata": {**SERVICE["metadata"], "creationTimestamp": None}}
    assert is_applied(wanted, live(wanted, FIELDS, creationTimestamp="2026-11-22T00:00:00Z"))


def test_texts_of_a_secret_become_what_the_api_keeps() -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "key"},
        "data": {"a": "MQ==", "b": "MQ=="},
        "stringData": {"b": "zwei", "c": 3},
    }
    made = applied.prepared(secret)
    assert "stringData" not in made
    assert {key: base64.b64decode(value).decode() for key, value in made["data"].items()} == {
        "a": "1",
        "b": "zwei",
        "c": "3",
    }
    assert "stringData" in secret, "the given object was changed"


def test_bookkeeping_is_no_part_of_the_wish() -> None:
    marked = copy.deepcopy(SERVICE)
    marked["metadata"]["annotations"] = dict.fromkeys(applied.BOOKKEEPING, "something")
    assert applied.digest(marked) == applied.digest(SERVICE)
    assert applied.without_bookkeeping(marked) == SERVICE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_the_digest_is_the_same_in_any_order_and_another_for_anything_else(spec: dict[str, t.Any]) -> None:
    wanted = {**SERVICE, "spec": spec}
    assert applied.digest(wanted) == applied.digest({**wanted, "spec": dict(reversed(spec.items()))})
    assert applied.digest(wanted) != applied.digest({**wanted, "spec": {**spec, "one more": 1}})
