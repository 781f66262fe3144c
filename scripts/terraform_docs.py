# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the tables of variables and outputs into the READMEs of terraform/ and its modules, between two markers. A
test fails if they are not current.

The program terraform-docs does the same, but no package registry has it.
"""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import hcl2

TERRAFORM = Path(__file__).resolve().parent.parent / "terraform"
BEGIN = "<!-- Made by scripts/terraform_docs.py; make changes in variables.tf and outputs.tf. -->"
END = "<!-- End -->"

Blocks = dict[str, dict[str, t.Any]]


def main() -> None:
    """Write all READMEs again."""
    for readme, text in readmes().items():
        readme.write_text(text, encoding="utf-8")


def readmes() -> dict[Path, str]:
    """The desired text of each README.

    Raises:
        ValueError: a README lacks the markers.
    """
    found = {}
    for readme in [TERRAFORM / "README.md", *sorted(TERRAFORM.glob("modules/*/README.md"))]:
        text = readme.read_text(encoding="utf-8")
        before, begin, rest = text.partition(BEGIN)
        _begin, end, after = rest.partition(END)
        if not begin or not end:
            raise ValueError(f"{readme} lacks the lines {BEGIN!r} and {END!r}.")
        found[readme] = f"{before}{BEGIN}\n\n{tables(readme.parent)}\n{END}{after}"
    return found


def tables(module: Path) -> str:
    """The variables and outputs of a module's directory as Markdown tables."""
    lines = ["| variable | type | default | description |", "|---|---|---|---|"]
    for name, block in blocks(module / "variables.tf", "variable").items():
        default = f"`{_short(block['default'])}`" if "default" in block else "required"
        lines.append(f"| `{name}` | `{_short_type(block['type'])}` | {default} | {_text(block['description'])} |")
    lines += ["", "| output | description |", "|---|---|"]
    for name, block in blocks(module / "outputs.tf", "output").items():
        lines.append(f"| `{name}` | {_text(block['description'])} |")
    return "\n".join([*lines, ""])


def blocks(path: Path, kind: str) -> Blocks:
    """The blocks `kind "name" {…}` of a file, by name."""
    with path.open(encoding="utf-8") as file:
        found = hcl2.load(file).get(kind, [])
    return {name.strip('"'): block for entry in found for name, block in entry.items()}


def _text(value: str) -> str:
    text = re.sub(r"^<<-?\w+\n|\n\s*\w+$", "", value.strip('"')) if "<<" in value else value.strip('"')
    return " ".join(text.replace('\\"', '"').split()).replace("|", "\\|")


def _short_type(value: str) -> str:
    return re.sub(r"\(\{.*\}\)", "({…})", _expression(value))


def _short(value: t.Any) -> str:
    """A default on one line; of a map only whether it is empty."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{…}" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_short(entry) for entry in value)}]"
    return "null" if value is None else _expression(str(value))


def _expression(value: str) -> str:
    return value[2:-1] if value.startswith("${") else value


if __name__ == "__main__":
    main()
