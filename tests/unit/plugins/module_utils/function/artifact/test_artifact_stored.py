# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An artifact comes back from disk as it was packed."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.model import Artifact
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.pack import pack
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.stored import stored_artifact
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.files import expand_files


@pytest.fixture
def packed(make_project: t.Any, tmp_path: Path) -> Artifact:
    manifest = make_project(
        None, {"app.wasm": b"\0asm\x01\0\0\0" + bytes(500), "a": "x" * 500, "b": "x"}, extra='files = ["a", "b"]'
    )
    files = {"hello": expand_files(manifest, manifest.components["hello"])}
    return pack(
        manifest,
        {"hello": manifest.directory / "app.wasm"},
        files,
        minimum_spin_version="2.2.0",
        work_directory=tmp_path / "work",
    )


@pytest.fixture
def store(packed: Artifact, tmp_path: Path) -> t.Callable[[str], Path]:
    directory = tmp_path / "blobs"
    directory.mkdir()
    for blob in packed.blobs():
        with blob.open() as stream:
            (directory / blob.digest).write_bytes(stream.read())
    return lambda digest: directory / digest


def content(artifact: Artifact) -> list[tuple[str, str, bytes]]:
    parts = []
    for blob in (artifact.manifest, *artifact.blobs()):
        with blob.open() as stream:
            parts.append((blob.media_type, blob.digest, stream.read()))
    return parts


def test_artifact_comes_back_whole(packed: Artifact, store: t.Callable[[str], Path]) -> None:
    assert packed.manifest.data is not None
    read = stored_artifact(packed.manifest.data, store)
    assert read is not None
    assert content(read) == content(packed)
    assert read.digest == packed.digest
    assert read.locked_application == packed.locked_application


@pytest.mark.parametrize("damage", ["remove", "cut"])
@pytest.mark.parametrize("position", range(4))
def test_artifact_with_a_missing_or_cut_blob_does_not_come_back(
    packed: Artifact, store: t.Callable[[str], Path], damage: str, position: int
) -> None:
    assert packed.manifest.data is not None
    path = store(packed.blobs()[position].digest)
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    assert stored_artifact(packed.manifest.data, store) is None


@pytest.mark.parametrize("manifest", [b"", b"[]", b"1", b"{}", b'{"config": {}, "layers": []}', b'{"layers": 1}'])
def test_a_manifest_of_somebody_else_is_no_artifact(store: t.Callable[[str], Path], manifest: bytes) -> None:
    assert stored_artifact(manifest, store) is None


@pytest.mark.parametrize("key", ["layers", "mediaType"])
def test_a_manifest_without_a_part_is_no_artifact(packed: Artifact, store: t.Callable[[str], Path], key: str) -> None:
    assert packed.manifest.data is not None
    odd = json.loads(packed.manifest.data)
    del odd[key]
    assert stored_artifact(json.dumps(odd).encode(), store) is None
    assert stored_artifact(json.dumps({**odd, "layers": []}).encode(), store) is None
