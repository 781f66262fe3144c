# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts visits in anything that stores bytes by key, so that a test can hand in a dictionary's worth of storage."""

from __future__ import annotations

import dataclasses
import hmac
import json
import typing as t
import urllib.parse
from collections.abc import Callable, Mapping


class Store(t.Protocol):
    """The part of Spin's key-value store that the counter uses."""

    def get(self, key: str) -> bytes | None: ...

    def set(self, key: str, value: bytes) -> None: ...

    def delete(self, key: str) -> None: ...


@dataclasses.dataclass(frozen=True)
class Answer:
    """What goes back to the caller.

    Args:
        status: HTTP status code.
        body: UTF-8 encoded.
        headers: names in lower case.
    """

    status: int
    body: bytes
    headers: dict[str, str]


def answer(method: str, uri: str, headers: Mapping[str, str], store: Store, variable: Callable[[str], str]) -> Answer:
    """GET counts a visit of the page, HEAD counts none, DELETE sets the page back to zero if the caller has the token.

    The count is read, then written: Spin's store has no compare-and-swap here, so two visits at one moment may count as
    one.

    Args:
        method: HTTP method in upper case.
        uri: path and query as the request line carries them, percent-encoded; the path is the page.
        headers: the request's, names in any case.
        store: where the counts are kept, one key a page.
        variable: gives an application variable's value by its name.
    """
    page = urllib.parse.unquote(urllib.parse.urlsplit(uri).path)
    key = f"visits:{page}"
    if method == "GET":
        visits = _count(store, key) + 1
        store.set(key, str(visits).encode())
        return _report(page, visits, variable("heading"))
    if method == "HEAD":
        return _report(page, _count(store, key), variable("heading"))
    if method == "DELETE":
        given = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {variable('reset_token')}".encode()):
            return _json(
                401, {"error": "Send the header 'Authorization: Bearer <reset_token>'."}, {"www-authenticate": "Bearer"}
            )
        store.delete(key)
        return _report(page, 0, variable("heading"))
    return _json(405, {"error": f"{method} is not supported here."}, {"allow": "GET, HEAD, DELETE"})


def _count(store: Store, key: str) -> int:
    return int(store.get(key) or b"0")


def _report(page: str, visits: int, heading: str) -> Answer:
    return _json(200, {"page": page, "visits": visits, "text": f"{heading}: {visits}"})


def _json(status: int, content: dict[str, str | int], headers: dict[str, str] | None = None) -> Answer:
    body = json.dumps(content, ensure_ascii=False).encode() + b"\n"
    return Answer(status, body, {"content-type": "application/json", "cache-control": "no-store", **(headers or {})})
