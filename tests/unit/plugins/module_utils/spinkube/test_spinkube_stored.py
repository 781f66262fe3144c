# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a SpinApp means, however the operator's webhook spells it."""

from __future__ import annotations

import typing as t
from decimal import Decimal

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.stored import in_spelling_of, quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.5", "0.5"),
        ("500m", "0.5"),
        (".5", "0.5"),
        ("5.", "5"),
        (1, "1"),
        (0.5, "0.5"),
        ("1", "1"),
        ("1024Mi", "1073741824"),
        ("1Gi", "1073741824"),
        ("0.1Gi", "107374182.4"),
        ("107374182400m", "107374182.4"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1k", "1000"),
        ("2E", "2000000000000000000"),
        ("1n", "0.000000001"),
        ("0.1n", "0.000000001"),
        ("-1", "-1"),
        ("8Ei", "9223372036854775808"),
    ],
)
def test_quantities_mean_numbers(text: t.Any, number: str) -> None:
    assert quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "1 Gi", "1Kib", "x", "1ee3", None, True, ["1"], "."])
def test_what_is_no_quantity_has_no_number(text: t.Any) -> None:
    assert quantity(text) is None


def test_only_what_means_the_same_is_respelled() -> None:
    desired = {"spec": {"resources": {"limits": {"cpu": "1.0", "memory": "64Mi", "odd": "x"}}, "replicas": 2}}
    live = {
        "metadata": {"name": "hello"},
        "spec": {"resources": {"limits": {"cpu": "1", "memory": "65Mi", "odd": "y"}}, "replicas": 3, "checks": {}},
        "status": {"readyReplicas": 3},
    }
    assert in_spelling_of(live, desired) == {
        "metadata": {"name": "hello"},
        "spec": {
            "resources": {"limits": {"cpu": "1.0", "memory": "65Mi", "odd": "y"}},
            "replicas": 3,
            "checks": {},
        },
        "status": {"readyReplicas": 3},
    }


def test_what_is_not_there_stays_away() -> None:
    desired = {"spec": {"resources": {"limits": {"cpu": "1"}}, "replicas": 1}}
    for live in ({"spec": {}}, {"spec": {"resources": {"limits": {}}}}):
        assert in_spelling_of(live, desired) == live
