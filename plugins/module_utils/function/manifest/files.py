# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expands a component's `files` into the list of files that the guest sees.

Follows copy_file_mounts of Spin's crates/loader/src/local.rs, with three differences: a path that leaves the source
root is refused even if only a symbolic link leads out of it, special characters in the path of the project directory
itself have no meaning, and of two mounts with the same guest path the later one wins (Spin copies them at the same
time).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from ...errors import PlatformError
from .file_mounts import MOVE_FILES
from .globs import SymbolicLinkLoop, compile_pattern, find_files, looks_like_pattern, matches_everything_below
from .location import KeyPath
from .model import Component, FilesMount, Manifest
from .paths import Bounds, is_outside, is_within
from .problems import Problems


@dataclasses.dataclass(frozen=True)
class GuestFile:
    """A file in the guest: `path` is `/`-separated and relative to the guest's root, `source` the absolute path of its
    content."""

    path: str
    source: Path


class _Refused(Exception):
    """Why a mount cannot be used, and what to do about it."""

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


def expand_files(manifest: Manifest, component: Component) -> list[GuestFile]:
    """List the files that `component` may read, sorted by guest path.

    Raises:
        PlatformError: a mount names nothing, leaves the source root, cannot be read, or collides with another.
    """
    guest: dict[str, Path] = {}
    origin: dict[str, KeyPath] = {}
    bounds = manifest.bounds
    for index, mount in enumerate(component.files):
        path: KeyPath = ("component", component.id, "files", index)
        value = mount.source if isinstance(mount, FilesMount) else mount
        try:
            for guest_path, source in _expand(bounds, mount, component.exclude_files):
                guest[guest_path] = Path(source)
                origin[guest_path] = path
        except _Refused as refused:
            raise _error(manifest, path, value, refused.message, refused.next_step) from refused
        except SymbolicLinkLoop as loop:
            message = f'"{loop}" is a symbolic link to a directory that contains it'
            raise _error(
                manifest, path, value, message, f'Remove the link, or add "{loop}/*" to exclude_files.'
            ) from loop
        except (OSError, RecursionError) as error:
            raise _error(
                manifest, path, value, f"cannot be read: {error}", "Make the files readable for the user that deploys."
            ) from error
    for guest_path in guest:
        for parent in _parents(guest_path):
            if parent in guest:
                message = f'"{parent}" is a file by one mount and a directory by another ("{guest_path}")'
                raise _error(manifest, origin[guest_path], None, message, "Give one of the mounts another destination.")
    return [GuestFile(guest_path, guest[guest_path]) for guest_path in sorted(guest)]


def _error(manifest: Manifest, path: KeyPath, value: str | None, message: str, next_step: str) -> PlatformError:
    problems = Problems.of(manifest)
    problems.add(path, message, next_step, value)
    return problems.error()


def _expand(bounds: Bounds, mount: str | FilesMount, exclude_files: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(mount, FilesMount):
        yield from _expand_placement(bounds, mount, exclude_files)
        return
    _refuse_outside(bounds, mount)
    root = bounds.directory
    found = os.path.join(root, mount)
    if os.path.isdir(found):
        # Spin puts the files below the directory's path twice: copy_glob_or_path joins the destination with the
        # directory's path, and copy_glob joins that with each file's path relative to the project directory, which
        # begins with the directory's path again.
        prefix = os.path.normpath(mount)
        for path in _search(bounds, f"{mount}/**/*", mount, exclude_files):
            yield _guest_path(f"{prefix}/{path}"), os.path.join(root, path)
    elif os.path.exists(found):
        _refuse_special(found, mount)
        yield _guest_path(mount), found
    elif looks_like_pattern(mount):
        for path in _search(bounds, mount, "", exclude_files):
            yield _guest_path(path), os.path.join(root, path)
    else:
        raise _Refused(
            f'"{mount}" does not exist',
            "Create it, correct the path, or remove the entry; paths are relative to the directory of the manifest.",
        )


def _expand_placement(bounds: Bounds, mount: FilesMount, exclude_files: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    _refuse_outside(bounds, mount.source)
    root = bounds.directory
    found = os.path.join(root, mount.source)
    destination = mount.destination.lstrip("/")
    if os.path.isdir(found):
        source = os.path.normpath(mount.source)
        for path in _search(bounds, f"{mount.source}/**/*", mount.source, exclude_files):
            below = os.path.relpath(path, source)
            yield _guest_path(f"{destination}/{below}" if destination else below), os.path.join(root, path)
    elif os.path.exists(found):
        _refuse_special(found, mount.source)
        if destination.rpartition("/")[2] in ("", ".", ".."):
            message = f'"{mount.source}" is a file, but its destination "{mount.destination}" is a directory'
            raise _Refused(
                message,
                f'Write the file name too: destination = "{mount.destination.rstrip("/")}/{os.path.basename(found)}".',
            )
        yield _guest_path(destination), found
    else:
        raise _Refused(
            f'"{mount.source}" does not exist',
            "Create it, correct the path, or remove the entry; paths are relative to the directory of the manifest.",
        )


def _search(bounds: Bounds, pattern: str, literal: str, exclude_files: tuple[str, ...]) -> Iterator[str]:
    """Find the files of a pattern that are not excluded; its beginning `literal` has no special characters."""
    root = bounds.directory
    excludes = [compile_pattern(exclude) for exclude in exclude_files]
    directories: dict[str, bool] = {}

    def is_excluded_directory(directory: str) -> bool:
        return any(matches_everything_below(exclude, directory) for exclude in exclude_files)

    start = os.path.normpath(literal) if literal else ""
    base = "" if start == "." else start
    below = pattern[len(literal) :].lstrip("/") if literal else pattern

    def found_files() -> Iterator[str]:
        try:
            yield from find_files(
                os.path.join(root, base),
                below,
                skip_directory=lambda directory: is_excluded_directory(f"{base}/{directory}" if base else directory),
            )
        except SymbolicLinkLoop as loop:  # its path is relative to where the search began
            raise SymbolicLinkLoop(f"{base}/{loop}" if base else str(loop)) from loop

    for path in found_files():
        found = f"{base}/{path}" if base else path
        if any(exclude.fullmatch(found) for exclude in excludes):
            continue
        full = os.path.join(root, found)
        directory = os.path.dirname(full)
        if directory not in directories:
            directories[directory] = is_within(os.path.realpath(directory), bounds.source_root)
        if not directories[directory] or os.path.islink(full):
            refusal = bounds.refusal_to_leave(found, f'copy the file there, or add "{found}" to exclude_files')
            if refusal is not None:
                raise _Refused(*refusal)
        yield found


def _refuse_outside(bounds: Bounds, path: str) -> None:
    if refusal := bounds.refusal(path, MOVE_FILES):
        raise _Refused(*refusal)


def _refuse_special(found: str, path: str) -> None:
    if not os.path.isfile(found):
        raise _Refused(f'"{path}" is neither a file nor a directory', "Name a regular file or a directory.")


def _guest_path(path: str) -> str:
    normal = os.path.normpath(path)
    if is_outside(normal) or normal.startswith("/"):
        raise _Refused(f'the destination "{path}" leaves the root of the guest', 'Write a destination without "..".')
    return normal


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
