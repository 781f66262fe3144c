# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders pages, with the headers that every one of them has."""

from __future__ import annotations

import datetime
import hashlib
import shlex
import typing as t
import urllib.parse
from pathlib import Path

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ..deployments.model import Phase
from ..tokens import Token
from .language import language_of
from .texts import LANGUAGES, text

DIRECTORY = Path(__file__).resolve().parent
STATIC = DIRECTORY / "static"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # no-referrer would turn the Origin of forms into null.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_PHASE_KINDS = {Phase.READY: "ready", Phase.FAILED: "failed", Phase.CANCELLED: "stopped"}


def link(*parts: object) -> str:
    """The path of a page of a tenant: its name, and what comes below it."""
    return "/tenants/" + "/".join(urllib.parse.quote(str(part), safe="") for part in parts)


def place_to_return(request: Request) -> str:
    """The path of the page that was asked for, or that has the form which was sent."""
    place = request.path_params
    if "token" in place:
        return link(place["tenant"], "tokens")
    if request.method != "POST" or "name" not in place:
        return request.url.path
    function = link(place["tenant"], "functions", place["name"])
    return f"{function}/deployments/{place['number']}" if "number" in place else function


def render(request: Request, template: str, who: Token | None, *, status: int = 200, **values: t.Any) -> Response:
    """A page."""
    language = language_of(request)

    def in_language(key: str, **inserted: object) -> str:
        return text(language, key, **inserted)

    content = _ENVIRONMENT.get_template(template).render(
        t=in_language,
        language=language,
        languages=[(code, text(code, "language.name")) for code in LANGUAGES],
        path=place_to_return(request),
        version=_VERSION,
        who=who,
        status=status,
        **values,
    )
    return HTMLResponse(content, status, HEADERS)


def see(path: str) -> Response:
    """Send the browser to another page."""
    return RedirectResponse(path, 303, HEADERS)


def _age(when: str, language: str, now: datetime.datetime | None = None) -> Markup | str:
    """How long ago a time (RFC 3339) is, with the time itself beside it."""
    if not when:
        return "–"
    seconds = ((now or datetime.datetime.now(datetime.UTC)) - datetime.datetime.fromisoformat(when)).total_seconds()
    shown = next(
        (
            text(language, f"age.{unit}", n=int(seconds // length))
            for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60))
            if seconds >= length
        ),
        text(language, "age.now"),
    )
    return Markup('<time datetime="{}" title="{}">{}</time>').format(when, when, shown)


def _short_digest(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _size(number: int) -> str:
    return f"{number >> 20} MiB" if number >= 1 << 20 else f"{(number + 1023) >> 10} KiB"


def _http_only(url: str) -> str:
    """A URL as a link's target: none of another scheme runs a script by being followed."""
    return url if url.startswith(("http://", "https://")) else "#"


def _phase_kind(phase: Phase) -> str:
    """The class of a phase in the style sheet."""
    return _PHASE_KINDS.get(phase, "progressing")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(DIRECTORY / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["link"] = link
    environment.filters.update(
        age=_age,
        short_digest=_short_digest,
        size=_size,
        http_only=_http_only,
        shell_word=shlex.quote,
        phase_kind=_phase_kind,
    )
    return environment


_ENVIRONMENT = _environment()
_VERSION = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(STATIC.iterdir()))).hexdigest()[:12]
"""Part of the URLs of script and style sheet, so that a browser takes new ones after an upgrade."""
