# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which language a page is shown in."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import Response

from .texts import LANGUAGES

COOKIE = "wasmfaas_language"
_ONE_YEAR = 365 * 24 * 3600  # seconds


def language_of(connection: HTTPConnection) -> str:
    """The language that was switched to, else the one that the browser prefers of those there are."""
    switched = connection.cookies.get(COOKIE, "")
    return switched if switched in LANGUAGES else preferred(connection.headers.get("accept-language", ""))


def preferred(accepted: str) -> str:
    """The best language for a header Accept-Language."""
    weights: dict[str, float] = {}
    for part in accepted.split(","):
        tag, _separator, parameter = part.strip().partition(";")
        language = tag.partition("-")[0].strip().lower()
        if language in LANGUAGES:
            weights[language] = max(weights.get(language, 0.0), _weight(parameter))
    return max(LANGUAGES, key=lambda language: weights.get(language, 0.0))  # the first of equals


def _weight(parameter: str) -> float:
    name, _separator, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0


def switch(response: Response, connection: HTTPConnection, language: str) -> None:
    """Have the browser keep a language."""
    secure = connection.url.scheme == "https"
    response.set_cookie(COOKIE, language, max_age=_ONE_YEAR, path="/", httponly=True, secure=secure, samesite="strict")
