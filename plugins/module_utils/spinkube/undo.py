# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoes a change that fails, and tells in its error what was made of it."""

from __future__ import annotations

import contextlib
import typing as t

from ..errors import PlatformError
from .lock import DeploymentLock


@contextlib.contextmanager
def undone_on_error(lock: DeploymentLock, undo: t.Callable[[BaseException], str], *, failed: str) -> t.Iterator[None]:
    """Call `undo` where the body fails; an interrupt, too, must not leave a half deployed function.

    Nothing is undone once another deployment has the lock, since that one decides the state.

    Args:
        undo: gets the error, and returns what it did as the end of the error's message.
        failed: what the message says where `undo` itself fails.
    """
    try:
        yield
    except BaseException as error:
        if not lock.lost.is_set():
            try:
                outcome = undo(error)
            except PlatformError as undo_error:
                outcome = f"{failed}: {undo_error.cause.rstrip('.')}"
            if isinstance(error, PlatformError):
                error.cause = f"{error.cause.rstrip('.')}; {outcome}."
                error.facts["undone"] = outcome
        raise
