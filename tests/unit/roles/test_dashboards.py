# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dashboards and rules: current, right PromQL, and each metric and label in the list of those that there are
(tests/observability/metrics.yml)."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from ...observability import promql, tools
from .role_rendering import PROJECT, RenderedRole

DASHBOARDS = sorted((PROJECT / "roles/observability/files/dashboards").glob("*.json"))
# What Grafana puts in for its variables, so that what is left is PromQL.
GRAFANA = {"$__rate_interval": "5m", "$__range": "3h", "$namespace": "x", "$function": "x"}
PRICES = {"control-plane": 0.0336, "worker-wasm": 0.068}


class Query(t.NamedTuple):
    where: str
    expression: str


def dashboard_queries(kind: str) -> list[Query]:
    """The queries of all panels that ask a datasource of the kind, and of the variables."""
    found = []
    for file in DASHBOARDS:
        dashboard = json.loads(file.read_text(encoding="utf-8"))
        for panel in dashboard["panels"]:
            asked = (panel.get("datasource") or {}).get("type")
            found += [
                Query(f"{file.name}: {panel['title']}", target["expr"])
                for target in panel.get("targets", [])
                if asked == kind
            ]
        for variable in dashboard.get("templating", {}).get("list") or []:
            if kind == "prometheus":
                found.append(
                    Query(
                        f"{file.name}: ${variable['name']}",
                        variable["query"].removeprefix("label_values(").rpartition(",")[0],
                    )
                )
    return found


def rules() -> list[dict[str, t.Any]]:
    (rule,) = RenderedRole("observability", observability_prices=PRICES).template("objects_after.yml.j2")
    return t.cast("list[dict[str, t.Any]]", rule["spec"]["groups"])


def rule_queries() -> list[Query]:
    return [Query(rule.get("alert") or rule["record"], rule["expr"]) for group in rules() for rule in group["rules"]]


def without_variables(expression: str) -> str:
    for name, value in GRAFANA.items():
        expression = expression.replace(name, value)
    return expression


def known_labels() -> dict[str, set[str]]:
    listed = yaml.safe_load((PROJECT / "tests/observability/metrics.yml").read_text(encoding="utf-8"))["sources"]
    return {
        metric: {*labels, *entry["target_labels"]} for entry in listed for metric, labels in entry["metrics"].items()
    }


def problems(queries: list[Query], known: dict[str, set[str]]) -> list[str]:
    """Metrics and labels in `queries` that `known` does not have."""
    found = []
    for query in queries:
        parsed = promql.parsed(query.expression)
        for selector in parsed.selectors:
            if selector.metric not in known:
                found.append(f"{query.where}: no metric {selector.metric}")
            else:
                found += [
                    f"{query.where}: {selector.metric} has no label {label}"
                    for label in selector.labels
                    if label not in known[selector.metric]
                ]
        all_labels = {
            label for selector in parsed.selectors for label in known.get(selector.metric, set())
        } | parsed.made
        found += [
            f"{query.where}: none of its metrics has the label {label}"
            for label in sorted(parsed.grouping - all_labels)
        ]
    return found


def test_files_are_what_the_script_makes() -> None:
    pytest.importorskip(
        "grafana_foundation_sdk", reason="the library that writes dashboards is in requirements-test.txt"
    )
    specification = importlib.util.spec_from_file_location("dashboards", PROJECT / "scripts/dashboards.py")
    assert specification is not None and specification.loader is not None
    script = importlib.util.module_from_spec(specification)
    sys.modules["dashboards"] = script  # dataclasses look their module up
    specification.loader.exec_module(script)
    assert {file: file.read_text(encoding="utf-8") for file in DASHBOARDS} == script.files(), (
        "python scripts/dashboards.py brings them up to date"
    )


def test_dashboards_have_fixed_identifiers_and_the_roles_datasources() -> None:
    made = [json.loads(file.read_text(encoding="utf-8")) for file in DASHBOARDS]
    assert [dashboard["uid"] for dashboard in made] == [f"wasmfaas-{file.stem}" for file in DASHBOARDS]
    values = RenderedRole("observability").template("values_kube-prometheus-stack.yml.j2")
    datasources = {
        entry["uid"]: entry["type"] for entry in values["grafana"]["datasources"]["datasources.yaml"]["datasources"]
    }
    used = {
        (panel["datasource"]["uid"], panel["datasource"]["type"])
        for dashboard in made
        for panel in dashboard["panels"]
        if panel.get("datasource")
    }
    assert used == {("prometheus", "prometheus"), ("loki", "loki")}
    assert all(datasources[uid] == kind for uid, kind in used)


def test_every_metric_and_label_is_known() -> None:
    assert problems(dashboard_queries("prometheus") + rule_queries(), known_labels()) == []


def test_every_listed_metric_is_used() -> None:
    used = {
        selector.metric
        for query in dashboard_queries("prometheus") + rule_queries()
        for selector in promql.parsed(query.expression).selectors
    }
    assert set(known_labels()) - used == set()


def test_recorded_metrics_have_the_labels_that_are_listed() -> None:
    known = known_labels()
    for group in rules():
        for rule in group["rules"]:
            if "record" in rule and rule["expr"].startswith("sum by"):
                first = re.match(r"sum by \(([^)]*)\)", rule["expr"])
                assert first is not None and {label.strip() for label in first[1].split(",")} == known[rule["record"]]


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("sum(rate(traefik_requests_total[5m]))", "no metric traefik_requests_total"),
        ('traefik_open_connections{entry="web"}', "traefik_open_connections has no label entry"),
        ("sum by (code) (traefik_open_connections)", "none of its metrics has the label code"),
    ],
)
def test_what_is_not_there_is_found(expression: str, problem: str) -> None:
    assert problems([Query("here", expression)], known_labels()) == [f"here: {problem}"]


def test_promtool_reads_every_query(tmp_path: Path) -> None:
    queries = dashboard_queries("prometheus")
    assert len(queries) > 80
    recorded = [
        {"record": f"query:{number}", "expr": without_variables(query.expression)}
        for number, query in enumerate(queries)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]}), encoding="utf-8")
    finished = subprocess.run(
        [str(tools.promtool()), "check", "rules", str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_queries_of_logs_select_by_labels_that_the_collector_sets() -> None:
    queries = dashboard_queries("loki")
    assert queries
    loki = yaml.safe_load(RenderedRole("observability").template("values_loki.yml.j2")["loki"]["config"])
    indexed = {
        name.replace(".", "_")
        for entry in loki["limits_config"]["otlp_config"]["resource_attributes"]["attributes_config"]
        for name in entry["attributes"]
    }
    assert {label for query in queries for label in re.findall(r"(\w+)=", query.expression)} <= indexed
