# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in of EC2's instance metadata service, version 2 only, as the launch template asks for: 401 without a token of
its own, for each machine its own data.

    python metadata_service.py ADDRESS PORT FILE

FILE is JSON, {address of a machine: {path below /latest/: text}}, read anew for each request.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

from __future__ import annotations

import http.server
import json
import secrets
import sys
import typing as t
from pathlib import Path


class MetadataServiceStandIn(http.server.BaseHTTPRequestHandler):
    """Strict: what AWS refuses, and what nobody should ask for, is an error."""

    file: t.ClassVar[Path]
    tokens: t.ClassVar[dict[str, str]] = {}  # token: the machine it is for

    def do_PUT(self) -> None:
        lifetime = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if self.path != "/latest/api/token":
            self._answer(404)
        elif "X-Forwarded-For" in self.headers:
            self._answer(403)
        elif not lifetime.isdecimal() or not 1 <= int(lifetime) <= 21600:
            self._answer(400)
        else:
            token = secrets.token_urlsafe(40)
            self.tokens[token] = self.client_address[0]
            self._answer(200, token)

    def do_GET(self) -> None:
        machine = self.client_address[0]
        if self.tokens.get(self.headers.get("X-aws-ec2-metadata-token", "")) != machine:
            self._answer(401)
            return
        value = json.loads(self.file.read_text()).get(machine, {}).get(self.path.removeprefix("/latest/"))
        self._answer(404 if value is None else 200, value or "")

    def _answer(self, status: int, text: str = "") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    MetadataServiceStandIn.file = Path(sys.argv[3])
    http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), MetadataServiceStandIn).serve_forever()
