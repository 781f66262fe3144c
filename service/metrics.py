# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus reads."""

from __future__ import annotations

import contextlib
import typing as t

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from .deployments.model import Deployment
from .deployments.queue import Queue

_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800)


class Metrics:
    """Counts deployments and their seconds."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self._finished = Counter(
            "wasmfaas_deployments", "Finished deployments by their last phase.", ["phase"], registry=None
        )
        self._stage = Histogram(
            "wasmfaas_deployment_stage_seconds",
            "Seconds of a stage of a deployment.",
            ["stage"],
            buckets=_SECONDS,
            registry=None,
        )
        self._queued = Gauge("wasmfaas_deployments_queued", "Deployments that wait for their turn.", registry=None)

    @contextlib.contextmanager
    def queue_of(self, queue: Queue) -> t.Iterator[None]:
        """Show all these numbers, with the length of the queue, inside of the context."""
        self._queued.set_function(lambda: len(queue.queued()))
        collectors = (self._finished, self._stage, self._queued)
        for collector in collectors:
            self._registry.register(collector)
        try:
            yield
        finally:
            for collector in collectors:
                self._registry.unregister(collector)

    def finished(self, deployment: Deployment) -> None:
        """Count a deployment that came to its end."""
        self._finished.labels(str(deployment.phase)).inc()
        for stage, seconds in deployment.stages.items():
            self._stage.labels(stage).observe(seconds)
