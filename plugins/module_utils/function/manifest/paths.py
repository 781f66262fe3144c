# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the paths of a manifest inside of the project folder."""

from __future__ import annotations

import os
from pathlib import Path


def path_error(folder: Path, path: str) -> str | None:
    """Say why `path`, relative to `folder`, may not be used, or return None. Whether it exists does not matter."""
    if not path:
        return 'is empty (write "." for the whole folder)'
    if "\0" in path:
        return "holds a NUL character"
    if path.startswith("/"):
        return f'"{path}" is absolute, but must be relative to the folder of the manifest'
    if is_outside(os.path.normpath(path)):
        return f'"{path}" leaves the folder of the manifest'
    root = os.path.realpath(folder)
    if not is_within(os.path.realpath(os.path.join(root, path)), root):
        return f'"{path}" leaves the folder of the manifest through a symbolic link'
    return None


def is_outside(normal_path: str) -> bool:
    """Whether a normalised relative path climbs out of its folder."""
    return normal_path == ".." or normal_path.startswith("../")


def is_within(real_path: str, real_folder: str) -> bool:
    """Whether a path is `real_folder` or below it; both without symbolic links."""
    return real_path == real_folder or real_path.startswith(real_folder.rstrip("/") + "/")
