# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacks gzip while it is read, up to a ratio."""

from __future__ import annotations

import typing as t
import zlib

from .limits import ArchiveLimits, refused, too_large

_PIECE = 64 << 10


class Gunzip:
    """The content of a gzip stream of one or several members; `read` raises PlatformError for what is damaged, cut off
    or grows too much."""

    def __init__(self, stream: t.BinaryIO, limits: ArchiveLimits) -> None:
        self._stream, self._limits = stream, limits
        self._member = zlib.decompressobj(wbits=31)
        self._packed = b""
        self._in = self._out = 0
        self._ended = False

    def read(self, size: int) -> bytes:
        """At most `size` bytes; empty at the end alone."""
        while not self._ended:
            if not self._packed:
                self._packed = self._stream.read(_PIECE)
                self._in += len(self._packed)
            if self._member.eof:
                # Zeros after a member are padding; anything else must be the next one.
                self._packed = self._packed.lstrip(b"\0")
                if not self._packed:
                    self._ended = not self._more()
                    continue
                self._member = zlib.decompressobj(wbits=31)
            elif not self._packed:
                raise refused("it is cut off.", "Upload it again.")
            try:
                data = self._member.decompress(self._packed, size)
            except zlib.error as error:
                raise refused(f"it is damaged ({error}).", "Upload it again.") from error
            self._packed = self._member.unconsumed_tail or self._member.unused_data
            self._out += len(data)
            if self._out > max(self._limits.ratio_from, self._in * self._limits.ratio):
                raise too_large(f"it unpacks to more than {self._limits.ratio} times its size.")
            if data:
                return data
        return b""

    def _more(self) -> bool:
        self._packed = self._stream.read(_PIECE)
        self._in += len(self._packed)
        return bool(self._packed)
