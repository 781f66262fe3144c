# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remembers on this machine which project a function was deployed from, so that another project with the same
application name does not replace it unnoticed."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

from .manifest.model import Manifest

_KEPT = 20
"""Artifacts remembered for each function, the latest ones."""


def another_directory(file: Path, manifest: Manifest, digest: str) -> str | None:
    """A warning if the live function came from another project that is still there.

    Args:
        file: keeps what is remembered of the function.
        digest: of the artifact that the live function runs.
    """
    first = _read(file).get(digest)
    here = os.path.realpath(manifest.path)
    if first is None or first == here or not os.path.isfile(first):
        return None
    return (
        f"{file.parent.name}/{file.stem} was deployed from {first}, and is replaced by {here}, whose application has "
        "the same name. Next: To keep both, give one of them another name with `-e name=NAME`."
    )


def note_directory(file: Path, manifest: Manifest, digest: str) -> None:
    """Remember that the artifact `digest` comes from this project. Where that fails, only the warning will be
    missing."""
    known = _read(file)
    known.pop(digest, None)
    known[digest] = os.path.realpath(manifest.path)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with open(descriptor, "w", encoding="utf-8") as stream:
                json.dump(dict(list(known.items())[-_KEPT:]), stream, indent=2)
            os.replace(temporary, file)
        except BaseException:
            os.unlink(temporary)
            raise


def _read(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
