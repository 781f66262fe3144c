# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps a function that sleeps awake by requests, as its users would."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from ..errors import PlatformError
from .answers import probe_function
from .cluster_function import ClusterFunction
from .kinds import DEPLOYMENT
from .objects import FunctionObjects
from .rollout import AsleepError, asleep_advice, is_asleep

_PAUSE_SECONDS = 0.3


@contextlib.contextmanager
def kept_awake(function: ClusterFunction, objects: FunctionObjects) -> t.Iterator[None]:
    """Call the URL of a function that scales by requests all the time; others need no wakening.

    KEDA's interceptor holds the calls until a replica is ready, and KEDA takes no replica away meanwhile. What they
    answer does not matter: whoever waits for the function calls it himself.
    """
    if not objects.scale_by_requests:
        yield
        return
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            with contextlib.suppress(PlatformError):
                probe_function(function, objects, timeout_seconds=0)
            done.wait(_PAUSE_SECONDS)

    thread = threading.Thread(target=call, name="wake", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()  # at most one call's time limit


def wake(function: ClusterFunction, objects: FunctionObjects) -> None:
    """Call a function that scales by requests until its Deployment has a replica, which need not be ready.

    Raises:
        AsleepError: it got none within the function's `wait_timeout`.
    """
    end = time.monotonic() + function.settings.wait_timeout
    with kept_awake(function, objects):
        while is_asleep(function.get(DEPLOYMENT)):
            if time.monotonic() > end:
                raise AsleepError(
                    "The function sleeps, and no request has woken it.",
                    next_step=asleep_advice(function.namespace, function.name),
                )
            time.sleep(_PAUSE_SECONDS)  # between two looks at the Deployment
