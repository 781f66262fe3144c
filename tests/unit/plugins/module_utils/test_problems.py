# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.problems import (
    INFO,
    WARNING,
    Problem,
    error_of,
    grouped,
    listed,
    raise_if_any,
)

SHARED = [
    Problem("a", "x is wrong", "do y"),
    Problem("", "z", "w"),
    Problem("b", "x is wrong", "do y"),
    Problem("a", "x is wrong", "do y"),
]


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (Problem("a", "x is wrong", "Do y"), "a: x is wrong. Next: Do y."),
        (Problem("", "x is wrong.", "Do y."), "x is wrong. Next: Do y."),
        (Problem("a", "x", "set k3s_version"), "a: x. Next: Set k3s_version."),
        (Problem("a", "x", "k3s_version is empty"), "a: x. Next: k3s_version is empty."),
        (Problem("a", "x", "", INFO, "quorum"), "a: x [quorum]."),
    ],
)
def test_one_problem_is_one_line(problem: Problem, line: str) -> None:
    assert str(problem) == line


def test_severity_stands_first_and_lines_align() -> None:
    assert Problem("a", "x", "").with_severity() == "ERROR   a: x."
    assert Problem("a", "x", "", WARNING).with_severity() == "WARNING a: x."


def test_a_problem_of_several_places_is_told_once() -> None:
    assert [problem.where for problem in grouped(SHARED)] == ["a, b", ""]
    assert listed(grouped(SHARED)).splitlines() == ["a, b: x is wrong. Next: Do y.", "z. Next: w."]


def test_places_with_different_severities_stay_apart() -> None:
    assert len(grouped([Problem("a", "x", "y"), Problem("b", "x", "y", WARNING)])) == 2


def test_dictionary_has_a_check_only_where_there_is_one() -> None:
    plain = {"where": "a", "what": "x", "next_step": "y", "severity": "error"}
    assert Problem("a", "x", "y").as_dictionary() == plain
    assert Problem("a", "x", "y", check="c").as_dictionary() == {**plain, "check": "c"}


def test_a_single_problem_is_the_error_itself() -> None:
    error = error_of([Problem("a", "x", "do y")])
    assert (error.cause, error.next_step) == ("a: x.", "Do y.")


def test_several_problems_are_one_error() -> None:
    error = error_of(SHARED)
    assert error.cause.splitlines() == [str(problem) for problem in SHARED]
    assert len(error.facts["problems"]) == len(SHARED)


def test_refusal_says_that_nothing_was_changed() -> None:
    raise_if_any([])
    with pytest.raises(PlatformError) as caught:
        raise_if_any(SHARED)
    assert caught.value.cause.splitlines()[0] == "2 problems; nothing was changed."
    with pytest.raises(PlatformError, match=r"^1 problem; nothing was changed.\na: x is wrong. Next: Do y.") as caught:
        raise_if_any(SHARED[:1])
