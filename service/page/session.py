# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cookie that holds the token of whoever signed in, and the check that a request comes from the page itself."""

from __future__ import annotations

import urllib.parse

from starlette.requests import HTTPConnection
from starlette.responses import Response

COOKIE = "wasmfaas_session"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""With this prefix a browser takes the cookie from this host alone: functions live on hosts beside it."""


def _name(connection: HTTPConnection) -> str:
    return SECURE_COOKIE if connection.url.scheme == "https" else COOKIE


def token_of(connection: HTTPConnection) -> str:
    """The token that the request's cookie holds; empty where there is none."""
    return connection.cookies.get(_name(connection), "")


def begin(response: Response, connection: HTTPConnection, token: str) -> None:
    """Have the browser send the token from now on, until it is closed."""
    secure = connection.url.scheme == "https"
    response.set_cookie(_name(connection), token, path="/", httponly=True, secure=secure, samesite="strict")


def end(response: Response, connection: HTTPConnection) -> None:
    """Have the browser forget the token."""
    secure = connection.url.scheme == "https"
    response.delete_cookie(_name(connection), path="/", httponly=True, secure=secure, samesite="strict")


def is_from_page(connection: HTTPConnection) -> bool:
    """Whether a request was made by a page of this host and port, which browsers state in headers no page can set.

    By plain HTTP to another machine a browser sends no Sec-Fetch-Site, but the Origin with every POST.
    """
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urllib.parse.urlsplit(connection.headers.get("origin", ""))
    return bool(origin.netloc) and origin.netloc == connection.headers.get("host")
