# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API of the hosted service, as the modules for functions call it; service/api/openapi.yml describes it."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import typing as t
import urllib.parse
from pathlib import Path

from .. import progress
from ..errors import PlatformError
from ..registry.model import Timeouts
from ..registry.transport import CHUNK, Peer, TemporaryFailure, create_client, temporary, with_retries

if t.TYPE_CHECKING:
    import httpx2

    from .source import SourceArchive

Json = dict[str, t.Any]
Parameters = dict[str, t.Any]

FINISHED = ("Ready", "Failed", "Cancelled")
"""Phases of a deployment in which nothing more happens to it."""


@dataclasses.dataclass(frozen=True)
class ServiceAddress:
    """Where the service is, and the token for it.

    Attributes:
        url: without a slash at its end.
        ca_file: of authorities to trust beside the system's.
    """

    url: str
    token: str = dataclasses.field(repr=False)
    ca_file: Path | None = None

    @classmethod
    def of(cls, parameters: Parameters) -> ServiceAddress:
        """The service that a module's parameters name; raises PlatformError where a token must not be sent there."""
        url = str(parameters["service"]).rstrip("/")
        _check_url(url, plain_http=parameters["service_plain_http"])
        ca_file = parameters["service_ca_file"]
        return cls(url, _token(parameters["service_token_file"]), Path(ca_file) if ca_file else None)


class ServiceRefusal(PlatformError):
    """An error that the service answered; `code` tells which (service/problem.py)."""

    def __init__(self, cause: str, *, next_step: str, code: str) -> None:
        super().__init__(cause, next_step=next_step)
        self.code = code


class HostedService:
    """Calls the service; close it after use. It follows no redirects: the token goes to nobody that the user did not
    name.

    All methods raise PlatformError: ServiceRefusal for what the service answers, another one where it cannot be
    reached.
    """

    def __init__(self, address: ServiceAddress, timeouts: Timeouts | None = None) -> None:
        self._timeouts = timeouts or Timeouts()
        parts = urllib.parse.urlsplit(address.url)
        self._url = address.url
        self._peer = Peer(parts.netloc, "server", parts.scheme == "http")
        self._client = create_client(ca_file=address.ca_file, plain_http=self._peer.plain_http, timeouts=self._timeouts)
        self._client.headers["Authorization"] = f"Bearer {address.token}"

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def ask(self, method: str, path: str, content: Json | None = None, *, query: Json | None = None) -> Json:
        """The service's answer as JSON. Requests are repeated where the connection fails, so only send what may come
        twice.

        Args:
            path: below the service's URL, quoted.
            content: JSON to send.
        """

        def send() -> httpx2.Response:
            response = self._client.request(
                method, self._url + path, json=content, params=query, headers={"Accept": "application/json"}
            )
            return self._accepted(response)

        response = with_retries(send, did=f"asking {method} {path}", peer=self._peer, timeouts=self._timeouts)
        try:
            answer = response.json() if response.content else {}
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._other_answer()
        return answer

    def text(self, path: str, *, query: Json) -> str:
        """The service's answer to GET as text."""

        def send() -> httpx2.Response:
            return self._accepted(self._client.get(self._url + path, params=query))

        return with_retries(send, did=f"asking GET {path}", peer=self._peer, timeouts=self._timeouts).text

    def holds(self, path: str) -> bool:
        """Whether HEAD finds something."""

        def send() -> bool:
            response = self._client.head(self._url + path)
            return response.status_code != 404 and bool(self._accepted(response))

        return with_retries(send, did=f"asking HEAD {path}", peer=self._peer, timeouts=self._timeouts)

    def upload(self, path: str, archive: SourceArchive) -> Json:
        """Send an archive with PUT; gives what the service answers."""
        sent = progress.BytesSent(archive.size)

        def content() -> t.Iterator[bytes]:
            archive.stream.seek(0)
            while data := archive.stream.read(CHUNK):
                yield data
                sent.add(len(data))

        def send() -> httpx2.Response:
            headers = {"Content-Length": str(archive.size), "Content-Type": "application/octet-stream"}
            return self._accepted(self._client.put(self._url + path, content=content(), headers=headers))

        response = with_retries(send, did="uploading the source", peer=self._peer, timeouts=self._timeouts)
        answer: Json = response.json()
        return answer

    def log_lines(self, path: str, offset: int) -> t.Iterator[tuple[int, str]]:
        """The lines of a deployment's log from a byte offset on, with the offset after each, while the deployment goes
        on. Ends early where the connection is lost."""
        import httpx2

        headers = {"Accept": "application/x-ndjson"}
        query: Json = {"follow": "true", "offset": offset}
        try:
            with self._client.stream("GET", self._url + path, params=query, headers=headers) as response:
                if response.status_code >= 300:
                    response.read()
                self._accepted(response)
                for line in response.iter_lines():
                    found = json.loads(line)
                    yield int(found["offset"]), str(found["text"])
        except (httpx2.TransportError, TemporaryFailure, ValueError):
            return

    def _accepted(self, response: httpx2.Response) -> httpx2.Response:
        """The response, if it is one of success."""
        if response.status_code < 300:
            return response
        if response.status_code < 400:
            raise PlatformError(
                f"{self._url} answers with a redirect to {response.headers.get('Location', '')[:200]}, which is not "
                "followed: the token is for this URL only.",
                next_step="If that is the service, give its URL as `service`.",
            )
        raise temporary(response, self._refusal(response))

    def _refusal(self, response: httpx2.Response) -> PlatformError:
        status = response.status_code
        if response.headers.get("Content-Type", "").startswith("application/problem+json"):
            try:
                problem = response.json()
                return ServiceRefusal(
                    str(problem["detail"]), next_step=str(problem["next_step"]), code=str(problem["code"])
                )
            except (ValueError, TypeError, KeyError):
                pass
        if status == 413:
            return PlatformError(
                f"The source is too large for {self._url} or a proxy before it.",
                next_step="Name in .gitignore what the build makes or fetches by itself.",
            )
        return PlatformError(
            f"{self._url} answers {response.request.method} {response.request.url.path} with status {status}.",
            next_step="Check that `service` is the URL of the hosted service, and its log.",
        )

    def _other_answer(self) -> PlatformError:
        return PlatformError(
            f"{self._url} does not answer as the hosted service does.",
            next_step="Check that `service` is the URL of the hosted service.",
        )


def tenant_path(tenant: str) -> str:
    """The path of a tenant in the API."""
    return f"/v1/tenants/{urllib.parse.quote(tenant, safe='')}"


def function_path(tenant: str, name: str) -> str:
    """The path of a function in the API."""
    return f"{tenant_path(tenant)}/functions/{urllib.parse.quote(name, safe='')}"


def own_tenant(service: HostedService, namespace: str) -> str:
    """The tenant: the namespace, and that of the token where the namespace is the default one; raises PlatformError."""
    if namespace != "default":
        return namespace
    tenant = str(service.ask("GET", "/v1/self")["tenant"])
    return namespace if tenant == "*" else tenant


def read_function(service: HostedService, tenant: str, name: str) -> Json | None:
    """A function; None where there is none. Raises PlatformError."""
    try:
        return service.ask("GET", function_path(tenant, name))
    except ServiceRefusal as refusal:
        if refusal.code == "not_found":
            return None
        raise


def _check_url(url: str, *, plain_http: bool) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment:
        raise PlatformError(
            f"service: {url!r} is no URL of a service.", next_step="Write it as in https://api.example.com."
        )
    if parts.scheme == "http" and not plain_http and not _is_loopback(host):
        raise PlatformError(
            f"service: {url} is not encrypted; everybody between here and {host} could read the token.",
            next_step="Give the https:// URL, or in a network that you trust `-e service_plain_http=true`.",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _token(file: str | None) -> str:
    if not file:
        raise PlatformError(
            "service_token_file: is needed with service.",
            next_step="Write the token into a file of mode 0600, and give its path with `-e token_file=FILE`.",
        )
    try:
        token = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise PlatformError(
            f"service_token_file: {file} cannot be read: {reason}.", next_step="Give a file that holds the token."
        ) from error
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise PlatformError(
            f"service_token_file: {file} holds no token.",
            next_step="Write the one line into it that you got from whoever runs the service.",
        )
    return token
