# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the paths of a manifest inside of the project directory."""

from __future__ import annotations

import os
from pathlib import Path


def path_error(directory: Path, path: str) -> str | None:
    """Say why `path`, relative to `directory`, may not be used, or return None. Whether it exists does not matter."""
    if not path:
        return 'is empty (write "." for the whole directory)'
    if "\0" in path:
        return "holds a NUL character"
    if path.startswith("/"):
        return f'"{path}" is absolute, but must be relative to the directory of the manifest'
    if is_outside(os.path.normpath(path)):
        return f'"{path}" leaves the directory of the manifest'
    root = os.path.realpath(directory)
    if not is_within(os.path.realpath(os.path.join(root, path)), root):
        return f'"{path}" leaves the directory of the manifest through a symbolic link'
    return None


def is_outside(normal_path: str) -> bool:
    """Whether a normalised relative path climbs out of its directory."""
    return normal_path == ".." or normal_path.startswith("../")


def is_within(real_path: str, real_directory: str) -> bool:
    """Whether a path is `real_directory` or below it; both without symbolic links."""
    return real_path == real_directory or real_path.startswith(real_directory.rstrip("/") + "/")
