# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of a function's variables."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.service.deployments.model import Settings
from ansible_collections.wasmfaas.platform.service.problem import Code, ServiceProblem
from ansible_collections.wasmfaas.platform.service.variables import (
    LONGEST_VALUE,
    MOST_VARIABLES,
    FileVariableStore,
    Variable,
    with_variable,
)


@pytest.fixture
def store(tmp_path: Path) -> FileVariableStore:
    return FileVariableStore(tmp_path / "variables")


def test_values_are_kept_for_their_function_and_their_owner_alone(store: FileVariableStore, tmp_path: Path) -> None:
    values = {"greeting": Variable("hi"), "password": Variable("s3cret", secret=True)}
    store.write("user1", "shop", values)
    assert store.read("user1", "shop") == values
    assert store.read("user1", "other") == {}
    file = tmp_path / "variables" / "user1" / "shop.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    store.write("user1", "shop", {})
    assert not file.exists()


def test_the_digest_tells_values_apart_and_gives_none_away(store: FileVariableStore, tmp_path: Path) -> None:
    values = {"password": Variable("1234", secret=True)}
    digest = store.settings_digest("user1", Settings(), values)
    assert digest == FileVariableStore(tmp_path / "variables").settings_digest("user1", Settings(), values)
    assert digest != store.settings_digest("user1", Settings(), {"password": Variable("1235", secret=True)})
    assert digest != store.settings_digest("user1", Settings(timeout=5), values)
    assert digest != FileVariableStore(tmp_path / "another").settings_digest("user1", Settings(), values)


@pytest.mark.parametrize("name", ["", "Greeting", "9lives", "a__b", "a_", "_a", "a-b", "a" * 129])
def test_names_that_spin_refuses(name: str) -> None:
    with pytest.raises(ServiceProblem, match="no name of a variable") as caught:
        with_variable({}, name, Variable("x"))
    assert caught.value.code is Code.INVALID


def test_limits() -> None:
    with pytest.raises(ServiceProblem, match=f"more than {LONGEST_VALUE} bytes") as caught:
        with_variable({}, "big", Variable("ü" * LONGEST_VALUE))
    assert caught.value.code is Code.TOO_LARGE
    many = {f"v{number}": Variable("x") for number in range(MOST_VARIABLES)}
    assert with_variable(many, "v1", Variable("y"))["v1"].value == "y"
    with pytest.raises(ServiceProblem, match=f"{MOST_VARIABLES} variables"):
        with_variable(many, "one_more", Variable("x"))


def test_removing() -> None:
    assert with_variable({"a": Variable("1"), "b": Variable("2")}, "a", None) == {"b": Variable("2")}
    with pytest.raises(ServiceProblem, match="no value for the variable 'a'") as caught:
        with_variable({}, "a", None)
    assert caught.value.code is Code.NOT_FOUND
