# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the token of a request, and keeps those away who guess."""

from __future__ import annotations

import collections
import time
import typing as t

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from ..core import Service
from ..problem import Code, ServiceProblem
from ..tokens import Token

FAILURES_PER_MINUTE = 20
"""Wrong tokens that one address may send."""

CHANGES_PER_MINUTE = 300
"""Requests that change something that one token may send."""

_MOST_KEYS = 10_000
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Rate:
    """Counts events by key in windows of a minute."""

    def __init__(self, most: int, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._window = 0.0
        self._counts: collections.Counter[str] = collections.Counter()

    def count(self, key: str) -> None:
        """Count one event."""
        self._turn()
        if len(self._counts) < _MOST_KEYS or key in self._counts:
            self._counts[key] += 1

    def check(self, key: str, what: str) -> None:
        """Refuse where the key has had its events of this minute; raises ServiceProblem."""
        self._turn()
        if self._counts[key] >= self._most:
            raise ServiceProblem(
                Code.TOO_MANY,
                f"There were more than {self._most} {what} in this minute.",
                next_step="Wait a minute.",
                retry_after=max(1, round(self._window + 60 - self._clock())),
            )

    def _turn(self) -> None:
        if self._clock() - self._window >= 60:
            self._window = self._clock()
            self._counts.clear()


class Authenticator:
    """Finds the token of each request.

    Args:
        cookie_token: gives the token of the page's session cookie, or an empty text.
    """

    def __init__(self, service: Service, cookie_token: t.Callable[[Request], str]) -> None:
        self._service, self._cookie_token = service, cookie_token
        self._failures, self._changes = Rate(FAILURES_PER_MINUTE), Rate(CHANGES_PER_MINUTE)

    async def token(self, request: Request) -> Token:
        """The valid token of the request; raises ServiceProblem.

        The page's cookie counts for reading only, and not for requests that another site began.
        """
        scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
        secret = secret.strip() if scheme.lower() == "bearer" else ""
        if not secret and request.method in _SAFE and is_of_this_site(request):
            secret = self._cookie_token(request)
        return await self.check(request, secret)

    async def check(self, request: Request, secret: str) -> Token:
        """The valid token with these characters; counts wrong ones of an address. Raises ServiceProblem."""
        address = request.client.host if request.client else ""
        self._failures.check(address, "wrong tokens from this address")
        try:
            token = await run_in_threadpool(self._service.token, secret)
        except ServiceProblem as problem:
            if secret and problem.code is Code.UNAUTHORIZED:
                self._failures.count(address)
            raise
        if request.method not in _SAFE:
            self._changes.check(token.name, "changes with this token")
            self._changes.count(token.name)
        return token


def is_of_this_site(request: Request) -> bool:
    """Whether the browser says that no other site began the request, or no browser sent it."""
    return request.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none")
