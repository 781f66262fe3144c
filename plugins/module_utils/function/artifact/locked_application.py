# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The locked application: Spin's description of an application whose contents are named by digest.

Source of every rule: spinframework/spin v4.0.2, crates/locked-app/src/locked.rs (the shape), crates/loader/src/local.rs
(what goes where), crates/serde/src/base64.rs (inline contents).
"""

from __future__ import annotations

import base64
import json
import typing as t

from ..manifest.model import Build, Component, Manifest, Trigger
from .model import Blob

INLINE_BYTES = 128
"""Contents up to this size stand in the locked application itself (DEFAULT_CONTENT_REF_INLINE_MAX_SIZE), as some
registries refuse tiny blobs."""


def content_reference(blob: Blob) -> dict[str, str]:
    """How the locked application refers to `blob`: by digest, and inline too where it is small (content_ref_for_layer).

    A component's source is found by its digest alone, also where it stands inline (crates/oci/src/loader.rs, "content
    missing expected digest").
    """
    if blob.size > INLINE_BYTES:
        return {"digest": blob.digest}
    with blob.open() as stream:
        # Spin decodes the standard alphabet without padding and refuses padding.
        return {"inline": base64.b64encode(stream.read()).decode().rstrip("="), "digest": blob.digest}


def locked_application(
    manifest: Manifest, sources: dict[str, Blob], files: dict[str, list[tuple[str, Blob]]]
) -> dict[str, t.Any]:
    """Describe the application.

    Args:
        manifest: a valid manifest.
        sources: component id to its Wasm blob.
        files: component id to its files as (guest path, blob), sorted by guest path.

    Returns:
        The description with its keys in the order in which Spin writes them.
    """
    components = [
        _component(component, sources[component.id], files.get(component.id, []))
        for component in manifest.components.values()
    ]
    chained = any("host_requirements" in component for component in components)
    return {
        # Version 1 says that the reader must understand the listed requirements; readers of version 0 ignore what they
        # do not know.
        "spin_lock_version": 1 if chained else 0,
        **({"must_understand": ["component_host_requirements"]} if chained else {}),
        "metadata": _metadata(manifest),
        **({"variables": _variables(manifest)} if manifest.variables else {}),
        "triggers": [_trigger(trigger) for trigger in manifest.triggers],
        "components": components,
    }


def serialize(application: dict[str, t.Any]) -> bytes:
    """The bytes that are stored: compact JSON as serde_json writes it."""
    return json.dumps(application, separators=(",", ":"), ensure_ascii=False).encode()


def _filled(**entries: t.Any) -> dict[str, t.Any]:
    """Sorted and without empty values, as Spin's ValuesMap."""
    return {key: entries[key] for key in sorted(entries) if entries[key]}


def _metadata(manifest: Manifest) -> dict[str, t.Any]:
    types = list(dict.fromkeys(trigger.type for trigger in manifest.triggers))
    metadata = _filled(
        authors=list(manifest.authors),
        description=manifest.description,
        name=manifest.name,
        profile=manifest.profile,
        version=manifest.version,
    )
    # `triggers` is written even when empty; `trigger` repeats the settings of the only type for older readers.
    metadata["triggers"] = {kind: _sorted(settings) for kind, settings in sorted(manifest.trigger_settings.items())}
    if len(types) == 1:
        metadata["trigger"] = _sorted({**manifest.trigger_settings.get(types[0], {}), "type": types[0]})
    return dict(sorted(metadata.items()))


def _variables(manifest: Manifest) -> dict[str, t.Any]:
    return {
        name: {
            **({"description": variable.description} if variable.description is not None else {}),
            **({"default": variable.default} if variable.default is not None else {}),
            **({"secret": True} if variable.secret else {}),
        }
        for name, variable in sorted(manifest.variables.items())
    }


def _trigger(trigger: Trigger) -> dict[str, t.Any]:
    return {
        "id": trigger.id,
        "trigger_type": trigger.type,
        "trigger_config": _sorted(
            {**trigger.settings, **({"component": trigger.component} if trigger.component else {})}
        ),
    }


def _component(component: Component, source: Blob, files: list[tuple[str, Blob]]) -> dict[str, t.Any]:
    metadata = _filled(
        ai_models=list(component.ai_models),
        allowed_outbound_hosts=list(component.allowed_outbound_hosts),
        build=_build(component.build) if component.build else None,
        databases=list(component.sqlite_databases),
        description=component.description,
        key_value_stores=list(component.key_value_stores),
    )
    return {
        "id": component.id,
        **({"metadata": metadata} if metadata else {}),
        "source": {"content_type": "application/wasm", **content_reference(source)},
        **({"env": _sorted(component.environment)} if component.environment else {}),
        **({"files": [{**content_reference(blob), "path": path} for path, blob in files]} if files else {}),
        **({"config": _sorted(component.variables)} if component.variables else {}),
        **({"host_requirements": {"local_service_chaining": "required"}} if uses_service_chaining(component) else {}),
    }


def uses_service_chaining(component: Component) -> bool:
    """Whether the component calls another component of its application in process (`http://<id>.spin.internal`).

    A host with `{{ variable }}` never counts, as Spin looks before it knows the value (is_chaining_host).
    """
    hosts = (
        host.partition("://")[2].split(":")[0].split("/")[0].strip().lower()
        for host in component.allowed_outbound_hosts
    )
    return any(host.endswith(".spin.internal") and "{" not in host for host in hosts)


def _build(build: Build) -> dict[str, t.Any]:
    return {
        "command": build.command,
        **({"workdir": build.workdir} if build.workdir != "." else {}),
        **({"watch": list(build.watch)} if build.watch else {}),
    }


def _sorted(table: dict[str, t.Any]) -> dict[str, t.Any]:
    """Keys sorted at every level, and values as JSON knows them (a TOML date becomes its text)."""

    def plain(value: t.Any) -> t.Any:
        if isinstance(value, dict):
            return {key: plain(value[key]) for key in sorted(value)}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return value if isinstance(value, (str, bool, int, float)) or value is None else str(value)

    return t.cast("dict[str, t.Any]", plain(table))
