# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The budget of docs/budget.md: current, complete, and within what the nodes have."""

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
        "python -m tests.observability.budget writes it anew"
    )


def test_every_chart_of_the_versions_file_is_counted() -> None:
    versions = RenderedRole("platform").value("platform_charts")
    assert {part.chart for part in budget.parts()} == set(budget.CONTAINERS) == set(versions)


def test_a_part_that_grows_is_noticed() -> None:
    grown = tuple(
        dataclasses.replace(part, memory=part.memory * 8) if part.name == "prometheus" else part
        for part in budget.parts()
    )
    assert max(budget.load("observability", grown).fullest) > budget.LIMIT
    assert budget.load("control-plane", grown) == budget.load("control-plane")


def test_what_is_on_every_node_counts_on_both_groups() -> None:
    agent = next(part for part in budget.parts() if part.name == "node-exporter")
    grown = tuple(dataclasses.replace(part, cpu=part.cpu + 500) if part is agent else part for part in budget.parts())
    for group in budget.FLEET:
        assert budget.load(group, grown).each[0] == budget.load(group).each[0] + 500


def test_resources_that_no_container_is_known_for_are_refused() -> None:
    values = {
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}},
        "helper": {"resources": {"requests": {"cpu": "1m", "memory": "1Mi"}}},
    }
    with pytest.raises(budget.BudgetError, match="helper"):
        budget._of_chart("role", "zot", values)
    with pytest.raises(budget.BudgetError, match="which containers"):
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
