# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source digest: one value over all that a deployment's result depends on, known before anything is built.

It covers each file of the project (path, bytes, execute bit, link target), and so the manifest, the build commands and
every lock file, and the build profile. It leaves out what is no source: version control, caches, virtual environments,
what git ignores, the Wasm files that the components' builds write, and the files in directories that an earlier build
made, while they are as that build left them (made_files.py). It always covers what git tracks, and what the manifest
asks for (`files`, a `source` that nobody builds, a dependency), even where `.gitignore` names it, unless a build wrote
it.
Times and owners do not count.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import hashlib
import os
import stat
import threading
import typing as t
from pathlib import Path

from ..errors import PlatformError
from .gitignore import GIT, GITIGNORE, ignores_above
from .made_files import MadeFile, MadeFiles, Stamp
from .manifest.files import expand_files
from .manifest.model import LocalSource, Manifest
from .version_control import tracked_files

VERSION = "2"
"""Raised when the way to compute changes: a new version makes every function deploy once more."""

SKIPPED_DIRECTORIES = frozenset({
    ".git", ".hg", ".svn", ".jj",
    ".spin", ".venv", "venv", ".tox", ".nox",
    "node_modules", "bower_components",
    "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".cache", ".gradle",
})  # fmt: skip
"""Directories that version control, package managers and tools fill; what they hold follows from lock files."""

SKIPPED_FILES = frozenset({GIT, ".DS_Store", "spin-dependencies.wit"})
"""Files that tools write beside the sources (`spin build` writes the last one; `.git` is a file in a worktree and in a
submodule)."""

VIRTUAL_ENVIRONMENT = "pyvenv.cfg"
"""The file that makes a directory a virtual environment of Python, whatever its name (PEP 405)."""

CACHE_TAG = "CACHEDIR.TAG"
_CACHE_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
"""With this the file marks a cache directory, such as cargo's `target` (https://bford.info/cachedir)."""

_READ_BYTES = 1 << 20
_PARALLEL_FROM_BYTES = 1 << 22


@dataclasses.dataclass(frozen=True)
class Sources:
    """What was found of a project.

    Attributes:
        heading: what counts beside the files.
        lines: for each file that counts, by its path relative to the project directory, a line about its content.
        made: the files that an earlier build made and that are as it left them.
        named: files that count only because the manifest names them: git or we would leave them out.
        stamps: of all these files.
        directories: those that were searched.
    """

    heading: bytes
    lines: dict[str, bytes]
    made: dict[str, MadeFile]
    named: frozenset[str]
    stamps: dict[str, Stamp]
    directories: frozenset[str]

    @functools.cached_property
    def digest(self) -> str:
        """The source digest, `sha256:<hex>`."""
        total = hashlib.sha256(self.heading)
        for path in sorted(self.lines):
            total.update(self.lines[path])
        return f"sha256:{total.hexdigest()}"


def source_digest(manifest: Manifest) -> str:
    """The digest of the project that `manifest` describes, where nothing is known of earlier builds.

    Raises:
        PlatformError: a file cannot be read.
    """
    return read_sources(manifest, MadeFiles()).digest


def read_sources(manifest: Manifest, earlier: MadeFiles) -> Sources:
    """Read the project that `manifest` describes.

    Args:
        earlier: what builds of ours made in its directory.

    Raises:
        PlatformError: a file cannot be read.
    """
    root = manifest.directory
    try:
        paths, named, directories = _inputs(manifest)
        stamps = {path: Stamp.of(root / path) for path in paths}
        made = {path: file for path, file in earlier.files.items() if stamps.get(path) == file.stamp}
        read = [path for path in paths if path not in made]
        lines = dict(zip(read, _hash_files(root, read, [stamps[path].size for path in read]), strict=True))
    except OSError as error:
        raise PlatformError(
            f"{error.filename}: {error.strerror}.",
            next_step="Make the file readable, or name it in .gitignore if nothing needs it.",
        ) from error
    for path in read:
        # Written again, or copied, but with the same content.
        if path in earlier.files and earlier.files[path].line == lines[path]:
            made[path] = MadeFile(stamps[path], lines.pop(path))
    heading = f"wasmfaas source digest {VERSION}\nmanifest {manifest.path.name}\nprofile {manifest.profile or ''}\n"
    return Sources(heading.encode(), lines, made, named, stamps, directories)


def _inputs(manifest: Manifest) -> tuple[list[str], frozenset[str], frozenset[str]]:
    """The paths of all input files relative to the project directory, sorted; those of them that only the manifest
    names; and the directories that were searched."""
    outputs = {
        os.path.normpath(component.source.path)
        for component in manifest.components.values()
        if component.build and isinstance(component.source, LocalSource)
    }
    walk = SourceWalk(manifest.directory, outputs)
    found = set(walk.files())
    tracked = {
        path
        for path in tracked_files(manifest.directory)
        if path not in found and path not in outputs and not _is_skipped_file(os.path.basename(path))
    }
    found |= {path for path in tracked if _is_file(manifest.directory / path)}
    named = {path for path in _named(manifest) - outputs - found if os.path.lexists(manifest.directory / path)}
    return sorted(found | named), frozenset(named), frozenset(walk.directories)


def _named(manifest: Manifest) -> set[str]:
    """The paths that the manifest names as inputs."""
    # `expand_files` gives real paths, and the digest must not depend on how the directory was named
    real_directory = os.path.realpath(manifest.directory)
    is_built = any(component.build for component in manifest.components.values())
    named = {manifest.path.name}
    for component in manifest.components.values():
        if isinstance(component.source, LocalSource) and not component.build:
            named.add(os.path.normpath(component.source.path))
        for dependency in component.dependencies.values():
            if "path" in dependency:
                named.add(os.path.normpath(dependency["path"]))
        for mount in component.files:
            try:
                files = expand_files(manifest, dataclasses.replace(component, files=(mount,)))
            except PlatformError:
                if not is_built:
                    raise
                continue  # a build may write it; packing finds out
            named.update(os.path.relpath(file.source, real_directory) for file in files)
    return named


class SourceWalk:
    """Searches a project for files that may be sources; `directories` are those that it searched."""

    def __init__(self, root: Path, outputs: set[str]) -> None:
        self._root = root
        self._outputs = outputs
        self.directories: set[str] = set()

    def files(self) -> t.Iterator[str]:
        """Their paths relative to the root."""
        place, ignores = ignores_above(self._root)
        prefix = f"{place}/" if place else ""
        pending = [("", ignores)]
        while pending:
            directory, ignores = pending.pop()
            here = self._root / directory
            with os.scandir(here) as listing:
                entries = list(listing)
            names = {entry.name for entry in entries}
            if directory and self._is_made_by_tools(here, names):
                continue
            self.directories.add(directory)
            if GITIGNORE in names or GIT in names:
                ignores = ignores.entering(f"{prefix}{directory}" if directory else place, here)
            for entry in entries:
                path = f"{directory}/{entry.name}" if directory else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in SKIPPED_DIRECTORIES and not ignores.names(
                        f"{prefix}{path}", is_directory=True
                    ):
                        pending.append((path, ignores))
                elif (
                    path not in self._outputs
                    and not _is_skipped_file(entry.name)
                    and not ignores.names(f"{prefix}{path}", is_directory=False)
                ):
                    yield path

    @staticmethod
    def _is_made_by_tools(directory: Path, names: set[str]) -> bool:
        if VIRTUAL_ENVIRONMENT in names:
            return True
        tag = directory / CACHE_TAG
        if CACHE_TAG not in names or not tag.is_file():
            return False
        with open(tag, "rb") as stream:
            return stream.read(len(_CACHE_SIGNATURE)) == _CACHE_SIGNATURE


def _is_skipped_file(name: str) -> bool:
    return name in SKIPPED_FILES or name.endswith(".pyc")


def _is_file(path: Path) -> bool:
    """Whether there is a file or link; git also tracks a directory, where it is a submodule."""
    return path.is_symlink() or path.is_file()


def _hash_files(root: Path, paths: list[str], sizes: list[int]) -> t.Iterator[bytes]:
    """One line a file. Threads help only where there is much to hash, as hashing lets go of Python's lock for large
    buffers alone."""
    stop = threading.Event()
    if sum(sizes) < _PARALLEL_FROM_BYTES:
        yield from (_line(root, path, stop) for path in paths)
        return
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        try:
            yield from pool.map(lambda path: _line(root, path, stop), paths)
        finally:
            stop.set()  # the pool waits for its threads, after an interrupt too: not for all of a large file


def _line(root: Path, path: str, stop: threading.Event) -> bytes:
    full = root / path
    status = os.lstat(full)
    if stat.S_ISLNK(status.st_mode) and not full.is_file():
        return f"link {path}\0{os.readlink(full)}\n".encode(errors="surrogateescape")
    if not full.is_file():
        # A socket or pipe: nothing to read
        return f"other {path}\0{stat.S_IFMT(status.st_mode)}\n".encode(errors="surrogateescape")
    digest = hashlib.sha256()
    with open(full, "rb", buffering=0) as stream:
        while block := stream.read(_READ_BYTES):
            if stop.is_set():
                raise concurrent.futures.CancelledError
            digest.update(block)
        executable = bool(os.fstat(stream.fileno()).st_mode & stat.S_IXUSR)
    return f"file {path}\0{digest.hexdigest()}\0{'x' if executable else '-'}\n".encode(errors="surrogateescape")
