# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The RuntimeClasses of the role wasm_shims select the labels, and tolerate the taints, that Terraform gives the group
of machines for Wasm.

test_moto.py checks that the tags of the scaling group agree with the labels and taints of the nodes.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import jinja2
import pytest
import yaml

from .support import PROJECT

ROLE = PROJECT / "roles/wasm_shims"


@pytest.fixture(scope="module")
def scheduling() -> dict[str, dict[str, t.Any]]:
    """The field `scheduling` of each RuntimeClass, by name of the shim."""
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters["to_json"] = json.dumps
    template = Path(ROLE / "templates/runtime_classes.yml.j2").read_text(encoding="utf-8")
    classes = yaml.safe_load(environment.from_string(template).render(defaults))
    assert [entry["kind"] for entry in classes] == ["RuntimeClass"] * len(defaults["wasm_shims_catalogue"])
    return {name: entry["scheduling"] for name, entry in zip(defaults["wasm_shims_catalogue"], classes, strict=True)}


def test_functions_run_on_the_wasm_group_and_nowhere_else(
    default_groups: dict[str, dict[str, t.Any]], scheduling: dict[str, dict[str, t.Any]]
) -> None:
    selected = scheduling["spin"]["nodeSelector"].items()
    assert [name for name, group in default_groups.items() if selected <= group["labels"].items()] == ["worker-wasm"]


def test_runtime_classes_tolerate_the_taints_of_the_wasm_group(
    default_groups: dict[str, dict[str, t.Any]], scheduling: dict[str, dict[str, t.Any]]
) -> None:
    taints = [taint | {"operator": "Equal"} for taint in default_groups["worker-wasm"]["taints"]]
    assert taints == [{"key": "wasmfaas.dev/only", "value": "wasm", "effect": "NoSchedule", "operator": "Equal"}]
    assert all(entry["tolerations"] == taints for entry in scheduling.values())
