# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source digest: one value over all that a deployment's result depends on, known before anything is built.

It covers each file of the project (path, bytes, execute bit, link target), and so the manifest, the build commands and
every lock file, and the build profile. It leaves out what a build makes: version control, caches, what `.gitignore`
names, and the output of the components' own builds. What the manifest itself asks for (`files`, a `source` nobody
builds) is always covered, even where `.gitignore` names it; but not the `files` that a component's own build writes
(`dist` and the like).
Times and owners do not count.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import os
import stat
import threading
import typing as t
from pathlib import Path

from ..errors import PlatformError
from .manifest.files import expand_files
from .manifest.model import FilesMount, LocalSource, Manifest

VERSION = "1"
"""Raised when the way to compute changes: a new version makes every function deploy once more."""

SKIPPED_DIRECTORIES = frozenset({
    ".git", ".hg", ".svn", ".jj",
    ".spin", ".venv", "venv", ".tox", ".nox",
    "node_modules", "bower_components",
    "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".cache", ".gradle",
})  # fmt: skip
"""Directories that version control, package managers and tools fill; what they hold follows from lock files."""

SKIPPED_FILES = frozenset({".DS_Store", "spin-dependencies.wit"})
"""Files that tools write beside the sources (`spin build` writes the latter)."""

OUTPUT_DIRECTORIES = frozenset({"build", "dist", "out", "target"})
"""Directories taken for build output when a build writes its Wasm file there, or when a component with a build mounts
files from them."""

CARGO_TARGET = "target"

_BELOW = "ps_d"
"""pathspec's name for the part of a match that is below what a pattern names."""

_READ_BYTES = 1 << 20
_PARALLEL_FROM_BYTES = 1 << 22


def source_digest(manifest: Manifest) -> str:
    """The digest `sha256:<hex>` of the project that `manifest` describes.

    Raises:
        PlatformError: a file cannot be read.
    """
    try:
        listing = list(_hash_files(manifest.directory, _inputs(manifest)))
    except OSError as error:
        raise PlatformError(
            f"{error.filename}: {error.strerror}.",
            next_step="Make the file readable, or name it in .gitignore if nothing needs it.",
        ) from error
    total = hashlib.sha256(
        f"wasmfaas source digest {VERSION}\nmanifest {manifest.path.name}\nprofile {manifest.profile or ''}\n".encode()
    )
    for line in listing:
        total.update(line)
    return f"sha256:{total.hexdigest()}"


def _inputs(manifest: Manifest) -> list[str]:
    """Paths of all input files relative to the project directory, sorted."""
    declared: set[str] = {manifest.path.name}
    outputs: set[str] = set()
    output_directories: set[str] = set()
    # `expand_files` gives real paths, and the digest must not depend on how the directory was named
    real_directory = os.path.realpath(manifest.directory)
    is_built = any(component.build for component in manifest.components.values())
    for component in manifest.components.values():
        if isinstance(component.source, LocalSource):
            (outputs if component.build else declared).add(os.path.normpath(component.source.path))
        for dependency in component.dependencies.values():
            if "path" in dependency:
                declared.add(os.path.normpath(dependency["path"]))
        for mount in component.files:
            directory = (
                output_directory(os.path.join(mount.source if isinstance(mount, FilesMount) else mount, "*"))
                if component.build
                else None
            )
            if directory:
                output_directories.add(directory)
                continue
            try:
                files = expand_files(manifest, dataclasses.replace(component, files=(mount,)))
            except PlatformError:
                if not is_built:
                    raise
                continue  # a build may write it; packing finds out
            declared.update(os.path.relpath(file.source, real_directory) for file in files)
    declared -= outputs
    output_directories |= {directory for output in outputs if (directory := output_directory(output))}
    found = set(_walk(manifest.directory, outputs, output_directories))
    existing = {path for path in declared if os.path.lexists(manifest.directory / path)}
    return sorted(found | existing)


def output_directory(output: str) -> str | None:
    """The outermost directory of `output` that is named like a build's: `dist` of `dist/x.wasm`."""
    parts = Path(os.path.normpath(output)).parts
    for index, part in enumerate(parts[:-1]):
        if part in OUTPUT_DIRECTORIES:
            return str(Path(*parts[: index + 1]))
    return None


def _walk(root: Path, outputs: set[str], output_directories: set[str]) -> t.Iterator[str]:
    """All files below `root` that are not made by builds."""
    pending: list[tuple[str, tuple[tuple[str, t.Any], ...]]] = [("", ())]
    while pending:
        directory, ignores = pending.pop()
        with os.scandir(root / directory) as listing:
            entries = list(listing)
        names = {entry.name for entry in entries}
        if any(entry.name == ".gitignore" and entry.is_file() for entry in entries):
            ignores = (*ignores, (directory, _gitignore(root / directory / ".gitignore")))
        for entry in entries:
            path = f"{directory}/{entry.name}" if directory else entry.name
            if entry.is_dir(follow_symlinks=False):
                skipped = (
                    entry.name in SKIPPED_DIRECTORIES
                    or path in output_directories
                    or (entry.name == CARGO_TARGET and "Cargo.toml" in names)
                )
                if not skipped and not _ignored(f"{path}/", ignores):
                    pending.append((path, ignores))
            elif (
                path not in outputs
                and entry.name not in SKIPPED_FILES
                and not entry.name.endswith(".pyc")
                and not _ignored(path, ignores)
            ):
                yield path


def _gitignore(path: Path) -> t.Any:
    import pathspec  # only where a project has a .gitignore: the import costs more than digesting a small project

    return pathspec.GitIgnoreSpec.from_lines(path.read_text(errors="replace").splitlines())


def _ignored(path: str, ignores: tuple[tuple[str, t.Any], ...]) -> bool:
    """Whether the innermost .gitignore that has a say leaves `path` out (a directory ends with `/`); nearer files and
    later lines win, as in git."""
    for directory, spec in reversed(ignores):
        relative = path[len(directory) + 1 :] if directory else path
        for pattern in reversed(spec.patterns):
            if pattern.include is not None and _matches(pattern, relative):
                return bool(pattern.include)
    return False


def _matches(pattern: t.Any, path: str) -> bool:
    """Whether `pattern` names `path` itself.

    pathspec is made for flat lists of files, and so also matches all that lies below what a pattern names. Here the
    walk stops at an ignored directory; with those matches too, `*` with `!*/`, `!directory/` and `directory/**` would
    not mean what they mean to git.
    """
    for found in pattern.regex.finditer(path):
        if found.groupdict().get(_BELOW) is None:
            # `directory/**` has no such group and matches "directory/" to its end, but means what is in the directory.
            if not path.endswith("/") or found.end() < len(path):
                return True
        elif found.start(_BELOW) == len(path) - 1:
            return True
    return False


def _hash_files(root: Path, paths: list[str]) -> t.Iterator[bytes]:
    """One line a file. Threads help only where there is much to hash, as hashing lets go of Python's lock for large
    buffers alone."""
    sizes = [os.lstat(root / path).st_size for path in paths]
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
