# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of application variables: which are given, which are missing, which are secret."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import Manifest, Variable
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.variables import (
    VariableValues,
    variable_values,
)

MANIFEST = Manifest(
    Path("/p/spin.toml"),
    "a",
    (),
    {},
    variables={
        "greeting": Variable(default="hi"),
        "token": Variable(required=True, secret=True),
        "pin": Variable(default="", secret=True),
    },
)


def test_values_are_split_by_secret_and_defaults_are_left_to_spin() -> None:
    assert variable_values(MANIFEST, {"greeting": "hello", "token": "t"}) == VariableValues(
        {"greeting": "hello"}, {"token": "t"}
    )
    assert variable_values(MANIFEST, {"token": "t"}) == VariableValues({}, {"token": "t"})
    assert variable_values(MANIFEST, {"token": "t", "pin": 1234}).all() == {"token": "t", "pin": "1234"}


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (0, "0"), (1.5, "1.5"), ("", ""), ("{{ x }}", "{{ x }}")]
)
def test_values_become_text(value: object, text: str) -> None:
    assert variable_values(MANIFEST, {"token": value}).secret == {"token": text}


@pytest.mark.parametrize("value", [None, [], {"a": 1}, b"bytes"])
def test_value_that_is_no_text_is_refused_without_showing_it(value: object) -> None:
    with pytest.raises(PlatformError, match=f"variables: token must be text, and is a {type(value).__name__}"):
        variable_values(MANIFEST, {"token": value})


def test_missing_required_variable_is_named_with_the_option_that_gives_it() -> None:
    with pytest.raises(PlatformError, match=r"variables: token is required by spin\.toml") as caught:
        variable_values(MANIFEST, {})
    assert '"token"' in caught.value.next_step


def test_undeclared_variable_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(PlatformError, match="variables: greting is not declared") as caught:
        variable_values(MANIFEST, {"greting": "x", "token": "t"})
    assert caught.value.next_step == "Did you mean greeting?"
    names: t.Any = {7: "x", "token": "t"}
    with pytest.raises(PlatformError, match="variables: 7 is not declared"):
        variable_values(MANIFEST, names)


def test_secrets_do_not_show_where_the_values_are_printed() -> None:
    assert "hunter2" not in repr(variable_values(MANIFEST, {"token": "hunter2"}))
