# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for all tests: how they are shared out to the processes, and the record of how long each file took.

Ansible's own importer of collections comes first: once Python's has imported a module of ours, Ansible finds none of
our filters, and no role renders.
"""

from __future__ import annotations

import collections
import json
import os
import signal
import sys
import time
import typing as t
from pathlib import Path

import hypothesis
import pytest
from ansible.plugins.loader import init_plugin_loader

PROJECT = Path(__file__).resolve().parents[1]
RECORD_VARIABLE = "WASMFAAS_TEST_RECORD"
SCENARIOS = "tests/molecule/test_scenarios.py"
# What took more than 4 minutes in the last run of `make test` (its end lists them), by time. Their order matters only
# for how long `make test` takes.
LONGEST = (
    f"{SCENARIOS}::test_scenario[recovery]",
    f"{SCENARIOS}::test_scenario[lifecycle]",
    "tests/cluster/test_rotate.py",
    "tests/integration/test_tenants.py",
    "tests/integration/test_platform_roles.py",
    f"{SCENARIOS}::test_scenario[platform]",
    "tests/integration/test_examples.py",
    "tests/integration/test_local_runtime.py",
    "tests/integration/test_request_path.py",
    "tests/terraform/test_moto.py",
    "tests/integration/test_charts.py",
)
LOWER_PRIORITY = 5

init_plugin_loader([str(PROJECT / ".ansible/collections")])

# Rewriting the assertions of all tests takes 15 s in each process. pytest keeps them, also where the environment has
# PYTHONDONTWRITEBYTECODE.
sys.dont_write_bytecode = False

# A background job of a shell begins with SIGINT ignored, and so would every program that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# `make test` tries the same examples on every machine, however slow it is; `make test-full` looks for new ones.
hypothesis.settings.register_profile(
    "wasmfaas",
    deadline=None,
    derandomize=os.environ.get("WASMFAAS_TESTS") != "full",
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("wasmfaas")


def part_of(node_id: str) -> str:
    """What is run by one process and measured as one part: a file, and each scenario by itself.

    Tests of a file share servers and hosts; scenarios share nothing, and are the longest.
    """
    return node_id if node_id.startswith(SCENARIOS) else node_id.partition("::")[0]


def takes_from_the_end(worker: str, workers: int) -> bool:
    """Whether a process of pytest-xdist (`gw0` and so on) begins with the last parts.

    These are the unit tests, which need the processor and wait for nothing; what comes first waits half of the time.
    One process of three or more does them beside the others, until they meet.
    """
    return workers > 2 and worker == f"gw{workers - 1}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest parts first. A long one that began last would run alone at the end.

    Raises:
        pytest.UsageError: LONGEST names a file that does not exist.
    """
    if gone := [part for part in LONGEST if not (PROJECT / part.partition("::")[0]).is_file()]:
        raise pytest.UsageError(f"LONGEST in tests/conftest.py names what does not exist: {', '.join(gone)}")
    order = {part: place for place, part in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(part_of(item.nodeid), len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: t.Any) -> t.Any:
    from xdist.scheduler import LoadScopeScheduling

    class Parts(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return part_of(nodeid)

        def _assign_work_unit(self, node: t.Any) -> None:
            if takes_from_the_end(node.gateway.id, self.numnodes):
                self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
            super()._assign_work_unit(node)

    return Parts(config, log)


class Record:
    """Seconds by part, the number of outcomes and what failed, written as JSON for scripts/run_tests.py; failures in
    `failures.log` beside it, as soon as they come."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.seconds: collections.Counter[str] = collections.Counter()
        self.failures = file.with_name("failures.log")
        self.running: dict[str, float] = {}
        self.failed: list[str] = []
        file.parent.mkdir(parents=True, exist_ok=True)
        self.failures.unlink(missing_ok=True)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.running[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.running.pop(nodeid, None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[part_of(report.nodeid)] += report.duration
        if report.failed:
            if report.nodeid not in self.failed:
                self.failed.append(report.nodeid)
            with self.failures.open("a", encoding="utf-8") as log:
                log.write(f"=== {report.nodeid} ({report.when})\n{report.longreprtext}\n")

    def pytest_terminal_summary(self, terminalreporter: t.Any, exitstatus: int) -> None:
        outcomes = {
            name: len(terminalreporter.stats.get(name, [])) for name in ("passed", "failed", "error", "skipped")
        }
        written = {"seconds": self.seconds, "outcomes": outcomes, "failed": self.failed, "exit_status": int(exitstatus)}
        self.file.write_text(json.dumps(written, indent=1), encoding="utf-8")
        for test, since in self.running.items():  # none, unless the run was interrupted
            terminalreporter.write_line(f"Did not end within {time.monotonic() - since:.0f} s: {test}")


def pytest_configure(config: pytest.Config) -> None:
    worker: dict[str, t.Any] = getattr(config, "workerinput", {})
    if worker and takes_from_the_end(worker["workerid"], worker["workercount"]):
        os.nice(LOWER_PRIORITY)  # tests with servers have time limits, unit tests have none
    # Taken out, since tests run pytest too.
    if file := os.environ.pop(RECORD_VARIABLE, ""):
        config.pluginmanager.register(Record(Path(file)))
