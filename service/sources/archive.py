# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""STUB until the branch archives is merged."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile
import typing as t
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Contents:
    digest: str
    files: int
    bytes: int


def inspect(path: Path) -> Contents:
    digest, files, size = hashlib.sha256(), 0, 0
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda one: one.name):
            if member.isfile():
                data = archive.extractfile(member).read()  # type: ignore[union-attr]
                digest.update(repr((member.name.removeprefix("./"), hashlib.sha256(data).hexdigest())).encode())
                files, size = files + 1, size + len(data)
    return Contents(f"sha256:{digest.hexdigest()}", files, size)


def unpack(path: Path, directory: Path) -> None:
    with tarfile.open(path) as archive:
        archive.extractall(directory, filter="data")


def tree_of_files(files: t.Iterable[tuple[str, t.BinaryIO]], write: t.Callable[[bytes], None]) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, file in files:
            data = file.read()
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    write(stream.getvalue())
