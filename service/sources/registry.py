# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the uploaded sources of each tenant in the function registry, so that each replica has them all.

A tenant's account may push to the repository of its sources: what comes from there is checked as an upload is.
"""

from __future__ import annotations

import contextlib
import os
import typing as t
from pathlib import Path

from ...plugins.module_utils.errors import PlatformError
from ..problem import Code, ServiceProblem
from ..registry_files import KeptFile, RegistryFiles
from .archive import inspect
from .store import MOST_BYTES, FileSourceStore, Source, Upload, is_digest

REPOSITORY = "hosted.sources"
"""Beside the functions, whose names have no dot."""

KIND = "application/vnd.wasmfaas.source.v1"
CACHE_BYTES = 1 << 30
"""Of archives on the disk of a replica, which the registry has too."""

_FILES, _BYTES, _ARCHIVE, _SOURCE = (f"wasmfaas.dev/{name}" for name in ("files", "bytes", "archive", "source"))


class RegistrySourceStore:
    """Sources in the registry, with a `FileSourceStore` as cache; see `SourceStore`.

    Args:
        cache: directory; may be empty at each start.
    """

    def __init__(self, files: RegistryFiles, cache: Path, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._files, self._directory, self._cache_bytes = files, cache, cache_bytes
        self._cache = FileSourceStore(cache)

    def upload(self, tenant: str) -> Upload:
        return self._cache.upload(tenant)

    def keep(self, tenant: str, upload: Upload, digest: str | None = None) -> tuple[Source, bool]:
        """See `SourceStore`; when it returns, the registry has the source."""
        source, _new = self._cache.keep(tenant, upload, digest)
        with _unavailable():
            new = self._find(tenant, source.source) is None
            archive = self._cache.archive(tenant, source.source)
            about = {
                _SOURCE: source.source,
                _ARCHIVE: source.archive,
                _FILES: str(source.files),
                _BYTES: str(source.bytes),
            }
            for name in (source.source, source.archive):
                if name != source.source or new:
                    self._files.put(tenant, _tag(name), archive, about)
        self._make_room()
        return source, new

    def find(self, tenant: str, digest: str) -> Source | None:
        if not is_digest(digest):
            return None
        with _unavailable():
            found = self._find(tenant, digest)
        return found[0] if found else None

    def archive(self, tenant: str, digest: str) -> Path:
        with contextlib.suppress(PlatformError):
            archive = self._cache.archive(tenant, digest)
            os.utime(archive)
            return archive
        found = self._find(tenant, digest)
        if found is None:
            raise PlatformError(
                f"The source {digest} is no longer there.", next_step="Upload the source again.", stage="source"
            )
        source, kept = found
        with self._cache.upload(tenant) as partial:
            try:
                self._files.get(tenant, kept, partial.file, most=MOST_BYTES)
            except OSError as error:
                raise PlatformError(
                    f"The source cannot be written to disk: {error.strerror}.",
                    next_step="Deploy again later, or tell whoever runs the service that its disk is full.",
                    stage="source",
                ) from error
            contents = inspect(partial.file)
            if contents.digest != digest:
                raise PlatformError(
                    f"The registry has other files for the source {digest}.",
                    next_step="Upload the source again; who has the registry account of the tenant has changed it.",
                    stage="source",
                )
            self._cache.adopt(tenant, partial.file, Source(digest, source.archive, contents.files, contents.bytes))
        self._make_room()
        return self._cache.archive(tenant, digest)

    def unpack(self, tenant: str, digest: str, directory: Path) -> None:
        self.archive(tenant, digest)
        self._cache.unpack(tenant, digest, directory)

    def forget(self, tenant: str, used: t.Collection[str]) -> None:
        """Remove from the disk what is not among `used` and old. The registry removes by its own rules, as it does
        with artifacts of functions."""
        with contextlib.suppress(FileNotFoundError):
            self._cache.forget(tenant, used)

    def _find(self, tenant: str, digest: str) -> tuple[Source, KeptFile] | None:
        """What the registry says of a source; raises PlatformError."""
        kept = self._files.find(tenant, _tag(digest))
        if kept is None:
            return None
        about = kept.annotations
        source, archive = about.get(_SOURCE, ""), about.get(_ARCHIVE, "")
        files, size = about.get(_FILES, ""), about.get(_BYTES, "")
        known = is_digest(source) and is_digest(archive) and digest in (source, archive)
        if not known or not (files.isdecimal() and size.isdecimal()):
            return None
        return Source(source, archive, int(files), int(size)), kept

    def _make_room(self) -> None:
        """Remove the archives that were not used for the longest time while there are too many."""
        found = []
        for file in self._directory.glob("*/*.archive"):
            with contextlib.suppress(FileNotFoundError):
                status = file.stat()
                found.append((status.st_mtime, status.st_size, file))
        size = sum(one[1] for one in found)
        for _time, bytes_of_one, file in sorted(found)[:-1]:
            if size <= self._cache_bytes:
                return
            file.unlink(missing_ok=True)
            size -= bytes_of_one


def _tag(digest: str) -> str:
    return digest.removeprefix("sha256:")


@contextlib.contextmanager
def _unavailable() -> t.Iterator[None]:
    try:
        yield
    except PlatformError as error:
        raise ServiceProblem(
            Code.UNAVAILABLE,
            f"The registry, which keeps sources, does not do its part: {error.cause}",
            next_step="Try again later; if it stays, tell whoever runs the service.",
            retry_after=10,
        ) from error
