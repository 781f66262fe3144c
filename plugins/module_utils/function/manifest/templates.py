# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spin's `{{ variable }}` templates (Spin: crates/expressions/src/template.rs)."""

from __future__ import annotations


def split_template(template: str) -> list[tuple[bool, str]]:
    """Split a template into (is an expression, text); an expression's text is the variable's name.

    Raises:
        ValueError: a `{{` has no `}}`.
    """
    parts = []
    rest = template
    while rest:
        literal, opening, rest = rest.partition("{{")
        if literal:
            parts.append((False, literal))
        if not opening:
            break
        expression, closing, rest = rest.partition("}}")
        if not closing:
            raise ValueError('"{{" is not closed')
        parts.append((True, expression.strip()))
    return parts
