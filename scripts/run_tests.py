# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make test` does: every step, whatever another one came to, and at the end what failed and where the time went.

Most tests wait for servers and hosts half of the time, lint and sanity for nothing. So these two run beside the
programs' build and the tests, one after the other, at a low priority. Their output comes after pytest's.

A test that fails beside others has one second attempt, alone, and the end names it: passing then, it is a test or a
program that depends on time or on its neighbours, which is a fault too, but says nothing against the rest.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
OUTPUT = PROJECT / "tests/output"
RECORD = OUTPUT / "tests.json"
SECOND_RECORD = OUTPUT / "second_attempt.json"
FULL = os.environ.get("WASMFAAS_TESTS") == "full"
PROGRAMS = "programs-full" if FULL else "programs"
CHECKS = ("lint", "sanity", *(["units"] if FULL else []))
TESTS = "pytest"
LOWER_PRIORITY = 10
INTERRUPTED = 130
"""The exit code that a shell gives for Ctrl-C."""
LONGEST = 10
# What does not end by itself is interrupted then, so that pytest still says what failed and what was running.
LIMIT_SECONDS = None if FULL else 85 * 60
MOST_SECOND_ATTEMPTS = 3
"""Parts (tests/conftest.py). Where more of them fail, it is no coincidence."""
TESTS_FAILED = 1
"""pytest's exit status where it ran to its end (pytest 9.0, pytest.ExitCode)."""


@dataclasses.dataclass(frozen=True)
class Ended:
    """A step that ended; `seconds`: how long it took."""

    name: str
    exit_code: int
    seconds: float
    remark: str = ""


def main() -> int:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for file in (RECORD, SECOND_RECORD):
        file.unlink(missing_ok=True)
    begun = time.monotonic()
    ended: list[Ended] = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        checks = [pool.submit(run_quietly, name, LOWER_PRIORITY) for name in CHECKS]
        try:
            ended.append(run_quietly(PROGRAMS))
            show(PROGRAMS)
            end = None if LIMIT_SECONDS is None else begun + LIMIT_SECONDS
            ended.append(run_tests(end, RECORD))
        except KeyboardInterrupt:
            ended.append(Ended(TESTS, INTERRUPTED, time.monotonic() - begun))
            for check in checks:  # those that have not begun would begin now
                check.cancel()
        for check in checks:
            if not check.cancelled():
                ended.append(check.result())
                show(ended[-1].name)
    recorded = record(RECORD)
    if again := second_attempts(recorded):
        print(f"\n--- a second attempt, alone: {' '.join(again)}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # what failed stays failed
            ended, recorded = with_second_attempt(ended, recorded, run_tests(end, SECOND_RECORD, again), again)
    print("\n".join(summary(ended, recorded, time.monotonic() - begun)), flush=True)
    return int(any(step.exit_code for step in ended))


def run_quietly(name: str, lower_priority: int = 0) -> Ended:
    """`make NAME`, with its output in a file (`show`), so that two steps do not mix theirs; `lower_priority`: what is
    added to its niceness, 0 to 19."""
    begun = time.monotonic()
    with log_of(name).open("wb") as output:
        step = subprocess.run(
            ["nice", "-n", str(lower_priority), "make", name],
            cwd=PROJECT,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return Ended(name, step.returncode, time.monotonic() - begun)


def show(name: str) -> None:
    print(f"--- make {name}\n{log_of(name).read_text(errors='replace')}", end="", flush=True)


def log_of(name: str) -> Path:
    return OUTPUT / f"{name}.log"


def run_tests(end: float | None, record_file: Path, only: t.Sequence[str] = ()) -> Ended:
    """`make pytest`, interrupted at `end` (time.monotonic()) as Ctrl-C would; with `only` these tests, one by one."""
    begun = time.monotonic()
    environment = {**os.environ, "WASMFAAS_TEST_RECORD": str(record_file)}
    command = [".venv/bin/pytest", "--timeout", "1200", *only] if only else ["make", TESTS]
    with subprocess.Popen(command, cwd=PROJECT, env=environment, start_new_session=True) as step:
        try:
            step.wait(None if end is None else max(end - begun, 0))
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as stop:
            if isinstance(stop, subprocess.TimeoutExpired):
                print(f"\n--- {' '.join(command[:2])} has not ended in time and is interrupted", flush=True)
            os.killpg(step.pid, signal.SIGINT)
            step.wait()
            if isinstance(stop, KeyboardInterrupt):
                raise
    return Ended(TESTS, step.returncode, time.monotonic() - begun)


def record(file: Path) -> dict[str, t.Any]:
    """What tests/conftest.py wrote; without anything where pytest did not get so far."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {"seconds": {}, "outcomes": {}, "failed": [], "exit_status": None}


def second_attempts(recorded: dict[str, t.Any]) -> list[str]:
    """The tests that are tried once more; empty where too many failed, or pytest did not get to its end."""
    failed: list[str] = recorded["failed"]
    parts = {test.partition("::")[0] for test in failed}
    return failed if recorded["exit_status"] == TESTS_FAILED and len(parts) <= MOST_SECOND_ATTEMPTS else []


def with_second_attempt(
    ended: list[Ended], recorded: dict[str, t.Any], attempt: Ended, tests: list[str]
) -> tuple[list[Ended], dict[str, t.Any]]:
    """The steps and the record, corrected by `attempt`, the second one at `tests`."""
    if attempt.exit_code:
        return ended, recorded
    first = recorded["outcomes"]
    passed = first.get("passed", 0) + len(tests)
    remark = f"passed only at a second attempt, alone, which is to be mended: {', '.join(tests)}"
    steps = [
        dataclasses.replace(step, exit_code=0, seconds=step.seconds + attempt.seconds, remark=remark)
        if step.name == TESTS
        else step
        for step in ended
    ]
    return steps, {**recorded, "outcomes": {**first, "passed": passed, "failed": 0, "error": 0}}


def summary(ended: list[Ended], recorded: dict[str, t.Any], seconds: float) -> list[str]:
    """Lines: the steps, the longest parts, and last the number of outcomes."""
    steps = {f"make {step.name}": step.seconds for step in ended if step.name != TESTS}
    parts = sorted({**steps, **recorded["seconds"]}.items(), key=lambda part: -part[1])
    outcomes = recorded["outcomes"]
    failed = [f"make {step.name}" for step in ended if step.exit_code]
    return [
        "",
        f"The {LONGEST} longest parts (several run at a time):",
        *(f"{took:7.0f} s  {part}" for part, took in parts[:LONGEST]),
        "",
        *(
            f"make {step.name}: {'ended with ' + str(step.exit_code) if step.exit_code else 'ok'}, {step.seconds:.0f} s"
            + (f"; {step.remark}" if step.remark else "")
            for step in ended
        ),
        f"{'FAILED: ' + ', '.join(failed) if failed else 'Everything passed'}, {seconds / 60:.0f} min",
        (
            f"{outcomes.get('passed', 0)} passed, {outcomes.get('failed', 0) + outcomes.get('error', 0)} failed, "
            f"{outcomes.get('skipped', 0)} skipped"
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
