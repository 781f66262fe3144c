# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the uploaded sources of each tenant by their digest: the interface, and files on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
import typing as t
from pathlib import Path

import msgspec

from ...plugins.module_utils.errors import PlatformError
from ...plugins.module_utils.host import whole_file
from ..problem import Code, ServiceProblem, as_invalid
from .archive import inspect, unpack

MOST_BYTES = 256 << 20
"""Of an upload."""

KEPT_SECONDS = 24 * 3600
"""How long a source that no deployment names is kept."""

_HEX = frozenset("0123456789abcdef")


class Source(msgspec.Struct, frozen=True):
    """What is known of an uploaded source.

    Attributes:
        source: digest of its tree, which is the same however it was packed; identifies it.
        archive: digest of the bytes that were uploaded.
        files: their number.
        bytes: of all files together.
    """

    source: str
    archive: str
    files: int
    bytes: int


class Upload:
    """Takes the bytes of an upload; use as a context, at whose end nothing is left of what was not kept."""

    def __init__(self, directory: Path) -> None:
        descriptor, path = tempfile.mkstemp(dir=directory, prefix=".upload-")
        self.file = Path(path)
        self._stream = open(descriptor, "wb")  # noqa: SIM115 (closed by __exit__)
        self._hash = hashlib.sha256()
        self._bytes = 0

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stream.close()
        self.file.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Take more bytes; raises ServiceProblem where they are too many, or the disk is full."""
        self._bytes += len(data)
        check_size(self._bytes)
        self._hash.update(data)
        try:
            self._stream.write(data)
        except OSError as error:
            raise _no_room(error) from error

    def end(self) -> str:
        """Digest of all bytes; raises ServiceProblem."""
        try:
            self._stream.flush()
        except OSError as error:
            raise _no_room(error) from error
        return f"sha256:{self._hash.hexdigest()}"


class SourceStore(t.Protocol):
    """Where the sources of each tenant are; none is ever found for another tenant."""

    def upload(self, tenant: str) -> Upload:
        """Begin an upload."""

    def keep(self, tenant: str, upload: Upload, digest: str | None = None) -> tuple[Source, bool]:
        """Check an upload and keep it; gives what it is and whether it is new.

        Args:
            digest: that the client stated.

        Raises:
            ServiceProblem: it has another digest, is no archive that may be unpacked, or cannot be kept now.
        """

    def find(self, tenant: str, digest: str) -> Source | None:
        """A source by the digest of its tree or of its archive; None where it is not kept. Raises ServiceProblem where
        that cannot be told now."""

    def archive(self, tenant: str, digest: str) -> Path:
        """The archive of a source by its tree digest; raises PlatformError."""

    def unpack(self, tenant: str, digest: str, directory: Path) -> None:
        """Write the tree of a source into a directory that does not exist yet; raises PlatformError."""

    def forget(self, tenant: str, used: t.Collection[str]) -> None:
        """Remove what no deployment needs any more.

        Args:
            used: tree digests of sources that deployments name.
        """


class FileSourceStore:
    """Archives as files `<directory>/<tenant>/<tree digest>.archive`, with what is known of each beside it; see
    `SourceStore`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def upload(self, tenant: str) -> Upload:
        directory = self._directory / tenant
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Upload(directory)

    def keep(self, tenant: str, upload: Upload, digest: str | None = None) -> tuple[Source, bool]:
        archive = upload.end()
        if digest is not None and digest != archive:
            raise ServiceProblem(
                Code.DIGEST_MISMATCH,
                f"The upload has the digest {archive} instead of {digest}.",
                next_step="Send it again; `sha256sum FILE` gives its digest.",
            )
        with as_invalid():
            contents = inspect(upload.file)
        source = Source(contents.digest, archive, contents.files, contents.bytes)
        new = self.find(tenant, source.source) is None
        if new:
            self.adopt(tenant, upload.file, source)
        else:
            os.utime(self._file(tenant, source.source))
            self._note(tenant, source)
        return source, new

    def adopt(self, tenant: str, file: Path, source: Source) -> None:
        """Keep a file below the directory of `upload` as the archive of a source."""
        file.chmod(0o600)
        os.replace(file, self._file(tenant, source.source))
        self._note(tenant, source)

    def _note(self, tenant: str, source: Source) -> None:
        for about in (source.source, source.archive):
            whole_file.write(self._about(tenant, about), msgspec.json.encode(source).decode())

    def find(self, tenant: str, digest: str) -> Source | None:
        if not is_digest(digest):
            return None
        try:
            source = msgspec.json.decode(self._about(tenant, digest).read_bytes(), type=Source)
        except FileNotFoundError:
            return None
        return source if self._file(tenant, source.source).exists() else None

    def archive(self, tenant: str, digest: str) -> Path:
        file = self._file(tenant, digest)
        if not file.exists():
            raise PlatformError(
                f"The source {digest} is no longer there.", next_step="Upload the source again.", stage="source"
            )
        return file

    def unpack(self, tenant: str, digest: str, directory: Path) -> None:
        archive = self.archive(tenant, digest)
        directory.mkdir(parents=True)
        unpack(archive, directory)

    def forget(self, tenant: str, used: t.Collection[str]) -> None:
        """Remove sources that are not among `used` (tree digests) and older than KEPT_SECONDS, and cut off uploads."""
        old = time.time() - KEPT_SECONDS
        for entry in os.scandir(self._directory / tenant):
            with contextlib.suppress(FileNotFoundError):
                if entry.stat().st_mtime > old:
                    continue
                if entry.name.endswith(".json"):
                    source = msgspec.json.decode(Path(entry.path).read_bytes(), type=Source)
                    if source.source in used:
                        continue
                elif f"sha256:{entry.name.removesuffix('.archive')}" in used:
                    continue
                os.unlink(entry.path)

    def _file(self, tenant: str, digest: str) -> Path:
        return self._directory / tenant / f"{digest.removeprefix('sha256:')}.archive"

    def _about(self, tenant: str, digest: str) -> Path:
        return self._directory / tenant / f"{digest.removeprefix('sha256:')}.json"


def is_digest(text: str) -> bool:
    """Whether a text has the form `sha256:` and 64 hexadecimal digits."""
    digits = text.removeprefix("sha256:")
    return text.startswith("sha256:") and len(digits) == 64 and set(digits) <= _HEX


def check_size(size: int) -> None:
    """Refuse an upload of more than MOST_BYTES; raises ServiceProblem."""
    if size > MOST_BYTES:
        raise ServiceProblem(
            Code.TOO_LARGE,
            f"The upload has more than {MOST_BYTES >> 20} MiB.",
            next_step="Leave out what the build makes or fetches by itself, such as node_modules or target.",
        )


def _no_room(error: OSError) -> ServiceProblem:
    return ServiceProblem(
        Code.UNAVAILABLE,
        f"The upload cannot be kept: {error.strerror}.",
        next_step="Try again later, or tell whoever runs the service that its disk is full.",
        retry_after=60,
    )
