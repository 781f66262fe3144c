# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan of the default fleet of terraform/, and the machines of a large autoscaled group in the inventory. The moto
server stands in for AWS.

Terraform and its provider as users have them, so without the GOGC that the tests set.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import os
import statistics
import tempfile
import time
from pathlib import Path

import pytest

from tests.terraform.fleet import Fleet, many_machines, new_fleet
from tests.terraform.support import Terraform, child_cpu_seconds, find_terraform, moto_server

from .measure import Entry, NotMeasuredError, Row
from .site import load

ROUNDS = 3
MACHINES = 200
LEAST = 'data "aws_caller_identity" "current" {}\n'


@dataclasses.dataclass(frozen=True)
class Took:
    """Medians in seconds: by the clock, and of the processors without moto's part."""

    wall: float
    processors: float

    def __str__(self) -> str:
        return f"{self.wall:.1f} s ({self.processors:.1f} s of processor time)"


def measure() -> list[Entry]:
    with tempfile.TemporaryDirectory(prefix="bench-terraform-") as temporary:
        directory = Path(temporary)
        try:
            return _measure(directory)
        except pytest.skip.Exception as missing:
            raise NotMeasuredError(str(missing)) from None


def _measure(directory: Path) -> list[Entry]:
    before = load()
    terraform = _as_users_have_it(find_terraform(directory))
    with moto_server(directory / "moto.log") as moto:
        fleet = new_fleet(terraform, moto, directory)
        first = _median(lambda: _planned(fleet, 100))
        fleet.apply()
        second = _median(lambda: _planned(fleet, 0))
        least = directory / "least"
        least.mkdir()
        for name in ("versions.tf", "provider_override.tf"):
            (least / name).write_text((fleet.directory / name).read_text(encoding="utf-8"), encoding="utf-8")
        (least / "main.tf").write_text(f'provider "aws" {{\n  region = "us-east-1"\n}}\n{LEAST}', encoding="utf-8")
        terraform.initialize(least)
        floor = _median(lambda: _ran(fleet.terraform, least))
        with many_machines(moto, directory, MACHINES) as source:
            listed = _median(lambda: _listed(fleet, source))
    return [
        Row("`terraform plan`, default fleet, nothing there yet", str(first), "≤ 10 s", first.wall <= 10),
        Row("`terraform plan`, default fleet, all there, no change", str(second), "≤ 10 s", second.wall <= 10),
        Row(
            "`terraform plan` of one data source: what Terraform and the provider take by themselves",
            str(floor),
            "",
            None,
        ),
        Row(f"`ansible-inventory --list`, {MACHINES} autoscaled machines", str(listed), "≤ 5 s", listed.wall <= 5),
        (
            f"Medians of {ROUNDS}. The provider finds the moto server by AWS_ENDPOINT_URL. Load average of the machine "
            f"just before: {before}."
        ),
    ]


def _as_users_have_it(terraform: Terraform) -> Terraform:
    own = {name: value for name, value in terraform.environment.items() if name != "GOGC" or "GOGC" in os.environ}
    return dataclasses.replace(terraform, environment=own)


def _planned(fleet: Fleet, fewest: int) -> None:
    changes, _seconds = fleet.plan()
    if len(changes) < fewest or (not fewest and changes):
        raise NotMeasuredError(f"the plan has {len(changes)} changes")


def _ran(terraform: Terraform, directory: Path) -> None:
    terraform.run(directory, "plan", "-no-color")


def _listed(fleet: Fleet, source: Path) -> None:
    if len(fleet.inventory(source)["worker_wasm"]["hosts"]) != MACHINES:
        raise NotMeasuredError("the inventory lists another number of machines")


def _median(run: collections.abc.Callable[[], None]) -> Took:
    walls, processors = [], []
    run()
    for _number in range(ROUNDS):
        used, started = child_cpu_seconds(), time.monotonic()
        run()
        walls.append(time.monotonic() - started)
        processors.append(child_cpu_seconds() - used)
    return Took(statistics.median(walls), statistics.median(processors))
