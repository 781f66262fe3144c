# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs a project's sources for the hosted service."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
import typing as t
from pathlib import Path

from ..errors import PlatformError
from ..function.manifest.manifest_file import MANIFEST_NAME
from ..function.manifest.model import Manifest
from ..function.source_digest import Sources

_READ_BYTES = 1 << 20


class SourceArchive:
    """A tar.gz of the files that count as sources, the same for the same files.

    Attributes:
        stream: its bytes.
        size: their number.
        digest: `sha256:…` of them.
    """

    def __init__(self, manifest: Manifest, sources: Sources, stream: t.BinaryIO) -> None:
        """Write it to `stream`.

        Raises:
            PlatformError: a file cannot be read, or is a link to something other than a file of the project.
        """
        self.stream = stream
        _pack(manifest.directory, sorted(sources.lines), stream)
        self.size = stream.tell()
        stream.seek(0)
        digest = hashlib.sha256()
        while data := stream.read(_READ_BYTES):
            digest.update(data)
        self.digest = f"sha256:{digest.hexdigest()}"


def check_place(manifest: Manifest) -> None:
    """Check that the service can build a project from its directory alone; raises PlatformError."""
    if manifest.path.name != MANIFEST_NAME:
        raise PlatformError(
            f"The service takes the manifest {MANIFEST_NAME} of a project, not {manifest.path.name}.",
            next_step=f"Name the file {MANIFEST_NAME}.",
        )
    if manifest.covers_source_root:
        raise PlatformError(
            f"{manifest.path} names files outside of its directory, and the service gets only that.",
            next_step="Move what it names into the project, or deploy without `service`.",
        )


def _pack(directory: Path, paths: list[str], stream: t.BinaryIO) -> None:
    root = os.path.realpath(directory)
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in paths:
            real = os.path.realpath(directory / path)
            # A link becomes the file that it points to, as in the source digest.
            if not os.path.isfile(real) or not real.startswith(os.path.join(root, "")):
                raise PlatformError(
                    f"{directory / path} is no file of the project: it is a special file, or a link to a directory, to "
                    "nothing, or out of the project.",
                    next_step="Put the file itself there, or name it in .gitignore.",
                )
            try:
                _add(archive, path, real)
            except (OSError, UnicodeEncodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "its name is no UTF-8"
                raise PlatformError(
                    f"{directory / path} cannot be packed: {reason}.",
                    next_step="Make it readable or rename it, or name it in .gitignore.",
                ) from error


def _add(archive: tarfile.TarFile, path: str, file: str) -> None:
    with open(file, "rb", buffering=_READ_BYTES) as content:
        status = os.fstat(content.fileno())
        about = tarfile.TarInfo(path)
        about.size = status.st_size
        about.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        archive.addfile(about, content)
