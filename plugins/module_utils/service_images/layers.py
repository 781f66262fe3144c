# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers of an image: a directory as a `.tar.gz` whose bytes depend on names, modes and contents alone.

zlib's releases compress the same bytes differently, so another machine may make another digest of the same content. It
does not make it twice: an image that was made from the same inputs counts as the same (`publish`).
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import os
import stat
import tarfile
import tempfile
import typing as t
from pathlib import Path

from ..function.artifact.model import Blob
from ..function.artifact.pack import file_blob

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_LEVEL = 6  # of zlib: 9 takes twice the time for one percent


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        blob: compressed.
        diff_id: `sha256:` of the archive before it was compressed (image-spec 1.1, config.md).
        made_by: what is in it, for `history`.
    """

    blob: Blob
    diff_id: str
    made_by: str


class LayerCache:
    """Keeps layers by what they are made from.

    Args:
        directory: may be deleted at any time, and be used by two processes.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def layer(self, inputs: t.Any, root: str, made_by: str, fill: t.Callable[[Path], None]) -> Layer:
        """The layer with a directory's content.

        Args:
            inputs: all that the content follows from, as JSON.
            root: where the content is in the image, an absolute path.
            fill: puts the content into a directory; called only where the layer is not kept.

        Raises:
            What `fill` does; OSError.
        """
        key = hashlib.sha256(json.dumps([root, inputs], sort_keys=True).encode()).hexdigest()
        path, about = self._directory / f"{key}.tar.gz", self._directory / f"{key}.json"
        kept = _kept(path, about, made_by)
        if kept is not None:
            return kept
        self._directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._directory) as temporary:
            content = Path(temporary, "content")
            content.mkdir()
            fill(content)
            partial = Path(temporary, "layer")
            layer = pack(content, root, partial, made_by)
            description = Path(temporary, "about")
            description.write_text(json.dumps({"digest": layer.blob.digest, "diff_id": layer.diff_id}), "utf-8")
            os.replace(partial, path)
            os.replace(description, about)  # last: without it, the layer counts as missing
        return dataclasses.replace(layer, blob=dataclasses.replace(layer.blob, path=path))


def _kept(path: Path, about: Path, made_by: str) -> Layer | None:
    try:
        description = json.loads(about.read_bytes())
        blob = file_blob(path, LAYER_TYPE)
    except (OSError, ValueError):
        return None
    if blob.digest != description.get("digest"):
        return None
    return Layer(blob, str(description["diff_id"]), made_by)


def pack(content: Path, root: str, target: Path, made_by: str) -> Layer:
    """Write a directory as a layer. Everything belongs to root, and is readable for all."""
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=_LEVEL) as zipped,
    ):
        hashed = _Hashed(zipped)
        with tarfile.open(fileobj=t.cast("t.IO[bytes]", hashed), mode="w|", format=tarfile.PAX_FORMAT) as archive:
            above = ""
            for part in root.strip("/").split("/"):
                above = f"{above}{part}"
                archive.addfile(_entry(above, tarfile.DIRTYPE, 0o755))
                above += "/"
            for path in sorted(content.rglob("*")):
                _add(archive, path, f"{above}{path.relative_to(content).as_posix()}")
    return Layer(file_blob(target, LAYER_TYPE), f"sha256:{hashed.digest.hexdigest()}", made_by)


class _Hashed:
    """Passes on what is written, and hashes it."""

    def __init__(self, target: t.BinaryIO | gzip.GzipFile) -> None:
        self._target = target
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._target.write(data)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        entry = _entry(name, tarfile.SYMTYPE, 0o777)
        entry.linkname = os.readlink(path)
        archive.addfile(entry)
    elif stat.S_ISDIR(status.st_mode):
        archive.addfile(_entry(name, tarfile.DIRTYPE, 0o755))
    else:
        entry = _entry(name, tarfile.REGTYPE, 0o755 if status.st_mode & 0o100 else 0o644)
        entry.size = status.st_size
        with path.open("rb") as stream:
            archive.addfile(entry, stream)


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry
