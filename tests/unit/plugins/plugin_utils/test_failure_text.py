# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user reads of a failed task."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.module_run import failure
from ansible_collections.wasmfaas.platform.plugins.module_utils.problems import Problem, raise_if_any
from ansible_collections.wasmfaas.platform.plugins.plugin_utils.failure_text import failure_text, is_explained

ACTION = "wasmfaas.platform.spin_function"


def text_of(error: PlatformError) -> list[str]:
    result = failure(error)
    assert is_explained(result, ACTION)
    return failure_text(result).splitlines()


def refused(*problems: Problem) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        raise_if_any(problems)
    caught.value.stage = "manifest"
    return caught.value


def test_each_part_is_a_row_of_its_own() -> None:
    error = PlatformError(
        "The pod failed:\nCrashLoopBackOff", next_step="Read it.", stage="rollout", facts={"log_file": "/logs/shop.log"}
    )
    assert text_of(error) == [
        "  Stage:       rollout",
        "  Problem:     The pod failed:",
        "               CrashLoopBackOff",
        "  Next step:   Read it.",
        "  Log file:    /logs/shop.log",
    ]


def test_several_problems_each_with_place_and_next_step() -> None:
    error = refused(
        Problem("spin.toml:3: foo", "unknown key", "remove it"), Problem("spin.toml:9: bar", "is empty", "Fill it in.")
    )
    assert text_of(error) == [
        "  Stage:       manifest",
        "  Problem:     2 problems; nothing was changed.",
        "",
        "  Where:       spin.toml:3: foo",
        "  Problem:     unknown key.",
        "  Next step:   Remove it.",
        "",
        "  Where:       spin.toml:9: bar",
        "  Problem:     is empty.",
        "  Next step:   Fill it in.",
    ]


def test_nothing_is_said_twice() -> None:
    error = PlatformError(
        "`make` failed with exit code 2. Its last lines:\nno rule",
        next_step="Run it by hand (whole log: /logs/build.log).",
        stage="build",
        facts={"output": "cc\nno rule", "log_file": "/logs/build.log"},
    )
    assert "\n".join(text_of(error)).count("no rule") == 1
    assert "\n".join(text_of(error)).count("/logs/build.log") == 1


def test_the_output_of_a_build_is_not_repeated_where_it_was_shown() -> None:
    error = PlatformError(
        "`make` failed with exit code 2. Its last lines:\nno rule",
        next_step="Run it by hand.",
        stage="build",
        facts={"output": "no rule", "shown": True},
    )
    assert text_of(error)[1] == "  Problem:     `make` failed with exit code 2 (see above)."
    assert "no rule" not in "\n".join(text_of(error))


@pytest.mark.parametrize("log", [["old", "panic: no such table", ""], "old\npanic: no such table\n"])
def test_what_the_function_wrote_is_shown_where_the_cause_lacks_it(log: t.Any) -> None:
    error = PlatformError("It crashed.", next_step="Mend it.", facts={"pod_log": log})
    assert text_of(error)[-2:] == ["  Last lines:  old", "               panic: no such table"]
    assert len(text_of(PlatformError("It crashed: panic: no such table", next_step="x", facts={"pod_log": log}))) == 2


def test_problems_of_another_shape_do_not_count() -> None:
    error = PlatformError("It cannot run.", next_step="Update.", facts={"problems": ["uses wasi:http@9"]})
    assert text_of(error) == ["  Problem:     It cannot run.", "  Next step:   Update."]


def test_a_plan_that_refuses() -> None:
    problem = Problem("machine-1", "it cannot be reached", "bring it back").as_dictionary()
    result = {"msg": "1 problem.\nmachine-1: it cannot be reached. Next: Bring it back.", "problems": [problem]}
    assert is_explained(result, "wasmfaas.platform.k3s_plan")
    assert failure_text(result).splitlines() == [
        "  Problem:     1 problem.",
        "  Where:       machine-1",
        "  Problem:     it cannot be reached.",
        "  Next step:   Bring it back.",
    ]


def test_messages_of_playbooks() -> None:
    for action in ("ansible.builtin.assert", "fail", "ansible.builtin.validate_argument_spec"):
        result = {"msg": "The configuration is invalid:\n- domain: is empty", "assertion": "x"}
        assert is_explained(result, action)
        assert failure_text(result).count("domain") == 1


def test_what_others_failed_with_stays_ansibles() -> None:
    assert not is_explained({"msg": "non-zero return code", "rc": 1}, "ansible.builtin.command")
    assert not is_explained({"msg": "Module failed: KeyError"}, ACTION)


def test_no_control_character_reaches_the_terminal() -> None:
    error = PlatformError("The registry says \x1b[2J\x9b1m: no\x07.", next_step="Ask\r it.")
    assert text_of(error) == ["  Problem:     The registry says 1m: no.", "  Next step:   Ask it."]
