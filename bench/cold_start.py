# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A request's way to a function that sleeps, piece by piece. Envoy with Contour, KEDA with its HTTP add-on, the
SpinKube operator, the API server and the controllers are real. Scheduler, kubelet, containerd and the sandbox are real
too where they are built (`make programs-full`), with a shim of the tests; else they are played. Needs root."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import httpx2
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Pod

from tests.integration.support import keda, real_node
from tests.integration.support.function_project import FunctionProject
from tests.integration.support.request_path import (
    RequestPath,
    host_of,
    let_pods_be_probed_at_once,
    played_node,
    request_path,
    why_not,
)

from .measure import REPOSITORY, Entry, NotMeasuredError, Row, Table, percentile

ROUNDS = 20
ASLEEP_SECONDS = 120
POLL_SECONDS = 0.005
COMPILE_SECONDS = 600
PIECES = (
    ("scaled", "interceptor, scaler, KEDA: until the Deployment has a replica"),
    ("created", "controllers: until there is a pod"),
    ("bound", "scheduler: until the pod has a node"),
    ("ready", "kubelet, sandbox, shim, readiness probe: until the pod is ready"),
    ("answered", "route: until the interceptor knows of the pod, and the answer"),
)


def measure() -> list[Entry]:
    if reason := why_not() or keda.why_not():
        raise NotMeasuredError(reason)
    played = bool(real_node.why_no_shim())
    node = played_node if played else real_node.real_node
    with tempfile.TemporaryDirectory() as temporary, request_path(Path(temporary), node) as path:
        let_pods_be_probed_at_once(path.control_plane)
        path.control_plane.apply(keda.reference_grant())
        directory = Path(temporary) / "hello-python"
        shutil.copytree(
            REPOSITORY / "examples" / "functions" / "hello-python",
            directory,
            ignore=shutil.ignore_patterns("__pycache__", "*.wasm"),
        )
        autoscale = {"min": 0, "max": 1, "cooldown_seconds": 1}
        project = FunctionProject.existing(directory, "hello-python")
        # The first start on a real node compiles the component.
        result = path.deployment.deploy(project, autoscale=autoscale, wait_timeout=COMPILE_SECONDS)
        rounds = [_round(path, result) for _round_number in range(ROUNDS)]
    return _entries(rounds, "played pods" if played else "pods on a real kubelet and containerd")


def _entries(rounds: list[dict[str, float]], pods: str) -> list[Entry]:
    """The whole time as a row, and its pieces as a table."""
    total = [sum(pieces.values()) for pieces in rounds]
    p50, p95 = percentile(total, 50), percentile(total, 95)
    lines = [
        (what, f"{percentile(found, 50) * 1000:.0f} ms", f"{percentile(found, 95) * 1000:.0f} ms")
        for key, what in PIECES
        for found in [[pieces[key] for pieces in rounds]]
    ]
    return [
        Row(
            f"Request to a function that sleeps, {len(rounds)} times, with {pods}",
            f"p50 {p50:.2f} s, p95 {p95:.2f} s",
            "p50 ≤ 1.0 s, p95 ≤ 2 s",
            p50 <= 1.0 and p95 <= 2.0,
        ),
        Table(("piece", "p50", "p95"), tuple(lines)),
    ]


class Moments:
    """When things happened, by their names."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def note(self, name: str) -> None:
        self.seconds.setdefault(name, time.monotonic())

    def watch(self, look: t.Callable[[], None]) -> None:
        """Call `look`, which notes what it sees, until the context ends."""

        def loop() -> None:
            while not self._stop.is_set():
                look()
                time.sleep(POLL_SECONDS)  # how exact a moment is

        self._threads.append(threading.Thread(target=loop, daemon=True))

    def __enter__(self) -> t.Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def _round(path: RequestPath, result: dict[str, t.Any]) -> dict[str, float]:
    """Wait until the function sleeps, and call it: the seconds of each piece."""
    client = path.control_plane.client()
    labels = {"core.spinkube.dev/app-name": result["name"]}

    def pods() -> list[Pod]:
        return list(client.list(Pod, namespace="default", labels=labels))

    end = time.monotonic() + ASLEEP_SECONDS
    while pods():
        if time.monotonic() > end:
            raise NotMeasuredError(f"the function did not sleep after {ASLEEP_SECONDS} s")
        time.sleep(0.5)  # between two looks, before anything is measured
    moments = Moments()

    def look_at_deployment() -> None:
        spec = client.get(Deployment, result["name"], namespace="default").spec
        if spec is not None and spec.replicas:
            moments.note("scaled")

    def look_at_pods() -> None:
        for pod in pods():
            moments.note("created")
            if pod.spec is not None and pod.spec.nodeName:
                moments.note("bound")
            conditions = (pod.status.conditions or []) if pod.status is not None else []
            if any(condition.type == "Ready" and condition.status == "True" for condition in conditions):
                moments.note("ready")

    moments.watch(look_at_deployment)
    moments.watch(look_at_pods)
    with moments:
        begun = time.monotonic()
        answer = httpx2.get(path.gateway.url, headers={"Host": host_of(result)}, timeout=60, trust_env=False)
        moments.note("answered")
        answer.raise_for_status()
        time.sleep(0.1)  # a watcher may be a step behind
    return _pieces(begun, moments.seconds)


def _pieces(begun: float, moments: dict[str, float]) -> dict[str, float]:
    """The seconds of each piece from the moments at which they ended, of which a later one may be seen first."""
    found, before = {}, begun
    for name, _what in PIECES:
        now = max(before, min(moments.get(name, before), moments["answered"]))
        found[name], before = now - before, now
    return found
