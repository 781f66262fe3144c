# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs a program as an OCI artifact: the same file gives the same bytes.

The layout is the CNCF's "Wasm OCI Artifact layout" (tag-runtime.cncf.io, working group Wasm), as the crate oci-wasm
0.6.0 writes and reads it, but for `created`: it must be there, and is always the same here. What runs it:
containerd/runwasi eb9967a takes layers of `application/wasm` where the config's architecture is `wasm`
(crates/containerd-shim-wasm/src/{containerd/client.rs,shim/shim.rs}). containerd 2.4 fetches such layers and unpacks
nothing, as it knows neither their type nor the config's (core/unpack/unpacker.go, core/images/mediatypes.go).
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from pathlib import Path

from ..errors import PlatformError
from ..function.artifact.model import Artifact, Blob
from ..function.artifact.pack import MANIFEST_MEDIA_TYPE, file_blob
from ..function.compatibility.webassembly import read_binary
from .kind import kind_of_binary

CONFIG_MEDIA_TYPE = "application/vnd.wasm.config.v0+json"
LAYER_MEDIA_TYPE = "application/wasm"
TITLE = "org.opencontainers.image.title"
PROGRAM_KIND = "wasmfaas.dev/program-kind"
"""Annotation of the manifest: `command` or `server`, so that a later run knows it without the file."""

_CREATED = "1970-01-01T00:00:00Z"


def pack_program(path: Path, name: str, *, key: str) -> Artifact:
    """Make the artifact of the Wasm file at `path`.

    Args:
        name: of the program; `oras pull` writes the file `NAME.wasm`.
        key: names the option that the file comes from, for errors.

    Raises:
        PlatformError: it is no program (see `kind.kind_of`), or cannot be read.
    """
    binary = read_binary(path, key=key)
    kind = kind_of_binary(binary, where=f"{key}: {path.name}")
    try:
        layer = file_blob(path, LAYER_MEDIA_TYPE)
    except OSError as error:
        raise PlatformError(
            f"{key}: {path}: {error.strerror}.", next_step="See that the file can be read, then deploy again."
        ) from error
    # The layer's digest is there so that the config, by which containerd names an image, is another for each program.
    config: dict[str, t.Any] = {
        "created": _CREATED,
        "architecture": "wasm",
        "os": "wasip2" if binary.is_component else "wasip1",
        "layerDigests": [layer.digest],
    }
    if binary.is_component:
        config["component"] = {"exports": list(binary.exports), "imports": list(binary.imports)}
    config_blob = _json_blob(config, CONFIG_MEDIA_TYPE)
    manifest = {
        "annotations": {TITLE: name, PROGRAM_KIND: kind},
        "config": config_blob.descriptor(),
        "layers": [{**layer.descriptor(), "annotations": {TITLE: f"{name}.wasm"}}],
        "mediaType": MANIFEST_MEDIA_TYPE,
        "schemaVersion": 2,
    }
    return Artifact(_json_blob(manifest, MANIFEST_MEDIA_TYPE), config_blob, (layer,), {})


def _json_blob(value: dict[str, t.Any], media_type: str) -> Blob:
    data = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return Blob(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data), data=data)
