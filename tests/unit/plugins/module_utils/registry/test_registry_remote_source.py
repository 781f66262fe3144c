# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads of components: verified, cached, atomic, tried again."""

from __future__ import annotations

import collections.abc
import dataclasses
import errno
import hashlib
import os
import time
from pathlib import Path

import httpx2
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry import answers, remote_source
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.model import Timeouts

CONTENT = b"\0asm" + bytes(range(256)) * 4000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
URL = "https://user:secret@files.example.com/a/b.wasm?signature=secret"
TIMEOUTS = Timeouts(attempts=3, first_wait=0.01, total=5, longest_wait=1)

Answer = collections.abc.Callable[[httpx2.Request], httpx2.Response]


class Server:
    """Answers in the given order, then with the content."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return self.answers.pop(0)(request) if self.answers else httpx2.Response(200, content=CONTENT)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(remote_source, "create_client", lambda **_: httpx2.Client(transport=httpx2.MockTransport(made)))
    return made


def _cut(request: httpx2.Request) -> httpx2.Response:
    def stream() -> collections.abc.Iterator[bytes]:
        yield CONTENT[:1000]
        raise httpx2.ReadError("cut")

    return httpx2.Response(200, content=stream())


def _fetch(cache: Path, url: str = URL, digest: str = DIGEST) -> Path:
    return remote_source.fetch(url, digest, cache, timeouts=TIMEOUTS)


def test_downloaded_once(tmp_path: Path, server: Server) -> None:
    path = _fetch(tmp_path / "cache")
    assert path.read_bytes() == CONTENT and path == _fetch(tmp_path / "cache")
    assert len(server.requests) == 1 and os.listdir(tmp_path / "cache") == [path.name]


def test_damaged_cache_is_downloaded_again(tmp_path: Path, server: Server) -> None:
    path = _fetch(tmp_path)
    path.write_bytes(CONTENT[:-1])
    assert _fetch(tmp_path).read_bytes() == CONTENT and len(server.requests) == 2


def test_redirects_and_temporary_failures(tmp_path: Path, server: Server) -> None:
    server.answers = [
        _cut,
        lambda request: httpx2.Response(503, headers={"Retry-After": "0"}),
        lambda request: httpx2.Response(302, headers={"Location": "https://cdn.example.com/x"}),
    ]
    assert _fetch(tmp_path).read_bytes() == CONTENT
    assert [request.url.host for request in server.requests] == ["files.example.com"] * 3 + ["cdn.example.com"]
    assert "Authorization" not in server.requests[-1].headers


@pytest.mark.parametrize(
    ("answers", "cause", "next_step"),
    [
        (
            [lambda request: httpx2.Response(200, content=b"other")],
            "has the digest sha256:d9298a10",
            "put its digest into spin.toml",
        ),
        (
            [lambda request: httpx2.Response(404, text="no such file")],
            "answered HTTP 404 .no such file.",
            "Open the URL",
        ),
        ([_cut, _cut, _cut], "failed .cut., while downloading", "curl -v https://files.example.com/"),
        ([lambda request: httpx2.Response(500)] * 3, "answered HTTP 500", "Open the URL"),
    ],
)
def test_failures_leave_nothing(
    tmp_path: Path, server: Server, answers: list[Answer], cause: str, next_step: str
) -> None:
    server.answers = answers
    with pytest.raises(PlatformError, match=cause) as caught:
        _fetch(tmp_path)
    assert (
        next_step in caught.value.next_step
        and "secret" not in str(caught.value)
        and "https://files.example.com/a/b.wasm" in caught.value.cause
    )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("url", "digest", "cause"),
    [
        ("ftp://x/y", DIGEST, "only http and https"),
        ("https:///y", DIGEST, "only http"),
        (URL, "md5:00", "64 lower-case hex"),
        (URL, DIGEST.upper(), "64 lower-case hex"),
    ],
)
def test_invalid_input(tmp_path: Path, url: str, digest: str, cause: str) -> None:
    with pytest.raises(PlatformError, match=cause):
        _fetch(tmp_path, url, digest)


def _endless(piece: bytes, taken: list[int], pause: float = 0) -> collections.abc.Iterator[bytes]:
    while True:
        taken.append(len(piece))
        yield piece
        time.sleep(pause)  # a server that goes on, slowly


def test_of_an_error_a_part_is_enough(tmp_path: Path, server: Server) -> None:
    taken: list[int] = []
    server.answers = [lambda request: httpx2.Response(403, content=_endless(b"no " * 1000, taken))]
    with pytest.raises(PlatformError, match=r"answered HTTP 403 \(no no no") as caught:
        _fetch(tmp_path)
    assert sum(taken) <= answers.ERROR_BYTES + 3000 and len(caught.value.cause) < 1000


@pytest.mark.parametrize("status", [200, 403])
def test_an_answer_that_comes_drop_by_drop_ends(tmp_path: Path, server: Server, status: int) -> None:
    server.answers = [lambda request: httpx2.Response(status, content=_endless(b"x", [], pause=0.05))]
    short = dataclasses.replace(TIMEOUTS, download=0.3)
    with pytest.raises(
        PlatformError, match=r"had not given its whole answer after 0\.3 s, while downloading"
    ) as caught:
        remote_source.fetch(URL, DIGEST, tmp_path, timeouts=short)
    assert "secret" not in str(caught.value)
    assert len(server.requests) == 1 and not list(tmp_path.glob("*.wasm"))


def test_a_file_that_is_too_large_is_not_taken(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_source, "LARGEST_BYTES", 100_000)
    taken: list[int] = []
    server.answers = [lambda request: httpx2.Response(200, content=_endless(b"x" * 1000, taken))]
    with pytest.raises(PlatformError, match=r"files\.example\.com gives more than 100000 bytes, while downloading"):
        _fetch(tmp_path)
    assert sum(taken) < 200_000 and os.listdir(tmp_path) == []


@pytest.mark.parametrize(("number", "cause"), [(errno.ENOSPC, "disk of .* is full"), (errno.EACCES, "Cannot write")])
def test_disk_errors(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, number: int, cause: str) -> None:
    def failing(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(PlatformError, match=cause):
        _fetch(tmp_path)
    assert os.listdir(tmp_path) == []
