# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answering a registry's challenge: Basic, or Bearer tokens from its token server, fetched again before they expire.

The protocol: https://distribution.github.io/distribution/spec/auth/ (token, scope, oauth).
"""

from __future__ import annotations

import dataclasses
import errno
import math
import re
import threading
import time
import typing as t
import urllib.parse
import urllib.request

from ..errors import PlatformError, printable
from .answers import Deadline, json_object, receive
from .credentials import Credentials
from .model import Timeouts
from .transport import Peer, TemporaryFailure, connection_error, is_temporary, temporary

if t.TYPE_CHECKING:
    import httpx2

_SHORTEST_LIFE = 60.0  # seconds; what a token lives if its server doesn't say (spec/auth/token)
_LONGEST_LIFE = 24 * 3600.0  # seconds; whatever its server says
_TOKEN = re.compile(r"[!-~]+")  # what fits into a header
_HOST = re.compile(r"[\w.:-]+", re.ASCII)
_CLIENT_ID = "wasmfaas.platform"
NO_SPACE = "no space left on device"


@dataclasses.dataclass(frozen=True)
class Challenge:
    """One challenge of a WWW-Authenticate header (RFC 9110 §11.6.1); scheme and parameter names are in lower case."""

    scheme: str
    parameters: dict[str, str]


@dataclasses.dataclass(frozen=True)
class _Token:
    value: str = dataclasses.field(repr=False)
    renew_at: float  # time.monotonic()
    ends_at: float


def parse_challenges(values: t.Iterable[str]) -> list[Challenge]:
    """All challenges in WWW-Authenticate headers, in order; what cannot be understood is left out."""
    challenges: list[Challenge] = []
    for value in values:
        for item in urllib.request.parse_http_list(value):
            head, equals, parameter_value = item.partition("=")
            words = head.split()
            if not words or len(words) > 2:
                continue
            if len(words) == 2 or not equals:  # a new scheme, with its first parameter or without any
                challenges.append(Challenge(words[0].lower(), {}))
            if equals and challenges:
                challenges[-1].parameters[words[-1].lower()] = _unquoted(parameter_value.strip())
    return challenges


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value


class Authenticator:
    """The Authorization header for one registry; safe for many threads, which share each token."""

    def __init__(
        self,
        client: t.Callable[[], httpx2.Client],
        peer: Peer,
        credentials_for: t.Callable[[str], Credentials | None],
        timeouts: Timeouts | None = None,
    ) -> None:
        self._client = client
        self._peer = peer
        self._timeouts = timeouts or Timeouts()
        self._credentials_for = credentials_for
        self._lock = threading.Lock()
        self._challenges: dict[str, Challenge] = {}  # by scope
        self._tokens: dict[str, _Token] = {}  # by scope
        self._credentials: dict[str, Credentials | None] = {}  # by repository

    def header(self, repository: str, actions: str, source: str = "") -> str | None:
        """What to send, or None if the registry has not asked for anything yet.

        Args:
            source: another repository that is read from.
        """
        scope = _scope(repository, actions, source)
        with self._lock:
            challenge = self._challenges.get(scope)
            if challenge is None:
                return None
            return self._answer(challenge, repository, scope)

    def answer(
        self, response: httpx2.Response, repository: str, actions: str, used: str | None, source: str = ""
    ) -> tuple[str, bool]:
        """The header for another try of a request that was answered with 401, and whether it was made for this one
        rather than by another thread meanwhile; `used` is what it had sent.

        Errors: PlatformError if there are no credentials, or they were refused.
        """
        scope = _scope(repository, actions, source)
        with self._lock:
            challenge = self._choose(response)
            before = self._challenges.get(scope)
            self._challenges[scope] = challenge
            if before is not None and used is not None:
                now = self._answer(before, repository, scope)
                if now != used:  # another thread was faster
                    return now, False
            self._tokens.pop(scope, None)
            header = self._answer(challenge, repository, scope)
            if header == used:
                raise self.refused(repository, registry_error(response))
            return header, True

    def is_over(self, header: str | None, repository: str, actions: str, source: str = "") -> bool:
        """Whether this is a token that has ended by its server's own account, so that a 401 says nothing of its
        rights."""
        with self._lock:
            token = self._tokens.get(_scope(repository, actions, source))
        return token is None or header != f"Bearer {token.value}" or time.monotonic() >= token.ends_at

    def refused(self, repository: str, message: str) -> PlatformError:
        """For a 401 in spite of an answer."""
        credentials = self._credentials.get(repository)
        host = self._peer.address
        suffix = f": {message}" if message else ""
        if credentials is None:
            return PlatformError(
                f"The {self._peer.kind} {host} wants credentials for {repository} and none were found{suffix}.",
                next_step=_login(host),
            )
        return PlatformError(
            f"The {self._peer.kind} {host} refuses the credentials from {credentials.source} for {repository}{suffix}.",
            next_step=f"{_login(host)} The account must have the right to push.",
        )

    def _choose(self, response: httpx2.Response) -> Challenge:
        challenges = parse_challenges(response.headers.get_list("WWW-Authenticate"))
        for scheme in ("bearer", "basic"):
            for challenge in challenges:
                if challenge.scheme == scheme and (scheme == "basic" or challenge.parameters.get("realm")):
                    return challenge
        schemes = ", ".join(sorted({challenge.scheme for challenge in challenges})) or "none"
        raise PlatformError(
            f"The {self._peer.kind} {self._peer.address} answered 401 and offers no way to log in that is known here "
            f"(offered: {schemes}).",
            next_step="Check that the address is that of a registry; Basic and Bearer are supported.",
        )

    def _answer(self, challenge: Challenge, repository: str, scope: str) -> str:
        if repository not in self._credentials:
            self._credentials[repository] = self._credentials_for(repository)
        credentials = self._credentials[repository]
        if challenge.scheme == "basic":
            if credentials is None or not credentials.username:
                raise self.refused(repository, "")
            return credentials.basic()
        if credentials is not None and credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        token = self._tokens.get(scope)
        if token is None or time.monotonic() >= token.renew_at:
            token = self._tokens[scope] = self._fetch(challenge, credentials, scope)
        return f"Bearer {token.value}"

    def _fetch(self, challenge: Challenge, credentials: Credentials | None, scope: str) -> _Token:
        import httpx2

        realm, server = self._realm(challenge, credentials)
        # Both the asked-for scope and ours: a registry may want more than one, such as a mount's source.
        scopes = list(dict.fromkeys([*scope.split(), *challenge.parameters.get("scope", "").split()]))
        service = challenge.parameters.get("service")
        asked = time.monotonic()
        limits = self._timeouts
        peer, did = Peer(server, "token server", realm.lower().startswith("http:")), f"asking for {scope}"
        request = self._token_request(realm, service, scopes, credentials)
        try:
            deadline = Deadline(limits.transfer + limits.answer)
            response = receive(self._client(), request, did=did, peer=peer, deadline=deadline)
        except httpx2.TransportError as error:
            failed = connection_error(error, did=did, peer=peer, timeouts=limits)
            raise TemporaryFailure(failed) if is_temporary(error, limits) else failed from error
        if response.status_code != 200:
            message = registry_error(response)
            named = f"The token server {server} of the {self._peer.kind} {self._peer.address}"
            if response.status_code in (400, 401, 403):
                who = (
                    f"refuses the credentials from {credentials.source}" if credentials else "refuses anonymous access"
                )
                raise PlatformError(
                    f"{named} {who} for {scope} (HTTP {response.status_code}{': ' + message if message else ''}).",
                    next_step=_login(self._peer.address),
                )
            raise temporary(
                response,
                PlatformError(
                    f"{named} answered HTTP {response.status_code}{': ' + message if message else ''}.",
                    next_step="Run again; if it stays so, see the log of that server.",
                ),
            )
        answer = json_object(response.content) or {}
        value = answer.get("token") or answer.get("access_token")
        if not isinstance(value, str) or not _TOKEN.fullmatch(value):
            raise PlatformError(
                f"The token server {server} gave an answer without a token.",
                next_step=f"Check that {self._peer.address} is the right registry.",
            )
        life = _life(answer.get("expires_in"))
        # Renewed early, so that a token is not refused for its age at the end of a long upload's start.
        return _Token(value, asked + life - min(10.0, life / 4), asked + life)

    def _realm(self, challenge: Challenge, credentials: Credentials | None) -> tuple[str, str]:
        import httpx2

        realm = challenge.parameters["realm"]
        try:
            url = httpx2.URL(realm)
            server = url.netloc.decode("ascii")
        except (httpx2.InvalidURL, ValueError):
            url, server = httpx2.URL(""), ""
        if url.scheme not in ("http", "https") or not _HOST.fullmatch(url.raw_host.decode("ascii")):
            raise PlatformError(
                f"The {self._peer.kind} {self._peer.address} names no valid token server: {printable(realm)[:200]!r}.",
                next_step="Repair `auth.token.realm` of the registry.",
            )
        # Who asked for plain HTTP trusts the network to the registry, not the one to other hosts.
        trusted = self._peer.plain_http and url.host == httpx2.URL(f"http://{self._peer.address}").host
        if url.scheme == "http" and not trusted and credentials is not None:
            raise PlatformError(
                f"The {self._peer.kind} {self._peer.address} wants the password sent to {server} without encryption.",
                next_step="Repair `auth.token.realm` of the registry to https://.",
            )
        return realm, server

    def _token_request(
        self, realm: str, service: str | None, scopes: list[str], credentials: Credentials | None
    ) -> httpx2.Request:
        client = self._client()
        if credentials is not None and credentials.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": credentials.identity_token,
                "client_id": _CLIENT_ID,
                "scope": " ".join(scopes),
            }
            return client.build_request("POST", realm, data={**form, **({"service": service} if service else {})})
        query = urllib.parse.urlencode(
            [*([("service", service)] if service else []), *(("scope", scope) for scope in scopes)]
        )
        headers = {"Authorization": credentials.basic()} if credentials is not None and credentials.username else {}
        return client.build_request("GET", f"{realm}{'&' if '?' in realm else '?'}{query}", headers=headers)


def _scope(repository: str, actions: str, source: str) -> str:
    also = f" repository:{source}:pull" if source else ""
    return f"repository:{repository}:{actions}{also}"


def _life(stated: t.Any) -> float:
    """The seconds that a token lives; servers write the number as text too."""
    try:
        seconds = float(stated or _SHORTEST_LIFE)
    except (ValueError, TypeError, OverflowError):
        seconds = _SHORTEST_LIFE
    return _SHORTEST_LIFE if math.isnan(seconds) else min(max(seconds, 1.0), _LONGEST_LIFE)


def registry_error(response: httpx2.Response) -> str:
    """The registry's own words, `CODE: message; …` (distribution-spec, Error Codes), else the start of a text answer;
    on one line, and nothing that a terminal obeys."""
    content = json_object(response.content)
    if content is None:
        is_text = response.headers.get("Content-Type", "text/plain").startswith("text/plain")
        return _line(response.content.decode("utf-8", "replace"), 200) if is_text else ""
    errors = content.get("errors")
    parts = []
    for error in errors if isinstance(errors, list) and errors else [content]:
        if not isinstance(error, dict):
            continue
        words = (
            error.get("code") or error.get("error"),
            error.get("message") or error.get("error_description") or error.get("details"),
            _full_disk(error.get("detail")),
        )
        parts.append(": ".join(str(word) for word in words if word and isinstance(word, (str, int, float))))
    return _line("; ".join(part for part in parts if part), 500)


def _line(text: str, length: int) -> str:
    return printable(" ".join(text.split()))[:length]


def _full_disk(detail: t.Any) -> str:
    """Distribution says "unknown error" of a full disk, and what it is in `detail`: text of version 2, the system's
    error number 28 in version 3."""
    enclosed = detail.get("Enclosed") if isinstance(detail, dict) else None
    number = enclosed.get("Err") if isinstance(enclosed, dict) else None
    return NO_SPACE if number == errno.ENOSPC or (isinstance(detail, str) and NO_SPACE in detail.lower()) else ""


def _login(host: str) -> str:
    return f"Run `docker login {host}`, or give the registry's user name and password as options."
