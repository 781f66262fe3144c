# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remembers which repository of a registry got a blob, so that another function's push need not send it again."""

from __future__ import annotations

import contextlib
import functools
import json
import secrets
import typing as t
from pathlib import Path

from ..host import whole_file
from .answers import json_object

_MOST = 5000
"""Blobs of one registry that are remembered, the last ones."""


class PushedBlobs:
    """What was pushed from this machine to one registry. Only a hint: the file may be missing, old or damaged, and of
    two pushes at once one may be forgotten.

    Args:
        registry: the registry's host.
    """

    def __init__(self, path: Path, registry: str) -> None:
        self._path = path
        self._registry = registry

    def repository_of(self, digest: str, *, other_than: str) -> str:
        """A repository that has the blob; "" if none but `other_than` is known."""
        repository = self._known.get(digest)
        return repository if isinstance(repository, str) and repository != other_than else ""

    def add(self, repository: str, digests: t.Iterable[str]) -> None:
        """Remember that the repository has these blobs."""
        whole = self._read()
        known = whole.get(self._registry)
        known = known if isinstance(known, dict) else {}
        new = dict.fromkeys(digests, repository)
        if all(known.get(digest) == repository for digest in new):
            return
        kept = [(digest, name) for digest, name in known.items() if digest not in new]
        whole[self._registry] = dict([*kept, *new.items()][-_MOST:])
        with contextlib.suppress(OSError):  # a push does not fail for a hint
            self._path.parent.mkdir(parents=True, exist_ok=True)
            whole_file.write(self._path, json.dumps(whole), partial=f"{self._path}.{secrets.token_hex(8)}")

    @functools.cached_property
    def _known(self) -> dict[str, t.Any]:
        known = self._read().get(self._registry)
        return known if isinstance(known, dict) else {}

    def _read(self) -> dict[str, t.Any]:
        try:
            return json_object(self._path.read_bytes()) or {}
        except OSError:
            return {}
