# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The results in docs/performance.md: one section for all parts that run on this machine alone, one for those that need
test hosts."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import os
import platform

import ansible.release

from .measure import REPOSITORY, Entry, Row

END = "<!-- end -->"


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page, written when all of its parts were measured."""

    parts: tuple[str, ...]
    begin: str


SECTIONS = {
    "functions": Section(("cluster", "digest", "push", "local", "bodies"), "<!-- table written by make bench -->"),
    "hosted": Section(("hosted",), "<!-- hosted: table written by make bench -->"),
    "platform": Section(("platform",), "<!-- platform: table written by make bench -->"),
    "path": Section(("request_path",), "<!-- path: table written by make bench -->"),
    "cold_start": Section(("cold_start",), "<!-- cold start: table written by make bench -->"),
    "files": Section(("files",), "<!-- files: table written by make bench -->"),
    "autoscaled": Section(("autoscaled_join",), "<!-- autoscaled: table written by make bench -->"),
    "machines": Section(("terraform_plan",), "<!-- machines: table written by make bench -->"),
    "plan": Section(("large_inventory",), "<!-- plan: table written by make bench -->"),
    "hosts": Section(("k3s_ansible", "scaling"), "<!-- hosts: tables written by make bench -->"),
}


def rendered(entries: collections.abc.Sequence[Entry]) -> str:
    """Markdown: the rows of all parts as one table, then tables and paragraphs in their order."""
    rows = [
        (row.what, row.result, row.goal, "" if row.met is None else "yes" if row.met else "**no**")
        for row in entries
        if isinstance(row, Row)
    ]
    blocks = [_table(("what", "result", "goal", "reached"), rows)] if rows else []
    blocks += [
        entry if isinstance(entry, str) else _table(entry.columns, entry.lines)
        for entry in entries
        if not isinstance(entry, Row)
    ]
    return "\n\n".join(blocks)


def write(section: Section, text: str) -> None:
    """Put `text` between the section's marks."""
    when = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    programs = f"Python {platform.python_version()}, ansible-core {ansible.release.__version__}"
    machine = f"Measured {when} on {os.cpu_count()} cores, {platform.machine()}, {programs}."
    page = REPOSITORY / "docs" / "performance.md"
    before, begin, rest = page.read_text().partition(section.begin)
    if not begin:
        raise ValueError(f"{page} has no line {section.begin!r}")
    page.write_text(f"{before}{begin}\n{machine}\n\n{text}\n{END}{rest.partition(END)[2]}")


def _table(columns: tuple[str, ...], lines: collections.abc.Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, *lines)).replace(
        "\n", "\n|" + "---|" * len(columns) + "\n", 1
    )
