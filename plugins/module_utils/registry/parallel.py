# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the same with several blobs at a time."""

from __future__ import annotations

import threading
import typing as t

from .transport import Cancelled

if t.TYPE_CHECKING:
    from ..function.artifact.model import Blob


def in_parallel(
    blobs: list[Blob], action: t.Callable[[Blob, threading.Event], bool], *, threads: int
) -> list[tuple[Blob, bool]]:
    """Do `action` on every blob, large ones first; the first error stops the rest.

    A ThreadPoolExecutor would wait for its threads even when Python ends: after an interrupt it would wait for the
    answer to an upload.

    Args:
        action: gets a blob and an event that is set once the rest is to stop.

    Returns:
        Each blob with what `action` returned.
    """
    from concurrent.futures import FIRST_EXCEPTION, Future, wait

    cancelled = threading.Event()
    ordered = sorted(blobs, key=lambda blob: (-blob.size, blob.digest))
    futures: list[Future[bool]] = [Future() for _blob in ordered]
    pending = iter(list(zip(ordered, futures, strict=True)))

    def work() -> None:
        for blob, future in pending:
            try:
                if cancelled.is_set():
                    raise Cancelled
                future.set_result(action(blob, cancelled))
            except BaseException as error:
                future.set_exception(error)
                cancelled.set()

    for number in range(min(threads, len(ordered))):
        threading.Thread(target=work, daemon=True, name=f"registry_{number}").start()
    try:
        done, _pending = wait(futures, return_when=FIRST_EXCEPTION)
        failed = next(
            (error for future in done if (error := future.exception()) and not isinstance(error, Cancelled)), None
        )
        if failed is not None:
            raise failed
    except BaseException:
        cancelled.set()
        raise
    return [(blob, future.result()) for blob, future in zip(ordered, futures, strict=True)]
