# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remembers which files of a project our builds made, so that they are not taken for sources.

A file counts as made while it is as a build left it. So whatever somebody puts or changes there is seen.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
import typing as t
from pathlib import Path

LOCK_FILES = frozenset({
    "Cargo.lock", "Gopkg.lock", "Pipfile.lock", "bun.lock", "bun.lockb", "composer.lock", "deno.lock", "deps.lock",
    "go.sum", "go.work.sum", "npm-shrinkwrap.json", "package-lock.json", "packages.lock.json", "pdm.lock",
    "pnpm-lock.yaml", "poetry.lock", "pylock.toml", "uv.lock", "wkg.lock", "yarn.lock",
})  # fmt: skip
"""Files that a build may write and that count as sources nevertheless."""


class Stamp(t.NamedTuple):
    """What tells, without reading it, that a file was not written since."""

    size: int
    time: int  # nanoseconds
    number: int  # of the inode

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Raises OSError where there is no such file."""
        status = os.lstat(path)
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@dataclasses.dataclass(frozen=True)
class MadeFile:
    """A file as a build left it; `line` is that of the source digest about it."""

    stamp: Stamp
    line: bytes


@dataclasses.dataclass(frozen=True)
class MadeFiles:
    """What our builds made in a project; paths are relative to the directory whose files count as its sources, which
    several functions may share."""

    files: dict[str, MadeFile] = dataclasses.field(default_factory=dict)
    directories: frozenset[str] = frozenset()

    @classmethod
    def read(cls, directory: Path, project: Path) -> MadeFiles:
        """What is remembered in `directory` of a project; nothing where the file is missing or damaged."""
        try:
            found = json.loads(_file(directory, project).read_bytes())
            return cls(
                {
                    path: MadeFile(Stamp(*map(int, stamp)), line.encode(errors="surrogateescape"))
                    for path, (stamp, line) in found["files"].items()
                },
                frozenset(found["directories"]),
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def write(self, directory: Path, project: Path) -> None:
        """Remember them, whole or not at all; raises OSError."""
        path = _file(directory, project)
        content = {
            "project": str(project),
            "files": {
                name: [file.stamp, file.line.decode(errors="surrogateescape")]
                for name, file in sorted(self.files.items())
            },
            "directories": sorted(self.directories),
        }
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=f".{path.name}.")
        try:
            with open(descriptor, "w", encoding="utf-8") as stream:
                json.dump(content, stream)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def is_lock_file(path: str) -> bool:
    """Whether the file is one in which a package manager keeps the versions that it chose."""
    return os.path.basename(path) in LOCK_FILES


def _file(directory: Path, project: Path) -> Path:
    return directory / f"{hashlib.sha256(os.fsencode(os.path.realpath(project))).hexdigest()[:24]}.made.json"
