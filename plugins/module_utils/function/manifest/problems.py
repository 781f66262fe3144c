# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collects everything that is wrong in a manifest, to report it in one error."""

from __future__ import annotations

import dataclasses

from ...errors import PlatformError
from .location import KeyPath, find_line, format_path


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong; `value` is the string to look for when the key alone does not tell the line."""

    path: KeyPath
    message: str
    next_step: str
    value: str | None = None


class Problems:
    """What is wrong in one file.

    Args:
        file_name: how messages call the file.
        text: its content, for the line numbers.
    """

    def __init__(self, file_name: str, text: str) -> None:
        self.file_name = file_name
        self.text = text
        self.origins: dict[
            KeyPath, KeyPath
        ] = {}  # key path of version 2 → the key path that the user wrote in version 1
        self._found: list[Problem] = []

    def add(self, path: KeyPath, message: str, next_step: str, value: str | None = None) -> None:
        """Note one problem; the same one twice counts once."""
        problem = Problem(path, message, next_step, value)
        if problem not in self._found:
            self._found.append(problem)

    def stop(self) -> None:
        """Raise PlatformError if there is any problem: one line each, in the order of the file."""
        if not self._found:
            return
        located = []
        for problem in self._found:
            path = self._written(problem.path)
            line = find_line(self.text, path, problem.value) if path else None
            place = f"{self.file_name}:{line}: " if line else f"{self.file_name}: "
            key = f"{format_path(path)}: " if path else ""
            located.append((line or 0, place + key + problem.message, problem.next_step))
        located.sort(key=lambda entry: entry[0])
        next_steps = list(dict.fromkeys(next_step for _line, _cause, next_step in located))
        raise PlatformError("\n".join(cause for _line, cause, _next_step in located), next_step="\n".join(next_steps))

    def _written(self, path: KeyPath) -> KeyPath:
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]] + path[length:]
        return path
