# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps as a source what a form uploads: an archive, the files of a directory, or a template with edited files."""

from __future__ import annotations

import contextlib
import io
import typing as t

import msgspec
from starlette.datastructures import FormData, UploadFile

from ..api.content import keep_parts
from ..core import Service
from ..deployments.model import Settings
from ..problem import Code, ServiceProblem
from ..sources.archive import tree_of_files
from .forms import field
from .starters import Starter


def keep_upload(service: Service, tenant: str, form: FormData) -> str:
    """The tree digest of what the fields `archive` or `file` hold; raises ServiceProblem."""
    archives, files = _chosen(form, "archive"), _chosen(form, "file")
    if archives and files:
        raise ServiceProblem(
            Code.INVALID, "Both an archive and a directory were chosen.", next_step="Choose one of them."
        )
    if not archives and not files:
        raise ServiceProblem(
            Code.INVALID, "Nothing was chosen to upload.", next_step="Choose an archive or a directory."
        )
    return keep_parts(service, tenant, archives, files)[0].source


def keep_starter(service: Service, tenant: str, starter: Starter, form: FormData) -> str:
    """The tree digest of a template with the edited files of the form; raises ServiceProblem."""
    edited = dict(zip(form.getlist("path"), form.getlist("content"), strict=False))
    with contextlib.ExitStack() as opened:
        files: list[tuple[str, t.BinaryIO]] = []
        for path, content in starter.texts.items():
            changed = edited.get(path, content)
            # A browser sends the line ends of a text as CR LF.
            data = (changed if isinstance(changed, str) else content).replace("\r\n", "\n").encode()
            files.append((path, io.BytesIO(data)))
        files += [(path, opened.enter_context(open(starter.directory / path, "rb"))) for path in starter.more]
        with service.sources.upload(tenant) as upload:
            tree_of_files(files, upload.write)
            return service.sources.keep(tenant, upload)[0].source


def settings_of(form: FormData) -> Settings:
    """The settings in a form, where an empty field takes the default; raises ServiceProblem."""
    given: dict[str, t.Any] = {name: value for name in Settings.__struct_fields__ if (value := field(form, name))}
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ServiceProblem(
            Code.INVALID, f"The settings are invalid: {error}.", next_step="Correct the field, or leave it empty."
        ) from error


def _chosen(form: FormData, name: str) -> list[UploadFile]:
    """The uploaded files of a field; a browser sends one without a name where none is chosen."""
    return [value for value in form.getlist(name) if isinstance(value, UploadFile) and value.filename]
