# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints what the node groups of terraform/ cost, from dated prices, and the budget that they were designed for.

make cost
python3 scripts/cost.py --days 30 --var-file terraform/terraform.tfvars
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shutil
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import yaml
from tabulate import tabulate

PROJECT = Path(__file__).resolve().parent.parent
PRICES = PROJECT / "scripts/prices"
HOURS_PER_MONTH = 730
# The budget in dollars for seven days, from and to, with one machine in each autoscaled group.
BUDGET = {
    "control-plane": (21, 21),
    "observability": (27, 27),
    "worker-wasm": (13, 13),
    "worker-build": (14, 27),
    "worker-backend": (4, 4),
}
BUDGET_DAYS = 7


class CostError(Exception):
    """Prices or variables cannot be read. The message says what is missing and what to do."""


@dataclasses.dataclass(frozen=True)
class Row:
    """Dollars of one group for the whole time. `on_demand`, `spot`: if all of its machines were of that kind; `cost`:
    with the kind that is configured."""

    group: str
    machines: int
    instance_type: str
    on_demand: float
    spot: float | None
    cost: float


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="What the fleet of terraform/ costs.")
    parser.add_argument("--days", type=float, default=BUDGET_DAYS)
    parser.add_argument(
        "--var-file", type=Path, help="variables of your own; default: terraform/terraform.tfvars if there is one"
    )
    parser.add_argument("--prices", type=Path, help="prices of your own, in the form of scripts/prices/us-east-1.yml")
    arguments = parser.parse_args()
    try:
        variables = read_variables(arguments.var_file)
        prices = read_prices(arguments.prices, variables["region"])
        print(report(variables, prices, arguments.days))
    except CostError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def read_variables(var_file: Path | None) -> dict[str, t.Any]:
    """The root's variables with their defaults, as Terraform itself sees them; needs no provider and no state. Errors:
    CostError."""
    program = shutil.which("terraform")
    if not program:
        raise CostError(
            "terraform, which reads the fleet, is not in PATH. Next: Install it "
            "(https://developer.hashicorp.com/terraform/install)."
        )
    own = var_file or PROJECT / "terraform/terraform.tfvars"
    with tempfile.TemporaryDirectory() as directory:
        shutil.copy(PROJECT / "terraform/variables.tf", directory)
        names = (
            "node_groups",
            "region",
            "private_nodes",
            "nat_gateway_per_zone",
            "zone_count",
            "availability_zones",
            "api_endpoint",
        )
        values = ", ".join(f"{name} = {'local' if name == 'node_groups' else 'var'}.{name}" for name in names)
        expression = f"jsonencode({{{values}}})"
        options = [f"-var-file={own.resolve()}"] if var_file or own.exists() else []
        command = [program, f"-chdir={directory}", "console", *options]
        done = subprocess.run(command, input=f"{expression}\n", capture_output=True, text=True, check=False)
    # The console answers although a variable is refused, with the refusal above the answer.
    *refusal, answer = done.stdout.strip().splitlines() or [""]
    if done.returncode or refusal:
        text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join([done.stderr, *refusal])).strip()
        raise CostError(f"Terraform refuses the variables. Next: Correct what it says:\n{text}")
    variables: dict[str, t.Any] = json.loads(json.loads(answer))
    return variables


def read_prices(path: Path | None, region: str) -> dict[str, t.Any]:
    """Prices of the region. Errors: CostError."""
    source = path or PRICES / f"{region}.yml"
    if not source.exists():
        raise CostError(
            f"There are no prices for {region} in {source}. Next: Copy scripts/prices/us-east-1.yml, put the "
            "region's prices in, give it as --prices."
        )
    prices: dict[str, t.Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    return prices


def group_rows(variables: dict[str, t.Any], prices: dict[str, t.Any], days: float) -> list[Row]:
    """One row for each group. An autoscaled group counts with its minimum, at least one machine.

    Raises:
        CostError: an instance type has no price.
    """
    rows = []
    for name, group in variables["node_groups"].items():
        machines = max(group["size"], group["minimum"], 1)
        instance_type = group["instance_types"][0]
        if instance_type not in prices["hour"]:
            raise CostError(
                f"There is no price for {instance_type} ({name}) in {prices['region']}. "
                "Next: Add it to a copy of scripts/prices/us-east-1.yml, give that as --prices."
            )
        hour = prices["hour"][instance_type]
        hours = days * 24
        address = 0 if variables["private_nodes"] else prices["public_address_hour"] * hours
        volumes = (
            (group["root_volume_gib"] + group["data_volume_gib"]) * prices["gp3_gib_month"] * hours / HOURS_PER_MONTH
        )
        on_demand, spot = (machines * (hour[kind] * hours + address + volumes) for kind in ("on_demand", "spot"))
        rows.append(
            Row(
                name,
                machines,
                instance_type,
                on_demand,
                spot if group["autoscaled"] else None,
                spot if group["spot"] else on_demand,
            )
        )
    return rows


def shared_rows(variables: dict[str, t.Any], prices: dict[str, t.Any], days: float) -> list[tuple[str, float]]:
    """Name and dollars of what exists once, independent of the groups."""
    hours = days * 24
    zones = len(variables["availability_zones"]) or variables["zone_count"]
    rows = [
        (
            f"public load balancer, {zones} addresses",
            hours * (prices["load_balancer_hour"] + zones * prices["public_address_hour"]),
        )
    ]
    if variables["api_endpoint"] == "dns":
        rows.append(("private DNS zone of the API", prices["hosted_zone_month"] * hours / HOURS_PER_MONTH))
    else:
        rows.append(("private load balancer of the API", hours * prices["load_balancer_hour"]))
    if variables["private_nodes"]:
        count = zones if variables["nat_gateway_per_zone"] else 1
        rows.append(
            (
                f"{count} NAT gateway(s) with address",
                count * hours * (prices["nat_gateway_hour"] + prices["public_address_hour"]),
            )
        )
    return rows


def report(variables: dict[str, t.Any], prices: dict[str, t.Any], days: float) -> str:
    """The tables, as text."""
    rows, shared = group_rows(variables, prices, days), shared_rows(variables, prices, days)
    table = [
        [row.group, row.machines, row.instance_type, row.on_demand, row.spot, row.cost, _budget(row, days)]
        for row in rows
    ]
    table += [[name, None, None, None, None, cost, None] for name, cost in shared]
    total = sum(row.cost for row in rows) + sum(cost for name, cost in shared)
    resting = total - sum(
        row.cost
        for row in rows
        if variables["node_groups"][row.group]["autoscaled"] and variables["node_groups"][row.group]["minimum"] == 0
    )
    machines = (
        "Machines include disks and public addresses. Autoscaled groups count with their minimum, at least one "
        f"machine; ${resting:.2f} if groups with minimum 0 are empty."
    )
    source = (
        f"Prices are AWS's list prices of {prices['region']} as of {prices['date']}, not read from AWS. "
        "Spot prices are estimates of this project."
    )
    table.append(["all", None, None, None, None, total, None])
    headers = ["", "machines", "type", "on demand $", "spot $ (est.)", f"{days:g} days $", "budget $"]
    return "\n".join(
        [
            tabulate(table, headers=headers, floatfmt=".2f", missingval=""),
            "",
            machines,
            source,
            "Not included: traffic, load balancer units, images, snapshots, logs and taxes.",
            private_difference(variables, prices, days),
        ]
    )


def private_difference(variables: dict[str, t.Any], prices: dict[str, t.Any], days: float) -> str:
    """How much more or less the other value of `private_nodes` would cost."""
    other = variables | {"private_nodes": not variables["private_nodes"]}
    totals = [
        sum(row.cost for row in group_rows(v, prices, days)) + sum(cost for name, cost in shared_rows(v, prices, days))
        for v in (variables, other)
    ]
    difference = totals[1] - totals[0]
    kind = "private machines behind NAT" if other["private_nodes"] else "public machines"
    compared = "more" if difference > 0 else "less"
    return (
        f"With {kind}: ${abs(difference):.2f} {compared}. A NAT gateway also costs ${prices['nat_gateway_gb']} for "
        "each GB of traffic, except traffic to S3."
    )


def _budget(row: Row, days: float) -> str | None:
    if row.group not in BUDGET or days != BUDGET_DAYS:
        return None
    low, high = BUDGET[row.group]
    text = str(low) if low == high else f"{low} to {high}"
    return text if round(row.cost) <= high else f"{text}: OVER"


if __name__ == "__main__":
    sys.exit(main())
