# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens of an OpenID Connect provider, beside the service's own: who may do what follows from their claims.

Rules of OpenID Connect Core 1.0 (section 3.1.3.7, ID Token Validation) and Discovery 1.0 (section 4). Which signatures
are taken is decided here and not by the token: only those with public keys.
"""

from __future__ import annotations

import logging
import threading
import time
import typing as t
import urllib.parse

import httpx2
import msgspec
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from ..problem import Code, ServiceProblem
from ..tokens import Token, TokenStore, unchecked_claims
from .settings import OidcSettings

_LOG = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
LEEWAY_SECONDS = 30
"""By how much the clocks of provider and service may differ."""

KEYS_SECONDS = 3600.0
"""How old the provider's keys may be, and so how long a withdrawn one works; older while it does not answer."""

FETCH_SECONDS = 60.0
"""How often they are asked for at most, whatever tokens come: one with an unknown key may come after a rotation."""

_ANSWER_SECONDS = 5.0
_MOST_ANSWER_BYTES = 1 << 20
_LONGEST_NAME = 200


class OidcTokenStore:
    """The tokens of a provider and those of another store; see `TokenStore`. A provider's tokens are neither listed nor
    revoked here: they end with their time, which providers make short.

    Args:
        own: the other store.
        clock: gives seconds.
    """

    def __init__(self, settings: OidcSettings, own: TokenStore, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._settings, self._own, self._clock = settings, own, clock
        self._lock = threading.Lock()
        self._keys: KeySet | None = None
        self._fetched = self._asked = float("-inf")
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.client_id},
            exp={"essential": True},
        )
        self.all, self.create, self.delete = own.all, own.create, own.delete

    def find(self, secret: str) -> Token | None:
        """See `TokenStore`; raises ServiceProblem where the provider's keys cannot be had now."""
        claims = unchecked_claims(secret)
        if claims is None or claims.get("iss") != self._settings.issuer:
            return self._own.find(secret)
        try:
            return self._token(self._checked(secret))
        except (JoseError, ValueError):
            return None

    def _checked(self, secret: str) -> dict[str, t.Any]:
        """The claims of a token that the provider signed for this service; raises JoseError, ValueError."""
        try:
            token = jwt.decode(secret, self._current_keys(KEYS_SECONDS), ALGORITHMS)
        except InvalidKeyIdError:
            token = jwt.decode(secret, self._current_keys(FETCH_SECONDS), ALGORITHMS)
        self._claims.validate(token.claims)
        return token.claims

    def _token(self, claims: dict[str, t.Any]) -> Token | None:
        """What the claims allow; None where no rule fits."""
        for rule in self._settings.rules:
            found = claims.get(rule.claim)
            if rule.value == found or (isinstance(found, list) and rule.value in found):
                name = "".join(one for one in str(claims.get(self._settings.name_claim, "")) if one.isprintable())
                created = claims.get("iat")
                return Token(
                    name=f"oidc:{name[:_LONGEST_NAME] or 'unknown'}",
                    tenant=rule.tenant,
                    role=rule.role,
                    created=_time(created) if isinstance(created, int) else "",
                    expires=_time(int(claims["exp"]) + LEEWAY_SECONDS),
                )
        return None

    def _current_keys(self, most_seconds: float) -> KeySet:
        """The provider's keys, asked for again where they are older; raises ServiceProblem where there are none."""
        with self._lock:
            now = self._clock()
            if now - self._fetched > most_seconds and now - self._asked > FETCH_SECONDS:
                self._asked = now
                try:
                    self._keys, self._fetched = _keys(self._settings.issuer), now
                except ServiceProblem as problem:
                    _LOG.warning("%s", problem.cause)
                    if self._keys is None:
                        raise
            if self._keys is None:
                raise _unavailable("it did not answer a moment ago")
            return self._keys


def _keys(issuer: str) -> KeySet:
    """The keys that a provider publishes; raises ServiceProblem."""
    try:
        with httpx2.Client(timeout=_ANSWER_SECONDS) as client:
            about = _json(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            if about.get("issuer") != issuer:
                raise ValueError(f"it calls itself {about.get('issuer')!r}")
            url = str(about.get("jwks_uri"))
            if urllib.parse.urlsplit(url).scheme != urllib.parse.urlsplit(issuer).scheme:
                raise ValueError(f"its keys are at {url!r}, without the protection that the issuer's URL has")
            published = _json(client, url)["keys"]
        usable = [one for one in published if one.get("kty") in ("RSA", "EC") and one.get("use", "sig") == "sig"]
        return KeySet.import_key_set({"keys": usable})
    except (httpx2.HTTPError, JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unavailable(str(error) or type(error).__name__) from error


def _json(client: httpx2.Client, url: str) -> dict[str, t.Any]:
    """What a URL answers, up to _MOST_ANSWER_BYTES; raises HTTPError, ValueError."""
    content = bytearray()
    with client.stream("GET", url) as response:
        if response.status_code != 200:
            raise ValueError(f"{url} answers {response.status_code}")
        for piece in response.iter_bytes():
            content += piece
            if len(content) > _MOST_ANSWER_BYTES:
                raise ValueError(f"{url} answers more than {_MOST_ANSWER_BYTES >> 20} MiB")
    return msgspec.json.decode(bytes(content), type=dict[str, t.Any])


def _time(seconds: int) -> str:
    """Seconds since 1970 as RFC 3339; raises ValueError where they are none that a clock can show."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, OSError) as error:
        raise ValueError(str(error)) from error


def _unavailable(why: str) -> ServiceProblem:
    return ServiceProblem(
        Code.UNAVAILABLE,
        f"The OpenID Connect provider cannot be asked for its keys: {why}.",
        next_step="Try again later, or use a token of the service itself.",
        retry_after=30,
    )
