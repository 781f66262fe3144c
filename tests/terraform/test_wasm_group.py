# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines for Wasm: what Terraform gives their group is what the RuntimeClasses of the role wasm_shims select and
tolerate.

That the scaling group's tags and the nodes have the same is test_moto's.
"""

from __future__ import annotations

import json
import shutil
import typing as t
from pathlib import Path

import jinja2
import pytest
import yaml
from ansible_collections.wasmfaas.platform.scripts import cost

from .support import PROJECT

ROLE = PROJECT / "roles/wasm_shims"


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> dict[str, t.Any]:
    if not shutil.which("terraform"):
        pytest.skip("terraform, which reads the fleet, is not in PATH.")
    none = tmp_path_factory.mktemp("variables") / "none.tfvars"
    none.touch()
    found: dict[str, t.Any] = cost.read_variables(none)["node_groups"]
    return found


@pytest.fixture(scope="module")
def scheduling() -> dict[str, dict[str, t.Any]]:
    """By name of the shim, what the RuntimeClass asks of nodes."""
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters["to_json"] = json.dumps
    classes = yaml.safe_load(
        environment.from_string(Path(ROLE / "templates/runtime_classes.yml.j2").read_text(encoding="utf-8")).render(
            defaults
        )
    )
    assert [entry["kind"] for entry in classes] == ["RuntimeClass"] * len(defaults["wasm_shims_catalogue"])
    return {name: entry["scheduling"] for name, entry in zip(defaults["wasm_shims_catalogue"], classes, strict=True)}


def test_functions_run_on_the_wasm_group_and_nowhere_else(
    groups: dict[str, t.Any], scheduling: dict[str, dict[str, t.Any]]
) -> None:
    selected = scheduling["spin"]["nodeSelector"].items()
    assert [name for name, group in groups.items() if selected <= group["labels"].items()] == ["worker-wasm"]


def test_runtime_classes_tolerate_the_taints_of_the_wasm_group(
    groups: dict[str, t.Any], scheduling: dict[str, dict[str, t.Any]]
) -> None:
    taints = [taint | {"operator": "Equal"} for taint in groups["worker-wasm"]["taints"]]
    assert taints == [{"key": "wasmfaas.dev/only", "value": "wasm", "effect": "NoSchedule", "operator": "Equal"}]
    assert all(entry["tolerations"] == taints for entry in scheduling.values())
