# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends requests to one registry: authenticated, with retries, and with errors that say what to do."""

from __future__ import annotations

import threading
import typing as t
from pathlib import Path

from .authentication import NO_SPACE, Authenticator, registry_error
from .credentials import Credentials
from .model import Timeouts
from .refusals import refusal
from .transport import Peer, create_client, temporary, with_retries

if t.TYPE_CHECKING:
    import httpx2

CONNECTIONS = 4


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
        self._authenticator = Authenticator(self._client, self.peer, credentials_for)

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
    ) -> httpx2.Response:
        """One request, sent a second time if the registry asks who we are.

        Errors: TemporaryFailure, PlatformError, httpx2.TransportError.
        """
        import httpx2

        client = self._client()
        base, target = httpx2.URL(self.base), httpx2.URL(url)
        # Nobody else gets our token.
        is_ours = (target.scheme, target.host, target.port) == (base.scheme, base.host, base.port)
        timeout = httpx2.Timeout(
            self.timeouts.transfer,
            connect=self.timeouts.connect,
            read=read_timeout or self.timeouts.transfer,
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
        refused = refusal(response, self.peer, repository, message, did)
        # A disk does not empty itself between two attempts.
        raise refused if NO_SPACE in message.lower() else temporary(response, refused)

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
