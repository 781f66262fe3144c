# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The language of a project, for numbers by language."""

from __future__ import annotations

from pathlib import Path

SIGNS = {
    "Cargo.toml": "rust",
    "go.mod": "go",
    "package.json": "javascript",
    "pyproject.toml": "python",
    "requirements.txt": "python",
}
"""Language by a file of its tools; the first one counts where several are there."""

STATIC = "static"


def source_language(project: Path) -> str:
    """The language of the project in a directory: by the files at its top, else in the directories there; `static` of
    one that has none of them."""
    below = sorted(entry for entry in project.iterdir() if entry.is_dir() and not entry.is_symlink())
    for directory in (project, *below):
        for sign, language in SIGNS.items():
            if (directory / sign).is_file():
                return language
    return STATIC
