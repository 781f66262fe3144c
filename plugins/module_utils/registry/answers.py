# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes what a server answers, which may be anything: only so many bytes of it, only for so long, and JSON only as an
object."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import typing as t
from pathlib import Path

from ..errors import PlatformError
from .transport import Peer

if t.TYPE_CHECKING:
    import httpx2

ERROR_BYTES = 64 * 1024
"""Of an error, and of a token server's answer: what is longer cannot be sent in a header anyway."""
MANIFEST_BYTES = 4 * 1024 * 1024
"""What registries take at least (distribution-spec 1.1, Pushing Manifests) and Distribution at most."""
BLOB_BYTES = 64 * 1024 * 1024
"""Of a blob that is read as a whole."""

Result = t.TypeVar("Result")


class Deadline:
    """The end of waiting for an answer; sending moves it, since a large body takes its time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.move()

    def move(self) -> None:
        """Wait anew from now on."""
        self._end = time.monotonic() + self.seconds

    @property
    def left(self) -> float:
        """Seconds; none below 0."""
        return max(0.0, self._end - time.monotonic())


def moving(chunks: t.Iterator[bytes], deadline: Deadline) -> t.Iterator[bytes]:
    """The chunks; the deadline moves with each that was sent."""
    for chunk in chunks:
        yield chunk
        deadline.move()


def receive(
    client: httpx2.Client,
    request: httpx2.Request,
    *,
    did: str,
    peer: Peer,
    deadline: Deadline,
    most: int = ERROR_BYTES,
    follow_redirects: bool = False,
    target: Path | None = None,
) -> httpx2.Response:
    """Send the request and read the answer.

    Args:
        did: what is being done, for messages.
        most: bytes of a body that are taken; of an error the first ERROR_BYTES are.
        target: file that the body of a success is written to, instead of into the response; it is written anew.

    Errors: httpx2.HTTPError; PlatformError for an answer that is too long, or not whole at the deadline.
    """
    import httpx2

    def exchange() -> httpx2.Response:
        response = client.send(request, stream=True, follow_redirects=follow_redirects)
        try:
            limit = most if response.is_success else ERROR_BYTES
            # Compressed although nobody asked for it: a few bytes could become any number.
            encoded = response.headers.get("Content-Encoding", "identity").lower() != "identity"
            if target is not None and response.is_success and not encoded:
                content = b""
                too_long = _written(response, target, limit) > limit
            else:
                content = b"" if encoded else beginning(response, limit + 1)
                too_long = len(content) > limit
        finally:
            response.close()
        if response.is_success and (encoded or too_long):
            what = "is compressed" if encoded else f"is longer than {limit} bytes"
            raise PlatformError(
                f"The answer of the {peer.kind} {peer.address} {what}, while {did}.",
                next_step=f"Check that {peer.address} is right, and that no proxy in between changes answers.",
            )
        return httpx2.Response(
            response.status_code, headers=response.headers, content=content[:limit], request=response.request
        )

    return within(deadline, exchange, did=did, peer=peer)


def download(
    client: httpx2.Client,
    url: str,
    target: Path,
    *,
    did: str,
    peer: Peer,
    deadline: Deadline,
    most: int,
    refused: t.Callable[[httpx2.Response], Exception],
) -> str:
    """Write what `url` answers with status 200 to `target`; redirects are followed.

    Args:
        did: what is being done, for messages.
        most: bytes that are written.
        refused: the error for any other answer, which has the first ERROR_BYTES of its body.

    Returns:
        The SHA-256 of what was written, in hex digits.

    Errors: httpx2.HTTPError; OSError; what `refused` gives; PlatformError for an answer that is too long, or not whole
        at the deadline. `target` may then hold a part.
    """
    import httpx2

    def exchange() -> str:
        digest = hashlib.sha256()
        written = 0
        with client.stream("GET", url, follow_redirects=True) as response:
            if response.status_code != 200:
                encoded = response.headers.get("Content-Encoding", "identity").lower() != "identity"
                content = b"" if encoded else beginning(response, ERROR_BYTES)
                raise refused(httpx2.Response(response.status_code, headers=response.headers, content=content))
            if not deadline.left:
                raise _late(deadline, did, peer)
            with target.open("wb") as stream:
                for chunk in response.iter_bytes():  # in pieces as they arrive, however small
                    if not deadline.left:
                        raise _late(deadline, did, peer)
                    written += len(chunk)
                    if written > most:
                        raise PlatformError(
                            f"The {peer.kind} {peer.address} gives more than {most} bytes, while {did}.",
                            next_step="Check that the URL names the file that you want.",
                        )
                    digest.update(chunk)
                    stream.write(chunk)
        return digest.hexdigest()

    return within(deadline, exchange, did=did, peer=peer)


def beginning(response: httpx2.Response, length: int) -> bytes:
    """The first bytes of a body, at most `length`."""
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) >= length:
            break
    return bytes(content[:length])


def _written(response: httpx2.Response, target: Path, most: int) -> int:
    """Write a body to a file until it is more than `most` bytes; gives how many were read. Raises OSError."""
    size = 0
    with target.open("wb") as stream:
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > most:
                break
            stream.write(chunk)
    return size


def within(deadline: Deadline, action: t.Callable[[], Result], *, did: str, peer: Peer) -> Result:
    """The result of `action`; PlatformError where it has none at the deadline.

    A server that sends a byte now and then keeps every time-out of a connection from passing, and a look-up of a
    name has none. What is late is left to its thread, which ends with the process."""
    done = threading.Event()
    results: list[Result] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(action())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=work, daemon=True, name="registry_answer").start()
    while not done.wait(deadline.left):
        if not deadline.left:
            raise _late(deadline, did, peer)
    if errors:
        raise errors[0]
    return results[0]


def _late(deadline: Deadline, did: str, peer: Peer) -> PlatformError:
    return PlatformError(
        f"The {peer.kind} {peer.address} had not given its whole answer after {deadline.seconds:g} s, while {did}.",
        next_step=f"Run again; if it stays slow, see the load and the log of {peer.address}.",
    )


def json_object(content: bytes) -> dict[str, t.Any] | None:
    """None for all that is no JSON object."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):  # the second: nested too deep
        return None
    return value if isinstance(value, dict) else None
