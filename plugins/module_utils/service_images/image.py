# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image from its layers: configuration, manifest, and the index over all architectures."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing as t

from ..function.artifact.model import Blob
from .base import BaseImage, Reference
from .layers import Layer
from .recipes import ENTRY_POINT, ENVIRONMENT, PROGRAMS, TOOLS, USER, Recipe

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INPUTS_ANNOTATION = "wasmfaas.dev/inputs"
"""Of an index: digest of all that its image was made from."""

_CREATED = "1970-01-01T00:00:00Z"  # the same inputs make the same image, whenever
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclasses.dataclass(frozen=True)
class Image:
    """An image for one architecture, or (without layers and configuration) an index; `registry.model.Storable`."""

    manifest: Blob
    stored: tuple[Blob, ...] = ()

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def size(self) -> int:
        """Bytes that a node pulls."""
        return sum(blob.size for blob in self.blobs())

    def blobs(self) -> tuple[Blob, ...]:
        return self.stored


def image(
    recipe: Recipe, version: str, base: BaseImage, reference: Reference, added: t.Sequence[Layer], architecture: str
) -> Image:
    """The image for one architecture: the base image's layers, then ours."""
    layers = (*base.layers, *added)
    config = _blob(_config(recipe, version, base, reference, added, architecture), CONFIG_TYPE)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.descriptor(),
        "layers": [layer.blob.descriptor() for layer in layers],
        "annotations": _about(recipe, version, reference),
    }
    return Image(_blob(manifest, MANIFEST_TYPE), (*(layer.blob for layer in layers), config))


def index(recipe: Recipe, version: str, reference: Reference, images: dict[str, Image], inputs: str) -> Image:
    """The index over the images by architecture."""
    content = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [
            {**one.manifest.descriptor(), "platform": {"architecture": architecture, "os": "linux"}}
            for architecture, one in sorted(images.items())
        ],
        "annotations": {**_about(recipe, version, reference), INPUTS_ANNOTATION: inputs},
    }
    return Image(_blob(content, INDEX_TYPE))


def _config(
    recipe: Recipe, version: str, base: BaseImage, reference: Reference, added: t.Sequence[Layer], architecture: str
) -> dict[str, t.Any]:
    given = base.config.get("config") or {}
    variant = {"variant": base.config["variant"]} if base.config.get("variant") else {}
    return {
        "architecture": architecture,
        "os": "linux",
        **variant,
        "created": _CREATED,
        "config": {
            "User": USER,
            "Env": [f"{name}={value}" for name, value in sorted(_environment(recipe, given.get("Env") or []).items())],
            "Entrypoint": list(ENTRY_POINT),
            "WorkingDir": "/",
            "Labels": {**(given.get("Labels") or {}), **_about(recipe, version, reference)},
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in (*base.layers, *added)]},
        "history": [
            *(
                base.config.get("history")
                or [{"created": _CREATED, "created_by": str(reference)} for _layer in base.layers]
            ),
            *({"created": _CREATED, "created_by": f"wasmfaas.platform: {layer.made_by}"} for layer in added),
        ],
    }


def _environment(recipe: Recipe, given: t.Sequence[str]) -> dict[str, str]:
    environment = dict(entry.partition("=")[::2] for entry in given) | ENVIRONMENT
    directories = {tool.name: f"{TOOLS}/{tool.name}" for tool in recipe.tools}
    for tool in recipe.tools:
        environment |= {
            name: value.format(directory=directories[tool.name]) for name, value in tool.environment.items()
        }
    path = [f"{directory}/bin" for directory in directories.values()]
    environment["PATH"] = ":".join([PROGRAMS, *path, environment.get("PATH") or _DEFAULT_PATH])
    return environment


def _about(recipe: Recipe, version: str, reference: Reference) -> dict[str, str]:
    """https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md"""
    return {
        "org.opencontainers.image.title": recipe.name,
        "org.opencontainers.image.description": recipe.description,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.source": "https://github.com/wasmfaas/platform",
        "org.opencontainers.image.licenses": "GPL-3.0-or-later",
        "org.opencontainers.image.base.name": reference.place,
        "org.opencontainers.image.base.digest": reference.digest,
    }


def _blob(content: t.Any, media_type: str) -> Blob:
    data = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return Blob(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data), data=data)
