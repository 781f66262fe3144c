# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Artifacts to store, made here so that these tests need no other step."""

from __future__ import annotations

import collections.abc
import hashlib
import json

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.model import Artifact, Blob

MakeArtifact = collections.abc.Callable[..., Artifact]


def _blob(media_type: str, data: bytes) -> Blob:
    return Blob(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data), data=data)


def _make_artifact(*layers: bytes) -> Artifact:
    blobs = [_blob("application/vnd.wasm.content.layer.v1+wasm", layer) for layer in layers]
    blobs.append(
        _blob(
            "application/vnd.fermyon.spin.application.v1+config",
            json.dumps({"layers": [blob.digest for blob in blobs]}).encode(),
        )
    )
    config = _blob(
        "application/vnd.oci.image.config.v1+json",
        json.dumps(
            {
                "architecture": "wasm",
                "os": "wasip1",
                "config": {"Labels": {"digest": blobs[-1].digest}},
                "rootfs": {"type": "layers", "diff_ids": []},
            }
        ).encode(),
    )
    manifest = {"config": config.descriptor(), "layers": [blob.descriptor() for blob in blobs], "schemaVersion": 2}
    return Artifact(
        _blob("application/vnd.oci.image.manifest.v1+json", json.dumps(manifest, sort_keys=True).encode()),
        config,
        tuple(blobs),
        {},
    )


@pytest.fixture
def make_artifact() -> MakeArtifact:
    """From the bytes of its Wasm layers to an artifact."""
    return _make_artifact
