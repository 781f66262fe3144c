# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are kept, after the XDG Base Directory Specification."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.directories import cache_directory, state_directory


def test_given_directories_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_directory("/given") == Path("/given")
    assert state_directory("/given") == Path("/given")


def test_environment_comes_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert cache_directory(None) == Path("/cache/wasmfaas")
    assert state_directory(None) == Path("/state/wasmfaas")


@pytest.mark.parametrize("value", [None, ""])
def test_home_is_the_default_also_where_the_variable_is_empty(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    assert cache_directory(None) == Path("/home/me/.cache/wasmfaas")
    assert state_directory("") == Path("/home/me/.local/state/wasmfaas")
