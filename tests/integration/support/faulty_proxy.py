# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy for an HTTP server, usually a registry, that records requests and causes faults on demand."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import http.client
import http.server
import re
import select
import socket
import ssl
import threading
import time
import typing as t
import urllib.parse

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"}
_CHUNK = 64 * 1024


@dataclasses.dataclass
class Fault:
    """A fault of the next `count` requests whose method and path match the two regular expressions completely.

    Attributes:
        status: The proxy answers with this status and `headers` instead of the server, after it has read the body.
        cut_after: The connection is reset after this many bytes of the request's body.
        cut_response_after: The connection is reset after this many bytes of the answer's body.
        delay: Seconds to wait first; a request whose client has left meanwhile is dropped.
    """

    method: str = ".*"
    path: str = ".*"
    count: int = 1
    status: int | None = None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    cut_after: int | None = None
    cut_response_after: int | None = None
    delay: float = 0.0

    def matches(self, method: str, path: str) -> bool:
        return (
            self.count > 0
            and re.fullmatch(self.method, method) is not None
            and re.fullmatch(self.path, path) is not None
        )


class FaultyProxy:
    """Listens on 127.0.0.1 (`host`, `url`) and forwards HTTP to `upstream`, an http:// URL, or with `tls` an https://
    URL.

    It keeps the client's Host header, so that the Location headers of a registry point to the proxy.
    """

    def __init__(self, upstream: str, *, tls: ssl.SSLContext | None = None) -> None:
        parts = urllib.parse.urlsplit(upstream)
        assert parts.scheme == ("https" if tls else "http") and parts.hostname and parts.port
        self.upstream = (parts.hostname, parts.port)
        self.tls = tls
        self.requests: list[tuple[str, str]] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._port = 0
        self.accept_connections()
        self.host = f"127.0.0.1:{self._port}"
        self.url = f"http://{self.host}"

    def fail(self, method: str = ".*", path: str = ".*", **fault: t.Any) -> Fault:
        """Add a fault, see `Fault`: `proxy.fail("PUT", ".*/blobs/.*", status=429, headers={"Retry-After": "1"},
        count=2)`."""
        added = Fault(method, path, **fault)
        with self._lock:
            self.faults.append(added)
        return added

    def reset(self) -> None:
        """Forget requests and faults, and accept connections again."""
        with self._lock:
            self.faults.clear()
            self.requests.clear()
        if self._server is None:
            self.accept_connections()

    def seen(self, method: str = ".*", path: str = ".*") -> list[tuple[str, str]]:
        """The requests so far (method, path without query) that match, in order."""
        with self._lock:
            return [
                request
                for request in self.requests
                if re.fullmatch(method, request[0]) and re.fullmatch(path, request[1])
            ]

    def count(self, method: str = ".*", path: str = ".*") -> int:
        return len(self.seen(method, path))

    def refuse_connections(self) -> None:
        """Close the port. Clients get "connection refused" until `accept_connections`."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def accept_connections(self) -> None:
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.proxy = self
        self._port = int(self._server.server_address[1])
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True, name="faulty proxy"
        ).start()

    def stop(self) -> None:
        self.refuse_connections()

    def take_fault(self, method: str, path: str) -> Fault | None:
        """Note the request and use up one count of the first fault that matches it."""
        with self._lock:
            self.requests.append((method, path))
            for fault in self.faults:
                if fault.matches(method, path):
                    fault.count -= 1
                    return fault
        return None


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    proxy: FaultyProxy

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Ignore broken connections, which are the purpose of this proxy."""


class _Cut(Exception):
    pass


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        fault = self.server.proxy.take_fault(self.command, urllib.parse.urlsplit(self.path).path) or Fault()
        if fault.delay and not self._client_waits(fault.delay):
            self.close_connection = True
            return
        proxy = self.server.proxy
        upstream = (
            http.client.HTTPSConnection(*proxy.upstream, context=proxy.tls)
            if proxy.tls
            else http.client.HTTPConnection(*proxy.upstream)
        )
        upstream.timeout = 120
        try:
            if fault.status is not None:
                for _time in self._body(None):
                    pass
                self._refuse(fault)
            else:
                self._forward(upstream, fault)
        except (_Cut, OSError, http.client.HTTPException):
            self._abort()
        finally:
            upstream.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _client_waits(self, seconds: float) -> bool:
        """Wait for `seconds`. Returns False as soon as the client hangs up."""
        end = time.monotonic() + seconds
        gone = select.poll()
        gone.register(self.connection, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        while (left := end - time.monotonic()) > 0:
            if gone.poll(left * 1000):
                return False
        return True

    def _body(self, limit: int | None) -> collections.abc.Iterator[bytes]:
        passed = 0
        for piece in self._read_body():
            allowed = piece if limit is None else piece[: limit - passed]
            passed += len(allowed)
            yield allowed
            if limit is not None and passed >= limit:
                raise _Cut
        if limit is not None:
            raise _Cut

    def _read_body(self) -> collections.abc.Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            piece = self.rfile.read1(min(left, _CHUNK))
            if not piece:
                raise _Cut
            left -= len(piece)
            yield piece

    def _forward(self, upstream: http.client.HTTPConnection, fault: Fault) -> None:
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                upstream.putheader(name, value)
        chunked = "Content-Length" not in self.headers and "Transfer-Encoding" in self.headers
        if chunked:
            upstream.putheader("Transfer-Encoding", "chunked")
        upstream.endheaders()
        for piece in self._body(fault.cut_after):
            upstream.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            upstream.send(b"0\r\n\r\n")
        response = upstream.getresponse()
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        if response.length is None and self.command != "HEAD":
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        left = fault.cut_response_after
        while piece := response.read(_CHUNK):
            self.wfile.write(piece if left is None else piece[:left])
            if left is not None:
                left -= len(piece)
                if left <= 0:
                    raise _Cut

    def _refuse(self, fault: Fault) -> None:
        assert fault.status is not None
        body = b"" if self.command == "HEAD" else b'{"errors":[{"code":"UNAVAILABLE","message":"made by FaultyProxy"}]}'
        self.send_response_only(fault.status)
        for name, value in {
            "Content-Type": "application/json",
            **fault.headers,
            "Content-Length": str(len(body)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _abort(self) -> None:
        """Reset the connection, so that the client sees an error and not an end."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            self.connection.shutdown(socket.SHUT_RD)
            self.connection.close()

    def log_message(self, *_: object) -> None:
        """Log nothing, because the requests are in `requests`."""
