# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench`: measures all, or the sections or parts named on the command line, and writes each section of which
nothing is missing into docs/performance.md."""

from __future__ import annotations

import importlib
import subprocess
import sys

from .measure import Entry, NotMeasuredError, Row
from .page import SECTIONS, rendered, write


def main() -> int:
    wanted = sys.argv[1:] or [*SECTIONS]
    known = {*SECTIONS, *(part for section in SECTIONS.values() for part in section.parts)}
    if unknown := [name for name in wanted if name not in known]:
        print(f"There is no {', '.join(unknown)} to measure: {', '.join(sorted(known))}.", file=sys.stderr)
        return 2
    missed = False
    for name, section in SECTIONS.items():
        entries: list[Entry] = []
        complete = name in wanted
        for part in section.parts:
            if name not in wanted and part not in wanted:
                continue
            try:
                entries += importlib.import_module(f"bench.{part}").measure()
            except (NotMeasuredError, subprocess.SubprocessError) as error:
                print(f"{part}: {error}", file=sys.stderr)
                entries.append(Row(part, f"not measured: {str(error).splitlines()[0]}", "", None))
                complete = False
        missed |= any(isinstance(entry, Row) and entry.met is False for entry in entries)
        if entries:
            print(rendered(entries))
        if complete:  # else the page keeps what an earlier run measured
            write(section, rendered(entries))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
