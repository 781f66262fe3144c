# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an inventory and its hosts, collected so that one message lists all of it."""

from __future__ import annotations

import dataclasses
import typing as t

from ...errors import PlatformError


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that must be put right before anything is touched.

    Args:
        host: name in the inventory, "" where it concerns the cluster as a whole.
        what: what is wrong: variable, key, value. No full stop at its end, no secret in it.
        fix: what the user does about it.
    """

    host: str
    what: str
    fix: str

    def as_dictionary(self) -> dict[str, str]:
        return dataclasses.asdict(self)


def grouped(problems: t.Iterable[Problem]) -> list[tuple[list[str], Problem]]:
    """Problems that several hosts share, once each, with the hosts in the order they came in."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        names = hosts.setdefault((problem.what, problem.fix), [])
        if problem.host not in names:
            names.append(problem.host)
    return [(names, Problem("", what, fix)) for (what, fix), names in hosts.items()]


def message(problems: t.Sequence[Problem]) -> str:
    """All problems as one text, a numbered line each."""
    shared = grouped(problems)
    lines = []
    for number, (hosts, problem) in enumerate(shared, start=1):
        named = [host for host in hosts if host]
        where = f"{', '.join(named)}: " if named else ""
        lines.append(f"{number:>2}. {where}{problem.what}. Fix: {problem.fix}.")
    count = f"{len(shared)} things are" if len(shared) > 1 else "One thing is"
    return "\n".join([f"{count} in the way; nothing was changed.", *lines])


def raise_if_any(problems: t.Sequence[Problem]) -> None:
    """Raises: PlatformError with all problems, where there are any."""
    if problems:
        raise PlatformError(
            message(problems),
            next_step="put this right and run again.",
            facts={"problems": [problem.as_dictionary() for problem in problems]},
        )
