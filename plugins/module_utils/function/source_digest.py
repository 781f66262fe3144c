# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source digest: one value over all that a deployment's result depends on, known before anything is built.

It covers each file of the project (path, bytes, execute bit, link target), and so the manifest, the build commands and
every lock file, and the build profile. Where the manifest names something outside of the project directory, the project
is all of the source root (Manifest.sources): members, lock files and settings of a workspace lie anywhere in it.
It leaves out what is no source: version control, caches, virtual environments, what git ignores, the Wasm files that
the components' builds write, and the files in directories that an earlier build made, while they are as that build left
them (made_files.py). It always covers what git tracks, and what the manifest asks for (`files`, a `source` that nobody
builds, a dependency), even where `.gitignore` names it, unless a build wrote it.
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
from .gitignore import GIT, GITIGNORE, ignores_above, repository_of
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
        lines: for each file that counts, by its path relative to `Manifest.sources`, a line about its content.
        made: the files that an earlier build made and that are as it left them; those of another function with the
            same source root too.
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
    root = manifest.sources
    try:
        paths, named, directories = _inputs(manifest)
        # Another run may build a function of the same workspace just now, and so move its output away.
        stamps = {path: stamp for path in paths if (stamp := _stamp(root / path)) is not None}
        made = {
            path: file
            for path, file in earlier.files.items()
            if (stamps[path] if path in stamps else _stamp(root / path)) == file.stamp
        }
        read = [path for path in stamps if path not in made]
        lines = dict(zip(read, _hash_files(root, read, [stamps[path].size for path in read]), strict=True))
    except OSError as error:
        raise PlatformError(
            f"{error.filename}: {error.strerror}.",
            next_step="Make the file readable, or name it in .gitignore if nothing needs it"
            + (", or set source_root to a smaller directory." if manifest.covers_source_root else "."),
        ) from error
    for path in read:
        # Written again, or copied, but with the same content.
        if path in earlier.files and earlier.files[path].line == lines[path]:
            made[path] = MadeFile(stamps[path], lines.pop(path))
    path = _below(_place(manifest), manifest.path.name)
    heading = f"wasmfaas source digest {VERSION}\nmanifest {path}\nprofile {manifest.profile or ''}\n"
    return Sources(heading.encode(), lines, made, named, stamps, directories)


def _inputs(manifest: Manifest) -> tuple[list[str], frozenset[str], frozenset[str]]:
    """The paths of all input files relative to `manifest.sources`, sorted; those of them that only the manifest names;
    and the directories that were searched."""
    root, place = manifest.sources, _place(manifest)
    outputs = _outputs(manifest)
    found, directories = _search(root, outputs)
    # The files above a project do not see it if git ignores it, or if it is in a repository of its own.
    real_directory = Path(os.path.realpath(manifest.directory))
    if place and (place not in directories or repository_of(real_directory) != repository_of(root)):
        files, searched = _search(
            real_directory, {os.path.relpath(output, place) for output in outputs if _is_below(place, output)}
        )
        found |= {_below(place, path) for path in files}
        directories |= {_below(place, path) if path else place for path in searched}
    named = {path for path in _named(manifest) - outputs - found if os.path.lexists(root / path)}
    return sorted(found | named), frozenset(named), frozenset(directories)


def _search(root: Path, outputs: set[str]) -> tuple[set[str], set[str]]:
    """The files below `root` that may be sources, without `outputs`, and the directories that were searched; all
    relative to it."""
    walk = SourceWalk(root, outputs)
    found = set(walk.files())
    tracked = {
        path
        for path in tracked_files(root)
        if path not in found and path not in outputs and not _is_skipped_file(os.path.basename(path))
    }
    return found | {path for path in tracked if _is_file(root / path)}, walk.directories


def made_outputs(manifest: Manifest) -> dict[str, MadeFile]:
    """The Wasm files that the components' builds wrote, as another function with the same source root sees them.

    Raises:
        OSError: a file cannot be read.
    """
    root = manifest.sources
    return {
        path: MadeFile(Stamp.of(root / path), _line(root, path, threading.Event()))
        for path in sorted(_outputs(manifest))
        if os.path.isfile(root / path)
    }


def _outputs(manifest: Manifest) -> set[str]:
    """The paths of the Wasm files that the components' builds write."""
    return {
        _relative(manifest, component.source.path)
        for component in manifest.components.values()
        if component.build and isinstance(component.source, LocalSource)
    }


def _relative(manifest: Manifest, path: str) -> str:
    """A path of the manifest relative to `manifest.sources`."""
    return os.path.relpath(manifest.absolute(path), os.path.realpath(manifest.sources))


def _place(manifest: Manifest) -> str:
    """The path of the project directory relative to `manifest.sources`; empty where they are the same."""
    place = os.path.relpath(os.path.realpath(manifest.directory), os.path.realpath(manifest.sources))
    return "" if place == "." else place


def _below(place: str, path: str) -> str:
    return f"{place}/{path}" if place else path


def _is_below(place: str, path: str) -> bool:
    return path.startswith(f"{place}/")


def _named(manifest: Manifest) -> set[str]:
    """The paths that the manifest names as inputs."""
    # `expand_files` gives real paths, and the digest must not depend on how the directory was named
    real_sources = os.path.realpath(manifest.sources)
    is_built = any(component.build for component in manifest.components.values())
    named = {_below(_place(manifest), manifest.path.name)}
    for component in manifest.components.values():
        if isinstance(component.source, LocalSource) and not component.build:
            named.add(_relative(manifest, component.source.path))
        for dependency in component.dependencies.values():
            if "path" in dependency:
                named.add(_relative(manifest, dependency["path"]))
        for mount in component.files:
            try:
                files = expand_files(manifest, dataclasses.replace(component, files=(mount,)))
            except PlatformError:
                if not is_built:
                    raise
                continue  # a build may write it; packing finds out
            named.update(os.path.relpath(file.source, real_sources) for file in files)
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


def _stamp(path: Path) -> Stamp | None:
    """None where there is no such file; raises OSError where it cannot be seen."""
    try:
        return Stamp.of(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


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
