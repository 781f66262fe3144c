# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Source records: which artifact a deployer built from which sources, so that a later run need not build it again.

Whoever may push to a repository may point the tag of a source digest (source_tag) at any artifact. So such a tag is
believed only beside a record: a second tag whose name is a keyed hash (HMAC-SHA256) over namespace, function, source
digest and the digest of the manifest, and so of all layers. Only the holder of the key can name it. The record is no
part of the artifact: another key makes no other artifact. Why so: docs/decisions/0018-source-records.md.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import typing as t
from pathlib import Path

from ..errors import PlatformError

if t.TYPE_CHECKING:
    from ..registry.model import Store
    from .artifact.model import Artifact

_KEY = re.compile("[0-9a-f]{64}")


class RecordKey(t.Protocol):
    """Where a key for records is kept. Every method may raise PlatformError."""

    def find(self) -> bytes | None:
        """The key, of 32 bytes; None where there is none."""

    def ensure(self) -> bytes | None:
        """The key, made where there is none; None where it cannot be had."""


class SourceRecords:
    """The records of one namespace.

    Args:
        keys: those whose records are believed; new records are made with the first one.
    """

    def __init__(self, namespace: str, keys: t.Sequence[RecordKey]) -> None:
        self._namespace = namespace
        self._keys = keys

    def vouch_for(self, store: Store, name: str, source_digest: str, artifact_digest: str) -> bool:
        """Whether the registry holds a record that this artifact was built from these sources."""
        return any(
            key is not None and store.manifest(name, self._tag(key, name, source_digest, artifact_digest)) is not None
            for key in (kept.find() for kept in self._keys)
        )

    def write(self, store: Store, name: str, source_digest: str, artifact: Artifact) -> None:
        """Push the record beside the artifact; nothing where no key can be had."""
        key = self._keys[0].ensure()
        if key is not None:
            store.push(name, artifact, tag=self._tag(key, name, source_digest, artifact.digest))

    def _tag(self, key: bytes, name: str, source_digest: str, artifact_digest: str) -> str:
        record = json.dumps(["wasmfaas source record 1", self._namespace, name, source_digest, artifact_digest])
        return f"record-{hmac.new(key, record.encode(), hashlib.sha256).hexdigest()}"


def new_key() -> str:
    """A new key, as it is kept: 64 hexadecimal digits."""
    return secrets.token_hex(32)


def parsed_key(text: str, where: str) -> bytes:
    """The key that is kept as `text`; raises PlatformError, without the text."""
    if not _KEY.fullmatch(text.strip()):
        raise PlatformError(
            f"{where} holds no key for source records: it must be 64 hexadecimal digits.",
            next_step="Delete it: the next deployment makes a new key, and builds what is not deployed yet again.",
        )
    return bytes.fromhex(text.strip())


class KeyFile:
    """A key in a file of this machine that only its owner reads.

    Args:
        given: the user named it, so it must exist.
    """

    def __init__(self, path: Path, *, given: bool = False) -> None:
        self._path = path
        self._given = given

    def find(self) -> bytes | None:
        """See RecordKey. Refuses a file that others may read."""
        try:
            with self._path.open(encoding="utf-8") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    raise PlatformError(
                        f"{self._path}: others may read the key for source records.",
                        next_step=f"Delete it, or give it to its owner alone: `chmod 600 {self._path}`.",
                    )
                return parsed_key(file.read(1000), str(self._path))
        except FileNotFoundError:
            if not self._given:
                return None
            raise PlatformError(
                f"record_key_file: {self._path} does not exist.",
                next_step=f"Make it: `(umask 077; openssl rand -hex 32 > {self._path})`.",
            ) from None
        except UnicodeDecodeError:
            return parsed_key("", str(self._path))
        except OSError as error:
            raise self._failure(error) from error

    def ensure(self) -> bytes | None:
        """See RecordKey."""
        if (key := self.find()) is not None:
            return key
        partial = self._path.with_name(f"{self._path.name}.{secrets.token_hex(8)}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with open(descriptor, "w", encoding="utf-8") as file:
                    file.write(f"{new_key()}\n")
                os.link(partial, self._path)  # of two runs at once, one makes the key
            except FileExistsError:
                pass
            finally:
                os.unlink(partial)
        except OSError as error:
            raise self._failure(error) from error
        return self.find()

    def _failure(self, error: OSError) -> PlatformError:
        return PlatformError(
            f"The key for source records {self._path}: {error.strerror}.",
            next_step="Let this user read and write the file and its directory.",
        )
