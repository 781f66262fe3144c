# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which shim the nodes have."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.compatibility.spin_versions import (
    DEFAULT_SHIM_VERSION,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.shim_version import (
    NODE_LABEL,
    shim_version_of_nodes,
)


@pytest.mark.parametrize(
    ("versions", "oldest"),
    [
        (["0.25.1"], "0.25.1"),
        (["0.25.1", "0.9.0", "0.24.0"], "0.9.0"),
        (["v0.24.0", "0.25.1"], "v0.24.0"),
        (["0.25.1", "0.25.0-rc.1"], "0.25.0-rc.1"),
        ([None, "0.25.0"], "0.25.0"),
        ([None], DEFAULT_SHIM_VERSION),
        ([], DEFAULT_SHIM_VERSION),
    ],
)
def test_oldest_labelled_node_decides(fake_api: t.Any, versions: list[str | None], oldest: str) -> None:
    api = fake_api()
    api.nodes = [
        {"metadata": {"name": "n"} | ({"labels": {NODE_LABEL: version}} if version else {})} for version in versions
    ]
    assert shim_version_of_nodes(api) == oldest


def test_user_who_may_not_see_nodes_gets_the_default(fake_api: t.Any) -> None:
    api = fake_api()
    api.nodes = PlatformError("forbidden", next_step="ask")
    assert shim_version_of_nodes(api) == DEFAULT_SHIM_VERSION
