# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the function answers, without any import of Spin's SDK, so that it is tested as plain Python."""

from __future__ import annotations

import dataclasses
import json
import urllib.parse

LONGEST_NAME = 100


@dataclasses.dataclass(frozen=True)
class Answer:
    """What goes back to the caller.

    Args:
        status: HTTP status code.
        body: UTF-8 encoded.
        headers: names in lower case.
    """

    status: int
    body: bytes
    headers: dict[str, str]


def answer(method: str, uri: str) -> Answer:
    """Greets the caller: `/` greets the world, `/hello/<name>` a person.

    Args:
        method: HTTP method in upper case.
        uri: path and query as the request line carries them, percent-encoded.
    """
    if method not in ("GET", "HEAD"):
        return _json(405, {"error": f"{method} is not supported here."}, {"allow": "GET, HEAD"})
    path = urllib.parse.unquote(urllib.parse.urlsplit(uri).path)
    if path == "/":
        return _json(200, {"message": "Hello, world!"})
    prefix, _slash, name = path.removeprefix("/").partition("/")
    if prefix != "hello" or not name:
        return _json(404, {"error": f"There is nothing at {path}. Try / or /hello/Ada."})
    if len(name) > LONGEST_NAME:
        return _json(400, {"error": f"The name is longer than {LONGEST_NAME} characters."})
    return _json(200, {"message": f"Hello, {name}!"})


def _json(status: int, content: dict[str, str], headers: dict[str, str] | None = None) -> Answer:
    body = json.dumps(content, ensure_ascii=False).encode() + b"\n"
    return Answer(status, body, {"content-type": "application/json", **(headers or {})})
