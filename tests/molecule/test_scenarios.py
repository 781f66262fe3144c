# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One test for each scenario of molecule/, so that pytest's summary includes them. `make molecule SCENARIO=ha` runs one
with its output."""

from __future__ import annotations

import collections.abc
import contextlib
import os
import subprocess
from pathlib import Path

import psutil
import pytest
from ansible_collections.wasmfaas.platform.tests.aws_journey import cloud
from ansible_collections.wasmfaas.platform.tests.extent import only_in_full
from ansible_collections.wasmfaas.platform.tests.hosts import Environment, unavailable
from ansible_collections.wasmfaas.platform.tests.integration.support import platform_stand_in

PROJECT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted(path.parent.name for path in PROJECT.glob("molecule/*/molecule.yml"))
ONLY_IN_FULL = {
    "single": "`ha` has the same steps, and in `airgap` the server runs Wasm too",
    "aws_journey": "the commands of docs/aws.md one by one (test_aws_page.py), its inventory (test_moto.py), and the "
    "playbooks on other hosts (`ha`, `platform`, test_login_user.py)",
}
MISSING: dict[str, collections.abc.Callable[[], str]] = {
    "platform": platform_stand_in.unavailable,
    "aws_journey": cloud.unavailable,
}
"""Why a scenario cannot run here; empty if it can."""
SECONDS = 1800
LINES_SHOWN = 120
DIRECTORY = PROJECT / ".ansible/molecule"
_reason = unavailable()

pytestmark = pytest.mark.skipif(bool(_reason), reason=_reason or "hosts can be made")


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(name, marks=only_in_full(ONLY_IN_FULL[name])) if name in ONLY_IN_FULL else name
        for name in SCENARIOS
    ],
)
def test_scenario(scenario: str) -> None:
    if scenario in MISSING and (missing := MISSING[scenario]()):
        pytest.skip(missing)
    code = run(scenario)
    text = log_of(scenario).read_text(errors="replace").splitlines()
    assert code == 0, (
        f"molecule test --scenario-name {scenario} ended with {code}. The end of {log_of(scenario)}:\n"
        + "\n".join(text[-LINES_SHOWN:])
    )
    assert not [line for line in text if "Missing playbook" in line], "molecule skipped a step that the scenario names"
    assert not (DIRECTORY / scenario / "hosts").exists(), "molecule left hosts behind"


def log_of(scenario: str) -> Path:
    return PROJECT / "tests/output" / f"molecule-{scenario}.log"


def run(scenario: str) -> int:
    """Run a scenario, and end it after SECONDS. Returns its exit code."""
    log_of(scenario).parent.mkdir(parents=True, exist_ok=True)
    DIRECTORY.mkdir(parents=True, exist_ok=True)  # molecule uses it as an inventory before create.yml makes it
    environment = {
        **os.environ,
        "ANSIBLE_HOME": str(PROJECT / ".ansible"),
        "PATH": f"{PROJECT}/.venv/bin:{os.environ['PATH']}",
    }
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
    return process.returncode
