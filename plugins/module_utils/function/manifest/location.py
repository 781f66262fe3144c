# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the line of a key in the text of a TOML file, so that an error can point at it.

tomllib keeps no positions. This reads only headers and keys of a file that tomllib already accepted; where it cannot
follow, it names the line of the nearest table above.
"""

from __future__ import annotations

import functools
import re

KeyPath = tuple["str | int", ...]
"""Keys from the root to a value; an int counts the elements of an array from 0."""

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEYS = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*")
_ONE_KEY = re.compile(_KEY)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# Strings and comments of one line: what is left after they are cut out can be searched for brackets.
_STRINGS_AND_COMMENTS = re.compile(r""""(?:[^"\\]|\\.)*"|'[^']*'|#.*""")


def format_path(path: KeyPath) -> str:
    """Write a key path as a user would: `trigger.http[0].route`."""
    written = ""
    for part in path:
        if isinstance(part, int):
            written += f"[{part}]"
        else:
            written += ("." if written else "") + (
                part if _BARE_KEY.fullmatch(part) else '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'
            )
    return written


def find_line(text: str, path: KeyPath, value: str | None = None) -> int | None:
    """Find the line (counted from 1) of the key `path` in `text`.

    Inside a value that spans several lines, or an inline table, the line is that of the last key of `path`, or of the
    string `value`.
    Returns None where not even the first key is found.
    """
    known = _index(text)
    for length in range(len(path), 0, -1):
        first = known.get(path[:length])
        if first is not None:
            break
    else:
        return None
    if length == len(path) and value is None:
        return first
    after = min((line for line in known.values() if line > first), default=len(text.splitlines()) + 1)
    lines = text.splitlines()[first - 1 : after - 1]
    names = [part for part in path[length:] if isinstance(part, str)]
    sought = [re.escape(value)] if value else []
    sought += [rf"(?<![\w-])[\"']?{re.escape(name)}[\"']?\s*[=.]" for name in reversed(names)]
    for pattern in sought:
        for number, line in enumerate(lines, start=first):
            if re.search(pattern, line):
                return number
    return first


@functools.lru_cache(maxsize=1)
def _index(text: str) -> dict[KeyPath, int]:
    """Map each key path that stands at the start of a line to its first line."""
    found: dict[KeyPath, int] = {}
    arrays: dict[KeyPath, int] = {}  # array of tables → index of its last element
    table: KeyPath = ()
    depth = 0  # open brackets of a value that goes on over several lines
    closing = ""  # the quotes that end a multi-line string
    for number, line in enumerate(text.splitlines(), start=1):
        rest = line
        if closing:
            _content, quotes, rest = line.partition(closing)
            if not quotes:
                continue
            closing = ""
        elif depth == 0:
            header = line.lstrip()
            if header.startswith("["):
                table = _header(header, arrays)
                for length in range(1, len(table) + 1):
                    found.setdefault(table[:length], number)
                continue
            match = _KEYS.match(line)
            if match is None or line[match.end() : match.end() + 1] != "=":
                continue
            path = table + _split(match[1])
            for length in range(len(table) + 1, len(path) + 1):
                found.setdefault(path[:length], number)
            rest = line[match.end() + 1 :]
        while (start := re.search(r'"""|' + "'''", rest)) is not None:
            before, after = rest[: start.start()], rest[start.end() :]
            _content, end, tail = after.partition(start[0])
            if not end:
                closing, rest = start[0], before
                break
            rest = before + tail
        rest = _STRINGS_AND_COMMENTS.sub("", rest)
        depth = max(0, depth + rest.count("[") + rest.count("{") - rest.count("]") - rest.count("}"))
    return found


def _header(line: str, arrays: dict[KeyPath, int]) -> KeyPath:
    is_array = line.startswith("[[")
    match = _KEYS.match(line, 2 if is_array else 1)
    names = _split(match[1]) if match else ()
    path: KeyPath = ()
    for position, name in enumerate(names):
        path += (name,)
        if is_array and position == len(names) - 1:
            arrays[path] = arrays.get(path, -1) + 1
        if path in arrays:
            path += (arrays[path],)
    return path


def _split(keys: str) -> tuple[str, ...]:
    return tuple(
        key[1:-1].replace('\\"', '"').replace("\\\\", "\\") if key[0] in "\"'" else key
        for key in _ONE_KEY.findall(keys)
    )
