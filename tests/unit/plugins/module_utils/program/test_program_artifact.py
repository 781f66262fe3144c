# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artifact of a program: its layout, and the same bytes for the same file."""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from pathlib import Path

from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.model import Blob
from ansible_collections.wasmfaas.platform.plugins.module_utils.program.artifact import pack_program


def content(blob: Blob) -> dict[str, t.Any]:
    with blob.open() as stream:
        data = stream.read()
    assert (blob.digest, blob.size) == (f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))
    return t.cast("dict[str, t.Any]", json.loads(data))


def test_a_component_has_the_layout_of_the_cncf(tmp_path: Path, wasm: t.Any) -> None:
    file = tmp_path / "echo_wasi.wasm"
    imports, exports = ["wasi:io/streams@0.2.0"], ["wasi:http/incoming-handler@0.2.0"]
    file.write_bytes(wasm.component(imports=imports, exports=exports))
    artifact = pack_program(file, "echo", key="source")
    digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    assert content(artifact.manifest) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.wasm.config.v0+json",
            "digest": artifact.config.digest,
            "size": artifact.config.size,
        },
        "layers": [
            {
                "mediaType": "application/wasm",
                "digest": digest,
                "size": file.stat().st_size,
                "annotations": {"org.opencontainers.image.title": "echo.wasm"},
            }
        ],
        "annotations": {"org.opencontainers.image.title": "echo", "wasmfaas.dev/program-kind": "server"},
    }
    assert content(artifact.config) == {
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [digest],
        "component": {"exports": exports, "imports": imports},
    }
    assert [blob.digest for blob in artifact.blobs()] == [digest, artifact.config.digest]


def test_a_module_is_of_wasip1_and_says_nothing_of_a_component(tmp_path: Path, wasm: t.Any) -> None:
    (tmp_path / "hello.wasm").write_bytes(wasm.module(exports=["_start"]))
    config = content(pack_program(tmp_path / "hello.wasm", "hello", key="source").config)
    assert config["os"] == "wasip1" and "component" not in config


def test_the_same_file_gives_the_same_artifact_whenever_and_wherever(tmp_path: Path, wasm: t.Any) -> None:
    digests = set()
    for number, place in enumerate(("one", "two")):
        (tmp_path / place).mkdir()
        file = tmp_path / place / f"{place}.wasm"
        file.write_bytes(wasm.module(exports=["_start"]))
        os.utime(file, (number, number))
        digests.add(pack_program(file, "hello", key="source").digest)
    assert len(digests) == 1
    file.write_bytes(wasm.module(exports=["_start", "other"]))
    assert pack_program(file, "hello", key="source").digest not in digests
