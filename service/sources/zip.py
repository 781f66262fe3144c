# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads zip archives: the list of entries by the standard library, once it is known to be small; their content here,
where sizes and places are checked as well."""

from __future__ import annotations

import stat
import struct
import typing as t
import zipfile
import zlib

from .entries import CHUNK, Entry
from .limits import LEAVE_OUT, NO_LINKS, ArchiveLimits, Meter, mebibytes, refused, shown

_END = struct.Struct("<4s4H2LH")
_END_MARK = b"PK\x05\x06"
_END64_MARK = b"PK\x06\x07"
_END64_SIZE = 20
_LISTED = struct.Struct("<4s24s3H12s")  # of an entry in the list: marks, then lengths of name, extra field and comment
_LISTED_MARK = b"PK\x01\x02"
_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_MARK = b"PK\x03\x04"
MARKS = (_LOCAL_MARK, _END_MARK)
"""What a zip archive begins with; the second where it is empty."""

_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_SIZES_FOLLOW = 0x0008
_UTF8 = 0x0800
_LONGEST_DESCRIPTOR = 24
_MADE_BY_UNIX = 3
_IN_ZIP64 = 0xFFFFFFFF


def zip_entries(file: t.BinaryIO, limits: ArchiveLimits) -> t.Iterator[Entry]:
    """The files and directories of a zip archive in the order of their content; raises PlatformError."""
    list_offset = _check_list(file, limits)
    try:
        with zipfile.ZipFile(file) as archive:
            listed = sorted(archive.infolist(), key=lambda one: one.header_offset)
    except UnicodeDecodeError as error:
        cause = f"The name of the entry {shown(error.object)} is not UTF-8."
        raise refused(cause, "Rename it, and pack again.") from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OverflowError) as error:
        raise refused(f"The zip archive is damaged: {error}.") from error
    meter = Meter(limits)
    ends = [*(one.header_offset for one in listed[1:]), list_offset]
    if listed and listed[0].header_offset != 0:
        raise refused("Something stands in front of the zip archive.")
    for about, end in zip(listed, ends, strict=False):
        name = _raw_name(about)
        is_directory = name.endswith(b"/")
        _check_kind(about, name, is_directory, limits)
        start = _start(file, about, name, end)
        content = _content(file, start, about, name, meter)
        yield Entry(name, is_directory, _is_executable(about), about.file_size, content)
        for _piece in content:  # what nobody wanted
            pass


def _check_list(file: t.BinaryIO, limits: ArchiveLimits) -> int:
    """Check that the list of entries ends the file and is not too long; gives its offset. Raises PlatformError."""
    size = file.seek(0, 2)
    tail_at = max(0, size - _END.size - 0xFFFF)
    file.seek(tail_at)
    tail = file.read()
    at = tail.rfind(_END_MARK)
    if at < 0 or len(tail) < at + _END.size:
        raise refused("The zip archive is cut off: its list of entries is missing.", "Upload the whole file again.")
    _mark, disks, entries, list_size, list_offset, comment = _end_fields(tail, at)
    end = tail_at + at
    if at + _END.size + comment != len(tail):
        raise refused("Something follows the end of the zip archive.")
    if disks or (at >= _END64_SIZE and tail[at - _END64_SIZE :].startswith(_END64_MARK)):
        raise refused("The zip archive has several parts or uses Zip64, which only archives of more than 4 GiB need.")
    if list_offset + list_size != end:
        raise refused("The zip archive is damaged: its list of entries is not where it should be.")
    if entries > limits.entries or list_size > limits.entries * 512:
        raise refused(f"The archive holds more than {limits.entries:,} files and directories.", LEAVE_OUT)
    file.seek(list_offset)
    content = file.read(list_size)
    position = found = 0
    while position < list_size and found <= entries:
        if list_size - position < _LISTED.size:
            break
        mark, _fields, name, extra, comment, _more = _LISTED.unpack_from(content, position)
        if mark != _LISTED_MARK:
            break
        position += _LISTED.size + name + extra + comment
        found += 1
    if position != list_size or found != entries:
        raise refused("The zip archive is damaged: its list of entries is none, or not of the stated length.")
    return list_offset


def _end_fields(tail: bytes, at: int) -> tuple[bytes, bool, int, int, int, int]:
    mark, disk, list_disk, on_disk, entries, list_size, list_offset, comment = _END.unpack_from(tail, at)
    return mark, bool(disk or list_disk or on_disk != entries), entries, list_size, list_offset, comment


def _raw_name(about: zipfile.ZipInfo) -> bytes:
    """The bytes of the name: packers on macOS write UTF-8 without saying so."""
    return about.orig_filename.encode("utf-8" if about.flag_bits & _UTF8 else "cp437")


def _check_kind(about: zipfile.ZipInfo, name: bytes, is_directory: bool, limits: ArchiveLimits) -> None:
    if about.flag_bits & _ENCRYPTED:
        raise refused(f"The entry {shown(name)} is encrypted.", "Pack the directory without a password.")
    if about.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise refused(
            f"The entry {shown(name)} is compressed by the method {about.compress_type}; only Deflate is taken.",
        )
    kind = stat.S_IFMT(about.external_attr >> 16) if about.create_system == _MADE_BY_UNIX else 0
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a symbolic link" if kind == stat.S_IFLNK else "a device or the like"
        raise refused(f"The entry {shown(name)} is {what}; only files and directories are taken.", NO_LINKS)
    if (is_directory and about.file_size) or (kind == stat.S_IFDIR) > is_directory:
        raise refused(f"The header of the entry {shown(name)} contradicts itself.")
    if about.file_size > limits.file_bytes:
        raise refused(f"The file {shown(name)} is larger than {mebibytes(limits.file_bytes)}.", LEAVE_OUT)


def _is_executable(about: zipfile.ZipInfo) -> bool:
    return about.create_system == _MADE_BY_UNIX and bool(about.external_attr >> 16 & 0o100)


def _start(file: t.BinaryIO, about: zipfile.ZipInfo, name: bytes, end: int) -> int:
    """Where the content of an entry begins, once its own header agrees with the list; raises PlatformError.

    Args:
        end: where the next entry begins.
    """
    file.seek(about.header_offset)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size:
        raise _contradicts(name)
    mark, _version, flags, method, _time, _date, _crc, packed, size, name_size, extra = _LOCAL.unpack(header)
    if mark != _LOCAL_MARK or method != about.compress_type or file.read(name_size) != name:
        raise _contradicts(name)
    if not flags & _SIZES_FOLLOW and (
        packed not in (about.compress_size, _IN_ZIP64) or size not in (about.file_size, _IN_ZIP64)
    ):
        raise _contradicts(name)
    start: int = about.header_offset + _LOCAL.size + name_size + extra
    between = end - start - about.compress_size
    if between < 0:
        raise refused(f"The entry {shown(name)} overlaps the next one, as in archives that are made to be too large.")
    if between > (_LONGEST_DESCRIPTOR if flags & _SIZES_FOLLOW else 0):
        raise refused(f"Something stands behind the entry {shown(name)} that no entry claims.")
    return start


def _content(file: t.BinaryIO, start: int, about: zipfile.ZipInfo, name: bytes, meter: Meter) -> t.Iterator[bytes]:
    file.seek(start)
    crc = size = 0
    packed = _packed(file, about, name, meter)
    is_plain = about.compress_type == zipfile.ZIP_STORED or about.compress_size == about.file_size == 0
    for piece in packed if is_plain else _inflated(packed, name):
        crc = zlib.crc32(piece, crc)
        size += len(piece)
        meter.make(len(piece))
        if size > about.file_size:
            raise _contradicts(name)
        yield piece
    if size != about.file_size or crc != about.CRC:
        raise refused(f"The content of {shown(name)} is damaged: its size or checksum is wrong.")


def _packed(file: t.BinaryIO, about: zipfile.ZipInfo, name: bytes, meter: Meter) -> t.Iterator[bytes]:
    left = about.compress_size
    while left:
        data = file.read(min(left, CHUNK))
        if not data:
            raise _contradicts(name)
        left -= len(data)
        meter.take(len(data))
        yield data


def _inflated(packed: t.Iterator[bytes], name: bytes) -> t.Iterator[bytes]:
    decompressor = zlib.decompressobj(wbits=-15)
    for data in packed:
        left, piece = data, b""
        while left or len(piece) == CHUNK:
            try:
                piece = decompressor.decompress(left, CHUNK)
            except zlib.error as error:
                raise refused(f"The content of {shown(name)} is damaged: {error}.") from error
            if piece:
                yield piece
            left = decompressor.unconsumed_tail
        if decompressor.unused_data:
            raise _contradicts(name)
    if not decompressor.eof:
        raise refused(f"The content of {shown(name)} is cut off.", "Upload the whole file again.")


def _contradicts(name: bytes) -> Exception:
    return refused(f"The entry {shown(name)} is not what the list of the zip archive says.")
