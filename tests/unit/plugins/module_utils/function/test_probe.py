# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls real servers on loopback."""

from __future__ import annotations

import collections.abc
import contextlib
import datetime
import http.server
import socket
import ssl
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function import probe as module
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.probe import (
    HEALTH_PATH,
    address_in_name,
    probe,
    trusted,
)

Answer = collections.abc.Callable[[http.server.BaseHTTPRequestHandler], None]


class Server:
    def __init__(self, answer: Answer) -> None:
        self.requests: list[tuple[str, str]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append((self.path, self.headers["Host"]))
                with contextlib.suppress(ConnectionError):
                    answer(self)

            def log_message(self, *arguments: t.Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


def status(code: int, body: bytes = b"") -> Answer:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


@pytest.fixture
def serve() -> t.Iterator[t.Callable[[Answer], Server]]:
    with contextlib.ExitStack() as stack:

        def start(answer: Answer) -> Server:
            server = Server(answer)
            stack.callback(server.server.server_close)
            stack.callback(server.server.shutdown)
            return server

        yield start


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_healthy_function_is_called_once(serve: t.Any) -> None:
    server = serve(status(200, b"OK"))
    result = probe(f"http://127.0.0.1:{server.port}", timeout_seconds=5)
    assert (result.status, result.attempts) == (200, 1)
    assert 0 < result.seconds < 5
    assert server.requests == [(HEALTH_PATH, f"127.0.0.1:{server.port}")]


def test_function_that_starts_is_called_until_it_answers(serve: t.Any) -> None:
    codes = [503, 502, 404, 200]

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        status(codes.pop(0))(request)

    server = serve(answer)
    result = probe(f"http://127.0.0.1:{server.port}", path="/ready", timeout_seconds=10)
    assert (result.status, result.attempts) == (200, 4)
    assert {path for path, _host in server.requests} == {"/ready"}


def test_redirect_is_an_answer(serve: t.Any) -> None:
    assert probe(f"http://127.0.0.1:{serve(status(302)).port}", timeout_seconds=5).status == 302


def test_function_that_stays_ill_is_told_with_its_last_answer(serve: t.Any) -> None:
    server = serve(status(500, b"no database " + b"x" * 10_000))
    url = f"http://127.0.0.1:{server.port}"
    started = time.monotonic()
    with pytest.raises(PlatformError, match=f"{url}{HEALTH_PATH} answers 500 Internal Server Error") as caught:
        probe(url, timeout_seconds=2)
    assert 1.9 < time.monotonic() - started < 60
    assert len(server.requests) > 2
    assert caught.value.facts["status"] == 500
    assert caught.value.facts["body"].startswith("no database")
    assert len(caught.value.facts["body"]) <= 500
    assert "probe_path" in caught.value.next_step


def test_port_that_nobody_listens_on_is_told(free_port: int) -> None:
    started = time.monotonic()
    with pytest.raises(PlatformError, match=r"cannot be reached: .*[Cc]onnection refused") as caught:
        probe(f"http://127.0.0.1:{free_port}", timeout_seconds=0.3)
    assert time.monotonic() - started < 60
    assert caught.value.facts["url"].endswith(HEALTH_PATH)


def test_server_that_comes_up_later_is_waited_for(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Once(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status(200)(self)

        def log_message(self, *arguments: t.Any) -> None:
            pass

    refused = threading.Event()
    original = socket.create_connection

    def connect(*arguments: t.Any, **more: t.Any) -> socket.socket:
        try:
            return original(*arguments, **more)
        except ConnectionRefusedError:
            refused.set()
            raise

    monkeypatch.setattr(socket, "create_connection", connect)
    results: list[int] = []
    thread = threading.Thread(
        target=lambda: results.append(probe(f"http://127.0.0.1:{free_port}", timeout_seconds=120).attempts)
    )
    thread.start()
    assert refused.wait(timeout=60)
    with http.server.HTTPServer(("127.0.0.1", free_port), Once) as server:
        server.timeout = 60
        server.handle_request()
        thread.join(timeout=120)
    assert results and results[0] > 1


def test_server_that_accepts_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_TIMEOUT_SECONDS", 0.2)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        started = time.monotonic()
        with pytest.raises(PlatformError, match=r"cannot be reached: .*timed out"):
            probe(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout_seconds=0.5)
        assert time.monotonic() - started < 60


def test_answer_without_an_end_is_not_read_to_its_end(serve: t.Any) -> None:
    """A probe_path may be an event stream."""
    stopped, said_all = threading.Event(), threading.Event()

    def endless(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        for _line in range(2000):  # 100 s: a test that fails is to end all the same
            if stopped.wait(0.05):
                return
            request.wfile.write(b"data: x\n\n")
        said_all.set()

    server = serve(endless)
    try:
        assert probe(f"http://127.0.0.1:{server.port}", timeout_seconds=90).status == 200
        assert not said_all.is_set()
    finally:
        stopped.set()


def test_nip_io_name_needs_no_dns(serve: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(status(200))
    original = socket.getaddrinfo

    def no_dns(host: t.Any, *arguments: t.Any, **more: t.Any) -> t.Any:
        assert host in ("127.0.0.1", b"127.0.0.1"), f"{host} was asked of DNS"
        return original(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", no_dns)
    assert probe(f"http://hello.default.127.0.0.1.nip.io:{server.port}", timeout_seconds=5).status == 200
    assert server.requests == [(HEALTH_PATH, f"hello.default.127.0.0.1.nip.io:{server.port}")], (
        "The Gateway routes by this name"
    )


def test_given_address_is_called_with_the_name_of_the_function(serve: t.Any) -> None:
    server = serve(status(200))
    assert probe("http://hello.example.com", address=f"127.0.0.1:{server.port}", timeout_seconds=5).status == 200
    assert probe(f"http://hello.example.com:{server.port}", address="127.0.0.1", timeout_seconds=5).status == 200
    assert server.requests == [(HEALTH_PATH, "hello.example.com"), (HEALTH_PATH, f"hello.example.com:{server.port}")]


def test_given_address_may_be_of_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    class Server6(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status(200)(self)

        def log_message(self, *arguments: t.Any) -> None:
            pass

    try:
        server = Server6(("::1", 0), Handler)
    except OSError:
        pytest.skip("this machine has no IPv6 on loopback")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        port = server.server_address[1]
        for address in ("::1", "[::1]", f"[::1]:{port}"):
            assert probe(f"http://hello.example.com:{port}", address=address, timeout_seconds=5).status == 200
    finally:
        server.shutdown()
        server.server_close()


def test_proxy_of_the_environment_is_passed_by(serve: t.Any, monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port}")
    assert probe(f"http://127.0.0.1:{serve(status(200)).port}", timeout_seconds=5).status == 200


def test_name_that_dns_does_not_know_is_told_with_the_way_around() -> None:
    with pytest.raises(PlatformError, match="cannot be reached") as caught:
        probe("http://hello.invalid", timeout_seconds=0.1)
    assert "probe_address" in caught.value.next_step


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("hello.default.127.0.0.1.nip.io", "127.0.0.1"),
        ("10.0.0.1.nip.io", "10.0.0.1"),
        ("app-10-0-0-1.nip.io", "10.0.0.1"),
        ("hello.default.10-0-0-1.sslip.io", "10.0.0.1"),
        ("f.1.10.0.0.1.nip.io", "10.0.0.1"),
        ("hello.default.300.0.0.1.nip.io", None),
        ("hello.nip.io", None),
        ("127.0.0.1.example.com", None),
        ("127.0.0.1.nip.io.example.com", None),
        ("127.0.0.1", None),
        ("", None),
    ],
)
def test_address_in_a_name(host: str, address: str | None) -> None:
    assert address_in_name(host) == address


# TLS


@pytest.fixture
def secure(serve: t.Any, tmp_path: Path) -> tuple[int, Path]:
    """The port of a server whose certificate is for shop.example.com, and the certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(
            name,
            name,
            key.public_key(),
            x509.random_serial_number(),
            now - datetime.timedelta(hours=1),
            now + datetime.timedelta(days=1),
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("shop.example.com")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, key_file = tmp_path / "certificate.pem", tmp_path / "key.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = serve(status(200))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key_file)
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    return server.port, file


def test_certificate_is_checked_against_the_name_of_the_function(secure: tuple[int, Path]) -> None:
    port, file = secure
    address = f"127.0.0.1:{port}"
    assert probe("https://shop.example.com", timeout_seconds=10, address=address, ca_file=str(file)).status == 200
    with pytest.raises(PlatformError, match=r"Hostname mismatch") as caught:
        probe("https://cart.example.com", timeout_seconds=0, address=address, ca_file=str(file))
    assert "a certificate for cart.example.com" in caught.value.next_step
    with pytest.raises(PlatformError, match=r"self.signed certificate") as caught:
        probe("https://shop.example.com", timeout_seconds=0, address=address)
    assert "no certificate for shop.example.com and shows a self-signed one" in caught.value.next_step
    assert "-e probe_ca_file=PATH" in caught.value.next_step


def test_authorities_that_can_not_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"probe_ca_file: .*missing\.pem cannot be read: No such file"):
        trusted(str(tmp_path / "missing.pem"))
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(PlatformError, match=r"empty\.pem cannot be read"):
        trusted(str(tmp_path / "empty.pem"))
