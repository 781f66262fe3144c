# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives for tests, good and bad ones."""

from __future__ import annotations

import io
import tarfile
import types
import typing as t
import warnings
import zipfile
from pathlib import Path

FILES: t.Mapping[str, bytes] = types.MappingProxyType(
    {"spin.toml": b"spin_manifest_version = 2\n", "src/app.py": b"print('hello')\n" * 40, "src/é/one.txt": b"1"}
)


Files = t.Mapping[t.Any, bytes] | t.Sequence[tuple[t.Any, bytes]]
"""Contents by name, or by the entry itself; as pairs where a name comes twice."""


def tar(
    files: Files = FILES,
    *more: tarfile.TarInfo,
    compression: t.Literal["", "gz"] = "gz",
    format: int = tarfile.PAX_FORMAT,  # noqa: A002 (tarfile's word)
    mode: int = 0o644,
) -> bytes:
    """A tar archive of files, and of further entries without content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz" if compression else "w:", format=format) as archive:
        for name, content in files.items() if isinstance(files, t.Mapping) else files:
            about = tarfile.TarInfo(name)
            about.size, about.mode = len(content), mode
            archive.addfile(about, io.BytesIO(content))
        for about in more:
            archive.addfile(about)
    return stream.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, **values: t.Any) -> tarfile.TarInfo:
    """An entry of a tar archive without content."""
    about = tarfile.TarInfo(name)
    about.type = kind
    for key, value in values.items():
        setattr(about, key, value)
    return about


def raw_tar(*parts: bytes) -> bytes:
    """A tar archive of headers and contents as given, each filled up to whole blocks."""
    return b"".join(part + bytes(-len(part) % 512) for part in parts) + bytes(1024)


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, **values: t.Any) -> bytes:
    """The header block of an entry, whatever it says."""
    return entry(name, kind, size=size, **values).tobuf(tarfile.GNU_FORMAT)


def zipped(files: Files = FILES, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of files."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, content in files.items() if isinstance(files, t.Mapping) else files:
            archive.writestr(name, content)
    return stream.getvalue()


def member(name: str, mode: int = 0o100644, system: int = 3) -> zipfile.ZipInfo:
    """An entry of a zip archive with a mode."""
    about = zipfile.ZipInfo(name)
    about.create_system, about.external_attr = system, mode << 16
    return about


def tree(directory: Path) -> dict[str, bytes]:
    """The files below a directory by relative path."""
    return {str(one.relative_to(directory)): one.read_bytes() for one in directory.rglob("*") if one.is_file()}
