# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one shape of everything that is reported as wrong, and the one way to print it.

Runs on hosts too: Python 3.9 and its standard library alone.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .errors import PlatformError

Severity = t.Literal["error", "warning", "info"]
ERROR: Severity = "error"
WARNING: Severity = "warning"
INFO: Severity = "info"
SEVERITIES: tuple[Severity, ...] = (ERROR, WARNING, INFO)
"""The worst one first."""

AGAIN = "Correct this and run it again."
SEVERITY_WIDTH = max(map(len, SEVERITIES))


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Args:
        where: host, node, pod, or file with line and key; "" where it concerns everything.
        what: what is wrong: variable, key, value. No full stop at its end, no secret in it.
        next_step: what the user does about it, a command where there is one; "" where nothing is to be done.
        severity: `error` does not pass by itself.
        check: name of the rule that found it, where a list of the rules is documented (docs/doctor.md).
    """

    where: str
    what: str
    next_step: str
    severity: Severity = ERROR
    check: str = ""

    @property
    def statement(self) -> str:
        """Where and what, as a sentence."""
        where = f"{self.where}: " if self.where else ""
        check = f" [{self.check}]" if self.check else ""
        return sentence(f"{where}{self.what}{check}")

    def __str__(self) -> str:
        return f"{self.statement} Next: {instruction(self.next_step)}" if self.next_step else self.statement

    def with_severity(self) -> str:
        """One line that begins with the severity, for lists that have several severities."""
        return f"{self.severity.upper():{SEVERITY_WIDTH}} {self}"

    def as_dictionary(self) -> dict[str, str]:
        """`where`, `what`, `next_step`, `severity`, and `check` where there is one."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value or key != "check"}


def sentence(text: str) -> str:
    """The text with a full stop at its end."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def instruction(text: str) -> str:
    """A next step as a sentence of its own. Its first word gets a capital, unless it is a name or a command."""
    return sentence(text[:1].upper() + text[1:] if re.match(r"[a-z]+[ :]", text) else text)


def count(number: int, noun: str) -> str:
    """A number with its noun, such as `1 problem` and `2 problems`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def grouped(problems: t.Iterable[Problem]) -> list[Problem]:
    """Problems that differ only in their place, once each, with all places in the order they came in."""
    places: dict[Problem, list[str]] = {}
    for problem in problems:
        found = places.setdefault(dataclasses.replace(problem, where=""), [])
        if problem.where not in found:
            found.append(problem.where)
    return [dataclasses.replace(problem, where=", ".join(filter(None, found))) for problem, found in places.items()]


def listed(problems: t.Iterable[Problem]) -> str:
    """All problems as text, a line each."""
    return "\n".join(map(str, problems))


def error_of(problems: t.Sequence[Problem]) -> PlatformError:
    """One error that tells of all problems; its fact `problems` has each of them.

    A single problem is the error's cause and next step.
    """
    if len(problems) == 1:
        [problem] = problems
        return PlatformError(problem.statement, next_step=instruction(problem.next_step), facts=_facts(problems))
    return PlatformError(listed(problems), next_step=AGAIN, facts=_facts(problems))


def _facts(problems: t.Iterable[Problem]) -> dict[str, t.Any]:
    return {"problems": [problem.as_dictionary() for problem in problems]}


def raise_if_any(problems: t.Sequence[Problem]) -> None:
    """Refuse to begin. Problems that several places share are told once.

    Raises:
        PlatformError: there is a problem; names all of them.
    """
    if problems:
        places = grouped(problems)
        cause = f"{count(len(places), 'problem')}; nothing was changed.\n{listed(places)}"
        raise PlatformError(cause, next_step=AGAIN, facts=_facts(problems))
