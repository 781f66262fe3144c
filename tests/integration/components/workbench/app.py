# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Spin component whose paths each try one thing that the local runtime gives to components."""

import json
import os
import sys
import time
from urllib.parse import parse_qsl, urlsplit

from spin_sdk import http, key_value, redis, variables
from spin_sdk.http import Request, Response

# spin_sdk.sqlite does not load in this world (spin-sdk 3.4.1): it looks for a module name that two SQLite interfaces
# share.
from spin_sdk.wit.imports import fermyon_spin_sqlite, spin_sqlite_sqlite
from spin_sdk.wit.imports.streams import StreamError_Closed
from spin_sdk.wit.imports.types import Fields, OutgoingBody, OutgoingResponse, ResponseOutparam
from spin_sdk.wit.types import Err, Ok

counted = {"requests": 0}


def reply(value, status=200, headers=None):
    return Response(status, {"content-type": "application/json", **(headers or {})}, json.dumps(value).encode())


def rows(connection, statement):
    result = connection.execute(statement, [])
    return [
        dict(zip(result.columns, [getattr(value, "value", None) for value in row.values], strict=True))
        for row in result.rows
    ]


def unfinished(response_out, how):
    """Begin an answer and do not finish it."""
    headers = [("content-length", b"100")] if how == "short" else []
    response = OutgoingResponse(Fields.from_list(headers))
    body = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    stream = body.write()
    stream.blocking_write_and_flush(b"the beginning")
    if how == "trap":
        os._exit(7)
    if how == "trap-polling":
        pollable = stream.subscribe()
        os._exit(7 if pollable else 8)
    stream.__exit__(None, None, None)
    if how == "drop":
        body.__exit__(None, None, None)
    if how == "short":
        try:
            OutgoingBody.finish(body, None)
        except Err as error:
            print("unfinished:", error.value, file=sys.stderr)
    if how == "return":
        kept.append(body)


kept = []
PIECE_BYTES = 1 << 16


def pieces(request):
    """The body of a request, piece by piece."""
    body = request.consume()
    with body.stream() as stream:
        while True:
            try:
                yield stream.blocking_read(PIECE_BYTES)
            except Err as error:
                if isinstance(error.value, StreamError_Closed):
                    return
                raise


def streamed(request, response_out, query):
    """Give the request's body back as it comes; or `bytes` bytes after it, of which the last 20 say how many came."""
    response = OutgoingResponse(Fields.from_list([]))
    body = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    received = 0
    with body.write() as stream:
        for piece in pieces(request):
            received += len(piece)
            if "bytes" not in query:
                write(stream, piece)
        left = int(query.get("bytes", "0")) - 20
        while left > 0:
            write(stream, b"x" * min(left, PIECE_BYTES))
            left -= PIECE_BYTES
        if "bytes" in query:
            write(stream, b"%020d" % received)
    OutgoingBody.finish(body, None)


def write(stream, content):
    """As Spin's SDKs do: what the stream takes, then wait until it takes more."""
    while content:
        allowed = stream.check_write()
        if allowed == 0:
            with stream.subscribe() as pollable:
                pollable.block()
            continue
        stream.write(content[:allowed])
        content = content[allowed:]


class IncomingHandler(http.IncomingHandler):
    def handle(self, request, response_out):
        path, _question, query = (request.path_with_query() or "").partition("?")
        if path == "/unfinished":
            return unfinished(response_out, dict(parse_qsl(query))["how"])
        if path == "/stream":
            return streamed(request, response_out, dict(parse_qsl(query)))
        return super().handle(request, response_out)

    def handle_request(self, request: Request) -> Response:
        counted["requests"] += 1
        url = urlsplit(request.uri)
        query = dict(parse_qsl(url.query))
        action = url.path.rpartition("/")[2]
        try:
            return getattr(self, f"do_{action.replace('-', '_')}", self.do_hello)(request, query)
        except Err as error:
            return reply({"error": repr(error.value)}, 409)

    def do_hello(self, request, query):
        return reply(
            {
                "environment": dict(os.environ),
                "headers": dict(request.headers),
                "uri": request.uri,
                "method": request.method,
                **counted,
            }
        )

    def do_echo(self, request, query):
        return Response(200, {"content-type": "application/octet-stream"}, request.body)

    def do_sleep(self, request, query):
        time.sleep(float(query["seconds"]))
        return reply({"environment": dict(os.environ)})

    def do_loop(self, request, query):
        while True:
            pass

    def do_eat(self, request, query):
        eaten = b"x" * (int(query["mebibytes"]) << 20)
        return reply({"bytes": len(eaten)})

    def do_headers(self, request, query):
        return Response(int(query.get("status", "200")), json.loads(query["headers"]), query.get("body", "").encode())

    def do_variable(self, request, query):
        return reply({"value": variables.get(query["name"])})

    def do_set(self, request, query):
        with key_value.open(query.get("store", "default")) as store:
            store.set(query["key"], query["value"].encode())
            return reply({"keys": sorted(store.get_keys())})

    def do_get(self, request, query):
        with key_value.open(query.get("store", "default")) as store:
            value = store.get(query["key"])
            return reply({"value": None if value is None else value.decode()})

    def do_count(self, request, query):
        old = query.get("interface") == "2.0.0"
        sqlite = fermyon_spin_sqlite if old else spin_sqlite_sqlite
        with sqlite.Connection.open(query.get("database", "default")) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY, who TEXT, weight REAL)", [])
            values = [sqlite.Value_Integer(3), sqlite.Value_Text(query.get("who", "x'y"))]
            connection.execute("INSERT INTO visits (who, weight) VALUES (?2, ?1 * 1.5)", values)
            (row,) = rows(
                connection,
                "SELECT count(*) AS visits, max(who) AS who, max(weight) AS weight, NULL AS empty FROM visits",
            )
            return reply(
                row | ({} if old else {"rowid": connection.last_insert_rowid(), "changes": connection.changes()})
            )

    def do_attach(self, request, query):
        with spin_sqlite_sqlite.Connection.open("default") as connection:
            return reply(rows(connection, "/* a comment */ ATTACH '/tmp/stolen.db' AS stolen"))

    def do_read(self, request, query):
        with open(query["file"], "rb") as file:
            return Response(200, {"content-type": "text/plain"}, file.read())

    def do_write(self, request, query):
        try:
            with open(query["file"], "w") as file:
                file.write("changed")
        except OSError as error:
            return reply({"error": error.strerror}, 409)
        return reply({})

    def do_cookies(self, request, query):
        class Twice(dict):
            def items(self):
                return [("set-cookie", "a=1"), ("set-cookie", "b=2"), *super().items()]

        return Response(200, Twice({"content-type": "text/plain"}), b"two cookies")

    def do_raise(self, request, query):
        raise ValueError("on purpose")

    def do_end(self, request, query):
        sys.stdout.flush()
        os._exit(7)

    def do_fetch(self, request, query):
        headers = json.loads(query.get("headers", "{}"))
        answer = http.send(Request(query.get("method", "GET"), query["url"], headers, None))
        told = {name: value for name, value in answer.headers.items() if name.startswith("x-")}
        return Response(answer.status, {"content-type": "text/plain", **told}, answer.body)

    def do_redis(self, request, query):
        with redis.open("redis://127.0.0.1:6379") as connection:
            return reply({"value": connection.get("a")})

    def do_print(self, request, query):
        print(query["text"], file=sys.stderr)
        return reply({})
