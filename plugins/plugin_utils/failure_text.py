# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a failed task: each thing that the user must know, once."""

from __future__ import annotations

import re
import typing as t

from ..module_utils.errors import printable
from ..module_utils.problems import instruction, sentence

_LABELS = ("Stage", "Where", "Problem", "Next step", "Log file", "Last lines")
_MESSAGE_ACTIONS = {
    f"{prefix}{name}" for prefix in ("", "ansible.builtin.") for name in ("assert", "fail", "validate_argument_spec")
}
"""Their message is written to be read by a user."""
_INDENT = 2
_WIDTH = max(map(len, _LABELS)) + 3  # with the colon and two blanks
_SHOWN_LINES = 20
_LAST_LINES = re.compile(r"\.? Its last lines:\n.*", re.DOTALL)


def is_explained(result: t.Mapping[str, t.Any], action: str) -> bool:
    """Whether the result of a failed task of `action` has what `failure_text` shows."""
    if action in _MESSAGE_ACTIONS:
        return bool(result.get("msg"))
    return "problems" in result or all(
        isinstance(result.get(key), str) and result[key] for key in ("cause", "next_step")
    )


def failure_text(result: t.Mapping[str, t.Any]) -> str:
    """Stage, what is wrong, where, next step and log file of an explained result, as lines.

    A build's last lines are left out where its whole output was shown while it ran (`facts.shown`).
    """
    facts = result["facts"] if isinstance(result.get("facts"), dict) else result
    lines = _row("Stage", result.get("stage"))
    cause = result.get("cause") or _joined(result.get("msg"))
    next_step = result.get("next_step") or ""
    problems = _problems(facts)
    if problems and all(problem["what"] in cause for problem in problems):
        heading = cause.partition(problems[0]["what"])[0].rpartition("\n")[0]  # "2 problems; nothing was changed."
        lines += _row("Problem", heading)
        for problem in problems:
            lines += [""] if len(problems) > 1 else []
            lines += _row("Where", problem.get("where"))
            lines += _row("Problem", sentence(problem["what"]))
            lines += _row("Next step", problem["next_step"] and instruction(problem["next_step"]))
    else:
        lines += _row("Problem", _LAST_LINES.sub(" (see above).", cause) if facts.get("shown") else cause)
        lines += _row("Next step", next_step)
        lines += _last_lines(facts, cause)
    if facts.get("log_file") and facts["log_file"] not in next_step:
        lines += _row("Log file", facts["log_file"])
    return "\n".join(lines)


def _problems(facts: t.Mapping[str, t.Any]) -> list[dict[str, str]]:
    """Those that came from `problems.error_of`."""
    found = facts.get("problems")
    if not isinstance(found, list) or not all(isinstance(problem, dict) for problem in found):
        return []
    return found if all(problem.get("what") and "next_step" in problem for problem in found) else []


def _last_lines(facts: t.Mapping[str, t.Any], cause: str) -> list[str]:
    """What the failed program, service or function wrote, where the cause does not say it."""
    for key in ("pod_log", "log", "journal", "output"):
        written = [line for line in _joined(facts.get(key)).splitlines() if line.strip()]
        if written and written[-1] not in cause and not facts.get("shown"):
            return _row("Last lines", "\n".join(written[-_SHOWN_LINES:]))
    return []


def _joined(value: t.Any) -> str:
    """A text, or a list of lines as one."""
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _row(label: str, text: t.Any) -> list[str]:
    """A label with its text, whose further lines stand below its first; nothing where there is no text."""
    if not text:
        return []
    first, *rest = (printable(line) for line in str(text).rstrip().split("\n"))
    blank = " " * (_INDENT + _WIDTH)
    return [f"{' ' * _INDENT}{label + ':':{_WIDTH}}{first}", *(f"{blank}{line}".rstrip() for line in rest)]
