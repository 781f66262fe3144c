# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs a built application as an OCI artifact: the same input gives the same bytes, so that pushing it again changes
nothing.

Source of every rule: spinframework/spin v4.0.2, crates/oci/src/client.rs, and what containerd-shim-spin v0.24.0 reads
(src/source.rs, src/utils.rs). Left out on purpose: the annotation `org.opencontainers.image.created`, which makes each
`spin registry push` a new artifact.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import typing as t
from pathlib import Path

from ...errors import PlatformError
from ..manifest.files import GuestFile
from ..manifest.model import Manifest
from .locked_application import INLINE_BYTES, locked_application, serialize
from .model import Artifact, Blob

MANIFEST_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_MEDIA_TYPE = "application/vnd.oci.image.config.v1+json"
WASM_MEDIA_TYPE = "application/vnd.wasm.content.layer.v1+wasm"
FILE_MEDIA_TYPE = "application/vnd.wasm.content.layer.v1+data"
ARCHIVE_MEDIA_TYPE = "application/vnd.wasm.content.bundle.v1.tar+gzip"
APPLICATION_MEDIA_TYPE = "application/vnd.fermyon.spin.application.v1+config"
MAXIMUM_LAYERS = 500
"""Registries (Amazon ECR) refuse more; above it the files of a component go into one archive (MAX_LAYER_COUNT)."""


MINIMUM_SPIN_VERSION = "wasmfaas.dev/minimum-spin-version"
"""Annotation of the manifest, so that a cluster's shim can be checked without downloading the components."""


def pack(
    manifest: Manifest,
    sources: dict[str, Path],
    files: dict[str, list[GuestFile]],
    *,
    minimum_spin_version: str,
    work_directory: Path,
) -> Artifact:
    """Make the artifact of a built application.

    Args:
        manifest: a valid manifest.
        sources: component id to its Wasm file, composed where it has dependencies.
        files: component id to its files.
        minimum_spin_version: as `compatibility.check` found it.
        work_directory: where an archive may be written; the artifact refers to it until it is pushed.

    Raises:
        PlatformError: a file vanished or cannot be read.
    """
    try:
        wasm = {identifier: file_blob(path, WASM_MEDIA_TYPE) for identifier, path in sources.items()}
        guest_files = {
            identifier: [(file.path, file_blob(file.source, FILE_MEDIA_TYPE)) for file in listed]
            for identifier, listed in files.items()
        }
        layers = _layers(manifest, wasm, guest_files)
        if len(layers) > MAXIMUM_LAYERS - 1:
            layers = _archived_layers(manifest, wasm, guest_files, work_directory)
    except OSError as error:
        raise PlatformError(
            f"{error.filename or work_directory}: {error.strerror}.",
            next_step="See that the file can be read and the disk has room, then deploy again.",
        ) from error
    application = locked_application(manifest, wasm, guest_files)
    locked = _bytes_blob(serialize(application), APPLICATION_MEDIA_TYPE)
    config = _bytes_blob(_config(locked.digest), CONFIG_MEDIA_TYPE)
    layers.append(locked)  # always the last layer
    image_manifest = _image_manifest(manifest, minimum_spin_version, config, layers)
    return Artifact(manifest=image_manifest, config=config, layers=tuple(layers), locked_application=application)


def file_blob(path: Path, media_type: str) -> Blob:
    """A blob over the file at `path`, whose bytes stay there; raises OSError."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return Blob(media_type, f"sha256:{digest}", stream.tell(), path=path)


def _bytes_blob(data: bytes, media_type: str) -> Blob:
    return Blob(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data), data=data)


def _layers(manifest: Manifest, wasm: dict[str, Blob], files: dict[str, list[tuple[str, Blob]]]) -> list[Blob]:
    """Each component's Wasm, then its files; equal contents once. A small Wasm file is a layer although it stands
    inline too, as Spin does.

    A Wasm file that is also a static file is two layers, as the shim keeps Wasm and files apart and finds each only by
    its media type.
    """
    layers: dict[tuple[str, str], Blob] = {}
    for identifier in manifest.components:
        _add_layer(layers, wasm[identifier])
        for _path, blob in files.get(identifier, []):
            if blob.size > INLINE_BYTES:
                _add_layer(layers, blob)
    return list(layers.values())


def _add_layer(layers: dict[tuple[str, str], Blob], blob: Blob) -> None:
    layers.setdefault((blob.digest, blob.media_type), blob)


def _archived_layers(
    manifest: Manifest, wasm: dict[str, Blob], files: dict[str, list[tuple[str, Blob]]], work_directory: Path
) -> list[Blob]:
    layers: dict[tuple[str, str], Blob] = {}
    work_directory.mkdir(parents=True, exist_ok=True)
    for identifier in manifest.components:
        _add_layer(layers, wasm[identifier])
        if files.get(identifier):
            _add_layer(layers, _archive(files[identifier], work_directory / f"{identifier}.tar.gz"))
    return list(layers.values())


def _archive(files: list[tuple[str, Blob]], path: Path) -> Blob:
    """A tar.gz that depends on nothing but the files' paths and bytes."""
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for guest_path, blob in files:
            entry = tarfile.TarInfo(guest_path)
            entry.size = blob.size
            entry.mode = 0o644
            with blob.open() as stream:
                tar.addfile(entry, stream)
    return file_blob(path, ARCHIVE_MEDIA_TYPE)


def _config(locked_digest: str) -> bytes:
    """The image's config: os and architecture make the shim accept it, the label keeps two applications from being
    taken for one image (containerd-shim-spin#22, fixed by spinframework/spin#2322)."""
    config = {
        "architecture": "wasm",
        "os": "wasip1",
        "config": {"Labels": {"com.fermyon.spin.lockedAppDigest": locked_digest}},
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    return json.dumps(config, separators=(",", ":")).encode()


def _image_manifest(manifest: Manifest, minimum_spin_version: str, config: Blob, layers: list[Blob]) -> Blob:
    annotations = {
        "org.opencontainers.image.title": manifest.name,
        "org.opencontainers.image.version": manifest.version,
        "org.opencontainers.image.description": manifest.description,
        "org.opencontainers.image.authors": ", ".join(manifest.authors),
        MINIMUM_SPIN_VERSION: minimum_spin_version,
    }
    image_manifest: dict[str, t.Any] = {
        "annotations": {key: value for key, value in annotations.items() if value},
        "config": config.descriptor(),
        "layers": [layer.descriptor() for layer in layers],
        "mediaType": MANIFEST_MEDIA_TYPE,
        "schemaVersion": 2,
    }
    return _bytes_blob(
        json.dumps(image_manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(),
        MANIFEST_MEDIA_TYPE,
    )
