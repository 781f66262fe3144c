# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens of an OpenID Connect provider, a small one of these tests that signs whatever they want."""

from __future__ import annotations

import base64
import collections.abc
import hmac
import http.server
import json
import threading
import time
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.service.cluster import oidc_tokens
from ansible_collections.wasmfaas.platform.service.cluster.oidc_tokens import OidcTokenStore
from ansible_collections.wasmfaas.platform.service.cluster.settings import OidcRule, OidcSettings
from ansible_collections.wasmfaas.platform.service.problem import Code, ServiceProblem
from ansible_collections.wasmfaas.platform.service.tokens import Role, Token
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

RULES = [
    OidcRule(claim="groups", value="platform", tenant="*", role=Role.ADMIN),
    OidcRule(claim="groups", value="shop", tenant="user1", role=Role.DEPLOY),
    OidcRule(claim="repository", value="acme/cart", tenant="user2", role=Role.DEPLOY),
    OidcRule(claim="email_verified", value="yes", tenant="user1", role=Role.READ),
]
OWN = Token(name="alice", tenant="user1", role=Role.READ, created="")


class Provider:
    """Answers the discovery of OpenID Connect; `keys` are published, the first one signs."""

    def __init__(self) -> None:
        self.keys: list[t.Any] = [ECKey.generate_key("P-256", {"kid": "first", "use": "sig"})]
        self.questions = 0
        self.answer: t.Callable[[str], t.Any] = self._answer
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.questions += 1
                content = json.dumps(provider.answer(self.path)).encode()
                self.send_response(200 if content != b"null" else 500)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments: t.Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}/realm"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def _answer(self, path: str) -> t.Any:
        if path == "/realm/.well-known/openid-configuration":
            return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        return {"keys": [key.as_dict(private=False) for key in self.keys]} if path == "/realm/keys" else None

    def token(self, *, key: t.Any = None, header: dict[str, str] | None = None, **claims: t.Any) -> str:
        """A token of an hour for the group `shop`; None as a claim leaves it out."""
        now = int(time.time())
        given = {"iss": self.issuer, "aud": "faas", "sub": "1234", "iat": now, "exp": now + 3600, "groups": ["shop"]}
        content = {name: value for name, value in {**given, **claims}.items() if value is not None}
        key = key or self.keys[0]
        header = header or {"alg": "RS256" if key.key_type == "RSA" else "ES256", "kid": key.kid}
        return jwt.encode(header, content, key, algorithms=[header["alg"]])


@pytest.fixture
def provider() -> collections.abc.Iterator[Provider]:
    made = Provider()
    yield made
    made.server.shutdown()
    made.server.server_close()


class OwnTokens:
    """One token of the service itself."""

    def find(self, secret: str) -> Token | None:
        return OWN if secret == "own" else None

    def all(self) -> list[Token]:
        return [OWN]

    def create(self, name: str, tenant: str, role: Role, expires: str = "") -> str:
        raise NotImplementedError

    def delete(self, name: str) -> bool:
        raise NotImplementedError


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(provider: Provider, clock: Clock) -> OidcTokenStore:
    settings = OidcSettings(issuer=provider.issuer, client_id="faas", rules=RULES, name_claim="email")
    return OidcTokenStore(settings, OwnTokens(), clock)


def test_claims_say_what_a_token_allows(provider: Provider, tokens: OidcTokenStore) -> None:
    found = tokens.find(provider.token(email="alice@example.com", aud=["other", "faas"]))
    assert found is not None
    assert (found.name, found.tenant, found.role) == ("oidc:alice@example.com", "user1", Role.DEPLOY)
    assert found.expires.endswith("Z")


@pytest.mark.parametrize(
    ("claims", "allowed"),
    [
        ({"groups": ["other", "platform", "shop"]}, ("*", Role.ADMIN)),
        ({"groups": None, "repository": "acme/cart"}, ("user2", Role.DEPLOY)),
        ({"groups": "shop"}, ("user1", Role.DEPLOY)),
        ({"groups": ["shops"]}, None),
        ({"groups": {"shop": 1}}, None),
        ({"groups": None}, None),
        ({"groups": None, "email_verified": True}, None),
    ],
)
def test_the_first_rule_that_fits_counts(
    provider: Provider, tokens: OidcTokenStore, claims: dict[str, t.Any], allowed: tuple[str, Role] | None
) -> None:
    found = tokens.find(provider.token(**claims))
    assert (found and (found.tenant, found.role)) == allowed


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-service"},
        {"aud": None},
        {"exp": 1000},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": 1 << 40},
        {"iss": None},
        {"iss": "https://evil.example"},
    ],
)
def test_a_token_that_is_not_for_now_and_here_is_none(
    provider: Provider, tokens: OidcTokenStore, claims: dict[str, t.Any]
) -> None:
    assert tokens.find(provider.token(**claims)) is None


def test_a_token_of_another_key_or_none_is_refused(provider: Provider, tokens: OidcTokenStore) -> None:
    stranger = ECKey.generate_key("P-256", {"kid": "first"})
    assert tokens.find(provider.token(key=stranger)) is None
    head, content, signature = provider.token().split(".")
    changed = json.loads(base64.urlsafe_b64decode(content + "=="))
    changed["groups"] = ["platform"]
    forged = base64.urlsafe_b64encode(json.dumps(changed).encode()).decode().rstrip("=")
    assert tokens.find(f"{head}.{forged}.{signature}") is None
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    assert tokens.find(f"{unsigned}.{forged}.") is None


def test_a_public_key_is_no_password(provider: Provider, tokens: OidcTokenStore) -> None:
    """The oldest attack on JSON Web Tokens: what everybody may read signs as a secret of HS256."""
    _head, content, _signature = provider.token().split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"first"}').decode().rstrip("=")
    signature = hmac.digest(provider.keys[0].as_pem(private=False), f"{head}.{content}".encode(), "sha256")
    assert tokens.find(f"{head}.{content}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}") is None


def test_other_tokens_are_those_of_the_service(provider: Provider, tokens: OidcTokenStore) -> None:
    assert tokens.find("own") == OWN
    assert tokens.find("other") is None
    assert tokens.all() == [OWN]
    assert provider.questions == 0


def test_a_new_key_is_known_when_its_first_token_comes(
    provider: Provider, tokens: OidcTokenStore, clock: Clock
) -> None:
    assert tokens.find(provider.token())
    provider.keys.insert(0, RSAKey.generate_key(2048, {"kid": "second"}))
    assert tokens.find(provider.token()) is None  # it was asked a moment ago
    clock.seconds += oidc_tokens.FETCH_SECONDS + 1
    assert tokens.find(provider.token())


def test_unknown_keys_ask_the_provider_once_a_minute(provider: Provider, tokens: OidcTokenStore, clock: Clock) -> None:
    stranger = ECKey.generate_key("P-256", {"kid": "strange"})
    clock.seconds += oidc_tokens.FETCH_SECONDS + 1
    for _time in range(5):
        assert tokens.find(provider.token(key=stranger)) is None
    assert provider.questions == 2


def test_a_withdrawn_key_ends_within_the_hour(provider: Provider, tokens: OidcTokenStore, clock: Clock) -> None:
    token = provider.token()
    assert tokens.find(token)
    provider.keys = [ECKey.generate_key("P-256", {"kid": "second"})]
    assert tokens.find(token)
    clock.seconds += oidc_tokens.KEYS_SECONDS + 1
    assert tokens.find(token) is None


def test_a_provider_that_is_away_is_told_and_asked_again(
    provider: Provider, tokens: OidcTokenStore, clock: Clock
) -> None:
    answers, provider.answer = provider.answer, lambda _path: None
    for _time in range(2):
        with pytest.raises(ServiceProblem) as caught:
            tokens.find(provider.token())
        assert caught.value.code is Code.UNAVAILABLE
    assert provider.questions == 1
    assert tokens.find("own") == OWN
    provider.answer = answers
    clock.seconds += oidc_tokens.FETCH_SECONDS + 1
    assert tokens.find(provider.token())
    provider.answer = lambda _path: None
    clock.seconds += oidc_tokens.KEYS_SECONDS + 1
    assert tokens.find(provider.token()), "its last keys are believed"


@pytest.mark.parametrize(
    "about",
    [
        {"issuer": "https://evil.example"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
    ],
)
def test_what_a_provider_says_of_itself_must_fit(
    provider: Provider, tokens: OidcTokenStore, about: dict[str, t.Any]
) -> None:
    answers = provider.answer
    provider.answer = lambda path: {**answers(path), **about} if "well-known" in path else answers(path)
    with pytest.raises(ServiceProblem, match="cannot be asked for its keys"):
        tokens.find(provider.token())
