# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds to the end of pytest's report how long each scenario took, and which k3s it ran."""

from __future__ import annotations

import typing as t

from ansible_collections.wasmfaas.platform.tests.hosts.k3s_binary import origin

SCENARIO_TEST = "test_scenarios.py::test_scenario["


def pytest_terminal_summary(terminalreporter: t.Any) -> None:
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    reports = [report for report in reports if SCENARIO_TEST in getattr(report, "nodeid", "")]
    if reports:
        terminalreporter.section(f"molecule scenarios (k3s: {origin()})")
    for report in reports:
        name = report.nodeid.partition("[")[2].partition("]")[0]
        terminalreporter.write_line(f"{name}: {report.outcome} in {report.duration:.0f} s")
