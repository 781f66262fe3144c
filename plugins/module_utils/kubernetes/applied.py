# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an object of the cluster still is what we applied, told from one read of it, so that a second run writes
nothing.

Two things together say so: an annotation with a digest of what was applied, and that all its fields are still ours.
Whoever changes a field of ours takes it from us, by update as by forced apply (kubernetes.io,
reference/using-api/server-side-apply, conflicts); values are not compared, since the API server writes some in another
way than they were given (`1000m` as `1`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import typing as t

from .kubectl import FIELD_MANAGER

APPLIED = "wasmfaas.dev/applied"
"""Annotation: digest of what was applied."""
BOOKKEEPING = (APPLIED, "wasmfaas.dev/replaces", "wasmfaas.dev/installed")
"""Annotations that say what was done; they are not part of the desired object."""
NOT_MANAGED = ("apiVersion", "kind", "status")
SET_BY_SERVER = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink")
NOT_MANAGED_METADATA = ("name", "namespace", *SET_BY_SERVER)

Object = dict[str, t.Any]


def prepared(desired: Object) -> Object:
    """What to apply: `desired` with its digest, and a Secret's texts as the API keeps them, since `stringData` is not
    managed as its fields are."""
    entry = dict(desired)
    if entry.get("kind") == "Secret" and entry.get("apiVersion") == "v1" and entry.get("stringData"):
        texts = entry.pop("stringData")
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in texts.items()}
        entry["data"] = {**(entry.get("data") or {}), **encoded}
    metadata = dict(entry.get("metadata") or {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), APPLIED: digest(entry)}
    return {**entry, "metadata": metadata}


def digest(desired: Object) -> str:
    """SHA-256 of an object without its bookkeeping."""
    text = json.dumps(without_bookkeeping(desired), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def without_bookkeeping(entry: Object) -> Object:
    metadata = dict(entry.get("metadata") or {})
    annotations = {
        key: value for key, value in (metadata.pop("annotations", None) or {}).items() if key not in BOOKKEEPING
    }
    return {**entry, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}


def is_applied(entry: Object, live: Object | None) -> bool:
    """Whether `entry`, as `prepared` gives it, was applied to `live` (read with its managed fields) and nobody has
    changed a field of it since."""
    if live is None or live["metadata"].get("deletionTimestamp"):
        return False
    marks = entry["metadata"]["annotations"]
    if (live["metadata"].get("annotations") or {}).get(APPLIED) != marks[APPLIED]:
        return False
    fields = _our_fields(live)
    metadata = {key: value for key, value in entry["metadata"].items() if key not in NOT_MANAGED_METADATA}
    body = {key: value for key, value in entry.items() if key not in NOT_MANAGED}
    return fields is not None and covers(fields, {**body, "metadata": metadata}, live)


def was_applied(live: Object | None) -> bool:
    """Whether this collection has applied `live` before, even if others have changed it since."""
    return APPLIED in (((live or {}).get("metadata") or {}).get("annotations") or {})


def covers(fields: t.Any, desired: t.Any, live: t.Any) -> bool:
    """Whether a set of managed fields has all of `desired`.

    Args:
        fields: as FieldsV1: `f:NAME` for fields, `k:{…}` for the elements of a list by their keys, `v:…` for those of a
            set; {} for a value that is kept as a whole (sigs.k8s.io/structured-merge-diff, fieldpath/serialize-pe.go).
        live: the same part of the object as it is, for what is empty: the API server may leave it out, and then nobody
            manages it.
    """
    if fields == {}:
        return True
    if isinstance(desired, dict):
        here = live if isinstance(live, dict) else {}
        return all(
            covers(fields[f"f:{key}"], value, here.get(key))
            if f"f:{key}" in fields
            else not value and not here.get(key)
            for key, value in desired.items()
        )
    if isinstance(desired, list):
        return all(_has_element(fields, element, live if isinstance(live, list) else []) for element in desired)
    return False


def _has_element(fields: dict[str, t.Any], element: t.Any, live: list[t.Any]) -> bool:
    for key, below in fields.items():
        kind, _colon, text = key.partition(":")
        if kind == "v" and json.loads(text) == element:
            return True
        if kind == "k" and isinstance(element, dict):
            keys = json.loads(text)
            given = {name: value for name, value in keys.items() if name in element}
            if not given or any(element[name] != value for name, value in given.items()):
                continue
            same = (
                entry
                for entry in live
                if isinstance(entry, dict) and all(entry.get(name) == value for name, value in keys.items())
            )
            if covers(below, element, next(same, None)):
                return True
    return False


def _our_fields(live: Object) -> dict[str, t.Any] | None:
    for entry in live["metadata"].get("managedFields") or []:
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            fields: dict[str, t.Any] = entry.get("fieldsV1") or {}
            return fields or None
    return None
