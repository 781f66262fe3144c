# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacks the archive layers that hold the files of an artifact with more files than a registry takes layers.

As Spin does (spinframework/spin v4.0.2, crates/oci/src/client.rs, unpack_archive_layer): each file is found by the
digest of its content, whatever it is called in the archive.
"""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
import typing as t
import zlib
from pathlib import Path

from ..errors import PlatformError

MAXIMUM_BYTES = 4 << 30
MAXIMUM_ENTRIES = 200_000
"""What an archive may unpack to. Its names are never used as paths, so only its size could do harm."""

_CHUNK_BYTES = 1 << 20


def unpack(archive: str, stream: t.BinaryIO, wanted: t.Collection[str], directory: Path) -> dict[str, Path]:
    """Write the wanted files of an archive into `directory`.

    Args:
        archive: digest of the layer, for errors.
        stream: its bytes, a tar file compressed by gzip.
        wanted: digests (`sha256:…`) of file contents.

    Returns:
        Digest to file, for those that were found.

    Raises:
        PlatformError: it is no such archive, or it is larger than the limits.
        OSError: the disk is full.
    """
    found: dict[str, Path] = {}
    total = entries = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|gz") as tar:
            for entry in tar:
                entries += 1
                total += entry.size
                if total > MAXIMUM_BYTES or entries > MAXIMUM_ENTRIES:
                    raise _refusal(
                        archive, f"unpacks to more than {MAXIMUM_BYTES >> 30} GiB or {MAXIMUM_ENTRIES} files"
                    )
                content = tar.extractfile(entry) if entry.isfile() else None
                if content is not None:
                    _keep(content, wanted, directory, found)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _refusal(archive, f"cannot be unpacked ({error})") from error
    return found


def _keep(content: t.IO[bytes], wanted: t.Collection[str], directory: Path, found: dict[str, Path]) -> None:
    """Keep a file if it is wanted; it is known by its digest only after it was read."""
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=directory, delete=False) as target:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
            target.write(chunk)
    name = f"sha256:{digest.hexdigest()}"
    if name in wanted and name not in found:
        found[name] = Path(target.name)
    else:
        Path(target.name).unlink()


def _refusal(archive: str, what: str) -> PlatformError:
    return PlatformError(
        f"The archive layer {archive} of the artifact {what}.",
        next_step="Delete the artifact from the registry or image layout, then deploy again.",
    )
