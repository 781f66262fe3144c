# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the local target warns about before anything is built: stores that a cluster does not have."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Component,
    LocalSource,
    Manifest,
    Trigger,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.model import DesiredFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.stages import Stages
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.variables import VariableValues
from ansible_collections.wasmfaas.platform.plugins.module_utils.local.target import LocalSettings, LocalTarget


def warnings(tmp_path: Path, component: Component) -> list[str]:
    trigger = Trigger("main", "http", component.id, {"route": "/..."})
    manifest = Manifest(Path("/p/spin.toml"), "hello", (trigger,), {component.id: component})
    desired = DesiredFunction("hello", "default", "sha256:0", "", manifest, VariableValues({}, {}))
    target = LocalTarget("default", "hello", LocalSettings(tmp_path, None, None, "", 1), Stages())
    return target.check(desired)


def test_stores_that_only_the_local_runtime_has_are_warned_about(tmp_path: Path) -> None:
    component = Component(
        id="main", source=LocalSource("a.wasm"), key_value_stores=("default", "other"), sqlite_databases=("orders",)
    )
    of_keys, of_tables = warnings(tmp_path, component)
    assert "spin.toml: component.main.key_value_stores: 'other'" in of_keys and "runtime_config" in of_keys
    assert "spin.toml: component.main.sqlite_databases: 'orders'" in of_tables


def test_the_default_stores_need_no_warning(tmp_path: Path) -> None:
    component = Component(
        id="main", source=LocalSource("a.wasm"), key_value_stores=("default",), sqlite_databases=("default",)
    )
    assert warnings(tmp_path, component) == []
