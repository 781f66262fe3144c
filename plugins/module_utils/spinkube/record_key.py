# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key for the source records of a namespace, in a Secret that those who deploy there read."""

from __future__ import annotations

import base64
import binascii
import typing as t

from .. import progress
from ..errors import PlatformError
from ..function.source_record import new_key, parsed_key
from .api import Conflict, Forbidden, KubernetesApi
from .kinds import SECRET, Object
from .labels import MANAGED_BY

SECRET_NAME = "wasmfaas-record-key"  # noqa: S105 (a name)
_FIELD = "key"


class NamespaceKey:
    """The key of a namespace; implements `function.source_record.RecordKey`. It is read once per run.

    Args:
        api: called when the key is first needed, as an unchanged function needs none.
    """

    def __init__(self, api: t.Callable[[], KubernetesApi], namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._key: bytes | None = None

    def find(self) -> bytes | None:
        """See RecordKey. None as well for who may not read Secrets."""
        if self._key is None:
            try:
                found = self._api().get(SECRET, self._namespace, SECRET_NAME)
            except Forbidden:
                return None
            self._key = self._parsed(found) if found is not None else None
        return self._key

    def ensure(self) -> bytes | None:
        """See RecordKey. A deployment does not fail for a key that it may not make."""
        if self.find() is not None:
            return self._key
        secret = {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.kind,
            "metadata": {"name": SECRET_NAME, "namespace": self._namespace, "labels": MANAGED_BY},
            "type": "Opaque",
            "stringData": {_FIELD: new_key()},
        }
        try:
            self._key = self._parsed(self._api().create(SECRET, secret))
        except Conflict:  # another deployment made it meanwhile
            return self.find()
        except PlatformError as error:
            progress.tell(
                f"Without the Secret {self._namespace}/{SECRET_NAME}, which cannot be made, another run may build "
                f"again: {error.cause}"
            )
        return self._key

    def _parsed(self, secret: Object) -> bytes:
        where = f"The Secret {self._namespace}/{SECRET_NAME}"
        try:
            return parsed_key(base64.b64decode((secret.get("data") or {}).get(_FIELD, "")).decode("ascii"), where)
        except (binascii.Error, UnicodeDecodeError):
            return parsed_key("", where)
