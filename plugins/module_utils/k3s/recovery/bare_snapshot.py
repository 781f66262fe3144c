# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot that wasmfaas.platform.backup did not make: one file, or one of k3s's own in a bucket, with the server
token of its time in a file of the user's. Runs on the controller only."""

from __future__ import annotations

import hashlib
import os
import re
import typing as t
from pathlib import Path

from ...errors import PlatformError
from ...host.digests import BLOCK_BYTES
from .snapshot import SAVED, moment
from .token_files import read_token

PAGE_HEADER_BYTES = 16
DATABASE_MAGIC = (0xED0CDAED).to_bytes(4, "little")
"""In the first page of etcd's database, after the page's header (etcd-io/bbolt v1.4.3, internal/common/types.go,
Magic)."""
ZIP_MAGIC = b"PK\x03\x04"
SECTOR_BYTES = 512
"""A snapshot is the database, whose size is a multiple of this, and its SHA-256 (etcd v3.6.7,
etcdutl/snapshot/v3_snapshot.go, hasChecksum)."""
SECURE_TOKEN = re.compile(r"K10(?P<authority>[0-9a-f]{64})::(?P<user>[^:]+):.+")


def described(*, snapshot: str, name: str, token_file: str) -> dict[str, t.Any]:
    """What a restore needs to know, with the fields of `backup.Backup.described`; version and nodes are unknown.

    Args:
        snapshot: path of the file; empty for one in a bucket.
        name: of a snapshot in a bucket; empty for a file.
        token_file: path of a file that holds the server token of the time of the snapshot.

    Raises:
        PlatformError: it is none, is damaged, or there is no token.
    """
    given = Path(snapshot).expanduser().absolute() if snapshot else None
    if given is None and (not name or "/" in name):
        raise PlatformError(
            f"{name!r} is no name of a snapshot in a bucket.",
            next_step="Give the name alone, as k3s etcd-snapshot ls prints it; the folder is etcd-s3-folder.",
        )
    digest = check(given) if given else ""
    stamp = SAVED.search(given.name if given else name)
    return {
        "path": str(given or ""),
        "snapshot": str(given or ""),
        "server_token": str(Path(token_file).expanduser().absolute()),
        "name": given.name if given else name,
        "sha256": digest,
        "size": given.stat().st_size if given else 0,
        "version": "",
        "authority": authority(token_file),
        "node": "",
        "nodes": [],
        "created": moment(float(stamp["seconds"])) if stamp else "",
        "s3": {} if given else {"upload": "true"},
        "fetched": bool(given),
    }


def check(path: Path) -> str:
    """SHA-256 of a whole snapshot.

    Raises:
        PlatformError: it cannot be read, is no snapshot, or is damaged.
    """
    use_another = "Use another one, as k3s etcd-snapshot save or wasmfaas.platform.backup made it."
    try:
        with open(path, "rb") as file:
            begin = file.read(PAGE_HEADER_BYTES + len(DATABASE_MAGIC))
            if begin.startswith(ZIP_MAGIC):
                raise PlatformError(
                    f"{path} is compressed.", next_step="Unpack it with unzip, and give the file in it."
                )
            if begin[PAGE_HEADER_BYTES:] != DATABASE_MAGIC:
                raise PlatformError(f"{path} is no snapshot of etcd.", next_step=use_another)
            size = os.fstat(file.fileno()).st_size
            if size % SECTOR_BYTES != hashlib.sha256().digest_size:
                raise PlatformError(
                    f"{path} is cut off, or a copy of the database and no snapshot of it: it does not end with its "
                    "checksum.",
                    next_step=use_another,
                )
            file.seek(0)
            whole, left = hashlib.sha256(), size - hashlib.sha256().digest_size
            while left and (block := file.read(min(BLOCK_BYTES, left))):
                whole.update(block)
                left -= len(block)
            own = whole.digest()
            end = file.read()
    except OSError as error:
        raise PlatformError(
            f"The snapshot {path} cannot be read: {error.strerror}.", next_step="Correct -e snapshot=FILE."
        ) from error
    if own != end:
        raise PlatformError(f"{path} is damaged: its content does not have its checksum.", next_step=use_another)
    whole.update(end)
    return whole.hexdigest()


def authority(token_file: str) -> str:
    """SHA-256 of the certificate authority of the cluster that a server token is of; empty where it does not say.

    Raises:
        PlatformError: the file holds no server token.
    """
    where = f"{token_file} (-e server_token_file)"
    step = "Put the content of /var/lib/rancher/k3s/server/token of that time into it."
    try:
        token = read_token(os.path.expanduser(token_file))
    except (OSError, UnicodeDecodeError) as error:
        raise PlatformError(f"{where} cannot be read: {error}.", next_step="Correct the path or its mode.") from error
    if not token or len(token.split()) != 1:
        raise PlatformError(f"{where} is missing, or does not hold one token.", next_step=step)
    secure = SECURE_TOKEN.fullmatch(token)
    if token.startswith("K10") and (secure is None or secure["user"] != "server"):
        raise PlatformError(f"{where} holds a token, but not that of the servers.", next_step=step)
    return secure["authority"] if secure else ""


def summary(found: t.Mapping[str, t.Any]) -> str:
    """One line for a person."""
    return f"{found['path'] or found['name'] + ' in the bucket'} ({found['created'] or 'of an unknown time'})"
