# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads tar archives, plain or with gzip, from front to back.

Blocks are read by the standard library; extended headers are read here, each up to a limit: `tarfile` reads them whole
into memory, and Pythons that the collection supports need quadratic time for some (CVE-2024-6232).
"""

from __future__ import annotations

import tarfile
import typing as t
import zlib

from .entries import CHUNK, Entry
from .limits import LEAVE_OUT, NO_LINKS, ArchiveLimits, Meter, mebibytes, refused, shown

GZIP = b"\x1f\x8b"

_BLOCK = 512
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_HEADERS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a FIFO",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


def tar_entries(file: t.BinaryIO, limits: ArchiveLimits) -> t.Iterator[Entry]:
    """The files and directories of a tar archive in their order; raises PlatformError."""
    meter = Meter(limits)
    start = file.read(len(GZIP))
    file.seek(0)
    stream = _Stream(_decompressed(file, meter, limits) if start == GZIP else _plain(file, meter))
    headers = _Headers()
    first = True
    while True:
        block = stream.exactly(_BLOCK)
        if not any(block):
            break
        entry = _header(block, first)
        first = False
        if entry.type in _HEADERS:
            _check_header(entry, limits)
            headers.add(entry.type, stream.exactly(entry.size), entry)
            stream.skip_padding(entry.size)
            continue
        yield from _entry(stream, entry, headers, limits)
        headers.end()
    if headers.is_pending:
        raise refused("The archive ends after a header without its entry.")
    for rest in stream.rest():
        if rest.count(0) != len(rest):
            raise refused("Something follows the end of the tar archive.")


def _entry(stream: _Stream, entry: tarfile.TarInfo, headers: _Headers, limits: ArchiveLimits) -> t.Iterator[Entry]:
    name, size = headers.name(entry), headers.size(entry)
    is_directory = entry.type == tarfile.DIRTYPE
    if not is_directory and entry.type not in _FILES:
        kind = _KINDS.get(entry.type, f"of the unknown kind {entry.type!r}")
        raise refused(f"The entry {shown(name)} is {kind}; only files and directories are taken.", NO_LINKS)
    if size < 0 or (size and is_directory) or (not is_directory and name.endswith(b"/")):
        raise refused(f"The header of the entry {shown(name)} contradicts itself.")
    if size > limits.file_bytes:
        raise refused(f"The file {shown(name)} is larger than {mebibytes(limits.file_bytes)}.", LEAVE_OUT)
    content = stream.pieces(size)
    yield Entry(name, is_directory, bool(entry.mode & 0o100), size, content)
    for _piece in content:  # what nobody wanted
        pass
    stream.skip_padding(size)


class _Headers:
    """Extended headers that stand in front of an entry."""

    def __init__(self) -> None:
        self._kinds: set[bytes] = set()
        self._name: bytes | None = None
        self._size: int | None = None
        self._global = 0

    @property
    def is_pending(self) -> bool:
        return bool(self._kinds)

    def add(self, kind: bytes, content: bytes, block: tarfile.TarInfo) -> None:
        """Take a header; raises PlatformError."""
        if kind == tarfile.XGLTYPE:
            self._global += 1
            if self._global > 16 or not _pax(content).keys().isdisjoint((b"path", b"size", b"linkpath")):
                raise refused("The archive holds global headers that no packer makes.")
            return
        if kind in self._kinds:
            raise refused(f"The entry {shown(block.name)} is a second header for one entry.")
        self._kinds.add(kind)
        if kind == tarfile.GNUTYPE_LONGNAME:
            self._name = content.rstrip(b"\0")
        elif kind == tarfile.XHDTYPE:
            values = _pax(content)
            if any(key.startswith(b"GNU.sparse.") for key in values):
                name = values.get(b"GNU.sparse.name", values.get(b"path", b""))
                raise refused(f"The entry {shown(name)} is a sparse file.", "Pack it with `tar` without `--sparse`.")
            self._name = values.get(b"path", self._name)
            if (size := values.get(b"size")) is not None:
                if not size.isdigit() or len(size) > 20:
                    raise refused("The size in a PAX header is no number.")
                self._size = int(size)

    def end(self) -> None:
        """Forget what was for the entry that was read."""
        self._kinds.clear()
        self._name = self._size = None

    def name(self, block: tarfile.TarInfo) -> bytes:
        """Name of the entry, as stated."""
        return block.name.encode("utf-8", "surrogateescape") if self._name is None else self._name

    def size(self, block: tarfile.TarInfo) -> int:
        """Bytes of the entry's content, as stated."""
        return block.size if self._size is None else self._size


def _pax(content: bytes) -> dict[bytes, bytes]:
    """The records `<length> <key>=<value>` of a PAX header (POSIX.1-2001, pax); raises PlatformError."""
    values: dict[bytes, bytes] = {}
    position = 0
    while position < len(content):
        space = content.find(b" ", position, position + 12)
        digits = content[position:space] if space > position else b""
        end = position + (int(digits) if digits.isdigit() else 0)
        key, equals, value = content[space + 1 : end].partition(b"=")
        if not space < end <= len(content) or not digits or not equals or not key or not value.endswith(b"\n"):
            raise refused("The archive holds a PAX header that is none.")
        values[key] = value[:-1]
        position = end
    return values


def _header(block: bytes, is_first: bool) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError, OverflowError) as error:
        if is_first:
            raise refused("The upload is no archive: neither tar, tar.gz nor zip.") from error
        raise refused("The archive is damaged: a header of its tar is none.") from error


def _check_header(entry: tarfile.TarInfo, limits: ArchiveLimits) -> None:
    if not 0 <= entry.size <= limits.header_bytes:
        raise refused(f"A header in the archive has more than {limits.header_bytes:,} bytes.")


class _Stream:
    """Takes a sequence of pieces apart by lengths."""

    def __init__(self, pieces: t.Iterator[bytes]) -> None:
        self._source = pieces
        self._piece = memoryview(b"")

    def pieces(self, size: int) -> t.Iterator[bytes]:
        """The next bytes in pieces; raises PlatformError where there are fewer."""
        while size:
            if not self._piece:
                self._piece = memoryview(next(self._source, b""))
                if not self._piece:
                    raise refused("The archive is cut off.", "Upload the whole file again.")
            part, self._piece = self._piece[:size], self._piece[size:]
            size -= len(part)
            yield bytes(part)

    def exactly(self, size: int) -> bytes:
        """The next bytes at once; raises PlatformError where there are fewer."""
        return b"".join(self.pieces(size))

    def skip_padding(self, size: int) -> None:
        """Skip what fills up the last block of a content."""
        self.exactly(-size % _BLOCK)

    def rest(self) -> t.Iterator[bytes]:
        """Everything that is left."""
        yield bytes(self._piece)
        yield from self._source


def _plain(file: t.BinaryIO, meter: Meter) -> t.Iterator[bytes]:
    while data := file.read(CHUNK):
        meter.take(len(data))
        meter.make(len(data))
        yield data


def _decompressed(file: t.BinaryIO, meter: Meter, limits: ArchiveLimits) -> t.Iterator[bytes]:
    """The content of all members of a gzip file; zeros may follow, as with gzip itself. Raises PlatformError."""
    members = 0
    data = b""
    while data := (data or file.read(CHUNK)):
        if members and not data.strip(b"\0"):
            data = b""
            continue
        members += 1
        if members > limits.entries:
            raise refused(f"The gzip file has more than {limits.entries:,} members.")
        data = yield from _member(file, data, meter)


def _member(file: t.BinaryIO, data: bytes, meter: Meter) -> t.Generator[bytes, None, bytes]:
    """Yields the content of one member that begins with `data`; gives what was read behind it."""
    decompressor = zlib.decompressobj(wbits=31)
    meter.take(len(data))
    while True:
        try:
            piece = decompressor.decompress(data, CHUNK)
        except zlib.error as error:
            raise refused(f"The gzip file is damaged: {error}.", "Upload the whole file again.") from error
        meter.make(len(piece))
        if piece:
            yield piece
        if decompressor.eof:
            meter.take(-len(decompressor.unused_data))
            return decompressor.unused_data
        data = decompressor.unconsumed_tail
        if not data and len(piece) < CHUNK:
            data = file.read(CHUNK)
            if not data:
                raise refused("The gzip file is cut off.", "Upload the whole file again.")
            meter.take(len(data))
