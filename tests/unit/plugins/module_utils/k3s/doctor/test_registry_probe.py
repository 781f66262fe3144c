# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries that answer, that are not trusted, that are not there: real sockets on the loopback."""

from __future__ import annotations

import collections.abc
import http.server
import socket
import ssl
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.doctor.registry_probe import probe


class Registry(http.server.BaseHTTPRequestHandler):
    status = 401

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/v2/" else 404)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


class Failing(Registry):
    status = 503


@pytest.fixture
def authority(tmp_path: Path, self_signed: collections.abc.Callable[[str], tuple[bytes, bytes]]) -> Path:
    """A certificate of 127.0.0.1 that vouches for itself, with its key in one file."""
    file = tmp_path / "registry.pem"
    file.write_bytes(b"".join(self_signed("registry")))
    return file


@pytest.fixture
def serve() -> t.Iterator[t.Callable[..., str]]:
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(handler: type[Registry], certificate: Path | None = None) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_registry_behind_its_own_authority(serve: t.Callable[..., str], authority: Path) -> None:
    url = serve(Registry, authority)
    found = probe(
        [{"url": url}, {"url": url, "ca_file": str(authority)}, {"url": url, "insecure": True}, {"url": f"{url}/v2"}], 5
    )
    assert [entry["state"] for entry in found] == ["distrusted", "answers", "answers", "distrusted"]
    assert "self-signed certificate" in found[0]["detail"] or "self signed" in found[0]["detail"]
    assert found[1]["detail"] == "HTTP 401"


def test_a_ca_file_that_is_not_there(serve: t.Callable[..., str], authority: Path) -> None:
    [found] = probe([{"url": serve(Registry, authority), "ca_file": "/nowhere.pem"}], 5)
    assert found["state"] == "distrusted" and "No such file" in found["detail"]


def test_plain_failing_and_absent(serve: t.Callable[..., str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = probe([{"url": serve(Registry)}, {"url": serve(Failing)}, {"url": f"http://127.0.0.1:{port}"}], 5)
    assert [(entry["state"], entry["detail"]) for entry in found[:2]] == [
        ("answers", "HTTP 401"),
        ("failing", "HTTP 503"),
    ]
    assert found[2]["state"] == "unreachable" and "refused" in found[2]["detail"]


def test_one_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        [found] = probe([{"url": f"http://127.0.0.1:{silent.getsockname()[1]}"}], 0.2)
    assert (found["state"], found["detail"]) == ("unreachable", "timed out")


def test_none() -> None:
    assert probe([], 5) == []
