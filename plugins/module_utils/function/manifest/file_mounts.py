# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks which files a component takes along: `files` and `exclude_files`."""

from __future__ import annotations

import os

from .globs import pattern_error
from .location import KeyPath
from .model import Component, FilesMount, Manifest
from .paths import is_outside
from .problems import Problems

MOVE_FILES = "move the files into the directory of the manifest"
"""What to do about a path that may not be used."""


def check_files(manifest: Manifest, component: Component, path: KeyPath, problems: Problems) -> None:
    """Note what is wrong with the files of a component."""
    directory, bounds = manifest.directory, manifest.bounds
    for index, mount in enumerate(component.files):
        key: KeyPath = (*path, "files", index)
        if isinstance(mount, FilesMount):
            if refusal := bounds.refusal(mount.source, MOVE_FILES):
                problems.add(key, f"source {refusal.message}", refusal.next_step, mount.source)
            if "\0" in mount.destination or is_outside(_normal(mount.destination)):
                problems.add(
                    key,
                    f'destination "{mount.destination}" leaves the root of the guest',
                    'Write a destination without "..".',
                    mount.destination,
                )
            elif mount.destination.rpartition("/")[2] == ".":
                # Rust's create_dir_all, with which Spin makes the directory, cannot make one whose name is "."
                problems.add(
                    key,
                    f'destination "{mount.destination}" ends in the current directory (.), which Spin cannot create',
                    f'Write destination = "{mount.destination[:-1] or "/"}".',
                    mount.destination,
                )
            continue
        last = mount.rpartition("/")[2]
        if last in (".", ".."):
            what = "the current directory" if last == "." else "the parent directory"
            next_step = 'Write { source = ".", destination = "/" }, or a pattern that ends in "**/*".'
            problems.add(key, f'the pattern "{mount}" ends in {what} ({last})', next_step, mount)
        elif refusal := bounds.refusal(mount, MOVE_FILES):
            problems.add(key, *refusal, mount)
        elif is_outside(os.path.normpath(mount)):
            # Spin puts each file at the path that it has from the directory of the manifest (crates/loader/src/local.rs
            # of 4.0.2, copy_glob_or_path), which here is beside what the guest sees.
            problems.add(
                key,
                f'the pattern "{mount}" leaves the directory of the manifest, so the function would not see its files',
                'Write a directory outside as { source = "../web", destination = "/web" }.',
                mount,
            )
        elif not os.path.exists(directory / mount) and (error := pattern_error(mount)):
            problems.add(
                key,
                f'"{mount}" is no valid pattern: {error}',
                'Write a pattern such as "assets/**/*"; a special character is written in brackets: "[[]".',
                mount,
            )
    for index, pattern in enumerate(component.exclude_files):
        if error := pattern_error(pattern):
            next_step = 'Write a pattern such as "secrets/*"; a special character is written in brackets: "[[]".'
            problems.add(
                (*path, "exclude_files", index), f'"{pattern}" is no valid pattern: {error}', next_step, pattern
            )


def _normal(destination: str) -> str:
    return os.path.normpath(destination.lstrip("/"))
