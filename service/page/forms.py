# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what a form of the page sends, within bounds."""

from __future__ import annotations

import contextlib
import typing as t

from starlette.datastructures import FormData
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import Request

from ..problem import Code, ServiceProblem
from ..sources.store import MOST_BYTES, check_size

MOST_FILES = 20_000
_MOST_FIELDS = 1000
_MOST_FIELD_BYTES = 1 << 20
"""Of one text: an edited file, or the value of a variable."""

_MOST_PLAIN_BYTES = 256 << 10
"""Of a form without files; a variable's value may take three bytes for each of its own."""


@contextlib.asynccontextmanager
async def form_of(request: Request) -> t.AsyncIterator[FormData]:
    """The form in a request, whose uploaded files are removed at the end of the context; raises ServiceProblem.

    What is too large is refused as soon as that is known: by its stated length, else while it arrives.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_multipart = content_type == "multipart/form-data"
    if not is_multipart and content_type != "application/x-www-form-urlencoded":
        raise ServiceProblem(
            Code.UNSUPPORTED_MEDIA_TYPE, "The request holds no form.", next_step="Send it from the page."
        )
    # Between the files there are headers of their own.
    most = MOST_BYTES + (16 << 20) if is_multipart else _MOST_PLAIN_BYTES
    stated = request.headers.get("content-length", "")
    if stated.isascii() and stated.isdecimal():
        _check(int(stated), most)
    stream = _counted(request.stream(), most)
    parser: MultiPartParser | FormParser
    if is_multipart:
        parser = MultiPartParser(
            request.headers, stream, max_files=MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=_MOST_FIELD_BYTES
        )
    else:
        parser = FormParser(request.headers, stream, max_fields=_MOST_FIELDS, max_part_size=_MOST_FIELD_BYTES)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise ServiceProblem(
            Code.BAD_REQUEST, f"The form cannot be read: {error.message}", next_step="Send it from the page."
        ) from error
    try:
        yield form
    finally:
        await form.close()


async def _counted(stream: t.AsyncGenerator[bytes, None], most: int) -> t.AsyncGenerator[bytes, None]:
    size = 0
    async for data in stream:
        size += len(data)
        _check(size, most)
        yield data


def _check(size: int, most: int) -> None:
    if size > most:
        check_size(size)  # has the limit of uploads in its message
        raise ServiceProblem(
            Code.TOO_LARGE, f"The form has more than {most >> 10} KiB.", next_step="Enter a shorter text."
        )


def field(form: FormData, name: str) -> str:
    """A text of a form without white space around it; empty where it was not sent."""
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""
