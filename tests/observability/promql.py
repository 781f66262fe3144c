# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the metrics and labels in a PromQL expression. It expects a valid expression; promtool checks the syntax."""

from __future__ import annotations

import dataclasses
import itertools
import re
import typing as t

TOKEN = re.compile(
    r"""
    (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<variable>\$\{?\w+(?::\w+)?\}?)
  | (?P<number>\d+(?:\.\d+)?(?:ms|[smhdwy])?\b|\.\d+)
  | (?P<name>[A-Za-z_][A-Za-z0-9_:]*)
  | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^=<>(){}\[\],@:])
    """,
    re.VERBOSE,
)
KEYWORDS = {"and", "or", "unless", "offset", "bool", "inf", "nan"}
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}


@dataclasses.dataclass(frozen=True)
class Selector:
    """A metric with the labels in its braces."""

    metric: str
    labels: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Expression:
    """The names in an expression.

    Attributes:
        grouping: Labels in by (…), on (…) and similar clauses.
        made: Labels that label_replace makes.
    """

    selectors: tuple[Selector, ...]
    grouping: frozenset[str]
    made: frozenset[str]


def parsed(expression: str) -> Expression:
    """The metrics and labels in `expression`.

    Raises:
        ValueError: it holds something that is not a token of PromQL.
    """
    tokens = _tokens(expression)
    selectors: list[Selector] = []
    grouping: set[str] = set()
    made: set[str] = set()
    position = 0
    while position < len(tokens):
        kind, text = tokens[position]
        following = tokens[position + 1][1] if position + 1 < len(tokens) else ""
        if kind == "name" and text in GROUPING:
            labels, position = _until(tokens, position + 1, ")") if following == "(" else ([], position)
            grouping |= {label for label_kind, label in labels if label_kind == "name"}
        elif kind == "name" and text == "label_replace":
            made.add(_second_argument(tokens, position + 1))
        elif kind == "name" and following not in {"(", *GROUPING} and text.lower() not in KEYWORDS:
            inside, position = _until(tokens, position + 1, "}") if following == "{" else ([], position)
            names = tuple(
                label
                for (label_kind, label), (_kind, sign) in itertools.pairwise(inside)
                if label_kind == "name" and sign in {"=", "!=", "=~", "!~"}
            )
            selectors.append(Selector(text, names))
        position += 1
    return Expression(tuple(selectors), frozenset(grouping), frozenset(made))


def _tokens(expression: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    position = 0
    while position < len(expression):
        if expression[position].isspace():
            position += 1
            continue
        match = TOKEN.match(expression, position)
        if match is None:
            raise ValueError(f"{expression!r}: no PromQL at {expression[position : position + 20]!r}")
        found.append((t.cast(str, match.lastgroup), match.group()))
        position = match.end()
    return found


def _until(tokens: list[tuple[str, str]], start: int, end: str) -> tuple[list[tuple[str, str]], int]:
    """The tokens between the opening one at `start` and the token `end`, and the position of `end`."""
    stop = next(number for number in range(start, len(tokens)) if tokens[number][1] == end)
    return tokens[start + 1 : stop], stop


def _second_argument(tokens: list[tuple[str, str]], opening: int) -> str:
    """The second argument of a call, which must be a string."""
    depth, comma = 0, False
    for kind, text in tokens[opening:]:
        depth += (text in {"(", "{", "["}) - (text in {")", "}", "]"})
        if depth == 1 and text == ",":
            comma = True
        elif comma and kind == "string":
            return text[1:-1]
    raise ValueError("label_replace without its second argument")
