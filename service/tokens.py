# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens: who may do what. The interface, and a file on this machine."""

from __future__ import annotations

import base64
import datetime
import enum
import fcntl
import hashlib
import json
import os
import re
import secrets
import typing as t
from pathlib import Path

import msgspec

from ..plugins.module_utils.host import whole_file
from .deployments.model import now
from .problem import Code, ServiceProblem

ALL_TENANTS = "*"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Role(enum.StrEnum):
    """What a token allows: to read; to deploy as well; or everything for all tenants."""

    READ = "read"
    DEPLOY = "deploy"
    ADMIN = "admin"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a token; the token itself is kept nowhere.

    Attributes:
        name: tells tokens apart, also in the audit log.
        tenant: the only one that it is for; ALL_TENANTS for the role `admin`.
        expires: RFC 3339; empty for no end.
    """

    name: str
    tenant: str
    role: Role
    created: str
    expires: str = ""


class TokenStore(t.Protocol):
    """Where tokens are kept."""

    def find(self, secret: str) -> Token | None:
        """The valid token with these characters; None where there is none."""

    def all(self) -> list[Token]:
        """All tokens, by name; those that have ended too."""

    def create(self, name: str, tenant: str, role: Role, expires: str = "") -> str:
        """Make a token and give its characters; raises ServiceProblem."""

    def delete(self, name: str) -> bool:
        """Revoke a token; gives whether there was one."""


class _Kept(msgspec.Struct, frozen=True):
    """A token with the SHA-256 of its characters, which are too many to be guessed from it."""

    token: Token
    digest: str


class FileTokenStore:
    """Tokens in one file of mode 0600; see `TokenStore`. A change counts at once, also for other processes."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def find(self, secret: str) -> Token | None:
        digest = _digest(secret)
        found = next(
            (kept.token for kept in self._read().values() if secrets.compare_digest(kept.digest, digest)), None
        )
        return None if found is None or has_ended(found) else found

    def all(self) -> list[Token]:
        return sorted((kept.token for kept in self._read().values()), key=lambda token: token.name)

    def create(self, name: str, tenant: str, role: Role, expires: str = "") -> str:
        secret = f"wfs_{secrets.token_urlsafe(32)}"
        kept = _Kept(
            checked(Token(name=name, tenant=tenant, role=role, created=now(), expires=expires)), _digest(secret)
        )

        def add(tokens: dict[str, _Kept]) -> None:
            if name in tokens:
                raise ServiceProblem(
                    Code.CONFLICT,
                    f"There is a token {name!r} already.",
                    next_step=f"Give another name, or revoke it first: DELETE /v1/tokens/{name}.",
                )
            tokens[name] = kept

        self._change(add)
        return secret

    def delete(self, name: str) -> bool:
        return self._change(lambda tokens: tokens.pop(name, None)) is not None

    def _change(self, change: t.Callable[[dict[str, _Kept]], t.Any]) -> t.Any:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            tokens = self._read()
            result = change(tokens)
            whole_file.write(self._file, msgspec.json.encode(tokens).decode(), durable=True)
        finally:
            os.close(descriptor)
        return result

    def _read(self) -> dict[str, _Kept]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, _Kept])
        except FileNotFoundError:
            return {}


def has_ended(token: Token) -> bool:
    """Whether its time is over."""
    return bool(token.expires) and datetime.datetime.fromisoformat(token.expires) <= datetime.datetime.now(datetime.UTC)


def unchecked_claims(secret: str) -> dict[str, t.Any] | None:
    """What a JSON Web Token says, whoever made it; None for what is none."""
    parts = secret.split(".")
    if len(parts) != 3 or not secret.isascii() or len(secret) > 16384:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def checked(token: Token) -> Token:
    """A token whose name, tenant, role and end fit; raises ServiceProblem."""
    if not _NAME.fullmatch(token.name):
        raise ServiceProblem(
            Code.INVALID,
            f"{token.name!r} is no name of a token: at most 63 characters a-z, 0-9 and -, with a letter or digit at "
            "both ends.",
            next_step="Name it after who uses it, as in `alice-laptop`.",
        )
    if (token.role is Role.ADMIN) != (token.tenant == ALL_TENANTS):
        raise ServiceProblem(
            Code.INVALID,
            f"A token with the role {token.role} cannot be for the tenant {token.tenant!r}.",
            next_step=f"Give the role admin with the tenant {ALL_TENANTS!r}, or another role with a tenant's name.",
        )
    if not token.expires:
        return token
    try:
        end = datetime.datetime.fromisoformat(token.expires)
    except ValueError:
        end = None
    if end is None or end.tzinfo is None:
        raise ServiceProblem(
            Code.INVALID,
            f"expires: {token.expires!r} is no time with a time zone.",
            next_step="Write it as in 2027-01-31T12:00:00Z.",
        )
    return token
