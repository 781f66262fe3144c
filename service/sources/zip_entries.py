# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a zip archive entry by entry, after its index was checked."""

from __future__ import annotations

import itertools
import os
import stat
import struct
import typing as t
import zipfile
import zlib

from .entry import Entry
from .limits import ArchiveLimits, refused, too_large

_PIECE = 1 << 20
_END = b"PK\5\6"
_END_SIZE = 22
_LONGEST_COMMENT = 0xFFFF
_LOCATOR_OF_ZIP64 = b"PK\6\7"
_LOCATOR_SIZE = 20
_LOCAL_HEADER_SIZE = 30
_ENCRYPTED = 0x1
_NAME_IS_UTF8 = 0x800
_UNIX = 3
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


def zip_entries(stream: t.BinaryIO, limits: ArchiveLimits) -> t.Iterator[Entry]:
    """The entries of a zip archive; raises PlatformError."""
    _check_end(stream, limits)
    try:
        with zipfile.ZipFile(stream) as archive:
            infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
            _check_overlap(infos)
            for info in infos:
                yield _entry(archive, info)
    except (
        zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError, EOFError, struct.error, OSError,
        OverflowError, UnicodeDecodeError,
    ) as error:  # fmt: skip
        raise refused(f"it is no zip archive, or damaged ({error}).", "Upload it again.") from error


def _check_end(stream: t.BinaryIO, limits: ArchiveLimits) -> None:
    """Check the number of entries and the size of the index before zipfile reads the index into memory
    (APPNOTE.TXT 6.3.10, 4.3.16)."""
    size = stream.seek(0, os.SEEK_END)
    tail_begin = max(0, size - _END_SIZE - _LONGEST_COMMENT)
    stream.seek(tail_begin)
    tail = stream.read()
    end = tail.rfind(_END)
    if end < 0 or len(tail) - end < _END_SIZE:
        raise refused("it is cut off, or no zip archive.", "Upload it again.")
    _signature, _disk, _start, _here, entries, index_bytes = struct.unpack_from("<4s4HL", tail, end)
    if tail[max(0, end - _LOCATOR_SIZE) : end].startswith(_LOCATOR_OF_ZIP64) or entries > limits.entries:
        raise too_large(f"it has more than {limits.entries} entries, or is of the kind zip64.")
    if index_bytes > limits.index_bytes:
        raise too_large("its index is too large.")
    stream.seek(0)


def _check_overlap(infos: list[zipfile.ZipInfo]) -> None:
    """A bomb names the same bytes in many entries."""
    for info, following in itertools.pairwise(infos):
        if info.header_offset + _LOCAL_HEADER_SIZE + info.compress_size > following.header_offset:
            raise refused("its entries overlap.")


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    name = info.orig_filename
    if not info.flag_bits & _NAME_IS_UTF8 and not name.isascii():
        raise refused(f"{name!r} is no UTF-8.", "Rename the file, or pack with `tar`.")
    mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
    if stat.S_ISLNK(mode):
        raise refused(f"{name!r} is a link.", "Put what it points to in its place.")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise refused(f"{name!r} is neither a file nor a directory.", "Remove it.")
    if name.endswith("/"):
        return Entry(name, is_directory=True)
    if info.flag_bits & _ENCRYPTED:
        raise refused(f"{name!r} is encrypted.", "Pack it without a password.")
    if info.compress_type not in _METHODS:
        raise refused(f"{name!r} is packed by another method than deflate.", "Pack it again with `zip` or `tar`.")

    def content() -> t.Iterator[bytes]:
        with archive.open(info) as file:
            while data := file.read(_PIECE):
                yield data

    return Entry(name, is_executable=bool(mode & 0o100), size=info.file_size, content=content)
