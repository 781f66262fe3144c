# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry over the OCI Distribution protocol 1.1; why no library: docs/decisions/0002-registry-client.md.

The protocol: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""

from __future__ import annotations

import hashlib
import threading
import typing as t
import urllib.parse
from pathlib import Path

from ..errors import PlatformError
from ..progress import BytesSent
from .answers import BLOB_BYTES, MANIFEST_BYTES, json_object
from .credentials import Credentials
from .model import PushResult, Storable, Timeouts
from .parallel import in_parallel
from .pushed_blobs import PushedBlobs
from .reference import DistributionLocation, check_digest, check_tag
from .registry_requests import CONNECTIONS, RegistryRequests
from .transport import CHUNK, Cancelled, TemporaryFailure, with_retries

if t.TYPE_CHECKING:
    import httpx2

    from ..function.artifact.model import Artifact, Blob

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
# All that a tag may point at, so that the registry does not convert or hide another kind that stands under our tag.
_ACCEPT = ", ".join(
    (
        MANIFEST_TYPE,
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_PULL = "pull"
_PUSH = "pull,push"


class DistributionStore:
    """See `store.Store`; made by `store.open_store`."""

    def __init__(
        self,
        location: DistributionLocation,
        *,
        credentials_for: t.Callable[[str], Credentials | None],
        create_repository: t.Callable[[str], None] | None = None,
        ca_file: Path | None = None,
        plain_http: bool = False,
        timeouts: Timeouts | None = None,
        pushed: PushedBlobs | None = None,
    ) -> None:
        """
        Args:
            credentials_for: from a repository to its credentials; called at the first challenge only.
            create_repository: makes a repository that the registry says is missing; for registries that don't make them
                by themselves.
            pushed: where other functions' blobs are, to take them from there.
        """
        self._location = location
        self._create_repository = create_repository
        self._pushed = pushed
        self._lock = threading.Lock()
        self._requests = RegistryRequests(
            location.endpoint,
            credentials_for=credentials_for,
            ca_file=ca_file,
            plain_http=plain_http,
            timeouts=timeouts,
        )

    def close(self) -> None:
        """Close the connections; the store can be used again."""
        self._requests.close()

    def has(self, name: str, digest: str) -> bool:
        """See `store.Store`. A registry takes a manifest only after its blobs, so the manifest is proof of all."""
        return self._has_manifest(self._location.repository(name), check_digest(digest), _PULL)

    def manifest(self, name: str, reference: str) -> bytes | None:
        """See `store.Store`."""
        repository = self._location.repository(name)
        by_digest = reference.startswith("sha256:")
        checked = check_digest(reference) if by_digest else check_tag(reference)
        url = f"{self._requests.base}/v2/{repository}/manifests/{checked}"
        did = f"reading {repository}{'@' if by_digest else ':'}{reference}"
        response = self._requests.send(
            "GET",
            url,
            repository,
            _PULL,
            did=did,
            headers={"Accept": _ACCEPT},
            allowed=(404,),
            most=MANIFEST_BYTES,
        )
        if response.status_code == 404:
            return None
        if by_digest and _sha256(response.content) != reference:
            raise PlatformError(
                f"The registry {self._requests.peer.address} gave other bytes than asked for, while {did}.",
                next_step="Look for a proxy that rewrites manifests.",
            )
        return response.content

    def blob(self, name: str, digest: str) -> bytes:
        """The bytes of a small blob, such as the archive of a chart. Errors: PlatformError where it is missing or is
        not what its digest says."""
        did = f"reading blob {digest} of {self._location.repository(name)}"
        content = self._get_blob(name, digest, did, BLOB_BYTES).content
        self._check(digest, _sha256(content), did)
        return bytes(content)

    def download(self, name: str, digest: str, target: Path, *, most: int) -> None:
        """Write a blob to a file, which holds a part after an error. Errors: OSError; PlatformError where the blob
        is missing, larger than `most` bytes, or not what its digest says."""
        did = f"downloading blob {digest} of {self._location.repository(name)}"
        self._get_blob(name, digest, did, most, target)
        with target.open("rb") as stream:
            self._check(digest, f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}", did)

    def _get_blob(self, name: str, digest: str, did: str, most: int, target: Path | None = None) -> httpx2.Response:
        repository = self._location.repository(name)
        return self._requests.send(
            "GET",
            f"{self._requests.base}/v2/{repository}/blobs/{check_digest(digest)}",
            repository,
            _PULL,
            did=did,
            read_timeout=self._requests.timeouts.commit,
            most=most,
            target=target,
        )

    def _check(self, digest: str, found: str, did: str) -> None:
        if found != digest:
            raise PlatformError(
                f"The registry {self._requests.peer.address} gave other bytes than asked for, while {did}.",
                next_step="Look for a proxy in between.",
            )

    def push(self, name: str, artifact: Storable, *, tag: str) -> PushResult:
        """See `store.Store`. The tag is set last, so a pull gets the old or the new artifact and never a part
        of one."""
        repository = self._location.repository(name)
        image = self._location.digest_reference(name, artifact.digest)
        if self._tag_digest(repository, tag) == artifact.digest:
            return PushResult(False, 0, 0, image)
        uploaded: list[Blob] = []
        blobs = _unique(artifact)
        sent = BytesSent(sum(blob.size for blob in blobs))
        if not self._has_manifest(repository, artifact.digest, _PUSH):
            uploaded = [
                blob
                for blob, was_sent in in_parallel(
                    blobs,
                    lambda blob, cancelled: self._store_blob(repository, blob, cancelled, sent),
                    threads=CONNECTIONS,
                )
                if was_sent
            ]
            self._put_manifest(repository, artifact.manifest, artifact.digest)
            if self._pushed is not None:
                self._pushed.add(repository, (blob.digest for blob in blobs))
        self._put_manifest(repository, artifact.manifest, tag)
        return PushResult(True, len(uploaded), sum(blob.size for blob in uploaded), image)

    def handed_over(self, name: str, digest: str, receiver: str) -> Artifact | None:
        """The artifact `digest` of function `name`, all of whose blobs the repository of `receiver` has afterwards, so
        that pushing it there sends none; None where the registry does not hand them over."""
        from ..function.artifact.model import Artifact, Blob

        content = self.manifest(name, digest)
        manifest = json_object(content) if content is not None else None
        if content is None or manifest is None:
            return None
        try:
            config, *layers = (
                Blob(one["mediaType"], check_digest(one["digest"]), int(one["size"]))
                for one in (manifest["config"], *manifest["layers"])
            )
            media_type = str(manifest["mediaType"])
        except (KeyError, TypeError, ValueError):
            return None
        source, target = self._location.repository(name), self._location.repository(receiver)
        artifact = Artifact(Blob(media_type, digest, len(content), data=content), config, tuple(layers), {})
        never = threading.Event()
        for blob in _unique(artifact):
            if not self._has_blob(target, blob, never) and not self._mount_from(source, target, blob, never)[0]:
                return None
        return artifact

    def _tag_digest(self, repository: str, tag: str) -> str | None:
        """The digest that the tag points at; from the bytes where the registry does not send the optional header."""
        url = f"{self._requests.base}/v2/{repository}/manifests/{check_tag(tag)}"
        response = self._requests.send(
            "HEAD",
            url,
            repository,
            _PUSH,
            did=f"looking up {repository}:{tag}",
            headers={"Accept": _ACCEPT},
            allowed=(404,),
        )
        if response.status_code == 404:
            return None
        stated = response.headers.get("Docker-Content-Digest")
        if stated:
            return str(stated)
        response = self._requests.send(
            "GET",
            url,
            repository,
            _PUSH,
            did=f"reading {repository}:{tag}",
            headers={"Accept": _ACCEPT},
            allowed=(404,),
            most=MANIFEST_BYTES,
        )
        return _sha256(response.content) if response.status_code == 200 else None

    def _has_manifest(self, repository: str, digest: str, actions: str) -> bool:
        url = f"{self._requests.base}/v2/{repository}/manifests/{digest}"
        return (
            self._requests.send(
                "HEAD",
                url,
                repository,
                actions,
                did=f"looking up {repository}@{digest}",
                headers={"Accept": _ACCEPT},
                allowed=(404,),
            ).status_code
            == 200
        )

    def _put_manifest(self, repository: str, manifest: Blob, reference: str) -> None:
        with manifest.open() as stream:
            content = stream.read()
        url = f"{self._requests.base}/v2/{repository}/manifests/{reference}"
        did = f"storing the manifest {repository}{'@' if reference.startswith('sha256:') else ':'}{reference}"
        response = self._requests.send(
            "PUT",
            url,
            repository,
            _PUSH,
            did=did,
            headers={"Content-Type": manifest.media_type or MANIFEST_TYPE},
            content=content,
        )
        stated = response.headers.get("Docker-Content-Digest")
        if stated and stated != manifest.digest:
            raise PlatformError(
                f"The registry {self._requests.peer.address} stored other bytes than it was sent: {stated} instead of "
                f"{manifest.digest}, while {did}.",
                next_step="Look for a proxy or a registry setting that rewrites manifests.",
            )

    def _has_blob(self, repository: str, blob: Blob, cancelled: threading.Event) -> bool:
        """Whether the registry has the blob whole, as far as it can tell.

        distribution (v3.0.0, registry/storage/linkedblobstore.go) leaves an empty link to a blob behind where the disk
        is full, and answers 500 to questions about the blob until it is sent again.
        """
        url = f"{self._requests.base}/v2/{repository}/blobs/{check_digest(blob.digest)}"
        return _is_whole(
            self._requests.send(
                "HEAD",
                url,
                repository,
                _PUSH,
                did=f"looking up blob {blob.digest}",
                allowed=(404, 500),
                cancelled=cancelled,
            ),
            blob,
        )

    def _store_blob(self, repository: str, blob: Blob, cancelled: threading.Event, sent: BytesSent) -> bool:
        """Whether the blob had to be sent."""
        if self._has_blob(repository, blob, cancelled):
            return False
        _check_file(blob)
        did = f"uploading blob {blob.digest} ({blob.size} bytes) to {repository}"
        url = f"{self._requests.base}/v2/{repository}/blobs/{blob.digest}"
        again = False

        def attempt() -> bool:
            nonlocal again
            if again:  # what was lost may have been the answer to a complete upload
                found = self._requests.exchange("HEAD", url, repository, _PUSH, did=did, allowed=(404,))
                if _is_whole(found, blob):
                    return True
                mounted, location = False, ""
            else:
                mounted, location = self._mount(repository, blob, cancelled)
            again = True
            if not mounted:
                self._send(location or self._start_upload(repository, did), repository, blob, did, cancelled, sent)
            return not mounted

        peer, timeouts = self._requests.peer, self._requests.timeouts
        return with_retries(attempt, did=did, peer=peer, timeouts=timeouts, cancelled=cancelled)

    def _mount(self, repository: str, blob: Blob, cancelled: threading.Event) -> tuple[bool, str]:
        """Whether the registry took the blob from another function's repository; if it began an upload instead
        (distribution-spec 1.1, Mounting a blob from another repository), its URL."""
        source = self._pushed.repository_of(blob.digest, other_than=repository) if self._pushed else ""
        return self._mount_from(source, repository, blob, cancelled) if source else (False, "")

    def _mount_from(self, source: str, repository: str, blob: Blob, cancelled: threading.Event) -> tuple[bool, str]:
        """See `_mount`; `source` is the repository that may have the blob."""
        query = urllib.parse.urlencode({"mount": blob.digest, "from": source})
        url = f"{self._requests.base}/v2/{repository}/blobs/uploads/?{query}"
        did = f"taking blob {blob.digest} from {source}"
        try:
            response = self._post(url, repository, did, source=source)
        except (PlatformError, TemporaryFailure):  # there is no such repository or no right to it: the upload will tell
            return False, ""
        location = response.headers.get("Location")
        if response.status_code == 202 and location:
            return False, self._upload_url(location)
        return self._has_blob(repository, blob, cancelled), ""

    def _start_upload(self, repository: str, did: str) -> str:
        """The URL of a fresh upload; a cut one is never continued, as registries differ in what they kept of it."""
        url = f"{self._requests.base}/v2/{repository}/blobs/uploads/"
        response = self._post(url, repository, did)
        location = response.headers.get("Location")
        if not location:
            raise PlatformError(
                f"The registry {self._requests.peer.address} gave no upload address, while {did}.",
                next_step="Check that it allows pushes and is no pull-through cache.",
            )
        return self._upload_url(location)

    def _post(self, url: str, repository: str, did: str, *, source: str = "") -> httpx2.Response:
        """Begin an upload or a mount. A registry that makes no repositories, such as ECR, has it made first: else the
        first layers of a new function would be sent, although another one's repository holds them."""
        allowed = (404,) if self._create_repository else ()
        response = self._requests.exchange(
            "POST", url, repository, _PUSH, did=did, content=b"", allowed=allowed, source=source
        )
        if response.status_code == 404 and self._create_repository is not None:
            with self._lock:  # several threads get here together; creating is idempotent
                self._create_repository(repository)
            response = self._requests.exchange("POST", url, repository, _PUSH, did=did, content=b"", source=source)
        return response

    def _upload_url(self, location: str) -> str:
        """A Location may be relative; behind a TLS proxy it may name http:// for our own host, as dxf and oras correct
        it too."""
        import httpx2

        base = httpx2.URL(self._requests.base)
        url = base.join(location)
        if url.host == base.host and url.scheme != base.scheme:
            url = url.copy_with(scheme=base.scheme, port=base.port)
        if url.scheme != base.scheme and base.scheme == "https":
            raise PlatformError(
                f"The registry {self._requests.peer.address} wants the upload sent to {url.host} without encryption.",
                next_step="Repair the registry's external URL to https://.",
            )
        return str(url)

    def _send(
        self, location: str, repository: str, blob: Blob, did: str, cancelled: threading.Event, sent: BytesSent
    ) -> None:
        import httpx2

        # Appended by hand: the rest of the query is the registry's own and must come back byte for byte.
        url = f"{location}{'&' if '?' in location else '?'}digest={blob.digest.replace(':', '%3A')}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
        try:
            self._requests.exchange(
                "PUT",
                url,
                repository,
                _PUSH,
                did=did,
                headers=headers,
                content=lambda: _chunks(blob, cancelled, sent),
                read_timeout=self._requests.timeouts.commit,
            )
        except (httpx2.LocalProtocolError, PlatformError) as error:
            doubtful = isinstance(error, httpx2.LocalProtocolError) or any(
                code in str(error) for code in ("DIGEST_INVALID", "SIZE_INVALID")
            )
            if doubtful and _digest_of(blob) != blob.digest:
                raise _changed(blob) from error
            raise


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _unique(artifact: Storable) -> list[Blob]:
    return list({blob.digest: blob for blob in artifact.blobs()}.values())


def _is_whole(response: httpx2.Response, blob: Blob) -> bool:
    """Whether the registry has the blob; a stated size counts, since Distribution can list 0 bytes after a crash."""
    size = response.headers.get("Content-Length")
    return response.status_code == 200 and (size is None or size == str(blob.size))


def _chunks(blob: Blob, cancelled: threading.Event, sent: BytesSent) -> t.Iterator[bytes]:
    done = 0
    whole = False
    try:
        with blob.open() as stream:
            while chunk := stream.read(CHUNK):
                if cancelled.is_set():
                    raise Cancelled
                yield chunk
                done += len(chunk)
                sent.add(len(chunk))
        whole = True
    except OSError as error:
        raise PlatformError(
            f"Cannot read {error.filename or blob.path}: {error.strerror}.",
            next_step="Run again; if it stays so, check the disk.",
        ) from error
    finally:
        if not whole:  # cut off: the whole blob is sent again
            sent.add(-done)


def _check_file(blob: Blob) -> None:
    if blob.path is None:
        return
    try:
        size = blob.path.stat().st_size
    except OSError as error:
        raise PlatformError(
            f"Cannot read {blob.path}: {error.strerror}.", next_step="Run again: the build makes the file anew."
        ) from error
    if size != blob.size:
        raise _changed(blob)


def _digest_of(blob: Blob) -> str:
    with blob.open() as stream:
        digest = hashlib.sha256()
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _changed(blob: Blob) -> PlatformError:
    name = blob.path if blob.path is not None else blob.digest
    return PlatformError(
        f"{name} changed while it was being stored.",
        next_step="Let nothing write to the build's output during a deployment, and run again.",
    )
