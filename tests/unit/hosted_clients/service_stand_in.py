# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small stand-in for the hosted service: what its clients need of /v1, in memory."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.server
import json
import re
import socketserver
import ssl
import threading
import typing as t
import urllib.parse
from pathlib import Path

TOKEN = "wfs_secret-token"
URL = "http://127.0.0.1:9/"
ARTIFACT = "sha256:" + "a" * 64

Json = dict[str, t.Any]


@dataclasses.dataclass
class Plan:
    """What becomes of a deployment.

    Attributes:
        queued: how often it is told as waiting.
        cut_after: number of lines after which the first answer with its log is cut off.
    """

    log: tuple[str, ...] = ("--- build", "compiling", f"ready {URL}")
    phase: str = "Ready"
    reason: str = ""
    next_step: str = ""
    facts: Json = dataclasses.field(default_factory=dict)
    queued: int = 0
    cut_after: int | None = None
    artifact: str = ARTIFACT


@dataclasses.dataclass
class Request:
    """A request that arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class StandIn:
    """The service; `plans` are those of the next deployments, `answers` replace the next answers by (method, path)."""

    def __init__(self) -> None:
        self.tenant = "user1"
        self.requests: list[Request] = []
        self.archives: dict[str, bytes] = {}
        self.deployments: dict[str, list[Json]] = {}
        self.functions: dict[str, Json] = {}
        self.variables: dict[str, tuple[bool, str]] = {}
        self.plans: list[Plan] = []
        self.answers: dict[tuple[str, str], list[tuple[int, dict[str, str], Json]]] = {}
        self._of: dict[int, Plan] = {}
        self._lock = threading.Lock()

    def made(self, method: str) -> list[str]:
        """The paths of the requests with a method."""
        return [request.path for request in self.requests if request.method == method]

    def answer(self, request: Request) -> tuple[int, dict[str, str], t.Any]:
        """Status, headers, and JSON, text or the lines of a log."""
        with self._lock:
            self.requests.append(request)
            if waiting := self.answers.get((request.method, request.path)):
                return waiting.pop(0)
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return self.problem(401, "unauthorized", "The token is unknown.", "Get another.")
            return self._v1(request)

    @staticmethod
    def problem(status: int, code: str, detail: str, next_step: str) -> tuple[int, dict[str, str], Json]:
        """An answer as application/problem+json."""
        content = {"type": "about:blank", "title": code, "status": status, "code": code}
        headers = {"Content-Type": "application/problem+json"}
        return status, headers, {**content, "detail": detail, "next_step": next_step}

    def _v1(self, request: Request) -> tuple[int, dict[str, str], t.Any]:
        method, path = request.method, request.path
        if path == "/v1/self":
            return 200, {}, {"name": "laptop", "tenant": self.tenant, "role": "deploy", "expires": ""}
        if path == "/v1/tenants":
            return 200, {}, {"tenants": ["user1"]}
        if path == "/v1/tokens" and method == "POST":
            return 201, {}, {**json.loads(request.body), "token": "wfs_new"}
        if path == "/v1/tokens":
            return 200, {}, {"tokens": [{"name": "laptop", "tenant": "user1", "role": "deploy", "expires": ""}]}
        if path.startswith("/v1/tokens/"):
            return 204, {}, {}
        if found := re.fullmatch(r"/v1/tenants/user1/sources/(sha256:[0-9a-f]{64})", path):
            return self._source(request, found[1])
        if path == "/v1/tenants/user1/functions":
            return 200, {}, {"functions": list(map(self._function, self.functions))}
        if found := re.fullmatch(r"/v1/tenants/user1/functions/([-a-z0-9]+)(/.*)?", path):
            return self._of_function(request, found[1], found[2] or "")
        return self.problem(404, "not_found", f"There is nothing at {path}.", "Look.")

    def _source(self, request: Request, digest: str) -> tuple[int, dict[str, str], t.Any]:
        if request.method == "HEAD":
            return (200 if digest in self.archives else 404), {}, {}
        if f"sha256:{hashlib.sha256(request.body).hexdigest()}" != digest:
            return self.problem(400, "digest_mismatch", "The upload has another digest.", "Send it again.")
        self.archives[digest] = request.body
        return 201, {}, {"source": digest, "archive": digest, "files": 1, "bytes": len(request.body)}

    def _function(self, name: str) -> Json:
        kept = self.deployments.get(name, [])
        return {**self.functions[name], "deployment": kept[0] if kept else None}

    def _of_function(self, request: Request, name: str, rest: str) -> tuple[int, dict[str, str], t.Any]:
        method = request.method
        kept = self.deployments.setdefault(name, [])
        if rest == "/deployments" and method == "POST":
            return self._deploy(name, json.loads(request.body))
        if rest == "/deployments":
            return 200, {}, {"deployments": kept}
        if rest == "/rollback":
            to = json.loads(request.body).get("to") or 1
            earlier = next(one for one in kept if one["number"] == to)
            return self._deploy(name, {"source": earlier["source"], "settings": earlier["settings"]}, again=True)
        if found := re.fullmatch(r"/deployments/([0-9]+)(/log)?", rest):
            deployment = next(one for one in kept if one["number"] == int(found[1]))
            if found[2]:
                return 200, {"Content-Type": "application/x-ndjson"}, self._log(request, deployment)
            return (202 if method == "DELETE" else 200), {}, self._looked_at(deployment)
        if rest.startswith(("/variables", "/secrets")):
            return self._variable(request, rest)
        if name not in self.functions:
            return self.problem(404, "not_found", f"There is no function user1/{name}.", "See the list.")
        if rest == "/logs":
            return 200, {"Content-Type": "text/plain"}, "one\ntwo \x1b[31mred\n"
        if method == "DELETE":
            del self.functions[name]
            return 200, {}, {"changed": True}
        return 200, {}, self._function(name)

    def _variable(self, request: Request, rest: str) -> tuple[int, dict[str, str], t.Any]:
        *_before, kind, key = rest.split("/") if rest.count("/") == 2 else ("", rest, "")
        if request.method == "GET":
            shown = [
                {"name": name, "value": None if secret else value, "secret": secret}
                for name, (secret, value) in self.variables.items()
            ]
            return 200, {}, {"variables": shown}
        if request.method == "DELETE":
            self.variables.pop(key)
        else:
            self.variables[key] = (kind == "secrets", json.loads(request.body)["value"])
        return 200, {}, {"deployment": None}

    def _deploy(self, name: str, content: Json, *, again: bool = False) -> tuple[int, dict[str, str], t.Any]:
        kept = self.deployments[name]
        same = kept and (kept[0]["source"], kept[0]["settings"]) == (content["source"], content["settings"])
        if same and kept[0]["phase"] == "Ready" and not again:
            return 200, {}, kept[0]
        plan = self.plans.pop(0) if self.plans else Plan()
        number = len(kept) + 1
        deployment = {
            "number": number, "tenant": "user1", "function": name, "phase": "Queued" if plan.queued else "Building",
            "source": content["source"], "settings": content["settings"], "changed": None, "url": "", "artifact": "",
            "source_digest": "", "stages": {}, "warnings": [], "reason": "", "next_step": "", "facts": {},
            "attempt": 1, "position": plan.queued or None, "requested_by": "laptop", "created": "2026-11-30T09:00:00Z",
            "started": "", "finished": "",
        }  # fmt: skip
        kept.insert(0, deployment)
        self._of[id(deployment)] = plan
        return 202, {}, dict(deployment)

    def _looked_at(self, deployment: Json) -> Json:
        plan = self._of[id(deployment)]
        if deployment["phase"] == "Queued":
            plan.queued -= 1
            deployment["position"] = plan.queued or None
            deployment["phase"] = "Queued" if plan.queued else "Building"
        return dict(deployment)

    def _log(self, request: Request, deployment: Json) -> tuple[list[bytes], bool]:
        """The lines of the answer, and whether it is cut off after them."""
        plan, offset, lines = self._of[id(deployment)], 0, []
        for text in plan.log:
            offset += len(text.encode()) + 1
            if offset > int(request.query.get("offset", "0")):
                lines.append(json.dumps({"offset": offset, "text": text}).encode() + b"\n")
        if plan.cut_after is not None:
            lines, plan.cut_after = lines[: plan.cut_after], None
            return lines, True
        if deployment["phase"] != "Queued":
            self._end(deployment, plan)
        return lines, False

    def _end(self, deployment: Json, plan: Plan) -> None:
        deployment.update(phase=plan.phase, reason=plan.reason, next_step=plan.next_step, facts=plan.facts)
        if plan.phase == "Ready":
            name = deployment["function"]
            deployment.update(url=URL, artifact=plan.artifact, changed=True, stages={"queue": 0.1, "build": 1.5})
            self.functions[name] = {
                "tenant": "user1", "name": name, "status": "ready", "url": URL,
                "image": f"registry/{name}@{plan.artifact}",
                "digest": plan.artifact, "source_digest": "", "created": "2026-11-30T09:00:00Z", "details": {},
            }  # fmt: skip


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that end a connection."""


@contextlib.contextmanager
def serve(stand_in: StandIn, certificate: Path | None = None) -> t.Iterator[str]:
    """The URL at which a stand-in answers inside of the context; with HTTPS where there is a PEM file with a
    certificate and its key."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(parts.query))
            headers = {name.lower(): value for name, value in self.headers.items()}
            path = urllib.parse.unquote(parts.path)
            status, more, content = stand_in.answer(Request(self.command, path, query, headers, body))
            self.send_response(status)
            if isinstance(content, tuple):
                self._send_lines(more, *content)
                return
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            data = b"" if status == 204 else data
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815

        def _send_lines(self, headers: dict[str, str], lines: list[bytes], is_cut: bool) -> None:
            for name, value in {**headers, "Transfer-Encoding": "chunked"}.items():
                self.send_header(name, value)
            self.end_headers()
            for line in lines:
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            if is_cut:
                self.close_connection = True
                return
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
