# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OCI artifact before it is written anywhere: its manifest and blobs, the large ones still in files."""

from __future__ import annotations

import dataclasses
import io
import typing as t
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Blob:
    """One blob; its bytes are either in memory (`data`) or in a file (`path`), so that a large one is streamed."""

    media_type: str
    digest: str  # sha256:<hex>
    size: int  # bytes
    data: bytes | None = None
    path: Path | None = None

    def open(self) -> t.BinaryIO:
        """A new stream over the bytes; the caller closes it."""
        if self.data is not None:
            return io.BytesIO(self.data)
        if self.path is None:
            raise AssertionError(f"the blob {self.digest} has neither data nor a path")
        return self.path.open("rb")

    def descriptor(self) -> dict[str, t.Any]:
        """The OCI content descriptor, https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md."""
        return {"digest": self.digest, "mediaType": self.media_type, "size": self.size}


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A whole artifact; `manifest.digest` is what a deployment refers to."""

    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]
    locked_application: dict[str, t.Any]

    @property
    def digest(self) -> str:
        return self.manifest.digest

    def blobs(self) -> tuple[Blob, ...]:
        """All that must be stored before the manifest may be."""
        return (*self.layers, self.config)
