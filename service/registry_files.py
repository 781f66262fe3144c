# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps files of tenants in the function registry: each is an OCI artifact of one layer under a tag."""

from __future__ import annotations

import hashlib
import json
import typing as t
from pathlib import Path

import msgspec

from ..plugins.module_utils.errors import PlatformError
from ..plugins.module_utils.function.artifact.model import Artifact, Blob
from ..plugins.module_utils.function.artifact.pack import MANIFEST_MEDIA_TYPE, file_blob
from ..plugins.module_utils.registry.answers import json_object
from ..plugins.module_utils.registry.distribution import DistributionStore
from ..plugins.module_utils.registry.reference import check_digest

_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_EMPTY = b"{}"
"""The config of an artifact that has none (image-spec 1.1, manifest.md, Guidance for an Empty Descriptor)."""

_LAYER_TYPE = "application/octet-stream"


class KeptFile(msgspec.Struct, frozen=True):
    """A file as its manifest tells of it; whoever may push to the repository may have written all of it.

    Attributes:
        digest: `sha256:…` of its bytes.
    """

    digest: str
    annotations: dict[str, str]


class RegistryFiles:
    """The files of one kind.

    Args:
        store_of: from a tenant to the registry with the tenant's functions.
        name: of the repository beside those of the functions; no function may have it.
        kind: `artifactType` of the manifests.
    """

    def __init__(self, store_of: t.Callable[[str], DistributionStore], name: str, kind: str) -> None:
        self._store_of, self._name, self._kind = store_of, name, kind

    def put(self, tenant: str, tag: str, file: Path, annotations: dict[str, str]) -> None:
        """Keep a file under a tag, which may have had another one; raises PlatformError."""
        self._store_of(tenant).push(self._name, self._artifact(file, annotations), tag=tag)

    def find(self, tenant: str, tag: str) -> KeptFile | None:
        """The file under a tag; None where there is none, or what is there is none of ours. Raises PlatformError."""
        found = self._store_of(tenant).manifest(self._name, tag)
        content = json_object(found) if found is not None else None
        try:
            manifest = msgspec.convert(content, _Manifest)
            (layer,) = manifest.layers
            return KeptFile(check_digest(layer.digest), manifest.annotations)
        except (msgspec.ValidationError, ValueError):
            return None

    def get(self, tenant: str, kept: KeptFile, target: Path, *, most: int) -> None:
        """Write the bytes of a file to `target`; raises OSError, PlatformError where they are more than `most`."""
        self._store_of(tenant).download(self._name, kept.digest, target, most=most)

    def _artifact(self, file: Path, annotations: dict[str, str]) -> Artifact:
        try:
            layer = file_blob(file, _LAYER_TYPE)
        except OSError as error:
            raise PlatformError(f"{file}: {error.strerror}.", next_step="Try again.") from error
        config = _blob(_EMPTY_TYPE, _EMPTY)
        manifest = {
            "annotations": annotations,
            "artifactType": self._kind,
            "config": config.descriptor(),
            "layers": [layer.descriptor()],
            "mediaType": MANIFEST_MEDIA_TYPE,
            "schemaVersion": 2,
        }
        content = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        return Artifact(_blob(MANIFEST_MEDIA_TYPE, content), config, (layer,), {})


class _Layer(msgspec.Struct):
    digest: str


class _Manifest(msgspec.Struct):
    layers: list[_Layer]
    annotations: dict[str, str] = {}


def _blob(media_type: str, data: bytes) -> Blob:
    return Blob(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data), data=data)
