# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The budget of docs/budget.md is current, complete, and within what the nodes have."""

from __future__ import annotations

import dataclasses

import pytest

from ...observability import budget
from .role_rendering import RenderedRole


@pytest.mark.parametrize("group", budget.FLEET)
def test_no_node_is_over_its_limit(group: str) -> None:
    found = budget.load(group)
    shares = f"{found.fullest[0]:.0%} of the CPU and {found.fullest[1]:.0%} of the memory of a node"
    assert max(found.fullest) <= budget.LIMIT, f"{group}: {shares} are requested; see docs/budget.md"


def test_document_is_current() -> None:
    assert budget.DOCUMENT.read_text(encoding="utf-8") == budget.document(), (
        "docs/budget.md is not current. Next: python -m tests.observability.budget"
    )


def test_every_chart_of_the_versions_file_is_counted() -> None:
    versions = RenderedRole("platform").value("platform_charts")
    without_chart = {"function_service", "key_value_store"}
    assert {entry.chart for entry in budget.requests()} - without_chart == set(budget.CONTAINERS) == set(versions)


def test_a_container_that_requests_too_much_is_noticed() -> None:
    grown = tuple(
        dataclasses.replace(entry, memory=entry.memory * 8) if entry.name == "prometheus" else entry
        for entry in budget.requests()
    )
    assert max(budget.load("observability", grown).fullest) > budget.LIMIT
    assert budget.load("control-plane", grown) == budget.load("control-plane")


def test_requests_on_every_node_count_in_both_groups() -> None:
    grown = tuple(
        dataclasses.replace(entry, cpu=entry.cpu + 500) if entry.name == "node-exporter" else entry
        for entry in budget.requests()
    )
    for group in budget.FLEET:
        assert budget.load(group, grown).each[0] == budget.load(group).each[0] + 500


def test_resources_of_unknown_containers_are_refused() -> None:
    values = {
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}},
        "helper": {"resources": {"requests": {"cpu": "1m", "memory": "1Mi"}}},
    }
    with pytest.raises(budget.BudgetError, match="helper"):
        budget._of_chart("role", "zot", values)
    with pytest.raises(budget.BudgetError, match="add the containers of the chart new-chart"):
        budget._of_chart("role", "new-chart", values)


@pytest.mark.parametrize(("text", "amount"), [("100m", 100), ("1", 1000), (2, 2000), ("0.5", 500)])
def test_cpu(text: str | int, amount: float) -> None:
    assert budget.cpu(text) == amount


@pytest.mark.parametrize(("text", "amount"), [("64Mi", 64), ("1Gi", 1024), ("512Ki", 0.5), (1048576, 1)])
def test_memory(text: str | int, amount: float) -> None:
    assert budget.memory(text) == amount


def test_memory_in_another_unit_is_refused() -> None:
    with pytest.raises(budget.BudgetError, match="500M"):
        budget.memory("500M")
