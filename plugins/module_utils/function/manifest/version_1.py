# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns a version 1 manifest into version 2 (Spin: crates/manifest/src/compat.rs)."""

from __future__ import annotations

import typing as t

from .hosts import convert_http_hosts
from .location import KeyPath
from .names import identifier_error
from .problems import Problems
from .tables import Table

_ROOT_KEYS = (
    "spin_manifest_version",
    "spin_version",
    "name",
    "version",
    "description",
    "authors",
    "trigger",
    "variables",
    "component",
)
_APPLICATION_KEYS = ("name", "version", "description", "authors")
_COMPONENT_KEYS = (
    "id",
    "source",
    "trigger",
    "description",
    "config",
    "environment",
    "files",
    "exclude_files",
    "allowed_http_hosts",
    "allowed_outbound_hosts",
    "key_value_stores",
    "sqlite_databases",
    "ai_models",
    "build",
)
_UPGRADE = (
    "Rewrite the manifest as version 2 (spin_manifest_version = 2), which has it; see "
    "https://spinframework.dev/manifest-reference."
)
_NEWER_KEYS = ("dependencies", "dependencies_inherit_configuration", "profile", "targets", "tool")
_HINTS = {"variables": 'Rename it to "config", its name in version 1.'} | dict.fromkeys(_NEWER_KEYS, _UPGRADE)


def upgrade(manifest: dict[str, t.Any], problems: Problems) -> dict[str, t.Any]:
    """Return the version 2 table of a version 1 table; types that are only moved are left to the reader of version 2.

    `problems` learns where the user wrote each part, so that later problems name the key in the file.
    """
    root = Table(manifest, (), problems)
    root.refuse_unknown(_ROOT_KEYS, {"application": _UPGRADE})
    if "spin_version" in manifest and "spin_manifest_version" in manifest:
        problems.add(
            ("spin_version",),
            "says the version again, beside spin_manifest_version",
            'Remove spin_version; spin_manifest_version = "1" is the newer name.',
        )
    trigger = root.table("trigger")
    if "trigger" not in manifest:
        problems.add((), '"trigger" is missing', 'Add trigger = { type = "http" }.')
    trigger_type = trigger.text("type", required="trigger" in manifest, example='type = "http"') or ""
    application: dict[str, t.Any] = {key: manifest[key] for key in _APPLICATION_KEYS if key in manifest}
    application["trigger"] = {trigger_type: {key: value for key, value in trigger.data.items() if key != "type"}}
    problems.origins[("application",)] = ()
    problems.origins[("application", "trigger", trigger_type)] = ("trigger",)

    components: dict[str, t.Any] = {}
    triggers: list[dict[str, t.Any]] = []
    entries = manifest.get("component", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        problems.add(
            ("component",),
            "must be an array of tables",
            "Write [[component]] above each component; [component.<id>] is version 2.",
        )
        entries = []
    for index, entry in enumerate(entries):
        written: KeyPath = ("component", index)
        table = Table(entry, written, problems)
        table.refuse_unknown(_COMPONENT_KEYS, _HINTS)
        name = table.text("id", required=True, example='id = "…"')
        if name is None:
            continue
        component_id = _component_id(name)
        if component_id in components:
            message = (
                f'the component id "{name}" is taken'
                if name == component_id
                else f'the component id "{name}" becomes "{component_id}", which is taken'
            )
            problems.add((*written, "id"), message, "Give each component an id of its own.")
            continue
        if "trigger" not in entry:
            problems.add(
                written, '"trigger" is missing', "Add [component.trigger] with what the trigger needs, such as route."
            )
        settings = table.table("trigger")
        for key in ("id", "component"):
            if key in settings.data:
                problems.add((*settings.path, key), "unknown key", "Remove it; version 1 sets it by itself.")
        components[component_id] = _component(table)
        triggers.append({**settings.data, "id": f"trigger-{component_id}", "component": component_id})
        problems.origins[("component", component_id)] = written
        problems.origins[("component", component_id, "variables")] = (*written, "config")
        problems.origins[("trigger", trigger_type, len(triggers) - 1)] = (*written, "trigger")
    return {
        "spin_manifest_version": 2,
        "application": application,
        "variables": manifest.get("variables", {}),
        "trigger": {trigger_type: triggers} if triggers else {},
        "component": components,
    }


def _component(table: Table) -> dict[str, t.Any]:
    renamed = {"config": "variables"}
    dropped = ("id", "trigger", "allowed_http_hosts")
    component = {
        renamed.get(key, key): value
        for key, value in table.data.items()
        if key in _COMPONENT_KEYS and key not in dropped
    }
    hosts, errors = convert_http_hosts(
        table.texts("allowed_http_hosts"), with_databases="allowed_outbound_hosts" not in table.data
    )
    for index, error in errors:
        value = table.texts("allowed_http_hosts")[index]
        table.problems.add(
            (*table.path, "allowed_http_hosts", index),
            f'"{value}" {error}',
            "Write a host or host:port, such as example.com.",
            value,
        )
    outbound = table.data.get("allowed_outbound_hosts", [])
    # A wrong type is left for the reader of version 2 to name.
    component["allowed_outbound_hosts"] = [*outbound, *hosts] if isinstance(outbound, list) else outbound
    return component


def _component_id(name: str) -> str:
    """Mend the two likely faults, under_scores and mixedCase, as Spin does."""
    if identifier_error(name, "-") is None:
        return name
    return name.replace("_", "-").lower()
