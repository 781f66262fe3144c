# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for a registry's token server (Distribution's "token authentication specification")."""

from __future__ import annotations

import base64
import http.server
import json
import secrets
import threading
import time
import typing as t
import urllib.parse
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from .certificates import CertificateAuthority


class TokenServerStandIn:
    """Answers `GET URL?service=…&scope=…` with basic auth, and the form of OAuth2 by POST, with a JWT that the registry
    trusts.

    Whoever has the right user name and password gets what is asked for; others get 401. `lifetime` is in seconds and
    may be changed while it runs; `requests` counts what was asked: (method, query or form).
    """

    service = "test-registry"
    issuer = "test-token-server"

    def __init__(self, directory: Path, *, username: str, password: str, lifetime: int = 300) -> None:
        self.username, self.password, self.lifetime = username, password, lifetime
        self.requests: list[tuple[str, dict[str, list[str]]]] = []
        certificate, key = CertificateAuthority(directory).issue("token-server")
        self.certificate_file = certificate
        self._key = serialization.load_pem_private_key(key.read_bytes(), None)
        der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(serialization.Encoding.DER)
        self._chain = [base64.b64encode(der).decode()]
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/token"
        threading.Thread(target=self._server.serve_forever, daemon=True, name="token server").start()

    def token(self, scopes: list[str]) -> str:
        """A token for scopes such as `repository:team/hello:pull,push`."""
        access = []
        for scope in " ".join(scopes).split():
            kind, _separator, rest = scope.partition(":")
            name, _separator, actions = rest.rpartition(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": self.username,
            "aud": self.service,
            "iat": now,
            "nbf": now - 5,
            "exp": now + self.lifetime,
        }
        return jwt.encode(
            {**claims, "jti": secrets.token_hex(8), "access": access},
            t.cast(t.Any, self._key),
            algorithm="ES256",
            headers={"x5c": self._chain},
        )

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(server: TokenServerStandIn) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            server.requests.append(("GET", query))
            expected = base64.b64encode(f"{server.username}:{server.password}".encode()).decode()
            self._answer(self.headers.get("Authorization") == f"Basic {expected}", query)

        def do_POST(self) -> None:
            form = urllib.parse.parse_qs(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
            server.requests.append(("POST", {key: value for key, value in form.items() if key != "password"}))
            self._answer((form.get("username"), form.get("password")) == ([server.username], [server.password]), form)

        def _answer(self, known: bool, wanted: dict[str, list[str]]) -> None:
            if known:
                token = server.token(wanted.get("scope", []))
                body = json.dumps({"token": token, "access_token": token, "expires_in": server.lifetime}).encode()
            else:
                body = b'{"errors":[{"code":"UNAUTHORIZED","message":"wrong user name or password"}]}'
            self.send_response(200 if known else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing, because the requests are in `requests`."""

    return Handler
