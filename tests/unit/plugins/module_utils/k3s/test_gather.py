# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gather.py: only what is asked for is read."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s import gather

PARAMETERS: dict[str, t.Any] = {
    "ports": [],
    "connections": None,
    "disk_paths": [],
    "registry_endpoints": [],
    "registry_files": [],
    "registry_timeout": 5,
}


@pytest.mark.parametrize(
    ("subjects", "asked", "returned"),
    [
        (["node", "cluster"], True, {"node", "cluster"}),
        (["node"], False, {"node", "cluster"}),
        (["diagnosis"], None, {"diagnosis"}),
    ],
)
def test_what_is_gathered(
    monkeypatch: pytest.MonkeyPatch, subjects: list[str], asked: bool | None, returned: set[str]
) -> None:
    asks: list[bool] = []

    def read(*, ask: bool, **_options: t.Any) -> dict[str, t.Any]:
        asks.append(ask)
        return {"node": {}, "cluster": None}

    monkeypatch.setattr(gather.node_info, "read", read)
    monkeypatch.setattr(gather.node_diagnosis, "read", lambda **_options: {"unit": {}})
    result = gather.run({**PARAMETERS, "gather": subjects}, False, set())
    assert set(result) == {"changed", *returned}
    assert asks == ([] if asked is None else [asked])
