# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens as Kubernetes makes them: each is bound to a Secret that says what it allows, and ends with that Secret."""

from __future__ import annotations

import collections
import contextlib
import datetime
import hashlib
import threading
import time
import typing as t

from ...plugins.module_utils.errors import PlatformError
from ...plugins.module_utils.spinkube.api import Conflict
from ...plugins.module_utils.spinkube.kinds import SECRET, Object
from ..deployments.model import now
from ..problem import Code, ServiceProblem
from ..tokens import Role, Token, checked, has_ended, unchecked_claims
from .api import SERVICE_ACCOUNT, ServiceApi

ACCOUNT = "function-service-users"
"""The service account of all tokens; it has no rights."""

AUDIENCE = "wasmfaas.dev/function-service"
CACHE_SECONDS = 30.0
"""How long what was found of a token is believed, and so how long a revoked one may still work elsewhere."""

_REFUSED_SECONDS = 5.0
_MOST_CACHED = 10_000
_LABELS = {"app.kubernetes.io/managed-by": "wasmfaas", "wasmfaas.dev/token": "true"}
_PREFIX = "token-"
_ANNOTATION = "wasmfaas.dev/token-"
_LONGEST_SECONDS = 10 * 365 * 24 * 3600
"""Of a token without an end: Kubernetes makes none without one."""

_SHORTEST_SECONDS = 600
"""Kubernetes v1.34.1: pkg/apis/authentication/validation/validation.go. The end that was asked for counts earlier."""


class ClusterTokenStore:
    """See `TokenStore`.

    Args:
        namespace: of the Secrets and of the account.
        clock: gives seconds.
    """

    def __init__(
        self, api: t.Callable[[], ServiceApi], namespace: str, clock: t.Callable[[], float] = time.monotonic
    ) -> None:
        self._api, self._namespace, self._clock = api, namespace, clock
        self._lock = threading.Lock()
        self._cache: collections.OrderedDict[bytes, tuple[float, Token | None]] = collections.OrderedDict()

    def find(self, secret: str) -> Token | None:
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            until, found = self._cache.get(digest, (0.0, None))
        if self._clock() >= until:
            found = self._looked_up(secret)
            self._remember(digest, found)
        return None if found is None or has_ended(found) else found

    def all(self) -> list[Token]:
        secrets = self._api().list(SECRET, self._namespace, labels={"wasmfaas.dev/token": "true"})
        return sorted(map(_token, secrets), key=lambda token: token.name)

    def create(self, name: str, tenant: str, role: Role, expires: str = "") -> str:
        token = checked(Token(name=name, tenant=tenant, role=role, created=now(), expires=expires))
        if has_ended(token):
            raise ServiceProblem(
                Code.INVALID, f"expires: {expires} has passed.", next_step="Give a time that is to come."
            )
        try:
            made = self._api().create(SECRET, self._secret(token))
        except Conflict:
            raise ServiceProblem(
                Code.CONFLICT,
                f"There is a token {name!r} already.",
                next_step=f"Give another name, or revoke it first: DELETE /v1/tokens/{name}.",
            ) from None
        try:
            self._ensure_account()
            return self._api().request_token(self._namespace, ACCOUNT, _request(token, made))
        except BaseException:
            with contextlib.suppress(PlatformError):
                self._api().delete(SECRET, self._namespace, _PREFIX + name)
            raise

    def delete(self, name: str) -> bool:
        existed = self._api().delete(SECRET, self._namespace, _PREFIX + name)
        with self._lock:
            for digest in [key for key, (_until, token) in self._cache.items() if token and token.name == name]:
                del self._cache[digest]
        return existed

    def _looked_up(self, secret: str) -> Token | None:
        claims = unchecked_claims(secret)
        if claims is None:
            return None
        status = self._api().review_token(secret, AUDIENCE)
        user = (status.get("user") or {}).get("username")
        account = f"system:serviceaccount:{self._namespace}:{ACCOUNT}"
        if not status.get("authenticated") or user != account or AUDIENCE not in (status.get("audiences") or []):
            return None
        # What the API server vouches for names the Secret. That one it looks for in a cache.
        bound = (claims.get("kubernetes.io") or {}).get("secret") or {}
        found = self._api().get(SECRET, self._namespace, str(bound.get("name", "")) or "-")
        if found is None or found["metadata"]["uid"] != bound.get("uid"):
            return None
        return _token(found) if (found["metadata"].get("labels") or {}).get("wasmfaas.dev/token") == "true" else None

    def _remember(self, digest: bytes, found: Token | None) -> None:
        with self._lock:
            self._cache[digest] = (self._clock() + (CACHE_SECONDS if found else _REFUSED_SECONDS), found)
            self._cache.move_to_end(digest)
            while len(self._cache) > _MOST_CACHED:
                self._cache.popitem(last=False)

    def _secret(self, token: Token) -> Object:
        about = {"tenant": token.tenant, "role": str(token.role), "created": token.created, "expires": token.expires}
        return {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.kind,
            "metadata": {
                "name": _PREFIX + token.name,
                "namespace": self._namespace,
                "labels": _LABELS,
                "annotations": {_ANNOTATION + name: value for name, value in about.items()},
            },
            "type": "wasmfaas.dev/token",
        }

    def _ensure_account(self) -> None:
        if self._api().get(SERVICE_ACCOUNT, self._namespace, ACCOUNT) is None:
            account = {
                "apiVersion": SERVICE_ACCOUNT.api_version,
                "kind": SERVICE_ACCOUNT.kind,
                "metadata": {"name": ACCOUNT, "namespace": self._namespace, "labels": {**_LABELS}},
                "automountServiceAccountToken": False,
            }
            with contextlib.suppress(Conflict):
                self._api().create(SERVICE_ACCOUNT, account)


def _request(token: Token, secret: Object) -> Object:
    seconds: float = _LONGEST_SECONDS
    if token.expires:
        end = datetime.datetime.fromisoformat(token.expires)
        seconds = (end - datetime.datetime.now(datetime.UTC)).total_seconds()
    return {
        "audiences": [AUDIENCE],
        "expirationSeconds": int(min(max(seconds, _SHORTEST_SECONDS), _LONGEST_SECONDS)),
        "boundObjectRef": {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.kind,
            "name": secret["metadata"]["name"],
            "uid": secret["metadata"]["uid"],
        },
    }


def _token(secret: Object) -> Token:
    metadata = secret["metadata"]
    about = metadata.get("annotations") or {}
    return Token(
        name=metadata["name"].removeprefix(_PREFIX),
        tenant=about[f"{_ANNOTATION}tenant"],
        role=Role(about[f"{_ANNOTATION}role"]),
        created=about[f"{_ANNOTATION}created"],
        expires=about.get(f"{_ANNOTATION}expires", ""),
    )
