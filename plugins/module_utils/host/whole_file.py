# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files of ours, written so that a reader, and a run that is cut off, finds the old or the new content and
nothing in between."""

from __future__ import annotations

import os


def write(
    path: str | os.PathLike[str], text: str, *, mode: int | None = 0o600, durable: bool = False, partial: str = ""
) -> None:
    """Replace the file as a whole. Its directory must exist.

    Args:
        mode: of the file, whatever the umask says; None leaves it to the umask, for files that are the user's.
        durable: it is on the disk afterwards, even if the power fails.
        partial: where it is written first, beside the file; give one of its own where several processes may write at
            once.

    Raises:
        OSError: it could not be written; the file in place is as it was.
    """
    path = os.fspath(path)
    partial = partial or f"{path}.wasmfaas-partial"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666 if mode is None else 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.replace(partial, path)


def update(path: str, text: str, *, check_mode: bool) -> bool:
    """Have a file of the user's hold a text; its directory is made too. Gives whether it held something else."""
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return False
    except FileNotFoundError:
        pass
    if not check_mode:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        write(path, text, mode=None)
    return True
