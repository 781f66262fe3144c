# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks and unpacks uploaded archives: tar, tar.gz and zip, recognised by their content.

An archive is hostile until the last byte is read: every check is made by one walk over its entries, which `inspect` and
`unpack` share, and nothing is written before a whole walk found nothing to refuse.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import tarfile
import typing as t
from pathlib import Path

from .entries import CHUNK, Entry
from .limits import LEAVE_OUT, LIMITS, ArchiveLimits, mebibytes, refused, shown
from .paths import Paths, leading_directory
from .tar import tar_entries
from .zip import MARKS, zip_entries

_DIGEST_HEADER = b"wasmfaas source tree 1\n"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Parts = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Contents:
    """What an archive holds.

    Attributes:
        digest: `sha256:…` of the tree that `unpack` writes: the same for each way to pack it.
        files: their number.
        bytes: of all files together.
    """

    digest: str
    files: int
    bytes: int


def inspect(path: Path, limits: ArchiveLimits = LIMITS) -> Contents:
    """Read an archive once and write nothing.

    Raises:
        PlatformError: it is no archive, is damaged, or holds what is not taken; the cause names the entry.
    """
    found: dict[Parts, tuple[bool, int, bytes]] = {}
    for parts, entry in _files(path, limits):
        digest = hashlib.sha256()
        for piece in entry.content:
            digest.update(piece)
        found[parts] = entry.is_executable, entry.size, digest.digest()
    root = _root(found)
    tree = hashlib.sha256(_DIGEST_HEADER)
    for name, parts in sorted(("/".join(parts[root:]).encode(), parts) for parts in found):
        is_executable, size, content = found[parts]
        tree.update(b"%s\0%d %d %s\n" % (name, is_executable, size, content.hex().encode()))
    size = sum(size for _executable, size, _digest in found.values())
    return Contents(f"sha256:{tree.hexdigest()}", len(found), size)


def unpack(path: Path, directory: Path, limits: ArchiveLimits = LIMITS) -> None:
    """Write the files of an archive below a directory: modes 0644 and 0755, without links. Directories that hold no
    file are left out, as in Git.

    A directory that holds everything is left out where it is the project (spin.toml is in it).

    Args:
        directory: exists and is empty; is empty again after an error.

    Raises:
        PlatformError: as `inspect`, or the disk is full.
        FileExistsError: the directory is not empty.
    """
    if any(directory.iterdir()):
        raise FileExistsError(f"{directory} is not empty")
    root = _root([parts for parts, _entry in _files(path, limits)])
    top = os.open(directory, _DIRECTORY)
    try:
        for parts, entry in _files(path, limits):
            _write(top, parts[root:], entry)
    except BaseException as error:
        for left in directory.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        if isinstance(error, OSError):
            raise refused(
                f"The archive cannot be unpacked: {error.strerror}.",
                "Try again later, or tell whoever runs the service that its disk is full.",
            ) from error
        raise
    finally:
        os.close(top)


def tree_of_files(
    files: t.Iterable[tuple[str, t.BinaryIO]], write: t.Callable[[bytes], object], limits: ArchiveLimits = LIMITS
) -> None:
    """Make a tar archive of single files, which is the same for the same files in any order.

    Args:
        files: relative path, as a browser gives it for a dropped directory, and the content; it must be able to seek.
        write: takes the archive in pieces.

    Raises:
        PlatformError: a path or a size is not taken; there may have been written something before.
    """
    paths = Paths(limits)
    taken: dict[Parts, t.BinaryIO] = {}
    for name, file in files:
        if parts := paths.add(name.encode("utf-8", "surrogatepass"), directory=False):
            taken[parts] = file
    if not taken:
        raise _nothing()
    total = 0
    for parts in sorted(taken):
        file, name = taken[parts], "/".join(parts)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        total += size
        if size > limits.file_bytes:
            raise refused(f"The file {shown(name)} is larger than {mebibytes(limits.file_bytes)}.", LEAVE_OUT)
        if total > limits.total_bytes:
            raise refused(f"The files are larger than {mebibytes(limits.total_bytes)} together.", LEAVE_OUT)
        about = tarfile.TarInfo(name)
        about.size = size
        write(about.tobuf(tarfile.PAX_FORMAT))
        while data := file.read(CHUNK):
            write(data)
        write(bytes(-size % tarfile.BLOCKSIZE))
    write(bytes(2 * tarfile.BLOCKSIZE))


def _files(path: Path, limits: ArchiveLimits) -> t.Iterator[tuple[Parts, Entry]]:
    """The files of an archive with their checked paths; raises PlatformError."""
    paths = Paths(limits)
    found = False
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        for entry in zip_entries(file, limits) if start in MARKS else tar_entries(file, limits):
            parts = paths.add(entry.name, directory=entry.is_directory)
            if parts and not entry.is_directory:
                found = True
                yield parts, entry
    if not found:
        raise _nothing()


def _root(paths: t.Collection[Parts]) -> int:
    """How many parts of each path are left out."""
    return 1 if leading_directory(paths) is not None else 0


def _write(top: int, parts: Parts, entry: Entry) -> None:
    *parents, name = (part.encode() for part in parts)
    with contextlib.ExitStack() as stack:
        parent = top
        for part in parents:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=parent)
            parent = os.open(part, _DIRECTORY, dir_fd=parent)
            stack.callback(os.close, parent)
            os.fchmod(parent, 0o755)  # whatever the umask is
        with open(os.open(name, _NEW_FILE, 0o644, dir_fd=parent), "wb") as file:
            for piece in entry.content:
                file.write(piece)
            os.fchmod(file.fileno(), 0o755 if entry.is_executable else 0o644)


def _nothing() -> Exception:
    return refused("The archive holds no file.", "Pack the directory that holds spin.toml, and upload that.")
