# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the time of a second run of site.yml grows with the number of hosts, at a fixed number of forks."""

from __future__ import annotations

import statistics
import sys

from .measure import Entry, Row, Table, medians
from .site import FORKS, booted, load, site

SIZES = (1, 5, 10, 20)
RUNS = 3


def measure() -> list[Entry]:
    names = [f"host{number}" for number in range(1, SIZES[-1] + 1)]
    before = load()
    seconds: dict[int, float] = {}
    with booted(names) as hosts:
        directory = hosts.directory.parent / "inventory"
        directory.mkdir()
        for size in SIZES:  # the cluster grows as its inventory does
            servers = names[: _servers(size)]
            playbook = site(hosts, directory, servers, names[len(servers) : size])
            playbook.run()
            (seconds[size],) = medians(playbook.command, runs=RUNS, warmup=1, variables=playbook.environment)
            print(f"{size} hosts: {seconds[size]:.1f} s", file=sys.stderr)
    slope = statistics.linear_regression(
        [size / FORKS for size in SIZES], [seconds[size] / seconds[FORKS] for size in SIZES]
    ).slope
    lines = [
        (
            str(size),
            str(_servers(size)),
            str(FORKS),
            f"{size / FORKS:.1f}",
            f"{seconds[size]:.1f} s",
            f"{seconds[size] / seconds[FORKS]:.2f}",
        )
        for size in SIZES
    ]
    definition = (
        "The slope is that of the least-squares line through the last column over hosts/forks: 1 means that each "
        f"further batch of {FORKS} hosts costs as much "
        f"as a whole run on {FORKS} hosts. Medians of {RUNS} runs; the hosts share this machine's cores. "
        f"Load average just before: {before}."
    )
    return [
        Row(
            f"Second run of `site.yml` on {SIZES[0]} to {SIZES[-1]} hosts: slope in hosts/forks",
            f"{slope:.2f}",
            "≤ 1.2",
            slope <= 1.2,
        ),
        Table(
            ("hosts", "of these servers", "forks", "hosts/forks", "second run", "to that of hosts = forks"),
            tuple(lines),
        ),
        definition,
    ]


def _servers(size: int) -> int:
    return 1 if size < 3 else 3
