# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A base image for this machine's architecture, from the root file system that debootstrap makes for the test hosts
(tests/hosts/rootfs.py): no public image can be had here. For the other architecture, only where its Python would be."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import typing as t
from pathlib import Path

PYTHON = "3.11"
"""Of Debian 12, as in tests/hosts/rootfs.py."""
_LEFT_OUT = ("boot", "dev", "lib/systemd", "proc", "sys", "usr/lib/systemd", "usr/lib/udev", "usr/share/zoneinfo")


def base_layout(directory: Path, roots: dict[str, Path]) -> str:
    """Write an OCI image layout with one image for each architecture; gives its reference by digest.

    Args:
        roots: the root file system by architecture.
    """
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)
    entries = []
    for architecture, root in roots.items():
        layer, diff_id = _layer(root, blobs)
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _write(blobs, config, "application/vnd.oci.image.config.v1+json"),
            "layers": [layer],
        }
        described = _write(blobs, manifest, manifest["mediaType"])
        entries.append({**described, "platform": {"os": "linux", "architecture": architecture}})
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}
    described = _write(blobs, index, index["mediaType"])
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    named = {**described, "annotations": {"org.opencontainers.image.ref.name": "base"}}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    return f"oci:{directory}@{described['digest']}"


def root_with_python_alone(directory: Path) -> Path:
    """A root file system that cannot be run: it says which Python it would have."""
    programs = directory / "usr/bin"
    programs.mkdir(parents=True)
    (programs / f"python{PYTHON}").write_bytes(b"of another architecture")
    (programs / "python3").symlink_to(f"python{PYTHON}")
    return directory


def _layer(root: Path, blobs: Path) -> tuple[dict[str, t.Any], str]:
    partial = blobs / "partial"
    whole = hashlib.sha256()

    class Hashed:
        def write(self, data: bytes) -> int:
            whole.update(data)
            return zipped.write(data)

    with (
        gzip.open(partial, "wb", compresslevel=1) as zipped,
        tarfile.open(fileobj=t.cast("t.IO[bytes]", Hashed()), mode="w|") as archive,
    ):
        archive.add(root, ".", filter=lambda entry: None if entry.name.removeprefix("./") in _LEFT_OUT else entry)
    with partial.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = stream.tell()
    partial.rename(blobs / digest)
    media_type = "application/vnd.oci.image.layer.v1.tar+gzip"
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}, f"sha256:{whole.hexdigest()}"


def _write(blobs: Path, content: dict[str, t.Any], media_type: str) -> dict[str, t.Any]:
    data = json.dumps(content).encode()
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}
