# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the bodies of requests: JSON and uploads, each up to a limit."""

from __future__ import annotations

import typing as t

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request

from ..core import Service
from ..problem import Code, ServiceProblem, as_invalid
from ..sources.archive import tree_of_files
from ..sources.store import Source, Upload, check_size

MOST_JSON_BYTES = 64 << 10
_WRITTEN_AT_ONCE = 1 << 20
_MOST_FILES = 20_000

Content = t.TypeVar("Content")


async def json_content(request: Request, kind: type[Content]) -> Content:
    """The body as JSON of a type; an empty body counts as `{}`. Raises ServiceProblem."""
    body = bytearray()
    async for data in request.stream():
        body += data
        if len(body) > MOST_JSON_BYTES:
            raise ServiceProblem(
                Code.TOO_LARGE,
                f"The body has more than {MOST_JSON_BYTES >> 10} KiB.",
                next_step="Send only what /openapi.json describes.",
            )
    try:
        return msgspec.json.decode(bytes(body) or b"{}", type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise ServiceProblem(
            Code.INVALID, f"The body is not what is expected: {error}.", next_step="See /openapi.json for its form."
        ) from error


async def take_archive(request: Request, upload: Upload) -> None:
    """Write the body into an upload; raises ServiceProblem, ClientDisconnect."""
    check_size(stated_size(request))
    pending = bytearray()
    async for data in request.stream():
        pending += data
        if len(pending) >= _WRITTEN_AT_ONCE:
            await run_in_threadpool(upload.write, bytes(pending))
            pending.clear()
    await run_in_threadpool(upload.write, bytes(pending))


def stated_size(request: Request) -> int:
    """What Content-Length says; 0 where it is missing. Raises ServiceProblem."""
    text = request.headers.get("Content-Length", "0")
    if not text.isascii() or not text.isdigit():
        raise ServiceProblem(
            Code.BAD_REQUEST, "Content-Length is no number.", next_step="Leave it to your HTTP client."
        )
    return int(text)


async def keep_form(request: Request, service: Service, tenant: str) -> tuple[Source, bool]:
    """Keep the source in a form: one archive as `archive`, or many parts `file` named by relative paths. Raises
    ServiceProblem."""
    check_size(stated_size(request))
    if not request.headers.get("Content-Type", "").startswith("multipart/form-data"):
        raise ServiceProblem(
            Code.UNSUPPORTED_MEDIA_TYPE,
            "The body is no multipart/form-data.",
            next_step="Send it as in `curl -F archive=@shop.tar.gz`.",
        )
    async with request.form(max_files=_MOST_FILES, max_fields=100) as form:
        archives = [part for part in form.getlist("archive") if isinstance(part, UploadFile) and part.filename]
        files = [part for part in form.getlist("file") if isinstance(part, UploadFile) and part.filename]
        if len(archives) + bool(files) != 1:
            raise ServiceProblem(
                Code.INVALID,
                "The form needs one part `archive`, or parts `file` and no `archive`.",
                next_step="Send it as in `curl -F archive=@shop.tar.gz`.",
            )
        return await run_in_threadpool(keep_parts, service, tenant, archives, files)


def keep_parts(
    service: Service, tenant: str, archives: list[UploadFile], files: list[UploadFile]
) -> tuple[Source, bool]:
    """Keep one archive, or files that are named by relative paths; gives the source and whether it is new. Raises
    ServiceProblem."""
    with service.sources.upload(tenant) as upload:
        if archives:
            while data := archives[0].file.read(_WRITTEN_AT_ONCE):
                upload.write(data)
        else:
            with as_invalid():
                tree_of_files(((part.filename or "", part.file) for part in files), upload.write)
        return service.sources.keep(tenant, upload)
