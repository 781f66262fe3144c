# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The local runtime with examples/functions/hello-python, as `make demo` runs it."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path

import httpx2

from .measure import ANSIBLE_PLAYBOOK, REPOSITORY, Row, environment, medians, module_command, percentile

REQUESTS, PER_SECOND = 300, 10
FUNCTIONS = 1000


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as temporary:
        result_file = Path(temporary) / "result.json"
        common = ["-e", "name=bench-hello", "-e", f"state_directory={temporary}/state"]
        playbook = [
            ANSIBLE_PLAYBOOK,
            "deploy-function.yml",
            "-e",
            "src=examples/functions/hello-python",
            "-e",
            f"result_file={result_file}",
            *common,
        ]
        subprocess.run(playbook, cwd=REPOSITORY, env=environment(), check=True, capture_output=True)
        try:
            url = json.loads(result_file.read_text())["url"]
            first = _call(url)
            seconds = _at_a_rate(url)
            listed = _listed(Path(temporary))
        finally:
            delete = [ANSIBLE_PLAYBOOK, "wasmfaas.platform.delete_function", *common]
            subprocess.run(delete, cwd=REPOSITORY, env=environment(), check=True, capture_output=True)
    p50, p99 = percentile(seconds, 50) * 1000, percentile(seconds, 99) * 1000
    return [
        Row("Local runtime, first request after the deployment", f"{first * 1000:.0f} ms", "≤ 100 ms", first <= 0.1),
        Row(f"Local runtime, {PER_SECOND} requests/s, p50", f"{p50:.1f} ms", "≤ 15 ms", p50 <= 15),
        Row(f"Local runtime, {PER_SECOND} requests/s, p99", f"{p99:.1f} ms", "≤ 100 ms", p99 <= 100),
        Row(f"`spin_function_info` with {FUNCTIONS} local functions", f"{listed:.2f} s", "≤ 2 s", listed <= 2),
    ]


def _listed(directory: Path) -> float:
    """Seconds to list many functions. All have the process of the first, since so many do not fit on this machine; it
    is asked once for each whether it is healthy."""
    (state,) = (directory / "state" / "functions").glob("*/*/state.json")
    for number in range(FUNCTIONS):
        copy = directory / "many" / "functions" / "default" / f"many-{number}"
        copy.mkdir(parents=True)
        (copy / state.name).write_text(state.read_text())
    parameters = {"target": "local", "state_directory": str(directory / "many")}
    (seconds,) = medians(module_command("spin_function_info", parameters, directory), runs=5, warmup=1)
    return seconds


def _call(url: str) -> float:
    """Seconds of one GET on a connection of its own."""
    with httpx2.Client(trust_env=False, verify=False) as client:
        started = time.monotonic()
        client.get(url).raise_for_status()
        return time.monotonic() - started


def _at_a_rate(url: str) -> list[float]:
    seconds = []
    begun = time.monotonic()
    for index in range(REQUESTS):
        time.sleep(max(0.0, begun + index / PER_SECOND - time.monotonic()))  # keeps the rate, whatever an answer took
        seconds.append(_call(url))
    return seconds
