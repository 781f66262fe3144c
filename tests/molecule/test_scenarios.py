# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One test for each scenario of molecule/, so that the one summary of pytest counts them. `make molecule SCENARIO=ha` runs one with its output."""

from __future__ import annotations

import collections.abc
import concurrent.futures
import contextlib
import os
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from ansible_collections.wasmfaas.platform.tests.hosts import Environment, unavailable

PROJECT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted(path.parent.name for path in PROJECT.glob("molecule/*/molecule.yml"))
LONGEST_FIRST = ("recovery", "lifecycle", "upgrade")
AT_ONCE = 2
"""Scenarios wait for k3s most of the time; each has hosts and a network of its own."""
SECONDS = 1800
LINES_SHOWN = 120
DIRECTORY = PROJECT / ".ansible/molecule"
_reason = unavailable()

pytestmark = pytest.mark.skipif(bool(_reason), reason=_reason or "hosts can be made")

Runs = dict[str, "concurrent.futures.Future[tuple[int, float]]"]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> collections.abc.Iterator[Runs]:
    """The scenarios of this session, begun: exit code and seconds of each, once it is done."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function) and item.originalname == "test_scenario"]
    chosen = {str(test.callspec.params["scenario"]) for test in tests}
    order = [*(name for name in LONGEST_FIRST if name in chosen), *sorted(chosen - set(LONGEST_FIRST))]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(run, name) for name in order}
        pool.shutdown(cancel_futures=True)  # after an interruption


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str, runs: Runs, record_property: collections.abc.Callable[[str, object], None]) -> None:
    code, seconds = runs[scenario].result()
    record_property("seconds", seconds)
    text = log_of(scenario).read_text(errors="replace").splitlines()
    assert code == 0, f"molecule test --scenario-name {scenario} ended with {code}. The end of {log_of(scenario)}:\n" + "\n".join(text[-LINES_SHOWN:])
    assert not [line for line in text if "Missing playbook" in line], "molecule skipped a step that the scenario names"
    assert not (DIRECTORY / scenario / "hosts").exists(), "molecule left hosts behind"


def log_of(scenario: str) -> Path:
    return PROJECT / "tests/output" / f"molecule-{scenario}.log"


def run(scenario: str) -> tuple[int, float]:
    """Run a scenario to its end, or end it: exit code and seconds."""
    begin = time.monotonic()
    log_of(scenario).parent.mkdir(parents=True, exist_ok=True)
    DIRECTORY.mkdir(parents=True, exist_ok=True)  # molecule names it as an inventory before create.yml makes it
    environment = {**os.environ, "ANSIBLE_HOME": str(PROJECT / ".ansible"), "PATH": f"{PROJECT}/.venv/bin:{os.environ['PATH']}"}
    environment |= {"NO_COLOR": "1", "COLUMNS": "160"}
    with log_of(scenario).open("w") as output:
        process = subprocess.Popen(
            ["molecule", "test", "--scenario-name", scenario],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            process.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            for started in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    started.kill()
            process.wait()
            Environment(DIRECTORY / scenario / "hosts").destroy()
    return process.returncode, time.monotonic() - begin
