# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of role observability."""

from __future__ import annotations

import typing as t

from ..problems import Problem
from .checks import Variables, chart_problems, range_problems, resources_problems

CHARTS = ("kube-prometheus-stack", "loki", "tempo", "opentelemetry-collector")
PODS = (
    "prometheus",
    "alertmanager",
    "operator",
    "reloader",
    "webhook_job",
    "kube_state_metrics",
    "node_exporter",
    "grafana",
    "loki",
    "tempo",
    "collector",
)
LIMITS = {"observability_scrape_interval": (5, 120)}
"""Seconds. Alerts and dashboards compute rates over five minutes and more, which need some values each."""
BUCKETS = ("observability_logs_bucket", "observability_traces_bucket", "observability_bucket_region")


def problems(variables: Variables) -> t.Iterator[Problem]:
    """What is wrong with storage, sampling, alerts and sizes."""
    yield from range_problems(variables, LIMITS)
    storage = variables["observability_storage"]
    if storage not in ("disk", "s3"):
        yield Problem("observability_storage", f"{storage} is neither disk nor s3", "set it to one of them")
    elif storage == "s3" and not all(variables[name] for name in BUCKETS):
        yield Problem(
            "observability_storage",
            "s3 needs observability_logs_bucket, observability_traces_bucket and observability_bucket_region",
            "set them, or observability_storage to disk",
        )
    percent = variables["observability_trace_percent"]
    if not 0 <= float(percent) <= 100:
        yield Problem("observability_trace_percent", f"{percent} is no percentage", "give percent, from 0 to 100")
    if not _routes_to_a_receiver(variables["observability_alertmanager_configuration"]):
        yield Problem(
            "observability_alertmanager_configuration",
            "its route names a receiver that is not among the receivers",
            "compare the names",
        )
    yield from chart_problems("observability_values", variables["observability_values"], CHARTS)
    yield from resources_problems("observability", variables["observability_resources"], PODS)


def _routes_to_a_receiver(configuration: t.Mapping[str, t.Any]) -> bool:
    route, receivers = configuration.get("route"), configuration.get("receivers") or []
    receiver = route.get("receiver") if isinstance(route, dict) else None
    return bool(receiver) and receiver in [entry.get("name") for entry in receivers if isinstance(entry, dict)]
