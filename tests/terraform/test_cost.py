# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cost table: its sums are right, and the default fleet is within its budget."""

from __future__ import annotations

import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.scripts import cost

from .support import PROJECT, terraform_program

PRICES: dict[str, t.Any] = {
    "date": "2025-01-01",
    "region": "us-east-1",
    "hour": {"a.large": {"on_demand": 1.0, "spot": 0.25}},
    "public_address_hour": 0.01,
    "load_balancer_hour": 0.02,
    "nat_gateway_hour": 0.04,
    "nat_gateway_gb": 0.04,
    "gp3_gib_month": 0.73,
    "hosted_zone_month": 0.5,
}
VARIABLES: dict[str, t.Any] = {
    "region": "us-east-1",
    "private_nodes": False,
    "nat_gateway_per_zone": False,
    "zone_count": 3,
    "availability_zones": [],
    "api_endpoint": "load_balancer",
    "node_groups": {
        "servers": {
            "size": 3,
            "minimum": 0,
            "autoscaled": False,
            "spot": False,
            "instance_types": ["a.large"],
            "root_volume_gib": 10,
            "data_volume_gib": 10,
        },
        "workers": {
            "size": 0,
            "minimum": 0,
            "autoscaled": True,
            "spot": True,
            "instance_types": ["a.large", "b.large"],
            "root_volume_gib": 10,
            "data_volume_gib": 0,
        },
    },
}


def test_default_fleet_is_within_its_budget() -> None:
    terraform_program()
    done = subprocess.run(
        [sys.executable, str(PROJECT / "scripts/cost.py")], capture_output=True, text=True, check=True
    )
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert set(cost.BUDGET) <= set(lines) and "OVER" not in done.stdout
    assert lines["control-plane"].split() == ["control-plane", "3", "t4g.medium", "21.44", "21.44", "21"]
    guide = (PROJECT / "docs/aws.md").read_text(encoding="utf-8")
    assert f"${float(lines['all'].split()[1]):.0f} for 7 days of the default fleet" in guide, (
        "docs/aws.md gives another sum than `make cost`"
    )


def test_sums_of_groups_and_shared_resources() -> None:
    servers, workers = cost.group_rows(VARIABLES, PRICES, days=1)
    # 24 h of machine, address, and 20 GiB at 0.001 an hour.
    assert servers.cost == pytest.approx(3 * 24 * (1.0 + 0.01 + 0.02)) and servers.spot is None
    # An autoscaled group with minimum 0 counts with one machine.
    assert workers.machines == 1
    assert workers.cost == workers.spot == pytest.approx(24 * (0.25 + 0.01 + 0.01))
    assert workers.on_demand == pytest.approx(24 * 1.02)
    assert dict(cost.shared_rows(VARIABLES, PRICES, days=1)) == {
        "public load balancer, 3 addresses": pytest.approx(24 * 0.05),
        "private load balancer of the API": pytest.approx(24 * 0.02),
    }


def test_switches_change_the_sums() -> None:
    private = VARIABLES | {
        "private_nodes": True,
        "nat_gateway_per_zone": True,
        "api_endpoint": "dns",
        "availability_zones": ["a", "b"],
    }
    assert cost.group_rows(private, PRICES, days=1)[0].cost == pytest.approx(3 * 24 * 1.02)
    assert dict(cost.shared_rows(private, PRICES, days=1)) == {
        "public load balancer, 2 addresses": pytest.approx(24 * 0.04),
        "private DNS zone of the API": pytest.approx(24 * 0.5 / 730),
        "2 NAT gateway(s) with address": pytest.approx(2 * 24 * 0.05),
    }
    # 4 public addresses at 0.01 against one gateway and its address at 0.05.
    assert cost.private_difference(VARIABLES, PRICES, days=1).startswith(
        "With private machines behind NAT: $0.24 more."
    )


def test_a_group_over_its_budget_is_marked() -> None:
    row = cost.Row("worker-backend", 1, "a.large", 9, 5, 5)
    assert cost._budget(row, 7) == "4: OVER" and cost._budget(row, 30) is None


def test_a_type_without_a_price_is_an_error() -> None:
    groups = {"workers": VARIABLES["node_groups"]["workers"] | {"instance_types": ["z.large"]}}
    with pytest.raises(cost.CostError, match=r"no price for z\.large \(workers\).*Next: Add it"):
        cost.group_rows(VARIABLES | {"node_groups": groups}, PRICES, days=1)


def test_a_region_without_prices_is_an_error() -> None:
    with pytest.raises(cost.CostError, match=r"no prices for eu-north-1.*--prices"):
        cost.read_prices(None, "eu-north-1")


def test_variables_come_from_the_given_file(tmp_path: Path) -> None:
    terraform_program()
    own = tmp_path / "own.tfvars"
    own.write_text("private_nodes = true\n", encoding="utf-8")
    assert cost.read_variables(own)["private_nodes"] is True
    own.write_text('admin_cidrs = ["0.0.0.0/0"]\n', encoding="utf-8")
    with pytest.raises(cost.CostError, match="must not be open to the internet"):
        cost.read_variables(own)
