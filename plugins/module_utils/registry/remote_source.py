# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Components that are not built but downloaded: `source = { url = "https://…", digest = "sha256:…" }` of a
spin.toml."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import typing as t
import urllib.parse
from pathlib import Path

from ..errors import PlatformError
from .answers import Deadline, download
from .authentication import registry_error
from .model import Timeouts
from .reference import check_digest
from .transport import CHUNK, Peer, create_client, temporary, with_retries

if t.TYPE_CHECKING:
    import httpx2

LARGEST_BYTES = 1 << 30
"""Of a component, far above any."""


def fetch(
    url: str, digest: str, cache_directory: Path, *, ca_file: Path | None = None, timeouts: Timeouts | None = None
) -> Path:
    """The file with exactly that digest, downloaded at most once.

    Args:
        url: http or https; redirects are followed, as the digest is what is trusted.
        digest: `sha256:<64 hex digits>`.
        cache_directory: made if it is missing; two processes may share it.
        ca_file: PEM file with certificate authorities to trust besides the system's.

    Errors: PlatformError if it cannot be downloaded, has another digest or more than LARGEST_BYTES, or is not whole
        after `timeouts.download`.
    """
    try:
        hexadecimal = check_digest(digest).removeprefix("sha256:")
    except ValueError:
        raise PlatformError(
            f"{digest!r}, the digest of {url}, is not `sha256:` and 64 lower-case hex digits.",
            next_step="Repair `digest` in spin.toml: `sha256sum FILE` tells it.",
        ) from None
    path = cache_directory / f"{hexadecimal}.wasm"
    if _digest_of(path) == digest:
        return path
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PlatformError(
            f"Cannot download {url}: only http and https are supported.", next_step="Repair `url` in spin.toml."
        )
    peer = Peer(parts.netloc.rpartition("@")[2], kind="server", plain_http=parts.scheme == "http")
    limits = timeouts or Timeouts()
    shown = urllib.parse.urlunsplit((parts.scheme, peer.address, parts.path, "", ""))  # a query may hold a signature
    did = f"downloading {shown}"
    with create_client(ca_file=ca_file, plain_http=False, timeouts=limits) as client:

        def attempt() -> None:
            with _partial(path) as partial:
                found = download(
                    client,
                    url,
                    partial,
                    did=did,
                    peer=peer,
                    deadline=Deadline(limits.download),
                    most=LARGEST_BYTES,
                    refused=lambda response: _refused(response, shown),
                )
                if f"sha256:{found}" != digest:
                    raise PlatformError(
                        f"{shown} has the digest sha256:{found}, but spin.toml says {digest}.",
                        next_step="If the new content is what you want, put its digest into spin.toml; if not, someone "
                        "changed the file.",
                    )
                os.replace(partial, path)

        try:
            cache_directory.mkdir(parents=True, exist_ok=True)
            with_retries(attempt, did=did, peer=peer, timeouts=limits)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise PlatformError(
                    f"The disk of {cache_directory} is full, while downloading {shown}.",
                    next_step=f"Free space (`df -h {cache_directory}`) and run again.",
                ) from error
            raise PlatformError(
                f"Cannot write {error.filename or cache_directory}: {error.strerror}.",
                next_step=f"Make {cache_directory} writable for this user.",
            ) from error
    return path


def _digest_of(path: Path) -> str | None:
    """None if there is no such file."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    except FileNotFoundError:
        return None
    return f"sha256:{digest.hexdigest()}"


@contextlib.contextmanager
def _partial(path: Path) -> t.Iterator[Path]:
    """A file beside `path`, removed at the end."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def _refused(response: httpx2.Response, shown: str) -> Exception:
    message = registry_error(response)
    return temporary(
        response,
        PlatformError(
            f"{shown} answered HTTP {response.status_code}{f' ({message})' if message else ''}.",
            next_step="Open the URL of the component's `source` and repair it in spin.toml.",
        ),
    )
