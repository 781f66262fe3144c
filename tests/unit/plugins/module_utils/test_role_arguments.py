# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of roles against their argument specifications."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.role_arguments import problems

WORDS = {"type": "list", "elements": "str"}
TENANTS = {
    "type": "list",
    "elements": "dict",
    "options": {"name": {"required": True}, "hosts": WORDS, "state": {"choices": ["present", "absent"]}},
}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ({}, "text"),
        ({}, 5),
        ({"type": "str"}, ""),
        ({"type": "path"}, "~/tenants"),
        ({"type": "int"}, 5),
        ({"type": "int"}, "-5"),
        ({"type": "float"}, "0.5"),
        ({"type": "bool"}, "yes"),
        ({"type": "bool"}, False),
        ({"choices": ["disk", "s3"]}, "s3"),
        (WORDS, []),
        (WORDS, ["one", 2]),
        ({"type": "list"}, [{"any": ["thing"]}]),
        ({"type": "dict"}, {"any": ["thing"]}),
        (TENANTS, [{"name": "a", "hosts": ["x"], "state": "absent"}, {"name": "b", "hosts": None}]),
    ],
)
def test_what_a_role_works_with_passes(option: dict[str, t.Any], value: t.Any) -> None:
    assert problems("x", option, value) == []


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ({}, None, ["x: is written without a value."]),
        ({}, ["a"], ["x: what it has is no text."]),
        ({"type": "int"}, "20Gi", ["x: '20Gi' is no whole number."]),
        ({"type": "int"}, 1.5, ["x: '1.5' is no whole number."]),
        ({"type": "int"}, True, ["x: 'True' is no whole number."]),
        ({"type": "float"}, "half", ["x: 'half' is no number."]),
        ({"type": "bool"}, "maybe", ["x: 'maybe' is neither true nor false."]),
        ({"choices": ["disk", "s3"]}, "tape", ["x: 'tape' is not known. Next: Write disk or s3."]),
        (
            WORDS,
            "default",
            ['x: \'default\' is text, and a list is needed. Next: Write x: ["default"], or -e \'{"x": ["default"]}\'.'],
        ),
        (WORDS, {"a": 1}, ["x: is no list."]),
        (WORDS, ["a", ["b"]], ["x, entry 2: what it has is no text."]),
        ({"type": "dict"}, "a=b", ["x: 'a=b' is no dictionary."]),
        (TENANTS, [{"hosts": []}], ["x, entry 1: lacks name. Next: Add it."]),
        (
            TENANTS,
            [{"name": "a", "host": "b", "hosts": "c"}],
            ["x, a: there is no host.", "x, a, hosts: 'c' is text, and a list is needed. Next: Write hosts: [\"c\"]"],
        ),
        (
            TENANTS,
            [{"name": "a", "state": "gone"}, "b"],
            ["x, a, state: 'gone' is not known.", "x, entry 2: 'b' is no dictionary."],
        ),
    ],
)
def test_all_else_is_named_with_the_next_step(option: dict[str, t.Any], value: t.Any, said: list[str]) -> None:
    found = list(map(str, problems("x", option, value)))
    assert len(found) == len(said), found
    for sentence, beginning in zip(found, said, strict=True):
        assert sentence.startswith(beginning) and "Next: " in sentence


@pytest.mark.parametrize("option", [{"type": "dict"}, WORDS, {"type": "int"}, {"choices": ["a"]}])
def test_a_secret_is_not_shown(option: dict[str, t.Any]) -> None:
    (problem,) = problems("x", {**option, "no_log": True}, "s3cret")
    assert "s3cret" not in str(problem)
