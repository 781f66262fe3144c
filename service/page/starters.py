# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates of functions: the examples of the collection, where they are shipped with it."""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from pathlib import Path

from ...plugins.module_utils.function.source_digest import SourceWalk

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "functions"

_MOST_TEXT_BYTES = 8 << 10
"""Of a file that is edited in the page."""

_MOST_PAGE_BYTES = 32 << 10
"""Of all files of a template that are edited in the page, which stays small."""

_NOT_EDITED = ("test_", "tests/", "README", ".")
"""How paths begin that a function does not need."""


@dataclasses.dataclass(frozen=True)
class Starter:
    """A template.

    Attributes:
        texts: contents of the files that are edited, by path.
        more: paths of its other files.
    """

    name: str
    description: str
    directory: Path
    texts: dict[str, str]
    more: list[str]


@functools.cache
def starters(examples: Path = EXAMPLES) -> list[Starter]:
    """All templates by name, read once; none where the examples are not shipped."""
    return [_read(manifest.parent) for manifest in sorted(examples.glob("*/spin.toml"))]


def _read(directory: Path) -> Starter:
    texts: dict[str, str] = {}
    more: list[str] = []
    left = _MOST_PAGE_BYTES
    for path in sorted(SourceWalk(directory, set()).files(), key=lambda path: (path != "spin.toml", path)):
        content = "" if path.startswith(_NOT_EDITED) else _text(directory / path)
        if content and len(content.encode()) <= left:
            texts[path] = content
            left -= len(content.encode())
        else:
            more.append(path)
    application = tomllib.loads(texts["spin.toml"]).get("application", {})
    return Starter(directory.name, application.get("description", ""), directory, texts, more)


def _text(file: Path) -> str:
    """The content of a file; empty where it is too long or no text."""
    if file.stat().st_size > _MOST_TEXT_BYTES:
        return ""
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        return ""
