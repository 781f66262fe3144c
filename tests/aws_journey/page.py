# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of docs/aws.md, as a reader finds them."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/aws.md"


def code(text: str) -> list[str]:
    """Blocks of code of a page, with continued lines as one."""
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", text, re.MULTILINE)
    blocks += re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r" *\\\n\s*", " ", block) for block in blocks if block.strip()]


def section(title: str) -> str:
    """The text below a heading, without its sub-headings.

    Raises:
        ValueError: the page has no such heading.
    """
    text = PAGE.read_text(encoding="utf-8")
    (found,) = re.findall(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    return str(found)


def commands(title: str) -> list[str]:
    """The lines of code below a heading."""
    return [line.strip() for block in code(section(title)) for line in block.splitlines() if line.strip()]
