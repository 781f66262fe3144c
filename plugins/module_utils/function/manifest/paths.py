# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the paths of a manifest inside of the source root: the project directory, or one above it."""

from __future__ import annotations

import dataclasses
import os
import typing as t
from pathlib import Path

from ...errors import PlatformError
from ..gitignore import repository_of


class Refusal(t.NamedTuple):
    """Why a path may not be used, and what to do about it."""

    message: str
    next_step: str


@dataclasses.dataclass(frozen=True)
class Bounds:
    """How far the paths of a manifest may lead.

    Attributes:
        directory: that of the manifest, absolute, without symbolic links.
        source_root: the directory that no path leaves: the same one, or one above it.
    """

    directory: str
    source_root: str

    def refusal(self, path: str, otherwise: str) -> Refusal | None:
        """Why `path`, relative to the directory, may not be used; None where it may. Whether it exists does not matter.

        Args:
            otherwise: what to do, other than to choose another source root: a sentence without its capital and full
                stop.
        """
        message = None
        if not path:
            message = 'is empty (write "." for the whole directory)'
        elif "\0" in path:
            message = "holds a NUL character"
        elif path.startswith("/"):
            message = f'"{path}" is absolute, but must be relative to the directory of the manifest'
        if message is not None:
            return Refusal(message, f"{otherwise[0].upper()}{otherwise[1:]}.")
        return self.refusal_to_leave(path, otherwise)

    def refusal_to_leave(self, path: str, otherwise: str) -> Refusal | None:
        """Why `path` may not be used, if it is relative and leaves the source root; arguments as of `refusal`."""
        through = self._leaves(path, self.source_root)
        if through is None:
            return None
        place = "the directory of the manifest"
        if self.source_root != self.directory:
            place = f"the source root {self.source_root}"
        message = f'"{path}" leaves {place}{through}'
        wider = self._wider_root(path)
        if wider is None:
            return Refusal(message, f"{otherwise[0].upper()}{otherwise[1:]}.")
        return Refusal(
            message, f"Set source_root to a directory that holds both (`-e source_root={wider}`), or {otherwise}."
        )

    def leaves_directory(self, path: str) -> bool:
        """Whether a relative `path` leads out of the directory of the manifest, by itself or through a symbolic
        link."""
        return self._leaves(path, self.directory) is not None

    def _leaves(self, path: str, limit: str) -> str | None:
        """How `path` leaves `limit`, as the end of a sentence; None where it does not."""
        if path.startswith("/") or "\0" in path:
            return None
        written = os.path.join(self.directory, path)
        if not is_within(os.path.normpath(written), limit):
            return ""
        return None if is_within(os.path.realpath(written), limit) else " through a symbolic link"

    def _wider_root(self, path: str) -> str | None:
        """The smallest source root with which `path` could be used; None where that holds nearly everything."""
        written = os.path.join(self.directory, path)
        wider = os.path.commonpath([self.directory, os.path.normpath(written), os.path.realpath(written)])
        return None if is_within(os.path.realpath(os.path.expanduser("~")), wider) else wider


def find_bounds(directory: Path, source_root: Path | None) -> Bounds:
    """The bounds of the manifest in `directory`.

    Args:
        source_root: as the user gave it; None takes the top directory of the git repository that `directory` lies in,
            or else `directory` itself.

    Raises:
        PlatformError: `source_root` is no directory, or does not hold `directory`.
    """
    real = os.path.realpath(directory)
    if source_root is None:
        return Bounds(real, str(repository_of(Path(real)) or real))
    root = os.path.realpath(source_root)
    next_step = f"Give the project directory {real} or a directory above it."
    if not os.path.isdir(root):
        raise PlatformError(f"source_root: {source_root} is no directory.", next_step=next_step)
    if not is_within(real, root):
        raise PlatformError(f"source_root: {root} does not hold the project.", next_step=next_step)
    return Bounds(real, root)


def is_outside(normal_path: str) -> bool:
    """Whether a normalised relative path climbs out of its directory."""
    return normal_path == ".." or normal_path.startswith("../")


def is_within(real_path: str, real_directory: str) -> bool:
    """Whether a path is `real_directory` or below it; both without symbolic links."""
    return real_path == real_directory or real_path.startswith(real_directory.rstrip("/") + "/")
