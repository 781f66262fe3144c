# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What package managers downloaded in a build, as an archive for later builds with the same lock files.

Only dependencies are taken, from the directories where npm (cacache), pip, cargo and Go keep it by default below
HOME. Each of them checks what it finds there, npm, cargo and Go by the digests of the lock file.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import tarfile
from pathlib import Path

from ...plugins.module_utils.errors import PlatformError
from ...plugins.module_utils.function.made_files import MadeFiles, is_lock_file
from ...plugins.module_utils.function.manifest.model import Manifest
from ...plugins.module_utils.function.source_digest import read_sources
from ..sources.archive import unpack
from ..sources.limits import LIMITS
from .result import add_file

ARCHITECTURES = ("amd64", "arm64")
"""Those of the builders' images, as Go and OCI name them."""

MOST_BYTES = 256 << 20
"""Of an archive."""

DIRECTORIES = (".npm/_cacache", ".cache/pip", ".cargo/registry/cache", ".cargo/registry/index",
               "go/pkg/mod/cache/download")  # fmt: skip
"""Relative to HOME. Compiled files (cargo's `target`, Go's build cache) are left out: they are larger than what they
save."""

_MOST_FILES = LIMITS.entries // 2
"""Directories count as entries too."""

_VERSION = "1"
"""Raised when an archive is packed differently: older ones are not found any more."""

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_REQUIREMENTS = "requirements.txt"


def architecture() -> str:
    """That of this machine; empty where it is none of ARCHITECTURES."""
    return _MACHINES.get(platform.machine(), "")


def cache_key(manifest: Manifest, image: str) -> str:
    """What builds must have in common to share dependencies, as 64 hexadecimal digits; empty for a project without a
    lock file.

    Args:
        image: full reference of the builder's image, which stands for the versions of its tools.
    """
    lines = read_sources(manifest, MadeFiles()).lines
    locks = sorted(path for path in lines if is_lock_file(path) or os.path.basename(path) == _REQUIREMENTS)
    if not locks:
        return ""
    total = hashlib.sha256(f"{_VERSION}\n{image}\n".encode())
    for path in locks:
        total.update(lines[path])
    return total.hexdigest()


def take_dependencies(archive: Path, home: Path, directory: Path) -> frozenset[str]:
    """Put the dependencies of an archive where the package managers look for them; gives their paths below `home`.

    Args:
        home: the HOME of the build, without any of DIRECTORIES.
        directory: is made, on the same file system as `home`.

    Raises:
        PlatformError: the archive holds what no archive may, and nothing of it was taken.
    """
    directory.mkdir()
    unpack(archive, directory)
    for name in DIRECTORIES:
        if (directory / name).is_dir():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            os.rename(directory / name, home / name)
    return frozenset(_files(home))


def pack_dependencies(home: Path, known: frozenset[str], archive: Path) -> bool:
    """Pack what the package managers downloaded; gives whether there is an archive: not where nothing is new.

    Args:
        known: what `take_dependencies` gave.

    Raises:
        PlatformError: it is more than an archive may hold, or cannot be read.
    """
    files = _files(home)
    if known.issuperset(files):
        return False
    size = sum(map(_packed_size, files.values()), start=tarfile.RECORDSIZE)
    if size > MOST_BYTES or len(files) > _MOST_FILES:
        raise PlatformError(
            f"They are {len(files)} files with {size >> 20} MiB, and {_MOST_FILES} files with {MOST_BYTES >> 20} MiB "
            "are kept.",
            next_step="Use fewer dependencies.",
        )
    try:
        with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(files):
                add_file(tar, path, home / path)
    except OSError as error:
        raise PlatformError(f"They cannot be packed: {error}.", next_step="Deploy again.") from error
    return True


def _packed_size(size: int) -> int:
    """Bytes of a file of `size` bytes in an archive at most: in whole blocks, with its header and one for a path of up
    to 1 KiB (POSIX.1-2001, pax)."""
    return size + 6 * tarfile.BLOCKSIZE


def _files(home: Path) -> dict[str, int]:
    """The regular files in all DIRECTORIES: bytes by path relative to `home`."""
    found: dict[str, int] = {}
    for name in DIRECTORIES:
        for parent, _directories, names in os.walk(home / name):
            for file in names:
                path = os.path.join(parent, file)
                status = os.lstat(path)
                if stat.S_ISREG(status.st_mode):
                    found[os.path.relpath(path, home)] = status.st_size
    return found
