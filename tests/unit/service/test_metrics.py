# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus reads: the series that the dashboard and the alerts of role observability ask for."""

from __future__ import annotations

import datetime
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.service.deployments.language import source_language
from ansible_collections.wasmfaas.platform.service.deployments.model import Deployment, Phase, Settings
from ansible_collections.wasmfaas.platform.service.metrics import Metrics
from prometheus_client import CollectorRegistry

LISTED = Path(__file__).resolve().parents[2] / "observability/metrics.yml"


class PlayedQueue:
    def __init__(self, *waiting: Deployment) -> None:
        self.waiting = list(waiting)

    def queued(self, _tenant: str | None = None, _function: str | None = None) -> list[Deployment]:
        return self.waiting


def deployment(**values: t.Any) -> Deployment:
    given = {"number": 1, "tenant": "user1", "function": "shop", "source": "", "settings_digest": "", "created": ""}
    return Deployment(settings=Settings(), requested_by="alice", **{**given, **values})


def test_deployments_are_counted_by_cause_and_language() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    minute_ago = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=1)).isoformat()
    queue = PlayedQueue(deployment(created=minute_ago))
    with metrics.queue_of(t.cast("t.Any", queue)):
        metrics.finished(deployment(phase=Phase.READY, stages={"build": 2.0}, facts={"language": "python"}))
        metrics.finished(deployment(phase=Phase.FAILED, facts={"language": "rust", "stage": "build"}))
        metrics.finished(deployment(phase=Phase.FAILED))
        metrics.finished(deployment(phase=Phase.CANCELLED))
        value = registry.get_sample_value
        total = "wasmfaas_deployments_total"
        assert value(total, {"phase": "Ready", "cause": ""}) == 1
        assert value(total, {"phase": "Failed", "cause": "build"}) == 1
        assert value(total, {"phase": "Failed", "cause": "service"}) == 1
        assert value(total, {"phase": "Cancelled", "cause": ""}) == 1
        labels = {"stage": "build", "language": "python"}
        assert value("wasmfaas_deployment_stage_seconds_sum", labels) == 2
        assert value("wasmfaas_deployments_queued") == 1
        assert 59 <= (value("wasmfaas_deployments_oldest_wait_seconds") or 0) < 3600
        queue.waiting.clear()
        assert value("wasmfaas_deployments_oldest_wait_seconds") == 0
    assert registry.get_sample_value("wasmfaas_deployments_queued") is None


def test_the_series_are_those_of_the_list_that_dashboards_are_held_to() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    with metrics.queue_of(t.cast("t.Any", PlayedQueue())):
        metrics.finished(deployment(phase=Phase.READY, stages={"build": 2.0}))
        shown = {sample.name: set(sample.labels) for family in registry.collect() for sample in family.samples}
    (listed,) = [
        entry["metrics"]
        for entry in yaml.safe_load(LISTED.read_text(encoding="utf-8"))["sources"]
        if "service/metrics.py" in entry["source"]
    ]
    for name, labels in listed.items():
        assert set(labels) == shown[name], name


@pytest.mark.parametrize(
    ("files", "language"),
    [
        ({"spin.toml", "requirements.txt"}, "python"),
        ({"spin.toml", "package.json", "requirements.txt"}, "javascript"),
        ({"spin.toml", "api/go.mod"}, "go"),
        ({"spin.toml", "web/index.html"}, "static"),
    ],
)
def test_the_language_of_a_project(files: set[str], language: str, tmp_path: Path) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("")
    assert source_language(tmp_path) == language
