# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus reads."""

from __future__ import annotations

import contextlib
import typing as t

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from .deployments.model import Deployment, Phase, now, seconds_between
from .deployments.queue import Queue

_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800)


class Metrics:
    """Counts deployments and their seconds.

    Series, by name with their labels:
        wasmfaas_deployments_total: phase, cause (the stage in which a deployment failed, or `service`; else empty).
        wasmfaas_deployment_stage_seconds: stage, language (`static` where it has none).
        wasmfaas_deployments_queued, wasmfaas_deployments_oldest_wait_seconds: of those that wait; every replica shows
            the same.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self._finished = Counter(
            "wasmfaas_deployments",
            "Finished deployments by their last phase, and the stage in which they failed.",
            ["phase", "cause"],
            registry=None,
        )
        self._stage = Histogram(
            "wasmfaas_deployment_stage_seconds",
            "Seconds of a stage of a deployment, by the project's language.",
            ["stage", "language"],
            buckets=_SECONDS,
            registry=None,
        )
        self._queued = Gauge("wasmfaas_deployments_queued", "Deployments that wait for their turn.", registry=None)
        self._oldest = Gauge(
            "wasmfaas_deployments_oldest_wait_seconds",
            "Seconds that the deployment that waits longest waits for its turn; 0 where none waits.",
            registry=None,
        )

    @contextlib.contextmanager
    def queue_of(self, queue: Queue) -> t.Iterator[None]:
        """Show all these numbers, with those of the queue, inside of the context."""
        self._queued.set_function(lambda: len(queue.queued()))
        self._oldest.set_function(lambda: _longest_wait(queue.queued()))
        collectors = (self._finished, self._stage, self._queued, self._oldest)
        for collector in collectors:
            self._registry.register(collector)
        try:
            yield
        finally:
            for collector in collectors:
                self._registry.unregister(collector)

    def finished(self, deployment: Deployment) -> None:
        """Count a deployment that came to its end."""
        failed = deployment.phase is Phase.FAILED
        cause = str(deployment.facts.get("stage") or "service") if failed else ""
        self._finished.labels(str(deployment.phase), cause).inc()
        language = str(deployment.facts.get("language") or "")
        for stage, seconds in deployment.stages.items():
            self._stage.labels(stage, language).observe(seconds)


def _longest_wait(queued: list[Deployment]) -> float:
    oldest = min((deployment.created for deployment in queued), default="")
    return max(0.0, seconds_between(oldest, now()))
