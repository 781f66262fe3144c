# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs files into a `.tar.gz` whose bytes depend on the files alone, not on times, owners, order or zlib's version.

The gzip layer only stores (RFC 1951, 3.2.4). Releases of zlib compress the same bytes differently, so two controllers
would publish two node bundles of the same content. Nothing is lost: most of a bundle is k3s's binary, which is
compressed already.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import struct
import tarfile
import typing as t
import zlib

from ..errors import PlatformError
from ..host.files import parse_mode

PLACES = ("usr/local/", "etc/", "opt/", "var/lib/rancher/")
"""Where terraform/modules/node_group/files/join_cluster.py accepts files."""

BLOCK_BYTES = 65535
"""The most that a stored block of deflate holds."""

VAULT = b"$ANSIBLE_VAULT;"


@dataclasses.dataclass(frozen=True)
class BundledFile:
    """One regular file.

    Args:
        path: absolute path on the machine.
        mode: permission bits.
        content: its bytes, or None if they are in `source`, a file on this machine.
        sha256: checksum that the source must have; "" for any.
        secret: whether output must not show the content.
    """

    path: str
    mode: int
    content: bytes | None = None
    source: str = ""
    sha256: str = ""
    secret: bool = False

    @property
    def name(self) -> str:
        """Its name in the archive."""
        return self.path.lstrip("/")

    @contextlib.contextmanager
    def opened(self) -> t.Iterator[tuple[t.BinaryIO, int]]:
        """Its content and the size in bytes."""
        if self.content is not None:
            yield io.BytesIO(self.content), len(self.content)
            return
        with open(self.source, "rb") as file:
            yield file, os.fstat(file.fileno()).st_size


def bundled_files(entries: t.Iterable[t.Mapping[str, t.Any]]) -> list[BundledFile]:
    """Files in the form of the module managed_files, without those with `state: absent`, sorted by path.

    Raises:
        PlatformError: a file has neither content nor source, is where the machine would refuse it, or is listed twice.
    """
    files = [_file(entry) for entry in entries if entry.get("state") != "absent"]
    paths = [file.path for file in files]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise PlatformError(
            f"{', '.join(twice)} is in the node bundle twice.", next_step="See which two roles place it."
        )
    return sorted(files, key=lambda file: file.name)


def _file(entry: t.Mapping[str, t.Any]) -> BundledFile:
    path, content, source = str(entry["path"]), entry.get("content"), str(entry.get("source") or "")
    if not path.startswith("/") or os.path.normpath(path) != path or not path.lstrip("/").startswith(PLACES):
        raise PlatformError(
            f"{path} cannot be in a node bundle.",
            next_step=f"A node bundle holds files below {', '.join(f'/{place}' for place in PLACES)} only.",
        )
    if (content is None) == (not source):
        raise PlatformError(f"{path} needs either content or source.", next_step="Give one of them.")
    secret = bool(entry.get("secret"))
    return BundledFile(
        path=path,
        mode=parse_mode(entry.get("mode"), 0o600 if secret else 0o644) & 0o755,
        content=str(content).encode() if content is not None else None,
        source=source,
        sha256=str(entry.get("sha256") or ""),
        secret=secret,
    )


class StoredGzip:
    """A gzip stream (RFC 1952) that stores its input uncompressed, in blocks of one size. `tell` counts the input."""

    def __init__(self, target: t.Callable[[bytes], t.Any]) -> None:
        self._target = target
        self._pending = bytearray()
        self._checksum = 0
        self._size = 0
        target(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")  # deflate, no name, no time, unknown system

    def write(self, data: bytes) -> int:
        self._checksum = zlib.crc32(data, self._checksum)
        self._size += len(data)
        self._pending += data
        whole = len(self._pending) // BLOCK_BYTES * BLOCK_BYTES
        for start in range(0, whole, BLOCK_BYTES):
            self._block(bytes(self._pending[start : start + BLOCK_BYTES]), last=False)
        del self._pending[:whole]
        return len(data)

    def tell(self) -> int:
        return self._size

    def close(self) -> None:
        self._block(bytes(self._pending), last=True)
        self._target(struct.pack("<LL", self._checksum, self._size & 0xFFFFFFFF))

    def _block(self, data: bytes, *, last: bool) -> None:
        self._target(struct.pack("<BHH", int(last), len(data), len(data) ^ 0xFFFF) + data)


class _Checked:
    """A file that is hashed while it is read."""

    def __init__(self, file: t.BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def pack(files: t.Sequence[BundledFile], target: t.Callable[[bytes], t.Any]) -> str:
    """Give the archive, block by block, to `target`; returns its sha256 in hexadecimal digits.

    Raises:
        PlatformError: a source cannot be read, is encrypted, or has another checksum than `sha256`.
    """
    digest = hashlib.sha256()

    def both(data: bytes) -> None:
        digest.update(data)
        target(data)

    stream = StoredGzip(both)
    with tarfile.TarFile(fileobj=t.cast("t.Any", stream), mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in files:
            _add(archive, file)
    stream.close()
    return digest.hexdigest()


def _add(archive: tarfile.TarFile, file: BundledFile) -> None:
    member = tarfile.TarInfo(file.name)
    member.mode, member.mtime, member.uid, member.gid, member.uname, member.gname = file.mode, 0, 0, 0, "root", "root"
    try:
        with file.opened() as (content, member.size):
            checked = _Checked(content)
            if file.content is None and content.read(len(VAULT)) == VAULT:
                raise PlatformError(
                    f"{file.source} is encrypted by Ansible Vault, which autoscaled nodes cannot read.",
                    next_step="Decrypt it, or leave it out of the variables of this group.",
                )
            content.seek(0)
            archive.addfile(member, t.cast("t.Any", checked))
    except OSError as error:
        raise PlatformError(
            f"{file.source or file.path} cannot be read: {error.strerror or error}.",
            next_step="Correct the path in the variables of the group.",
        ) from error
    found = checked.digest.hexdigest()
    if file.sha256 and found != file.sha256:
        raise PlatformError(
            f"{file.source or file.path} has the checksum {found}, but {file.sha256} was asked for.",
            next_step="Remove the file, so that it is downloaded again; or correct the checksum, once you are sure "
            "that the file is what it should be.",
        )
