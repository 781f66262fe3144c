# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of this collection that go into an image."""

from __future__ import annotations

import hashlib
import json
import shutil
import typing as t
from pathlib import Path

from ..errors import PlatformError

SHIPPED = ("plugins/module_utils", "plugins/modules", "service")
"""What the service and a build import, with the page's files; of modules their argument_spec."""
LOCK = "requirements-service.lock"
_LEFT_OUT = ("__pycache__",)


class Collection:
    """An installed collection, or a checkout of it.

    Args:
        directory: the one that holds `plugins` and `service`.

    Raises:
        PlatformError: it is no such directory.
    """

    def __init__(self, directory: Path) -> None:
        missing = next((name for name in (*SHIPPED, LOCK) if not (directory / name).exists()), "")
        if missing:
            raise PlatformError(
                f"{directory} is not the collection wasmfaas.platform: it has no {missing}.",
                next_step="Give the directory of a checkout or of the installed collection as `collection_directory`.",
            )
        self.directory = directory

    @property
    def version(self) -> str:
        """As it is published."""
        return published_version(self.directory)

    @property
    def lock(self) -> str:
        """The text of the service's lock file."""
        return (self.directory / LOCK).read_text(encoding="utf-8")

    def files(self) -> t.Iterator[Path]:
        """What is shipped, relative to the directory, in order."""
        for name in SHIPPED:
            for path in sorted((self.directory / name).rglob("*")):
                relative = path.relative_to(self.directory)
                hidden = any(part in _LEFT_OUT or part.startswith(".") for part in relative.parts)
                if path.is_file() and not hidden:
                    yield relative

    def digest(self) -> str:
        """Of all that is shipped."""
        whole = hashlib.sha256()
        for path in self.files():
            content = hashlib.sha256((self.directory / path).read_bytes()).hexdigest()
            whole.update(f"{content} {path.as_posix()}\n".encode())
        return f"sha256:{whole.hexdigest()}"

    def copy(self, target: Path) -> None:
        """Copy what is shipped."""
        for path in self.files():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.directory / path, target / path)


def published_version(directory: Path) -> str:
    """The version of the collection in a directory: of MANIFEST.json where it is installed, of galaxy.yml in a
    checkout. Errors: OSError, ValueError, KeyError."""
    manifest = directory / "MANIFEST.json"
    if manifest.is_file():
        return str(json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"])
    import yaml

    return str(yaml.safe_load((directory / "galaxy.yml").read_text(encoding="utf-8"))["version"])
