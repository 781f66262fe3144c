# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of an earlier version go on working: what v1.txt records of /v1 stays, and nothing more is required."""

from __future__ import annotations

import typing as t
from pathlib import Path

from .document import SCHEMAS, operations, resolved

RECORD = Path(__file__).with_name("v1.txt")
"""One promise a line. A promise is added with what is new, and never removed; see `test_what_is_new_is_recorded`."""


def test_what_is_recorded_stays() -> None:
    missing = {line for line in _recorded() - _promises() if " requires " not in line}
    assert not missing, f"Old clients rely on what openapi.yml no longer has: {sorted(missing)}"


def test_old_requests_are_still_enough() -> None:
    new = {line for line in _promises() - _recorded() if " requires " in line and _operation(line) in _recorded()}
    assert not new, f"Old clients do not send what openapi.yml requires now: {sorted(new)}"


def test_what_is_new_is_recorded() -> None:
    new = _promises() - _recorded()
    assert not new, f"Add these lines to {RECORD.name}, then they are kept: {sorted(new)}"


def _recorded() -> set[str]:
    return set(RECORD.read_text(encoding="utf-8").splitlines())


def _operation(line: str) -> str:
    return " ".join(line.split()[:2])


def _promises() -> set[str]:
    """What clients rely on, as lines `METHOD PATH …`."""
    found = {f"problem code {code}" for code in SCHEMAS["Problem"]["properties"]["code"]["enum"]}
    found |= {f"problem gives {field}" for field in SCHEMAS["Problem"]["required"]}
    for (method, path), operation in operations().items():
        name = f"{method} {path}"
        found.add(name)
        for parameter in operation["parameters"]:
            for word in ("takes", "requires") if parameter.get("required") else ("takes",):
                found.add(f"{name} {word} {parameter['in']} {parameter['name']}")
        body = resolved(operation.get("requestBody", {}))
        for media_type, content in body.get("content", {}).items():
            found.add(f"{name} takes {media_type}")
            schema = resolved(content["schema"])
            for field in _fields(schema, "properties"):
                found.add(f"{name} takes body {field}")
            for field in _fields(schema, "required"):
                found.add(f"{name} requires body {field}")
        for status, answer in operation["responses"].items():
            if status < "300":
                found.add(f"{name} answers {status}")
                for media_type, content in resolved(answer).get("content", {}).items():
                    found.add(f"{name} answers {status} {media_type}")
                    found |= {
                        f"{name} answers {status} with {field}"
                        for field in _fields(resolved(content["schema"]), "required")
                    }
    return found


def _fields(schema: dict[str, t.Any], which: str) -> t.Iterator[str]:
    """Names of an object's fields, with those of objects in it, as in `functions[].deployment.number`."""
    alternatives = schema.get("oneOf", [])
    if which == "properties" or {"type": "null"} in alternatives:  # of other alternatives none is required
        for alternative in alternatives:
            yield from _fields(resolved(alternative), which)
    for name in schema.get(which, []):
        field = resolved(schema.get("properties", {}).get(name, {}))
        yield name
        inner = field
        mark = "."
        if "items" in field:
            inner, mark = resolved(field["items"]), "[]."
        yield from (f"{name}{mark}{one}" for one in _fields(inner, which))
