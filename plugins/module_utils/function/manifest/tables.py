# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Typed reading of TOML tables: each reader checks the type, notes a problem if it is wrong, and continues."""

from __future__ import annotations

import datetime
import math
import typing as t
from collections.abc import Iterable, Mapping

from .location import KeyPath
from .names import nearest
from .problems import Problems

_TYPE_NAMES = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "a table",
}
_LARGEST_INTEGER = 2**63 - 1


def type_name(value: object) -> str:
    """Name a TOML value's type for a message."""
    return _TYPE_NAMES.get(type(value), "a date or time")


class Table:
    """One table of the manifest, with the way to it."""

    def __init__(self, data: Mapping[str, t.Any], path: KeyPath, problems: Problems) -> None:
        self.data = data
        self.path = path
        self.problems = problems

    def wrong_type(self, path: KeyPath, expected: str, value: object) -> None:
        """Note that `value` at `path` is not `expected`."""
        self.problems.add(path, f"must be {expected}, but is {type_name(value)}", f"Write {expected} there.")

    def refuse_unknown(self, known: Iterable[str], hints: Mapping[str, str] | None = None) -> None:
        """Note each key that Spin does not know here; `hints` says for well-known mistakes what to do instead."""
        names = list(known)
        for key in self.data:
            if key in names:
                continue
            hint = (hints or {}).get(key)
            near = None if hint else nearest(key, [name for name in names if name not in self.data] or names)
            message = "unknown key" + (f', did you mean "{near}"?' if near else "")
            known_names = ", ".join(sorted(names))
            self.problems.add(
                (*self.path, key),
                message,
                hint
                or (f'Rename it to "{near}" or remove it.' if near else f"Remove it; known here are {known_names}."),
            )

    def text(self, key: str, *, required: bool = False, example: str = "") -> str | None:
        """Read a string; None where the key is absent or wrong."""
        value = self.data.get(key)
        if value is None:
            if required:
                self.problems.add(self.path, f'"{key}" is missing', f"Add {example or key + ' = …'}.")
            return None
        if not isinstance(value, str):
            self.wrong_type((*self.path, key), "a string", value)
            return None
        return value

    def flag(self, key: str) -> bool | None:
        """Read true or false; None where the key is absent or wrong."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, bool):
            self.wrong_type((*self.path, key), "true or false", value)
            return None
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Read an array of strings; empty where the key is absent."""
        value = self.data.get(key, [])
        if not isinstance(value, list):
            self.wrong_type((*self.path, key), "an array of strings", value)
            return ()
        for index, element in enumerate(value):
            if not isinstance(element, str):
                self.wrong_type((*self.path, key, index), "a string", element)
        return tuple(element for element in value if isinstance(element, str))

    def text_map(self, key: str) -> dict[str, str]:
        """Read a table whose values are strings."""
        return {
            name: value
            for name, value in ((name, self.table(key).text(name)) for name in self.table(key).data)
            if value is not None
        }

    def table(self, key: str) -> Table:
        """Read a table; an empty one where the key is absent or wrong."""
        value = self.data.get(key, {})
        if not isinstance(value, dict):
            self.wrong_type((*self.path, key), "a table", value)
            value = {}
        return Table(value, (*self.path, key), self.problems)

    def tables(self, key: str) -> dict[str, Table]:
        """Read a table of tables."""
        outer = self.table(key)
        return {name: outer.table(name) for name in outer.data}


def refuse_unwritable(value: t.Any, path: KeyPath, problems: Problems) -> None:
    """Note values that a trigger cannot be given, since JSON, in which the application is stored, cannot hold them."""
    if isinstance(value, dict):
        for key, element in value.items():
            refuse_unwritable(element, (*path, key), problems)
    elif isinstance(value, list):
        for index, element in enumerate(value):
            refuse_unwritable(element, (*path, index), problems)
    elif isinstance(value, (datetime.date, datetime.time)):
        problems.add(path, "a date or time cannot be passed to a trigger", "Write it as a string.")
    elif isinstance(value, float) and not math.isfinite(value):
        problems.add(path, "an infinite number or nan cannot be passed to a trigger", "Write a finite number.")
    elif isinstance(value, int) and not -_LARGEST_INTEGER - 1 <= value <= _LARGEST_INTEGER:
        problems.add(path, "the integer does not fit 64 bits", "Write a smaller one, or a string.")
