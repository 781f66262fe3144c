# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives an action on the controller the arguments that its documentation promises, so that the two cannot differ."""

from __future__ import annotations

import typing as t

KEYS = ("type", "elements", "choices", "default", "required", "no_log")


def documented_arguments(documentation: str, *fragments: str) -> dict[str, dict[str, t.Any]]:
    """The argument_spec that a module's DOCUMENTATION describes, with the documentation fragments that it extends; both
    are YAML. Suboptions are left out."""
    import yaml

    options: dict[str, dict[str, t.Any]] = {}
    for text in (*fragments, documentation):
        options.update(yaml.safe_load(text).get("options") or {})
    return {name: {key: option[key] for key in KEYS if key in option} for name, option in options.items()}
