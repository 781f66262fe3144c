# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench`: measures all, or what is named on the command line, and writes the table in docs/performance.md."""

from __future__ import annotations

import datetime
import importlib
import os
import platform
import sys

from .measure import REPOSITORY, ProgramMissingError, Row

PARTS = ("cluster", "digest", "push", "local")
BEGIN, END = "<!-- table written by make bench -->", "<!-- end -->"


def main() -> int:
    wanted = sys.argv[1:] or PARTS
    rows: list[Row] = []
    for part in wanted:
        try:
            rows += importlib.import_module(f"bench.{part}").measure()
        except ProgramMissingError as error:
            rows.append(Row(part, f"not measured: {error}", "", None))
    lines = ["| what | result | goal | reached |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {row.result} | {row.goal} | {'' if row.met is None else 'yes' if row.met else '**no**'} |" for row in rows]
    print("\n".join(lines))
    if tuple(wanted) == PARTS:
        when = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        machine = f"Measured {when} on {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}."
        page = REPOSITORY / "docs" / "performance.md"
        before, _begin, rest = page.read_text().partition(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{machine}\n\n" + "\n".join(lines) + f"\n{END}{rest.partition(END)[2]}")
    return 0 if all(row.met is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
