# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OCI image layout on disk: https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md.

Nothing has its final name before it is complete, so that a crash at any point leaves a valid layout; the index is read,
changed and replaced under a lock on the directory, so that two writers lose nothing of each other.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import time
import typing as t
from pathlib import Path

from ..errors import PlatformError
from .model import PushResult, Storable
from .reference import LayoutLocation, check_digest

if t.TYPE_CHECKING:
    from ..function.artifact.model import Blob

REFERENCE_NAME = "org.opencontainers.image.ref.name"
_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_LAYOUT_FILE = b'{"imageLayoutVersion":"1.0.0"}'
_PARTIAL = ".partial-"
_ABANDONED_SECONDS = 3600.0  # a partial file nobody wrote to for so long was left by a crash
_LOCK_SECONDS = 60.0  # the lock is held for milliseconds
_CHUNK = 1024 * 1024


class ImageLayoutStore:
    """See `store.Store`; made by `store.open_store`."""

    def __init__(self, location: LayoutLocation) -> None:
        self._location = location
        self._directory = location.directory
        self._blobs = location.directory / "blobs" / "sha256"

    def close(self) -> None:
        """Nothing is kept open."""

    def has(self, name: str, digest: str) -> bool:
        """See `store.Store`; the layout shares its blobs among functions, so an artifact pushed under another name
        counts too."""
        self._location.digest_reference(name, digest)
        manifest = self.blob_path(digest)
        try:
            content = json.loads(manifest.read_bytes())
            if "manifests" in content:  # an index
                return all(self.has(name, descriptor["digest"]) for descriptor in content["manifests"])
            descriptors = [content["config"], *content["layers"]]
            return all(
                _is_whole(self.blob_path(descriptor["digest"]), descriptor["size"]) for descriptor in descriptors
            )
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def manifest(self, name: str, reference: str) -> bytes | None:
        """See `store.Store`. None as well if a blob of it is missing, so that the caller stores it again."""
        if reference.startswith("sha256:"):
            digests = [check_digest(reference)]
        else:
            digests = self._tagged(self._read_index(), self._location.reference_name(name, reference))
        if len(digests) != 1 or not self.has(name, digests[0]):
            return None
        with self.open_blob(digests[0]) as stream:
            return stream.read()

    def open_blob(self, digest: str) -> t.BinaryIO:
        """A stream over a blob, which the caller closes. Errors: PlatformError if it is not there."""
        path = self.blob_path(digest)
        try:
            return path.open("rb")
        except OSError as error:
            raise PlatformError(
                f"The image layout {self._directory} has no blob {digest} ({error.strerror}).",
                next_step="Deploy the function again, which stores what is missing.",
            ) from error

    def push(self, name: str, artifact: Storable, *, tag: str) -> PushResult:
        """See `store.Store`. The index is written last, so a reader of the tag gets the old or the new artifact."""
        reference_name = self._location.reference_name(name, tag)
        image = self._location.digest_reference(name, artifact.digest)
        missing = self._missing(artifact)
        has_manifest = _is_whole(self.blob_path(artifact.digest), artifact.manifest.size)
        if not missing and has_manifest and self._tagged(self._read_index(), reference_name) == [artifact.digest]:
            return PushResult(False, 0, 0, image)
        try:
            self._blobs.mkdir(parents=True, exist_ok=True)
            for blob in missing:
                self._write_blob(blob)
            if not has_manifest:
                self._write_blob(artifact.manifest)
            _sync_directory(self._blobs)  # before the index may name them
            with self._locked():
                self._remove_abandoned()
                self._enter(reference_name, artifact.manifest)
        except OSError as error:
            raise self._failure(error) from error
        return PushResult(True, len(missing), sum(blob.size for blob in missing), image)

    # ---- blobs

    def blob_path(self, digest: str) -> Path:
        return self._blobs / check_digest(digest).removeprefix("sha256:")

    def _missing(self, artifact: Storable) -> list[Blob]:
        blobs = {blob.digest: blob for blob in artifact.blobs()}
        return [blob for blob in blobs.values() if not _is_whole(self.blob_path(blob.digest), blob.size)]

    def _write_blob(self, blob: Blob) -> None:
        digest = hashlib.sha256()

        def content() -> t.Iterator[bytes]:
            with blob.open() as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
                    yield chunk
            if f"sha256:{digest.hexdigest()}" != blob.digest:
                raise PlatformError(
                    f"{blob.path if blob.path is not None else blob.digest} changed while it was being stored.",
                    next_step="Let nothing write to the build's output during a deployment, and run again.",
                )

        self._write(self.blob_path(blob.digest), content())

    def _write(self, path: Path, content: t.Iterable[bytes]) -> None:
        """Write under another name, to the disk itself, and only then under `path`."""
        partial = self._directory / f"{_PARTIAL}{secrets.token_hex(8)}"
        # The umask decides who may read it, as with any file: an artifact holds no secrets.
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                for chunk in content:
                    stream.write(chunk)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def _remove_abandoned(self) -> None:
        oldest = time.time() - _ABANDONED_SECONDS
        for partial in self._directory.glob(f"{_PARTIAL}*"):
            with contextlib.suppress(FileNotFoundError):
                if partial.stat().st_mtime < oldest:
                    partial.unlink()

    # ---- index

    @contextlib.contextmanager
    def _locked(self) -> t.Iterator[None]:
        """Alone among writers; the lock ends with its process, so a crash leaves none."""
        import tenacity

        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            waiting = tenacity.Retrying(
                retry=tenacity.retry_if_exception_type(BlockingIOError),
                stop=tenacity.stop_after_delay(_LOCK_SECONDS),
                wait=tenacity.wait_random(0.01, 0.05),
                reraise=True,
            )
            try:
                waiting(fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PlatformError(
                    f"Another process has kept the image layout {self._directory} locked for {_LOCK_SECONDS:g} s.",
                    next_step=f"Find it with `fuser -v {self._directory}` and end it, then run again.",
                ) from None
            yield
        finally:
            os.close(descriptor)

    def _read_index(self) -> dict[str, t.Any]:
        path = self._directory / "index.json"
        try:
            index = json.loads(path.read_bytes())
            if not isinstance(index["manifests"], list) or not all(
                isinstance(entry["digest"], str) for entry in index["manifests"]
            ):
                raise ValueError
        except FileNotFoundError:
            return {"manifests": [], "mediaType": _INDEX_TYPE, "schemaVersion": 2}
        except OSError as error:
            raise self._failure(error) from error
        except (ValueError, KeyError, TypeError):
            raise PlatformError(
                f"{path} is not the index of an image layout.",
                next_step=f"Choose another directory, or remove {self._directory} and run again.",
            ) from None
        return t.cast("dict[str, t.Any]", index)

    def _tagged(self, index: dict[str, t.Any], reference_name: str) -> list[str]:
        return [entry["digest"] for entry in index["manifests"] if _reference_name(entry) == reference_name]

    def _enter(self, reference_name: str, manifest: Blob) -> None:
        """Point the name at the manifest; entries of other names, other tools' too, stay as they are."""
        index = self._read_index()
        entry = {**manifest.descriptor(), "annotations": {REFERENCE_NAME: reference_name}}
        others = [other for other in index["manifests"] if _reference_name(other) != reference_name]
        index["manifests"] = sorted([*others, entry], key=lambda other: (_reference_name(other), other["digest"]))
        self._write_if_different(self._directory / "oci-layout", _LAYOUT_FILE)
        self._write_if_different(
            self._directory / "index.json", json.dumps(index, sort_keys=True, separators=(",", ":")).encode()
        )
        _sync_directory(self._directory)

    def _write_if_different(self, path: Path, content: bytes) -> None:
        if not path.exists() or path.read_bytes() != content:
            self._write(path, [content])

    def _failure(self, error: OSError) -> PlatformError:
        place = error.filename or str(self._directory)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return PlatformError(
                f"The disk of {self._directory} is full.",
                next_step=f"Free space (`df -h {self._directory}`) and run again; the layout is still whole.",
            )
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return PlatformError(
                f"Cannot write {place}: {error.strerror}.",
                next_step=f"Make {self._directory} writable for this user, or choose another directory.",
            )
        return PlatformError(
            f"Cannot store in the image layout {self._directory}: {place}: {error.strerror}.",
            next_step="Check the directory and the disk, and run again.",
        )


def _is_whole(path: Path, size: int) -> bool:
    """A blob under its final name is complete by how it is written; the size finds those that other tools left."""
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _reference_name(entry: dict[str, t.Any]) -> str:
    annotations = entry.get("annotations")
    return str(annotations.get(REFERENCE_NAME, "")) if isinstance(annotations, dict) else ""


def _sync_directory(directory: Path) -> None:
    """So that the name itself outlives a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
