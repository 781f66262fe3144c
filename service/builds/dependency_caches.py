# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the dependencies of builds in the function registry, for later builds of the same tenant."""

from __future__ import annotations

from pathlib import Path

from ..registry_files import RegistryFiles
from .dependencies import MOST_BYTES

REPOSITORY = "hosted.caches"
"""Beside the functions, whose names have no dot."""

KIND = "application/vnd.wasmfaas.dependencies.v1"

PLACES = 16
"""How many archives a tenant has of one architecture. A key has one place, and the newest key of a place has it: so no
archive need be deleted, which tenants' registry accounts and registries differ in."""

_KEY = "wasmfaas.dev/dependencies"


class DependencyCaches:
    """The archives of all tenants. Nobody reads them here: what a tenant's account or one of its builds has put there
    is unpacked in the pods of that tenant's builds alone.

    Args:
        files: of REPOSITORY and KIND.
    """

    def __init__(self, files: RegistryFiles) -> None:
        self._files = files

    def fetch(self, tenant: str, key: str, architecture: str, target: Path) -> bool:
        """Write the archive for a key to `target`; gives whether there is one. Raises OSError, PlatformError.

        Args:
            key: see `dependencies.cache_key`.
        """
        found = self._files.find(tenant, _tag(key, architecture))
        if found is None or found.annotations.get(_KEY) != key:
            return False
        self._files.get(tenant, found, target, most=MOST_BYTES)
        return True

    def keep(self, tenant: str, key: str, architecture: str, archive: Path) -> None:
        """Keep an archive for a key in place of the one that had its place; raises PlatformError."""
        self._files.put(tenant, _tag(key, architecture), archive, {_KEY: key})


def _tag(key: str, architecture: str) -> str:
    return f"{architecture}-{int(key[:8], 16) % PLACES}"
