# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends requests to one registry: authenticated, with retries, and with errors that say what to do."""

from __future__ import annotations

import threading
import typing as t
from pathlib import Path

from ..errors import PlatformError
from .answers import ERROR_BYTES, Deadline, moving, receive
from .authentication import NO_SPACE, Authenticator, registry_error
from .credentials import Credentials
from .model import Timeouts
from .refusals import refusal
from .transport import Peer, create_client, temporary, with_retries

if t.TYPE_CHECKING:
    import httpx2

CONNECTIONS = 4
_TOKENS = 5
"""How many are tried for one request."""


class RegistryRequests:
    """The requests to one registry, over connections that threads share.

    Args:
        credentials_for: from a repository to its credentials; called at the first challenge only.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        credentials_for: t.Callable[[str], Credentials | None],
        ca_file: Path | None = None,
        plain_http: bool = False,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.peer = Peer(endpoint, plain_http=plain_http)
        self.base = f"{'http' if plain_http else 'https'}://{endpoint}"
        self.timeouts = timeouts or Timeouts()
        self._ca_file = ca_file
        self._lock = threading.Lock()
        self._shared_client: httpx2.Client | None = None
        self._authenticator = Authenticator(self._client, self.peer, credentials_for, self.timeouts)

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        with self._lock:
            client, self._shared_client = self._shared_client, None
        if client is not None:
            client.close()

    def _client(self) -> httpx2.Client:
        with self._lock:
            if self._shared_client is None:
                self._shared_client = create_client(
                    ca_file=self._ca_file,
                    plain_http=self.peer.plain_http,
                    timeouts=self.timeouts,
                    connections=CONNECTIONS,
                )
            return self._shared_client

    def send(
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
        """As `exchange`, with retries."""
        return with_retries(
            lambda: self.exchange(method, url, repository, actions, did=did, **more),
            did=did,
            peer=self.peer,
            timeouts=self.timeouts,
            cancelled=cancelled,
        )

    def exchange(
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
        most: int = ERROR_BYTES,
        source: str = "",
        target: Path | None = None,
    ) -> httpx2.Response:
        """One request, sent again if the registry asks who we are.

        Args:
            most: bytes of a body that are taken.
            source: another repository that is read from.
            target: file for the body of a success, which may take `timeouts.download`.

        Errors: TemporaryFailure, PlatformError, httpx2.TransportError.
        """
        import httpx2

        client = self._client()
        silence = read_timeout or self.timeouts.transfer
        timeout = httpx2.Timeout(self.timeouts.transfer, connect=self.timeouts.connect, read=silence, pool=None)

        def send(authorization: str | None) -> httpx2.Response:
            deadline = Deadline(self.timeouts.download if target else silence + self.timeouts.answer)
            body = moving(content(), deadline) if callable(content) else content
            with_authorization = {**(headers or {}), **({"Authorization": authorization} if authorization else {})}
            request = client.build_request(method, url, headers=with_authorization, content=body, timeout=timeout)
            # Blobs may be served from elsewhere; httpx2 keeps the token from another host.
            following = method in ("GET", "HEAD")
            return receive(
                client,
                request,
                did=did,
                peer=self.peer,
                deadline=deadline,
                most=most,
                follow_redirects=following,
                target=target,
            )

        # Nobody else gets our token, or may say where our password is to be sent.
        authorization = self._authenticator.header(repository, actions, source) if self._is_ours(url) else None
        response = send(authorization)
        is_new = False
        # A token that another thread fetched may end before this one can use it, and so may one for this request.
        for _again in range(_TOKENS):
            if response.status_code != 401 or not self._is_ours(str(response.url)):
                break
            if is_new and not self._authenticator.is_over(authorization, repository, actions, source):
                break
            authorization, is_new = self._authenticator.answer(response, repository, actions, authorization, source)
            response = send(authorization)
        if response.is_success or response.status_code in allowed:
            return response
        message = registry_error(response)
        if method == "HEAD" and not message:  # an answer to HEAD has no body, the same error to GET does
            message = self._explanation(url, headers or {}, authorization, did)
        if response.status_code == 401 and self._is_ours(str(response.url)):
            raise self._authenticator.refused(repository, message)
        refused = refusal(response, self.peer, repository, message, did)
        # A disk does not empty itself between two attempts.
        raise refused if NO_SPACE in message.lower() else temporary(response, refused)

    def _is_ours(self, url: str) -> bool:
        import httpx2

        base, target = httpx2.URL(self.base), httpx2.URL(url)
        return (target.scheme, target.host, target.port) == (base.scheme, base.host, base.port)

    def _explanation(self, url: str, headers: dict[str, str], authorization: str | None, did: str) -> str:
        import httpx2

        client = self._client()
        given = {**headers, **({"Authorization": authorization} if authorization else {})}
        deadline = Deadline(self.timeouts.transfer)
        try:
            request = client.build_request("GET", url, headers=given)
            response = receive(client, request, did=did, peer=self.peer, deadline=deadline, most=0)
            return "" if response.is_success else registry_error(response)
        except (httpx2.HTTPError, PlatformError):
            return ""
