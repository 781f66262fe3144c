# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads openapi.yml for tests."""

from __future__ import annotations

import typing as t

import yaml
from ansible_collections.wasmfaas.platform.service.api.health import OPENAPI

METHODS = ("get", "head", "put", "post", "delete", "patch")

DOCUMENT: dict[str, t.Any] = yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))
SCHEMAS: dict[str, dict[str, t.Any]] = DOCUMENT["components"]["schemas"]


def resolved(part: dict[str, t.Any]) -> dict[str, t.Any]:
    """What a `$ref` stands for; parts without one as they are."""
    while "$ref" in part:
        found: t.Any = DOCUMENT
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = {**found, **{name: value for name, value in part.items() if name != "$ref"}}
    return part


def operations() -> dict[tuple[str, str], dict[str, t.Any]]:
    """The operations by method and path, each with the parameters of its path."""
    return {
        (method.upper(), path): {
            **operation,
            "parameters": [resolved(one) for one in [*of_path.get("parameters", []), *operation.get("parameters", [])]],
        }
        for path, of_path in DOCUMENT["paths"].items()
        for method, operation in of_path.items()
        if method in METHODS
    }
