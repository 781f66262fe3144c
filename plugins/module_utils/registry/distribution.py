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
from pathlib import Path

from ..errors import PlatformError
from .authentication import NO_SPACE, Authenticator, registry_error
from .credentials import Credentials
from .model import PushResult, Timeouts
from .reference import DistributionLocation, check_digest, check_tag
from .transport import CHUNK, Cancelled, Peer, create_client, temporary, with_retries

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
_THREADS = 4
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
    ) -> None:
        """
        Args:
            credentials_for: from a repository to its credentials; called at the first challenge only.
            create_repository: makes a repository that the registry says is missing; for registries that don't make them
                by themselves.
        """
        self._location = location
        self._create_repository = create_repository
        self._ca_file = ca_file
        self._timeouts = timeouts or Timeouts()
        self._peer = Peer(location.endpoint, plain_http=plain_http)
        self._base = f"{'http' if plain_http else 'https'}://{location.endpoint}"
        self._lock = threading.Lock()
        self._shared_client: httpx2.Client | None = None
        self._authenticator = Authenticator(self._client, self._peer, credentials_for)

    def close(self) -> None:
        """Close the connections; the store can be used again."""
        with self._lock:
            client, self._shared_client = self._shared_client, None
        if client is not None:
            client.close()

    def has(self, name: str, digest: str) -> bool:
        """See `store.Store`. A registry takes a manifest only after its blobs, so the manifest is proof of all."""
        return self._has_manifest(self._location.repository(name), check_digest(digest), _PULL)

    def manifest(self, name: str, reference: str) -> bytes | None:
        """See `store.Store`."""
        repository = self._location.repository(name)
        by_digest = reference.startswith("sha256:")
        url = f"{self._base}/v2/{repository}/manifests/{check_digest(reference) if by_digest else check_tag(reference)}"
        did = f"reading {repository}{'@' if by_digest else ':'}{reference}"
        response = self._request("GET", url, repository, _PULL, did=did, headers={"Accept": _ACCEPT}, allowed=(404,))
        if response.status_code == 404:
            return None
        if by_digest and _sha256(response.content) != reference:
            raise PlatformError(
                f"The registry {self._peer.address} gave other bytes than asked for, while {did}.",
                next_step="Look for a proxy that rewrites manifests.",
            )
        return response.content

    def blob(self, name: str, digest: str) -> bytes:
        """The bytes of a small blob, such as the archive of a chart. Errors: PlatformError where it is missing or is
        not what its digest says."""
        repository = self._location.repository(name)
        did = f"reading blob {digest} of {repository}"
        content = self._request(
            "GET", f"{self._base}/v2/{repository}/blobs/{check_digest(digest)}", repository, _PULL, did=did
        ).content
        if _sha256(content) != digest:
            raise PlatformError(
                f"The registry {self._peer.address} gave other bytes than asked for, while {did}.",
                next_step="Look for a proxy in between.",
            )
        return bytes(content)

    def push(self, name: str, artifact: Artifact, *, tag: str) -> PushResult:
        """See `store.Store`. The tag is set last, so whoever pulls it gets the old or the new artifact and never a part
        of one."""
        repository = self._location.repository(name)
        image = self._location.digest_reference(name, artifact.digest)
        if self._tag_digest(repository, tag) == artifact.digest:
            return PushResult(False, 0, 0, image)
        uploaded: list[Blob] = []
        if not self._has_manifest(repository, artifact.digest, _PUSH):
            uploaded = [
                blob
                for blob, was_sent in self._in_parallel(
                    _unique(artifact), lambda blob, cancelled: self._store_blob(repository, blob, cancelled)
                )
                if was_sent
            ]
            self._put_manifest(repository, artifact.manifest, artifact.digest)
        self._put_manifest(repository, artifact.manifest, tag)
        return PushResult(True, len(uploaded), sum(blob.size for blob in uploaded), image)

    # ---- manifests

    def _tag_digest(self, repository: str, tag: str) -> str | None:
        """What the tag points at; the header is optional in the protocol, the bytes always tell."""
        url = f"{self._base}/v2/{repository}/manifests/{check_tag(tag)}"
        response = self._request(
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
        response = self._request(
            "GET",
            url,
            repository,
            _PUSH,
            did=f"reading {repository}:{tag}",
            headers={"Accept": _ACCEPT},
            allowed=(404,),
        )
        return _sha256(response.content) if response.status_code == 200 else None

    def _has_manifest(self, repository: str, digest: str, actions: str) -> bool:
        url = f"{self._base}/v2/{repository}/manifests/{digest}"
        return (
            self._request(
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
        url = f"{self._base}/v2/{repository}/manifests/{reference}"
        did = f"storing the manifest {repository}{'@' if reference.startswith('sha256:') else ':'}{reference}"
        response = self._request(
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
                f"The registry {self._peer.address} stored other bytes than it was sent: {stated} instead of "
                f"{manifest.digest}, while {did}.",
                next_step="Look for a proxy or a registry setting that rewrites manifests.",
            )

    # ---- blobs

    def _has_blob(self, repository: str, blob: Blob, cancelled: threading.Event) -> bool:
        url = f"{self._base}/v2/{repository}/blobs/{check_digest(blob.digest)}"
        return _is_whole(
            self._request(
                "HEAD",
                url,
                repository,
                _PUSH,
                did=f"looking up blob {blob.digest}",
                allowed=(404,),
                cancelled=cancelled,
            ),
            blob,
        )

    def _store_blob(self, repository: str, blob: Blob, cancelled: threading.Event) -> bool:
        """Whether the blob had to be sent."""
        if self._has_blob(repository, blob, cancelled):
            return False
        _check_file(blob)
        did = f"uploading blob {blob.digest} ({blob.size} bytes) to {repository}"
        url = f"{self._base}/v2/{repository}/blobs/{blob.digest}"
        again = False

        def attempt() -> bool:
            nonlocal again
            # The answer to a complete upload may have been what was lost.
            if again and _is_whole(self._exchange("HEAD", url, repository, _PUSH, did=did, allowed=(404,)), blob):
                return True
            again = True
            self._send(self._start_upload(repository, did), repository, blob, did, cancelled)
            return True

        return with_retries(attempt, did=did, peer=self._peer, timeouts=self._timeouts, cancelled=cancelled)

    def _start_upload(self, repository: str, did: str) -> str:
        """The URL of a fresh upload; a cut one is never continued, as registries differ in what they kept of it."""
        url = f"{self._base}/v2/{repository}/blobs/uploads/"
        response = self._exchange(
            "POST", url, repository, _PUSH, did=did, content=b"", allowed=(404,) if self._create_repository else ()
        )
        if response.status_code == 404 and self._create_repository is not None:
            with self._lock:  # several threads get here together; creating is idempotent
                self._create_repository(repository)
            response = self._exchange("POST", url, repository, _PUSH, did=did, content=b"")
        location = response.headers.get("Location")
        if not location:
            raise PlatformError(
                f"The registry {self._peer.address} gave no upload address, while {did}.",
                next_step="Check that it allows pushes and is no pull-through cache.",
            )
        return self._upload_url(location)

    def _upload_url(self, location: str) -> str:
        """A Location may be relative; behind a TLS proxy it may name http:// for our own host, as dxf and oras correct
        it too."""
        import httpx2

        base = httpx2.URL(self._base)
        url = base.join(location)
        if url.host == base.host and url.scheme != base.scheme:
            url = url.copy_with(scheme=base.scheme, port=base.port)
        if url.scheme != base.scheme and base.scheme == "https":
            raise PlatformError(
                f"The registry {self._peer.address} wants the upload sent to {url.host} without encryption.",
                next_step="Repair the registry's external URL to https://.",
            )
        return str(url)

    def _send(self, location: str, repository: str, blob: Blob, did: str, cancelled: threading.Event) -> None:
        import httpx2

        # Appended by hand: the rest of the query is the registry's own and must come back byte for byte.
        url = f"{location}{'&' if '?' in location else '?'}digest={blob.digest.replace(':', '%3A')}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
        try:
            self._exchange(
                "PUT",
                url,
                repository,
                _PUSH,
                did=did,
                headers=headers,
                content=lambda: _chunks(blob, cancelled),
                read_timeout=self._timeouts.commit,
            )
        except (httpx2.LocalProtocolError, PlatformError) as error:
            doubtful = isinstance(error, httpx2.LocalProtocolError) or any(
                code in str(error) for code in ("DIGEST_INVALID", "SIZE_INVALID")
            )
            if doubtful and _digest_of(blob) != blob.digest:
                raise _changed(blob) from error
            raise

    def _in_parallel(
        self, blobs: list[Blob], action: t.Callable[[Blob, threading.Event], bool]
    ) -> list[tuple[Blob, bool]]:
        """`action` on every blob, four at a time, large ones first; the first error stops the rest.

        Not by a ThreadPoolExecutor: that one waits for its threads, also when Python ends, and so after an interrupt
        for the answer to an upload.
        """
        from concurrent.futures import FIRST_EXCEPTION, Future, wait

        cancelled = threading.Event()
        ordered = sorted(blobs, key=lambda blob: (-blob.size, blob.digest))
        futures: list[Future[bool]] = [Future() for _blob in ordered]
        pending = iter(list(zip(ordered, futures, strict=True)))

        def work() -> None:
            for blob, future in pending:
                try:
                    if cancelled.is_set():
                        raise Cancelled
                    future.set_result(action(blob, cancelled))
                except BaseException as error:
                    future.set_exception(error)
                    cancelled.set()

        for number in range(min(_THREADS, len(ordered))):
            threading.Thread(target=work, daemon=True, name=f"registry_{number}").start()
        try:
            done, _pending = wait(futures, return_when=FIRST_EXCEPTION)
            failed = next(
                (error for future in done if (error := future.exception()) and not isinstance(error, Cancelled)), None
            )
            if failed is not None:
                raise failed
        except BaseException:
            cancelled.set()
            raise
        return [(blob, future.result()) for blob, future in zip(ordered, futures, strict=True)]

    # ---- requests

    def _client(self) -> httpx2.Client:
        with self._lock:
            if self._shared_client is None:
                self._shared_client = create_client(
                    ca_file=self._ca_file,
                    plain_http=self._peer.plain_http,
                    timeouts=self._timeouts,
                    connections=_THREADS,
                )
            return self._shared_client

    def _request(
        self,
        method: str,
        url: str,
        repository: str,
        actions: str,
        *,
        did: str,
        cancelled: threading.Event | None = None,
        **more: t.Any,
    ) -> httpx2.Response:
        """As `_exchange`, with retries."""
        return with_retries(
            lambda: self._exchange(method, url, repository, actions, did=did, **more),
            did=did,
            peer=self._peer,
            timeouts=self._timeouts,
            cancelled=cancelled,
        )

    def _exchange(
        self,
        method: str,
        url: str,
        repository: str,
        actions: str,
        *,
        did: str,
        headers: dict[str, str] | None = None,
        content: bytes | t.Callable[[], t.Iterator[bytes]] | None = None,
        allowed: tuple[int, ...] = (),
        read_timeout: float | None = None,
    ) -> httpx2.Response:
        """One request, sent a second time if the registry asks who we are.

        Errors: TemporaryFailure, PlatformError, httpx2.TransportError.
        """
        import httpx2

        client = self._client()
        base, target = httpx2.URL(self._base), httpx2.URL(url)
        is_ours = (target.scheme, target.host, target.port) == (
            base.scheme,
            base.host,
            base.port,
        )  # nobody else gets our token
        timeout = httpx2.Timeout(
            self._timeouts.transfer,
            connect=self._timeouts.connect,
            read=read_timeout or self._timeouts.transfer,
            pool=None,
        )

        def send(authorization: str | None) -> httpx2.Response:
            body = content() if callable(content) else content
            with_authorization = {**(headers or {}), **({"Authorization": authorization} if authorization else {})}
            request = client.build_request(method, url, headers=with_authorization, content=body, timeout=timeout)
            # Blobs may be served from elsewhere; httpx2 keeps the token from another host.
            return client.send(request, follow_redirects=method in ("GET", "HEAD"))

        authorization = self._authenticator.header(repository, actions) if is_ours else None
        response = send(authorization)
        if response.status_code == 401 and is_ours:
            authorization = self._authenticator.answer(response, repository, actions, authorization)
            response = send(authorization)
        if response.is_success or response.status_code in allowed:
            return response
        message = registry_error(response)
        if method == "HEAD" and not message:  # an answer to HEAD has no body, the same error to GET does
            message = self._explanation(url, headers or {}, authorization)
        if response.status_code == 401:
            raise self._authenticator.refused(repository, message)
        refusal = self._refusal(response, repository, message, did)
        # A disk does not empty itself between two attempts.
        raise refusal if NO_SPACE in message.lower() else temporary(response, refusal)

    def _explanation(self, url: str, headers: dict[str, str], authorization: str | None) -> str:
        import httpx2

        try:
            with self._client().stream(
                "GET", url, headers={**headers, **({"Authorization": authorization} if authorization else {})}
            ) as response:
                if response.is_success or int(response.headers.get("Content-Length") or 0) > 64 * 1024:
                    return ""
                response.read()
                return registry_error(response)
        except (httpx2.HTTPError, ValueError):
            return ""

    def _refusal(self, response: httpx2.Response, repository: str, message: str, did: str) -> PlatformError:
        """What an error status means and what to do."""
        address, status = self._peer.address, response.status_code
        cause = f"The registry {address} answered HTTP {status}{f' ({message})' if message else ''}, while {did}."
        upper = message.upper()
        if status == 400 and self._peer.plain_http and "HTTPS" in upper:
            return PlatformError(cause, next_step="Leave `registry_plain_http` out: this port speaks HTTPS.")
        if status == 403:
            return PlatformError(
                cause,
                next_step=f"Give the account the right to push to {repository}, or run `docker login {address}` with "
                "another one.",
            )
        if status == 404 and "BLOB_UNKNOWN" not in upper:
            return PlatformError(
                cause,
                next_step=f"Create the repository {repository} (or the project it belongs to) in {address}, or check "
                "the path in `registry`.",
            )
        if "BLOB_UNKNOWN" in upper:
            return PlatformError(
                cause,
                next_step="Run again. If it stays so, the registry's cache names blobs that its garbage collection "
                "removed: restart the registry.",
            )
        if status == 405 or "UNSUPPORTED" in upper:
            return PlatformError(
                cause,
                next_step="The registry is read-only or a pull-through cache: choose another `registry`, or allow "
                "pushes in its configuration.",
            )
        if status == 413:
            return PlatformError(
                cause,
                next_step=f"Raise the largest request body of {address} or of the proxy in front of it (nginx: "
                "`client_max_body_size`).",
            )
        if status == 429:
            wait = response.headers.get("Retry-After")
            return PlatformError(
                cause,
                next_step=f"Run again {f'after {wait} s' if wait and wait.isdigit() else 'later'}, or raise the rate "
                "limit of the account.",
            )
        if status == 507 or "NO SPACE" in upper:
            return PlatformError(
                cause,
                next_step=f"Free disk space of {address}: delete old tags and run the registry's garbage collection; "
                "or give it a larger disk.",
            )
        if "QUOTA" in upper:
            return PlatformError(
                cause,
                next_step=f"Raise the quota of {repository.partition('/')[0]} in {address}, or delete old tags there.",
            )
        if "IMMUTABLE" in upper or "ALREADYEXISTS" in upper.replace(" ", "") or status == 409:
            return PlatformError(cause, next_step="Use another tag, or make the tags of this repository mutable.")
        if status >= 500:
            return PlatformError(
                cause,
                next_step=f"See the log and the free disk space of {address}; then run again: what is stored is not "
                "sent again.",
            )
        return PlatformError(cause, next_step=f"Check that {address} is an OCI registry and `registry` is right.")


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _unique(artifact: Artifact) -> list[Blob]:
    return list({blob.digest: blob for blob in artifact.blobs()}.values())


def _is_whole(response: httpx2.Response, blob: Blob) -> bool:
    """Distribution after a crash can list a blob of 0 bytes, so the size counts where it is told."""
    size = response.headers.get("Content-Length")
    return response.status_code == 200 and (size is None or size == str(blob.size))


def _chunks(blob: Blob, cancelled: threading.Event) -> t.Iterator[bytes]:
    try:
        with blob.open() as stream:
            while chunk := stream.read(CHUNK):
                if cancelled.is_set():
                    raise Cancelled
                yield chunk
    except OSError as error:
        raise PlatformError(
            f"Can't read {error.filename or blob.path}: {error.strerror}.",
            next_step="Run again; if it stays so, check the disk.",
        ) from error


def _check_file(blob: Blob) -> None:
    if blob.path is None:
        return
    try:
        size = blob.path.stat().st_size
    except OSError as error:
        raise PlatformError(
            f"Can't read {blob.path}: {error.strerror}.", next_step="Run again: the build makes the file anew."
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
