# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks git which files it tracks; without git, or without a repository, it tracks none."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .gitignore import repository_of

_TIMEOUT_SECONDS = 30


def tracked_files(directory: Path) -> list[str]:
    """The files below `directory` that git tracks, existing or not, as paths relative to it.

    A submodule is one path, of a directory.
    """
    real = Path(os.path.realpath(directory))
    if repository_of(real) is None:
        return []
    return [os.fsdecode(path) for path in _git(real, "ls-files", "-z", "--cached").split(b"\0") if path]


def is_tracked(path: Path) -> bool:
    """Whether git tracks this file, existing or not: then it may be a given file beside a build of something else."""
    return bool(_git(path.parent, "ls-files", "-z", "--cached", "--", f":(literal){path.name}"))


def _git(directory: Path, *arguments: str) -> bytes:
    """What git prints about a directory that may belong to somebody else; nothing where it fails.

    It runs no program that the repository's configuration names, and takes no repository from the environment, as git
    sets one for its hooks.
    """
    command = ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(directory), *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env=environment,
            timeout=_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""
