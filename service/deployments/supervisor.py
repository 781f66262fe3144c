# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a worker for each deployment when its turn comes, and goes on where one was ended from outside."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import typing as t

from ...plugins.module_utils.errors import PlatformError
from ..adapters import Adapters
from .model import Deployment, Phase, now, seconds_between
from .queue import Limits, order, startable
from .store import Changed, DeploymentStore

MOST_ATTEMPTS = 3
"""After so many a deployment whose worker was ended from outside has failed."""

MOST_TAKEN_UP = 10
"""After so many attempts a deployment that an earlier process left has failed: it may be what ended that process."""

STOP_SECONDS = 10.0
"""How long a worker that is told to end may take."""

_LOOK_SECONDS = 1.0
"""How often a worker that another process started is looked at."""

_LOG = logging.getLogger(__name__)
_WORKER = f"{__package__}.worker"

Key = tuple[str, str, int]


class Supervisor:
    """Runs at most `limits.running` workers; use as a context.

    Args:
        finished: called with each deployment that came to its end, in a thread of its own.
    """

    def __init__(
        self,
        adapters: Adapters,
        limits: Limits,
        finished: t.Callable[[Deployment], None] = lambda _deployment: None,
    ) -> None:
        self.limits = limits
        self._adapters, self._store, self._finished = adapters, adapters.deployments, finished
        self._changed = threading.Condition()
        self._queued: dict[Key, Deployment] = {}
        self._running: dict[Key, Deployment] = {}
        self._processes: dict[Key, subprocess.Popen[bytes]] = {}
        self._served: dict[str, int] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._supervise, name="supervisor")

    def __enter__(self) -> Supervisor:
        for deployment in self._store.unfinished():
            self._take_up(deployment)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End the workers; what they worked on goes on at the next start."""
        with self._changed:
            self._stopping = True
            processes = list(self._processes.values())
            self._changed.notify_all()
        for process in processes:
            _signal(process, signal.SIGTERM)
        end = time.monotonic() + STOP_SECONDS
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end - time.monotonic()))
            _signal(process, signal.SIGKILL)
        self._thread.join()

    def submit(self, deployment: Deployment) -> None:
        """See `Queue`."""
        with self._changed:
            self._queued[deployment.key] = deployment
            self._changed.notify_all()

    def see(self, deployment: Deployment) -> None:
        """Take notice of an unfinished deployment as another process may have written it: one that nobody works on is
        queued, and one whose end was asked for is ended."""
        with self._changed:
            if self._stopping:
                return
            known = deployment.key in self._queued or deployment.key in self._running
            process = self._processes.get(deployment.key)
        if not known:
            with contextlib.suppress(Changed):  # what was seen is out of date
                self.submit(self._queued_again(deployment))
        if deployment.cancelling and process is not None:
            _signal(process, signal.SIGTERM)
        # One that waits is ended when its turn comes, or here if that is not at once.
        elif deployment.cancelling and self._taken_from_queue(deployment.key):
            with contextlib.suppress(Changed):
                self._end(deployment, Phase.CANCELLED, deployment.reason, deployment.next_step)
            self._adapters.end_leftovers(deployment)

    def abandon(self) -> None:
        """End all workers at once: somebody else works on their deployments from now on."""
        with self._changed:
            self._stopping = True
            processes = list(self._processes.values())
            self._changed.notify_all()
        for process in processes:
            _signal(process, signal.SIGKILL)

    def queued(self, tenant: str | None = None, function: str | None = None) -> list[Deployment]:
        """See `Queue`."""
        with self._changed:
            ordered = order(list(self._queued.values()), list(self._running.values()), self._served)
        return [one for one in ordered if tenant in (None, one.tenant) and function in (None, one.function)]

    def position(self, deployment: Deployment) -> int | None:
        """See `Queue`."""
        return position_in(self.queued(), deployment)

    def cancel(self, deployment: Deployment, reason: str, next_step: str) -> Deployment | None:
        """See `Queue`."""
        marked = mark_cancelling(self._store, deployment, reason, next_step)
        if marked is None:
            return None
        with self._changed:
            process = self._processes.get(deployment.key)
        if process is not None:
            _signal(process, signal.SIGTERM)
        elif self._taken_from_queue(deployment.key):
            ended = self._end(marked, Phase.CANCELLED, reason, next_step)
            self._adapters.end_leftovers(ended)  # of an attempt before
            return ended
        return marked

    def _taken_from_queue(self, key: Key) -> bool:
        with self._changed:
            return self._queued.pop(key, None) is not None

    def _supervise(self) -> None:
        while True:
            with self._changed:
                starting = [] if self._stopping else self._startable()
                if not starting:
                    if self._stopping and not self._running:
                        return
                    self._changed.wait()
                    continue
                for deployment in starting:
                    del self._queued[deployment.key]
                    self._running[deployment.key] = deployment
                    self._served[deployment.tenant] = max(self._served.values(), default=0) + 1
            for deployment in starting:
                threading.Thread(target=self._drive, args=(deployment,), name="worker").start()

    def _startable(self) -> list[Deployment]:
        return startable(list(self._queued.values()), list(self._running.values()), self._served, self.limits)

    def _drive(self, deployment: Deployment) -> None:
        """Start the worker of a deployment and wait for its end."""
        ended: Deployment | None = None
        try:
            ended = self._attempt(deployment)
        except PlatformError as error:  # what keeps the deployments does not answer: `see` takes it up again
            _LOG.warning("deployment %s/%s/%d: %s", *deployment.key, error.cause)
        except Exception:  # else the thread ends, and the deployment stays for ever in the phase that it has
            _LOG.exception("deployment %s/%s/%d", *deployment.key)
            live = self._store.read(*deployment.key)
            ended = live and self._end(
                live, Phase.FAILED, "The service made a mistake; its log says more.", "Deploy again."
            )
        finally:
            self._put_down(deployment.key, ended)

    def _put_down(self, key: Key, ended: Deployment | None) -> None:
        """A worker ended: its place is free, and the deployment is finished, queued again, or gone."""
        with self._changed:
            self._running.pop(key, None)
            self._processes.pop(key, None)
            if ended is not None and not ended.phase.is_finished and not self._stopping:
                self._queued[ended.key] = ended
            self._changed.notify_all()
        if ended is not None and ended.phase.is_finished:
            self._finished(ended)

    def _attempt(self, deployment: Deployment) -> Deployment | None:
        """One run of a worker. Gives the deployment after it: finished, or queued again; None where it is gone."""
        self._adapters.end_leftovers(deployment)
        live = self._begun(deployment)
        if live is None or live.phase.is_finished:
            return live
        with self._changed:
            if self._stopping:
                return live
            self._running[live.key] = live
            process = self._processes[live.key] = self._start(live)
        process.wait()
        if self._is_stopping():
            return live
        self._adapters.end_leftovers(live)
        after = self._store.read(*live.key)
        return after and self._ended_from_outside(after, exit_code=process.returncode)

    def _is_stopping(self) -> bool:
        return self._stopping  # another thread may have changed it meanwhile

    def _begun(self, deployment: Deployment) -> Deployment | None:
        """Write down that the work of a deployment begins; None where it is gone, or somebody else finished it."""
        while True:
            live = self._store.read(*deployment.key)
            if live is None or live.phase.is_finished:
                return None
            try:
                if live.cancelling:
                    return self._end(live, Phase.CANCELLED, live.reason, live.next_step)
                return self._store.update(
                    live,
                    phase=Phase.BUILDING,
                    attempt=live.attempt + 1,
                    started=live.started or now(),
                    stages=live.stages or {"queue": round(seconds_between(live.created, now()), 3)},
                )
            except Changed:
                continue

    def _start(self, deployment: Deployment) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", _WORKER, self._adapters.to_json(), *map(str, deployment.key)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
            start_new_session=True,
        )

    def _ended_from_outside(self, deployment: Deployment, exit_code: int | None = None) -> Deployment:
        """What becomes of a deployment whose worker ended: nothing where it is finished."""
        if deployment.phase.is_finished or self._stopping:
            return deployment
        if deployment.cancelling:
            return self._end(deployment, Phase.CANCELLED, deployment.reason, deployment.next_step)
        if deployment.attempt >= MOST_ATTEMPTS:
            return self._end(
                deployment,
                Phase.FAILED,
                f"The worker was ended from outside {deployment.attempt} times (last exit code {exit_code}).",
                "See that the machine has memory for the build (`dmesg | grep -i oom`), then deploy again.",
            )
        return self._store.update(deployment, phase=Phase.QUEUED)

    def _end(self, deployment: Deployment, phase: Phase, reason: str, next_step: str) -> Deployment:
        if deployment.attempt:
            # Its worker could not keep the log, from where that of a finished deployment is read.
            try:
                self._adapters.logs.resume(deployment)
                self._adapters.logs.keep(deployment)
            except PlatformError as error:
                _LOG.warning("deployment %s/%s/%d: its log is not kept: %s", *deployment.key, error.cause)
        return self._store.update(deployment, phase=phase, reason=reason, next_step=next_step, finished=now())

    def _take_up(self, deployment: Deployment) -> None:
        """Go on with a deployment that an earlier process left: its worker may still run."""
        if deployment.phase is Phase.QUEUED or not self._adapters.is_held(deployment):
            with contextlib.suppress(Changed):
                again = self._queued_again(deployment)
                self._queued[again.key] = again
            return
        self._running[deployment.key] = deployment
        threading.Thread(target=self._watch, args=(deployment,), name="watch", daemon=True).start()

    def _queued_again(self, deployment: Deployment) -> Deployment:
        """A deployment that nobody works on, in the phase Queued. Raises Changed."""
        if deployment.phase is Phase.QUEUED:
            return deployment
        if deployment.attempt >= MOST_TAKEN_UP:
            return self._end(
                deployment,
                Phase.FAILED,
                f"The service ended {deployment.attempt} times while it worked on this deployment.",
                "Have whoever runs the service look at its log, then deploy again.",
            )
        return self._store.update(deployment, phase=Phase.QUEUED)

    def _watch(self, deployment: Deployment) -> None:
        """Wait until a worker that an earlier process started ends. It outlives this process too."""
        while self._adapters.is_held(deployment):
            if self._stopping:
                self._put_down(deployment.key, None)
                return
            time.sleep(_LOOK_SECONDS)  # nothing tells when a process that is no child of this one ends
        self._adapters.end_leftovers(deployment)
        after = self._store.read(*deployment.key)
        self._put_down(deployment.key, after and self._ended_from_outside(after))


def mark_cancelling(store: DeploymentStore, deployment: Deployment, reason: str, next_step: str) -> Deployment | None:
    """Write down that somebody asked for the end of a deployment; None where it is too late."""
    while True:
        live = store.read(*deployment.key)
        if live is None or live.phase.is_finished or live.phase is Phase.ROLLING_OUT:
            return None
        with contextlib.suppress(Changed):
            return store.update(live, cancelling=True, reason=reason, next_step=next_step)


def position_in(queued: list[Deployment], deployment: Deployment) -> int | None:
    """The place of a deployment, 1 for the first; None where it is not there."""
    keys = [one.key for one in queued]
    return keys.index(deployment.key) + 1 if deployment.key in keys else None


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        if process.poll() is None:
            process.send_signal(number)
