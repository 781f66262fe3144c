# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that answers whatever it likes, over real connections: the client ends with a readable error, soon and in
little memory, and keeps the password to itself."""

from __future__ import annotations

import collections.abc
import contextlib
import http.server
import json
import re
import socket
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError, printable
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.model import Artifact
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry import answers, transport
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.answers import json_object
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.credentials import Credentials
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.distribution import DistributionStore
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.model import Timeouts
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.pushed_blobs import PushedBlobs
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.reference import DistributionLocation

MakeArtifact = collections.abc.Callable[..., Artifact]
Answer = tuple[int, dict[str, str], "bytes | collections.abc.Iterator[bytes]"]

DIGEST = "sha256:" + "0" * 64
TIMEOUTS = Timeouts(attempts=2, first_wait=0.01, total=60)
DEEP = b"[" * 100_000 + b"]" * 100_000


class Server:
    """Answers with what `answer` gives for method, path and headers; a body that is an iterator is sent piece by
    piece, until the client leaves."""

    def __init__(self) -> None:
        self.answer: collections.abc.Callable[[str, str, t.Any], Answer] = lambda *_: (404, {}, b"")
        self.requests: list[tuple[str, str, str | None]] = []  # method, path, Authorization
        self.sent = 0  # bytes of bodies
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def always(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.answer = lambda *_: (status, headers, body)


def _handler(server: Server) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"  # the end of the connection is the end of the body

        def _serve(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server.requests.append((self.command, self.path, self.headers.get("Authorization")))
            status, headers, body = server.answer(self.command, self.path, self.headers)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                for piece in [body] if isinstance(body, bytes) else body:
                    if self.command != "HEAD":
                        self.wfile.write(piece)
                        server.sent += len(piece)

        do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815 (the names that http.server calls)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    return Handler


@pytest.fixture
def server() -> collections.abc.Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def _store(host: str, credentials: Credentials | None = None, **more: t.Any) -> DistributionStore:
    given: dict[str, t.Any] = {"plain_http": True, "timeouts": TIMEOUTS, **more}
    return DistributionStore(DistributionLocation(host, "team"), credentials_for=lambda _: credentials, **given)


def _endless(piece: bytes) -> collections.abc.Iterator[bytes]:
    while True:
        yield piece


# ---- how much and how long


def test_manifest_is_read_to_its_limit_only(server: Server) -> None:
    server.always(200, {}, b"x" * answers.MANIFEST_BYTES)
    assert len(_store(server.host).manifest("hello", "v1") or b"") == answers.MANIFEST_BYTES
    server.answer = lambda *_: (200, {}, _endless(b"x" * 65536))
    with pytest.raises(PlatformError, match=rf"is longer than {answers.MANIFEST_BYTES} bytes, while reading"):
        _store(server.host).manifest("hello", "v1")
    assert len(server.requests) == 2, "another attempt would change nothing"


def test_of_an_error_a_part_is_enough(server: Server) -> None:
    server.answer = lambda *_: (403, {"Content-Type": "text/plain"}, _endless(b"no " * 10_000))
    with pytest.raises(PlatformError, match=r"answered HTTP 403 \(no no no") as caught:
        _store(server.host).manifest("hello", "v1")
    assert len(caught.value.cause) < 1000


def test_answer_that_is_compressed_unasked_is_not_unpacked(server: Server) -> None:
    server.always(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b")
    with pytest.raises(PlatformError, match="is compressed, while reading"):
        _store(server.host).manifest("hello", "v1")
    server.always(500, {"Content-Encoding": "gzip"}, b"\x1f\x8b")
    with pytest.raises(PlatformError, match="answered HTTP 500, while reading"):
        _store(server.host).manifest("hello", "v1")


def _drops() -> collections.abc.Iterator[bytes]:
    while True:
        yield b" "
        time.sleep(0.05)  # well below each limit of silence


@pytest.mark.parametrize("status", [200, 403])
def test_answer_that_comes_drop_by_drop_ends(server: Server, status: int) -> None:
    server.answer = lambda *_: (status, {}, _drops())
    limits = Timeouts(attempts=2, first_wait=0.01, transfer=0.5, answer=0.5)
    with pytest.raises(PlatformError, match="had not given its whole answer after 1 s, while reading team/hello:v1"):
        _store(server.host, timeouts=limits).manifest("hello", "v1")


def test_headers_that_come_drop_by_drop_end() -> None:
    """No time-out of a connection passes, as each byte begins it anew."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection = listener.accept()[0]
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.05)  # well below each limit of silence

        threading.Thread(target=serve, daemon=True).start()
        limits = Timeouts(attempts=2, transfer=0.5, answer=0.5)
        with pytest.raises(PlatformError, match="had not given its whole answer after 1 s"):
            _store(f"127.0.0.1:{listener.getsockname()[1]}", timeouts=limits).manifest("hello", "v1")


def test_upload_may_take_longer_than_an_answer(server: Server, make_artifact: MakeArtifact) -> None:
    """The limit counts from the last piece that was sent."""
    deadline = answers.Deadline(5)
    end = deadline._end
    time.sleep(0.01)  # so that the clock is another
    assert list(answers.moving(iter([b"a", b"b"]), deadline)) == [b"a", b"b"] and deadline._end > end


# ---- what it says


@pytest.mark.parametrize("status", [200, 400, 403, 404, 500])
@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        b'{"errors":' + DEEP + b"}",
        b"[]",
        b"[1]",
        b"1",
        b"null",
        b'"text"',
        b'{"errors": {}}',
        b'{"errors": "x"}',
        b'{"errors": [null, 1, "x", [], {"code": [], "message": {"a": 1}, "detail": [1]}]}',
        b'{"errors": [{"code": 1, "message": true, "detail": {"Enclosed": {"Err": []}}}]}',
        b'{"details": ["x"], "error": {"a": 1}}',
        b"\xff\xfe",
        b'"\\ud800"',
        b'{"errors": [{"message": "\\ud800"}]}',
        b"1" * 10_000,
        b"",
    ],
    ids=lambda body: body[:24].decode("ascii", "replace"),
)
def test_any_body_ends_in_a_result_or_an_error(
    server: Server, make_artifact: MakeArtifact, status: int, body: bytes
) -> None:
    server.always(status, {"Content-Type": "application/json"}, body)
    store = _store(server.host, Credentials("test", "me", "secret"), timeouts=Timeouts(attempts=1))
    actions: list[t.Callable[[], object]] = [
        lambda: store.manifest("hello", "v1"),
        lambda: store.manifest("hello", DIGEST),
        lambda: store.has("hello", DIGEST),
        lambda: store.blob("hello", DIGEST),
        lambda: store.push("hello", make_artifact(b"wasm"), tag="v1"),
    ]
    for action in actions:
        try:
            action()
        except PlatformError as error:
            assert error.next_step and len(error.cause) < 1000
            str(error).encode("utf-8")


@pytest.mark.parametrize(
    "header",
    [
        {"Location": "http://[x"},
        {"Location": "file:///etc/passwd"},
        {"Location": "//"},
        {"Location": "http://a b/"},
        {"Location": "\xff"},
        {"Location": "http://127.0.0.1:99999/"},
        {"Location": "?" + "x" * 5000},
        {"Docker-Content-Digest": "sha256:\x1b[31m"},
        {"Content-Length": "-1"},
        {"Retry-After": "²"},
        {"Retry-After": "9" * 400},
        {"Retry-After": "Mon, 01 Jan 99999 00:00:00 GMT"},
        {"Content-Type": "text/plain; charset=zlib"},
        {"Content-Type": "\xff"},
    ],
    ids=str,
)
@pytest.mark.parametrize("status", [202, 301, 307, 429, 503])
def test_any_header_ends_in_a_result_or_an_error(
    server: Server, make_artifact: MakeArtifact, status: int, header: dict[str, str]
) -> None:
    server.answer = lambda method, *_: (404 if method == "HEAD" and status == 202 else status, header, b"x")
    store = _store(server.host, timeouts=Timeouts(attempts=2, first_wait=0.01, longest_wait=0.1))
    try:
        store.push("hello", make_artifact(b"wasm"), tag="v1")
    except PlatformError as error:
        assert error.next_step and "\x1b" not in str(error)
    else:
        assert status == 202, "it says that it took all"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[2J\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("a\x00\x07\x08\x9bb", "ab"),
        ("\u202eevil\u2066", "evil"),
        ("one\r\ntwo", "one two"),
    ],
)
def test_terminal_obeys_nothing_that_a_server_says(server: Server, said: str, shown: str) -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": said}]}).encode()
    for kind, content in (("application/json", body), ("text/plain", said.encode())):
        server.always(403, {"Content-Type": kind}, content)
        with pytest.raises(PlatformError, match=rf"\((DENIED: )?{shown}\)") as caught:
            _store(server.host).manifest("hello", "v1")
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e\u2066]", str(caught.value))


def test_no_message_of_ours_holds_controls_whoever_said_it() -> None:
    error = PlatformError("a\x1b[31mb\n\tc\udc80", next_step="\x1b]8;;http://x\x1b\\d")
    assert (error.cause, error.next_step) == ("ab\n\tc?", "d") and str(error) == "ab\n\tc? Next: d"
    assert printable("Zürich ✓ 日本") == "Zürich ✓ 日本"


@pytest.mark.parametrize("content", [DEEP, b"[]", b"", b"\xff", b"nul", b"1" * 5000])
def test_only_an_object_is_one(content: bytes) -> None:
    assert json_object(content) is None and json_object(b'{"a": 1}') == {"a": 1}


# ---- the password


def _asks(realm: str) -> Answer:
    return 401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}, b""


ME = Credentials("test", "me", "secret")


@pytest.mark.parametrize(
    ("realm", "cause"),
    [
        ("http://localhost:1/token", "wants the password sent to localhost:1 without encryption"),
        ("http://127.0.0.2:1/token", "wants the password sent to 127.0.0.2:1 without encryption"),
        ("http://[x", "names no valid token server"),
        ("http://", "names no valid token server"),
        ("//host/token", "names no valid token server"),
        ("file:///etc/passwd", "names no valid token server"),
        ("https://a b/", "names no valid token server"),
        ("\x1b[31m", "names no valid token server"),
        ("http://\xff/", "wants the password sent to xn--"),
        ("http://127.0.0.1:99999/", "token server 127.0.0.1:99999"),
    ],
)
def test_realm_of_another_host_gets_no_password(server: Server, realm: str, cause: str) -> None:
    """Although `registry_plain_http` is set: it says that the network to the registry is trusted."""
    server.answer = lambda *_: _asks(realm)
    for credentials in (ME, Credentials("test", identity_token="refresh")):
        with pytest.raises(PlatformError, match=cause) as caught:
            _store(server.host, credentials).manifest("hello", "v1")
        assert "\x1b" not in str(caught.value)


def test_challenge_of_a_host_that_a_redirect_leads_to_is_not_answered(server: Server) -> None:
    other = Server()
    try:
        other.answer = lambda method, path, _: (
            (200, {}, b'{"token": "t"}')
            if path.startswith("/token")
            else (401, {"WWW-Authenticate": f'Bearer realm="http://{other.host}/token"'}, b"")
        )
        server.answer = lambda method, path, headers: (
            (307, {"Location": f"http://{other.host}/x"}, b"")
            if headers.get("Authorization")
            else (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")
        )
        with pytest.raises(PlatformError, match="answered HTTP 401"):
            _store(server.host, ME).manifest("hello", "v1")
        assert [request for request in other.requests if request[2]] == []
        assert not [request for request in other.requests if request[1].startswith("/token")]
    finally:
        other.stop()


@pytest.mark.parametrize(
    "answer",
    [
        DEEP,
        b"[]",
        b"{}",
        b'{"token": null}',
        b'{"token": ["a"]}',
        b'{"token": {"a": 1}}',
        b'{"token": "a b"}',
        b'{"token": "a\\r\\nX: y"}',
        b'{"token": "\\u00fc"}',
        b'{"token": ""}',
        b'{"token": 1}',
        b'{"token": "' + b"x" * 100_000 + b'"}',
    ],
    ids=lambda answer: answer[:24].decode("ascii", "replace"),
)
def test_token_server_that_gives_no_token(server: Server, answer: bytes) -> None:
    server.answer = lambda _method, path, _headers: (
        (200, {}, answer) if path.startswith("/token") else _asks(f"http://{server.host}/token")
    )
    with pytest.raises(PlatformError, match=r"without a token|is longer than"):
        _store(server.host, ME).manifest("hello", "v1")


@pytest.mark.parametrize("life", ["1e999", "-1", "NaN", '"x"', "[]", "{}", "true", "1" * 400, '"300"'])
def test_any_life_of_a_token(server: Server, life: str) -> None:
    server.answer = lambda _method, path, headers: (
        (200, {}, b'{"token": "t", "expires_in": ' + life.encode() + b"}")
        if path.startswith("/token")
        else ((200, {}, b"{}") if headers.get("Authorization") == "Bearer t" else _asks(f"http://{server.host}/token"))
    )
    assert _store(server.host, ME).manifest("hello", "v1") == b"{}"


def test_token_server_that_cannot_be_reached_is_named(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    server.answer = lambda *_: _asks(f"http://127.0.0.1:{port}/token")
    with pytest.raises(PlatformError, match=f"Nothing listens at the token server 127.0.0.1:{port}") as caught:
        _store(server.host, ME).manifest("hello", "v1")
    assert f"curl -v http://127.0.0.1:{port}/" in caught.value.next_step


# ---- tokens that end early


class Tokens:
    """A registry with tokens of which each is good for the next `uses` requests; from the `last`-th on they last."""

    def __init__(self, server: Server, *, uses: int, last: int, stated: float = 300) -> None:
        self.issued, self.left = 0, 0
        self.uses, self.last, self.stated = uses, last, stated
        self.server = server
        self.lock = threading.Lock()
        server.answer = self

    def __call__(self, method: str, path: str, headers: t.Any) -> Answer:
        with self.lock:
            if path.startswith("/token"):
                self.issued += 1
                self.left = self.uses if self.issued < self.last else 10**9
                return 200, {}, json.dumps({"token": f"t{self.issued}", "expires_in": self.stated}).encode()
            if headers.get("Authorization") == f"Bearer t{self.issued}" and self.left > 0:
                self.left -= 1
                return 200, {}, b"{}"
        return _asks(f"http://{self.server.host}/token")


def test_token_that_another_thread_renewed_and_that_ended_since_is_no_refusal(server: Server) -> None:
    """Two uploads: one renews the token, and the new one ends before the other's request arrives."""
    tokens = Tokens(server, uses=1, last=100)
    store = _store(server.host, ME)
    authenticator = store._requests._authenticator
    assert store.manifest("hello", "v1") == b"{}"
    answer = authenticator.answer

    def slow(*arguments: t.Any, **named: t.Any) -> tuple[str, bool]:
        result = answer(*arguments, **named)
        if result[1] and tokens.issued == 2:  # the other thread uses up what this one renewed
            authenticator.answer = answer
            assert store.manifest("hello", "v2") == b"{}"
            return f"Bearer t{tokens.issued}", False
        return result

    authenticator.answer = slow  # type: ignore[method-assign] # the second thread comes in at this moment only
    assert store.manifest("hello", "v1") == b"{}"


def test_token_that_ended_before_its_first_use_is_fetched_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = Tokens(server, uses=0, last=3, stated=1)
    now = time.monotonic()
    later = iter(range(0, 1000, 5))
    monkeypatch.setattr(
        "ansible_collections.wasmfaas.platform.plugins.module_utils.registry.authentication.time",
        type("Clock", (), {"monotonic": staticmethod(lambda: now + next(later))}),
    )
    assert _store(server.host, ME).manifest("hello", "v1") == b"{}" and tokens.issued == 3


def test_registry_that_takes_no_token_is_asked_a_few_times_only(server: Server) -> None:
    Tokens(server, uses=0, last=10**9)
    with pytest.raises(PlatformError, match="refuses the credentials from test for team/hello"):
        _store(server.host, ME).manifest("hello", "v1")
    assert len(server.requests) == 3, "without a token, for a token, with it"


def test_retry_after_that_is_no_number() -> None:
    assert transport._retry_after("²") is None


# ---- blobs of other functions


def test_memory_of_pushed_blobs_is_a_hint_only(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "pushed.json"
    PushedBlobs(file, "one").add("team/a", [DIGEST])
    PushedBlobs(file, "two").add("team/b", [DIGEST])
    assert PushedBlobs(file, "one").repository_of(DIGEST, other_than="team/c") == "team/a"
    assert PushedBlobs(file, "one").repository_of(DIGEST, other_than="team/a") == ""
    before = file.stat().st_mtime_ns
    PushedBlobs(file, "one").add("team/a", [DIGEST])
    assert file.stat().st_mtime_ns == before and file.stat().st_mode & 0o777 == 0o600
    for damaged in (DEEP, b"[]", b'{"one": []}', json.dumps({"one": {DIGEST: 1}}).encode()):
        file.write_bytes(damaged)
        assert PushedBlobs(file, "one").repository_of(DIGEST, other_than="team/c") == ""
        PushedBlobs(file, "one").add("team/a", [DIGEST])
        assert PushedBlobs(file, "one").repository_of(DIGEST, other_than="team/c") == "team/a"
    file.unlink()
    file.mkdir()
    PushedBlobs(file, "one").add("team/a", [DIGEST])  # a push does not fail for it
