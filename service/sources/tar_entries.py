# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a tar archive entry by entry, from its begin to its end, with bounds on what its headers may ask for."""

from __future__ import annotations

import io
import re
import tarfile
import typing as t

from .entry import Entry
from .limits import ArchiveLimits, refused, too_large

_PIECE = 1 << 20
_LONG_NUMBER = re.compile(rb"[0-9]{21}")


class _Reader(t.Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Forward(io.RawIOBase):
    """What tarfile reads from: it may go forward alone, and ask for no more at once than a header may have."""

    def __init__(self, stream: _Reader, limits: ArchiveLimits) -> None:
        super().__init__()
        self._stream, self._limits = stream, limits
        self._position = 0
        self.in_content = False  # of a file, not of a header
        self.last_header = b""

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or offset < self._position:
            raise refused("its entries overlap.")
        while self._position < offset and self._take(min(_PIECE, offset - self._position)):
            pass
        return self._position

    def read(self, size: int = -1) -> bytes:
        if self.in_content:
            return self._exactly(size)
        if not 0 <= size <= self._limits.header_bytes:
            raise refused("a header of it is too long.")
        header = self._exactly(size)
        if size == tarfile.BLOCKSIZE:
            self.last_header = header
        elif _LONG_NUMBER.search(header):
            # tarfile's pattern for numbers takes a time that grows with the square of their length (CVE-2024-6232).
            raise refused("a header of it holds a number of more than 20 digits.")
        return header

    def _exactly(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size and (data := self._take(size - len(found))):
            found += data
        return bytes(found)

    def _take(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._position += len(data)
        if self._position > self._limits.bytes + self._limits.entries * 4 * tarfile.BLOCKSIZE:
            raise too_large(f"it unpacks to more than {self._limits.bytes >> 20} MiB.")
        return data

    def drain(self) -> None:
        """Read what follows the archive, so that a packed stream is checked to its end."""
        while self._take(_PIECE):
            pass


def tar_entries(stream: _Reader, limits: ArchiveLimits) -> t.Iterator[Entry]:
    """The entries of a tar archive. The content of each must be read before the next one is asked for; raises
    PlatformError."""
    source = _Forward(stream, limits)
    try:
        archive = tarfile.TarFile(
            fileobj=t.cast("t.IO[bytes]", source), encoding="utf-8", errors="surrogateescape", errorlevel=2
        )
        while (member := archive.next()) is not None:
            archive.members.clear()  # else it keeps them all
            yield _entry(member, archive, source)
    except (tarfile.TarError, ValueError, EOFError, KeyError, IndexError, OverflowError, RecursionError) as error:
        raise refused(f"it is no tar archive, or damaged ({error}).", "Upload it again.") from error
    if source.last_header.strip(b"\0"):
        raise refused("it is damaged: an entry is no header.", "Upload it again.")
    source.drain()


def _entry(member: tarfile.TarInfo, archive: tarfile.TarFile, source: _Forward) -> Entry:
    if member.isdir():
        return Entry(member.name, is_directory=True)
    if member.issym() or member.islnk():
        raise refused(
            f"{member.name!r} is a link to {member.linkname!r}.",
            "Pack what it points to: `tar czf shop.tar.gz --dereference --hard-dereference -C shop .`.",
        )
    if not member.isreg() or member.issparse():
        raise refused(f"{member.name!r} is neither a file nor a directory.", "Remove it, or pack without `--sparse`.")

    def content() -> t.Iterator[bytes]:
        source.in_content = True
        left = member.size
        source.seek(member.offset_data)
        while left:
            data = source.read(min(_PIECE, left))
            if not data:
                raise refused("it is cut off.", "Upload it again.")
            left -= len(data)
            yield data
        source.in_content = False

    return Entry(member.name, is_executable=bool(member.mode & 0o100), size=member.size, content=content)
