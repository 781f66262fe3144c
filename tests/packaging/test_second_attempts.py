# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests `make test` tries a second time, and what its end says of them."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.scripts.run_tests import (
    MOST_SECOND_ATTEMPTS,
    TESTS,
    Ended,
    second_attempts,
    summary,
    with_second_attempt,
)

ONE = "tests/integration/test_tenants.py::test_one"
LINT = Ended("lint", 0, 60)
FAILED = Ended(TESTS, 2, 100)


def recorded(*failed: str, exit_status: int | None = 1) -> dict[str, t.Any]:
    outcomes = {"passed": 5, "failed": len(failed), "error": 0, "skipped": 2}
    return {"seconds": {}, "outcomes": outcomes, "failed": list(failed), "exit_status": exit_status}


@pytest.mark.parametrize(
    "failed",
    [
        [f"tests/cluster/test_{number}.py::test_two" for number in range(MOST_SECOND_ATTEMPTS + 1)],
        [],
    ],
    ids=["too many files", "none"],
)
def test_no_second_attempt(failed: list[str]) -> None:
    assert second_attempts(recorded(*failed)) == []


@pytest.mark.parametrize("exit_status", [None, 0, 2, 3])
def test_no_second_attempt_after_a_run_that_was_cut_off(exit_status: int | None) -> None:
    assert second_attempts(recorded(ONE, exit_status=exit_status)) == []


def test_tests_of_few_files_have_one() -> None:
    failed = [f"tests/cluster/test_{number % MOST_SECOND_ATTEMPTS}.py::test_{number}" for number in range(9)]
    assert second_attempts(recorded(*failed)) == failed


def test_the_end_names_what_passed_at_the_second_attempt() -> None:
    ended, record = with_second_attempt([LINT, FAILED], recorded(ONE), Ended(TESTS, 0, 20), [ONE])
    lines = summary(ended, record, 130)
    assert f"make pytest: ok, 120 s; passed only at a second attempt, alone, which is to be mended: {ONE}" in lines
    assert lines[-2:] == ["Everything passed, 2 min", "6 passed, 0 failed, 2 skipped"]


def test_what_fails_twice_has_failed() -> None:
    ended, record = with_second_attempt([LINT, FAILED], recorded(ONE), Ended(TESTS, 1, 20), [ONE])
    assert summary(ended, record, 130)[-2:] == ["FAILED: make pytest, 2 min", "5 passed, 1 failed, 2 skipped"]
