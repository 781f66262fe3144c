# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests what hello-python answers; needs pytest only, neither Spin nor WebAssembly."""

from __future__ import annotations

import json

import pytest
from greeting import LONGEST_NAME, answer


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("/", "Hello, world!"),
        ("/?name=ignored", "Hello, world!"),
        ("/hello/Ada", "Hello, Ada!"),
        ("/hello/Zo%C3%AB%20%22Z%22", 'Hello, Zoë "Z"!'),
        ("/hello/" + "x" * LONGEST_NAME, "Hello, " + "x" * LONGEST_NAME + "!"),
    ],
)
def test_greets(uri: str, message: str) -> None:
    result = answer("GET", uri)
    assert result.status == 200
    assert result.headers["content-type"] == "application/json"
    assert json.loads(result.body) == {"message": message}


@pytest.mark.parametrize("uri", ["/hello", "/hello/", "/elsewhere", "/favicon.ico"])
def test_says_what_exists_at_an_unknown_path(uri: str) -> None:
    result = answer("GET", uri)
    assert result.status == 404
    assert "/hello/Ada" in json.loads(result.body)["error"]


def test_refuses_a_name_that_is_too_long() -> None:
    assert answer("GET", "/hello/" + "x" * (LONGEST_NAME + 1)).status == 400


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_refuses_other_methods(method: str) -> None:
    result = answer(method, "/")
    assert (result.status, result.headers["allow"]) == (405, "GET, HEAD")
