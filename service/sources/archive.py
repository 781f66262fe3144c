# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks and unpacks an uploaded archive of source code: tar, tar.gz or zip, by its content."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import tarfile
import typing as t
from pathlib import Path

from ...plugins.module_utils.errors import PlatformError
from .entry import Entry
from .gunzip import Gunzip
from .limits import LIMITS, ArchiveLimits, refused, too_large
from .paths import Paths
from .tar_entries import tar_entries
from .zip_entries import zip_entries

MANIFEST = "spin.toml"
_GZIP, _ZIP, _EMPTY_ZIP = b"\x1f\x8b", b"PK\3\4", b"PK\5\6"
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf": "7-Zip", b"Rar!": "RAR"}
_PIECE = 1 << 20


@dataclasses.dataclass(frozen=True)
class Contents:
    """What an archive holds.

    Attributes:
        digest: of its tree, `sha256:…`: of the paths, contents and executable bits of its files. The same files have
            the same digest, however they were packed.
        files: their number.
        bytes: of all files together.
        prefix: the one directory that holds everything, with the manifest in it, which is left out of all paths; or
            empty.
    """

    digest: str
    files: int
    bytes: int
    prefix: str


def inspect(path: Path, limits: ArchiveLimits = LIMITS) -> Contents:
    """Read an archive to its end and say what it holds; writes nothing.

    Raises:
        PlatformError: it is none, damaged, too large, or holds what a source does not.
    """
    files: dict[str, tuple[bool, int, str]] = {}
    with _checked(path, limits) as entries:
        for name, entry, content in entries:
            digest, size = hashlib.sha256(), 0
            for data in content:
                digest.update(data)
                size += len(data)
            files[name] = (entry.is_executable, size, digest.hexdigest())
    if not files:
        raise refused("it is empty.")
    prefix = _prefix(files)
    tree = sorted([name.removeprefix(prefix), *about] for name, about in files.items())
    return Contents(
        f"sha256:{hashlib.sha256(json.dumps(['wasmfaas source 1', tree]).encode()).hexdigest()}",
        len(files),
        sum(size for _executable, size, _digest in files.values()),
        prefix,
    )


def unpack(path: Path, directory: Path, limits: ArchiveLimits = LIMITS) -> Contents:
    """Write the files of an archive into an empty directory, with the modes 0644 and 0755.

    Raises:
        PlatformError: as `inspect`, or the disk has no room; nothing is left in the directory then.
    """
    contents = inspect(path, limits)
    try:
        with _checked(path, limits) as entries:
            for name, entry, content in entries:
                _write(directory / name.removeprefix(contents.prefix), entry.is_executable, content)
    except BaseException as error:
        for left in directory.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        if isinstance(error, OSError):
            raise PlatformError(
                f"The source cannot be unpacked: {error.strerror}.",
                next_step=f"See that the disk has room (`df -h {directory}`), then deploy again.",
                stage="source",
            ) from error
        raise
    return contents


def tree_of_files(files: t.Iterable[tuple[str, t.BinaryIO]], write: t.Callable[[bytes], object]) -> None:
    """Pack single files, as a form brings them, into a tar archive.

    Args:
        files: relative paths with open files that can seek.
        write: takes the archive in pieces.

    Raises:
        PlatformError: a path leads elsewhere or is there twice.
    """
    paths = Paths(LIMITS)
    checked = [(path, file) for name, file in files if (path := paths.file(name)) is not None]
    with tarfile.open(fileobj=_Writer(write), mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path, file in sorted(checked, key=lambda pair: pair[0]):
            about = tarfile.TarInfo(path)
            about.size = file.seek(0, os.SEEK_END)
            file.seek(0)
            archive.addfile(about, file)


@dataclasses.dataclass(frozen=True)
class _Writer:
    """What tarfile writes to."""

    write: t.Callable[[bytes], object]


@contextlib.contextmanager
def _checked(path: Path, limits: ArchiveLimits) -> t.Iterator[t.Iterator[tuple[str, Entry, t.Iterator[bytes]]]]:
    """The files of an archive that are not left out: their path, what the archive says of them, and their bytes, which
    are counted."""
    with path.open("rb") as stream:
        yield _files(_entries(stream, limits), limits)


def _files(entries: t.Iterator[Entry], limits: ArchiveLimits) -> t.Iterator[tuple[str, Entry, t.Iterator[bytes]]]:
    paths, total = Paths(limits), 0

    def counted(entry: Entry) -> t.Iterator[bytes]:
        nonlocal total
        size = 0
        for data in entry.content():
            size += len(data)
            total += len(data)
            if size > limits.file_bytes:
                raise too_large(f"{entry.name!r} has more than {limits.file_bytes >> 20} MiB.")
            if total > limits.bytes:
                raise too_large(f"it unpacks to more than {limits.bytes >> 20} MiB.")
            yield data
        if size != entry.size:
            raise refused(f"{entry.name!r} has {size} bytes instead of {entry.size}.", "Upload it again.")

    for entry in entries:
        if entry.is_directory:
            paths.directory(entry.name)
            continue
        name = paths.file(entry.name)
        content = counted(entry)
        if name is not None:
            yield name, entry, content
        for _rest in content:  # of what is left out
            pass


def _entries(stream: t.BinaryIO, limits: ArchiveLimits) -> t.Iterator[Entry]:
    start = stream.read(8)
    stream.seek(0)
    if start.startswith((_ZIP, _EMPTY_ZIP)):
        return zip_entries(stream, limits)
    if start.startswith(_GZIP):
        return tar_entries(Gunzip(stream, limits), limits)
    for magic, name in _OTHERS.items():
        if start.startswith(magic):
            raise refused(f"it is packed with {name}; tar, tar.gz and zip are taken.")
    return tar_entries(stream, limits)


def _prefix(names: t.Collection[str]) -> str:
    """The directory that holds all files and the manifest, with its `/`; empty where the manifest lies at the top, or
    there is no such directory."""
    first = next(iter(names)).partition("/")[0] + "/"
    if MANIFEST not in names and f"{first}{MANIFEST}" in names and all(name.startswith(first) for name in names):
        return first
    return ""


def _write(path: Path, is_executable: bool, content: t.Iterator[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:
        for data in content:
            file.write(data)
        os.fchmod(file.fileno(), 0o755 if is_executable else 0o644)
