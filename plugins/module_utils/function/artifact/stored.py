# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads an artifact back from the disk it was pushed to, so that what runs on this machine can start without a
build."""

from __future__ import annotations

import hashlib
import json
import typing as t
from pathlib import Path

from .model import Artifact, Blob


def stored_artifact(
    manifest: bytes, blob_path: t.Callable[[str], Path], *, has_application: bool = True
) -> Artifact | None:
    """The artifact of a manifest that `pack` or `pack_program` made; None where one of its blobs is missing, or
    where it is none of theirs, which somebody else may have stored under the same tag.

    Args:
        manifest: the manifest's bytes.
        blob_path: digest to the file with these bytes.
        has_application: whether its last layer is a locked application; that of a program is none.
    """
    try:
        return _read(manifest, blob_path, has_application)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None


def _read(manifest: bytes, blob_path: t.Callable[[str], Path], has_application: bool) -> Artifact | None:
    description = json.loads(manifest)
    entries = (description["config"], *description["layers"])
    blobs = [
        Blob(entry["mediaType"], entry["digest"], entry["size"], path=blob_path(entry["digest"])) for entry in entries
    ]
    if any(blob.path is None or not blob.path.is_file() or blob.path.stat().st_size != blob.size for blob in blobs):
        return None
    config, *layers = blobs
    application: t.Any = {}
    if has_application:
        with layers[-1].open() as stream:
            application = json.load(stream)
    if not isinstance(application, dict):
        return None
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    return Artifact(
        Blob(description["mediaType"], digest, len(manifest), data=manifest), config, tuple(layers), application
    )
