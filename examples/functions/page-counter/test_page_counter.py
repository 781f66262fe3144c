# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests how page-counter counts; needs pytest only, neither Spin nor WebAssembly."""

from __future__ import annotations

import json
import typing as t

import pytest
from counter import Answer, answer

VARIABLES = {"heading": "Visits", "reset_token": "let-me-in"}


class MemoryStore:
    """Keeps the counts in a dictionary, with the methods of Spin's store."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.content.get(key)

    def set(self, key: str, value: bytes) -> None:
        self.content[key] = value

    def delete(self, key: str) -> None:
        self.content.pop(key, None)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def ask(store: MemoryStore, method: str, uri: str, headers: dict[str, str] | None = None) -> Answer:
    return answer(method, uri, headers or {}, store, VARIABLES.__getitem__)


def content(result: Answer) -> dict[str, t.Any]:
    found: dict[str, t.Any] = json.loads(result.body)
    return found


def test_counts_each_page_by_itself(store: MemoryStore) -> None:
    counts = [content(ask(store, "GET", uri))["visits"] for uri in ("/", "/", "/about", "/?from=mail")]
    assert counts == [1, 2, 1, 3]


def test_shows_the_heading_of_the_variable(store: MemoryStore) -> None:
    assert content(ask(store, "GET", "/caf%C3%A9")) == {"page": "/café", "visits": 1, "text": "Visits: 1"}


def test_counts_on_from_what_the_store_has(store: MemoryStore) -> None:
    store.set("visits:/", b"41")
    assert content(ask(store, "GET", "/"))["visits"] == 42


def test_head_counts_nothing(store: MemoryStore) -> None:
    ask(store, "GET", "/")
    assert content(ask(store, "HEAD", "/"))["visits"] == 1
    assert store.content == {"visits:/": b"1"}


@pytest.mark.parametrize("name", ["authorization", "Authorization"])
def test_the_token_sets_one_page_back(store: MemoryStore, name: str) -> None:
    ask(store, "GET", "/")
    ask(store, "GET", "/about")
    assert content(ask(store, "DELETE", "/", {name: "Bearer let-me-in"}))["visits"] == 0
    assert store.content == {"visits:/about": b"1"}


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "let-me-in"}, {"authorization": "Bearer "}]
)
def test_refuses_to_set_back_without_the_token(store: MemoryStore, headers: dict[str, str]) -> None:
    ask(store, "GET", "/")
    result = ask(store, "DELETE", "/", headers)
    assert (result.status, result.headers["www-authenticate"]) == (401, "Bearer")
    assert b"let-me-in" not in result.body
    assert store.content == {"visits:/": b"1"}


def test_refuses_other_methods(store: MemoryStore) -> None:
    result = ask(store, "POST", "/")
    assert (result.status, result.headers["allow"]) == (405, "GET, HEAD, DELETE")
    assert store.content == {}
