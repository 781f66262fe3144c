# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collects everything that is wrong in a manifest, to report it in one error."""

from __future__ import annotations

from ...errors import PlatformError
from ...problems import Problem, error_of
from .location import KeyPath, find_line, format_path
from .model import Manifest

_ENOUGH = 100


class Problems:
    """What is wrong in one file.

    Args:
        file_name: how messages call the file.
        text: its content, for the line numbers.
    """

    def __init__(self, file_name: str, text: str) -> None:
        self.file_name = file_name
        self.text = text
        self.origins: dict[KeyPath, KeyPath] = {}
        """Key path of version 2 → the key path that the user wrote in version 1."""
        self._found: dict[tuple[KeyPath, str, str, str | None], None] = {}

    @classmethod
    def of(cls, manifest: Manifest) -> Problems:
        """For what is found after the manifest was read; without line numbers where the file is gone."""
        try:
            text = manifest.path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError):
            text = ""
        return cls(manifest.path.name, text)

    def add(self, path: KeyPath, what: str, next_step: str, value: str | None = None) -> None:
        """Note a problem; the same one twice counts once.

        Args:
            path: key that it concerns.
            value: string to look for if the key alone does not tell the line.

        Raises:
            PlatformError: it is one of very many, of which nobody would read more.
        """
        self._found[path, what, next_step, value] = None
        if len(self._found) >= _ENOUGH:
            raise self.error()

    def raise_if_any(self) -> None:
        """Refuse the manifest.

        Raises:
            PlatformError: there is a problem; names all of them in the order of the file.
        """
        if self._found:
            raise self.error()

    def error(self) -> PlatformError:
        """The error that names all problems in the order of the file."""
        located = [self._located(*found) for found in self._found]
        return error_of([problem for _line, problem in sorted(located, key=lambda entry: entry[0])])

    def _located(self, path: KeyPath, what: str, next_step: str, value: str | None) -> tuple[int, Problem]:
        """The problem with the line that it is in (0 if unknown)."""
        path = self._written(path)
        line = (find_line(self.text, path, value) if path else None) or 0
        place = f"{self.file_name}:{line}" if line else self.file_name
        return line, Problem(f"{place}: {format_path(path)}" if path else place, what, next_step)

    def _written(self, path: KeyPath) -> KeyPath:
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]] + path[length:]
        return path
