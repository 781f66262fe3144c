# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role observability: what it refuses, what it writes, its alerts by promtool. What the collector and Loki say:
tests/integration/test_observability.py."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml

from ...observability import tools
from .role_rendering import PROJECT, RenderedRole

S3 = {
    "observability_storage": "s3",
    "observability_logs_bucket": "shop-logs",
    "observability_traces_bucket": "shop-traces",
    "observability_bucket_region": "eu-central-1",
}
RUNBOOKS = PROJECT / "docs/runbooks"


def stack(**variables: t.Any) -> dict[str, t.Any]:
    return dict(RenderedRole("observability", **variables).template("values_kube-prometheus-stack.yml.j2"))


def loki(**variables: t.Any) -> dict[str, t.Any]:
    return dict(
        yaml.safe_load(RenderedRole("observability", **variables).template("values_loki.yml.j2")["loki"]["config"])
    )


def tempo(**variables: t.Any) -> dict[str, t.Any]:
    return dict(yaml.safe_load(RenderedRole("observability", **variables).template("values_tempo.yml.j2")["config"]))


def groups(**variables: t.Any) -> list[dict[str, t.Any]]:
    (rule,) = RenderedRole("observability", **variables).template("objects_after.yml.j2")
    return t.cast("list[dict[str, t.Any]]", rule["spec"]["groups"])


def alerts(**variables: t.Any) -> dict[str, dict[str, t.Any]]:
    return {rule["alert"]: rule for group in groups(**variables) for rule in group["rules"] if "alert" in rule}


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"observability_storage": "tape"}, "observability_storage: tape is neither disk nor s3"),
        ({"observability_storage": "s3"}, "s3 needs observability_logs_bucket"),
        ({**S3, "observability_bucket_region": ""}, "s3 needs observability_logs_bucket"),
        ({"observability_trace_percent": 101}, "observability_trace_percent: 101 is no percentage"),
        (
            {
                "observability_alertmanager_configuration": {
                    "route": {"receiver": "team"},
                    "receivers": [{"name": "nobody"}],
                }
            },
            "names a receiver that is not among",
        ),
        (
            {"observability_alertmanager_configuration": {"route": {"receiver": "team"}, "receivers": ["team"]}},
            "names a receiver that is not among",
        ),
        (
            {"observability_alertmanager_configuration": {"route": "team", "receivers": [{"name": "team"}]}},
            "names a receiver that is not among",
        ),
        ({"observability_metrics_size": "20Gi"}, "observability_metrics_size: '20Gi' is no whole number"),
        ({"observability_resources": {"loki": {}}}, "observability_resources: must hold prometheus, alertmanager"),
        (
            {"observability_values": {"grafana": {}}},
            "observability_values: there is no chart grafana. Next: Use kube-prometheus-stack, loki",
        ),
        (
            {"observability_alertmanager_configuration": "s3cret"},
            "observability_alertmanager_configuration: what it has is no dictionary",
        ),
    ],
)
def test_refused_before_the_cluster_is_touched(variables: dict[str, t.Any], text: str) -> None:
    message = " ".join(RenderedRole("observability").problems(**variables))
    assert text in message and "Next:" in message


@pytest.mark.parametrize("variables", [{}, S3, {"observability_trace_percent": 12.5}])
def test_what_is_right_passes(variables: dict[str, t.Any]) -> None:
    assert RenderedRole("observability").problems(**variables) == []


def test_terraforms_buckets_are_used() -> None:
    role = RenderedRole("observability", aws_cluster={"region": "us-east-1", "buckets": {"logs": "l", "traces": "t"}})
    assert [
        role.value(name)
        for name in ("observability_storage", "observability_logs_bucket", "observability_traces_bucket")
    ] == ["s3", "l", "t"]
    assert role.problems() == []


def test_logs_and_traces_on_disk_or_in_buckets_without_keys() -> None:
    assert loki()["common"]["storage"] == {
        "filesystem": {"chunks_directory": "/var/loki/chunks", "rules_directory": "/var/loki/rules"}
    }
    assert loki(**S3)["common"]["storage"] == {"s3": {"bucketnames": "shop-logs", "region": "eu-central-1"}}
    assert tempo()["storage"]["trace"]["backend"] == "local"
    assert tempo(**S3)["storage"]["trace"]["s3"] == {
        "bucket": "shop-traces",
        "endpoint": "s3.eu-central-1.amazonaws.com",
        "region": "eu-central-1",
    }


@pytest.mark.parametrize(("endpoint", "insecure"), [("http://store:9000", True), ("https://store:9000", False)])
def test_another_s3(endpoint: str, insecure: bool) -> None:
    variables = {**S3, "observability_bucket_endpoint": endpoint}
    wanted = {"endpoint": "store:9000", "insecure": insecure}
    assert wanted.items() <= tempo(**variables)["storage"]["trace"]["s3"].items()
    assert wanted.items() <= loki(**variables)["common"]["storage"]["s3"].items()


@pytest.mark.parametrize("variables", [{}, S3])
def test_all_places_of_lokis_storage_agree(variables: dict[str, t.Any]) -> None:
    config, values = (
        loki(**variables),
        RenderedRole("observability", **variables).template("values_loki.yml.j2")["loki"],
    )
    kind = "s3" if variables else "filesystem"
    assert {
        config["compactor"]["delete_request_store"],
        config["schema_config"]["configs"][0]["object_store"],
        values["storage"]["type"],
    } == {kind}
    assert config["schema_config"] == values["schemaConfig"]


def test_retention_is_what_the_variables_say() -> None:
    hours: dict[str, t.Any] = {
        "observability_metrics_hours": 1,
        "observability_logs_hours": 2,
        "observability_traces_hours": 3,
    }
    specification = stack(**hours, observability_metrics_size=10)["prometheus"]["prometheusSpec"]
    assert (specification["retention"], specification["retentionSize"]) == ("1h", "9216MB")
    assert specification["storageSpec"]["volumeClaimTemplate"]["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert (
        loki(**hours)["limits_config"]["retention_period"] == "2h" and loki()["compactor"]["retention_enabled"] is True
    )
    assert tempo(**hours)["compactor"]["compaction"]["block_retention"] == "3h"


def test_storage_class_reaches_all_four_volumes() -> None:
    variables = {"observability_storage_class": "gp3"}
    role = RenderedRole("observability", **variables)
    metrics = stack(**variables)
    assert (
        metrics["prometheus"]["prometheusSpec"]["storageSpec"]["volumeClaimTemplate"]["spec"]["storageClassName"]
        == "gp3"
    )
    assert metrics["grafana"]["persistence"]["storageClassName"] == "gp3"
    assert role.template("values_loki.yml.j2")["singleBinary"]["persistence"]["storageClass"] == "gp3"
    assert role.template("values_tempo.yml.j2")["persistence"]["storageClassName"] == "gp3"
    assert "gp3" not in json.dumps(stack())


def test_the_password_of_grafana_is_nowhere() -> None:
    """The chart makes it in the cluster, and only where none of these says otherwise
    (charts/grafana/templates/secret.yaml)."""
    grafana = stack()["grafana"]
    assert not {"adminPassword", "admin", "env", "envRenderSecret"} & set(grafana)
    assert "assword" not in json.dumps(grafana)
    assert grafana["fullnameOverride"] == "grafana"


def test_alertmanagers_configuration_is_a_secret_and_in_no_value() -> None:
    configuration = {
        "route": {"receiver": "team"},
        "receivers": [{"name": "team", "webhook_configs": [{"url": "https://x.example/s3cret"}]}],
    }
    role = RenderedRole("observability", observability_alertmanager_configuration=configuration)
    secret = role.objects()["Secret", "alertmanager-configuration"]
    assert yaml.safe_load(base64.b64decode(secret["data"]["alertmanager.yaml"])) == configuration
    values = role.template("values_kube-prometheus-stack.yml.j2")
    assert "s3cret" not in json.dumps(values)
    assert values["alertmanager"]["alertmanagerSpec"]["configSecret"] == secret["metadata"]["name"]


def test_datasources_are_linked_by_fixed_identifiers() -> None:
    sources = {entry["uid"]: entry for entry in stack()["grafana"]["datasources"]["datasources.yaml"]["datasources"]}
    assert {uid: entry["url"] for uid, entry in sources.items()} == {
        "prometheus": "http://prometheus-operated.observability:9090",
        "loki": "http://loki.observability:3100",
        "tempo": "http://tempo.observability:3200",
        "alertmanager": "http://alertmanager-operated.observability:9093",
    }
    assert sources["tempo"]["jsonData"]["tracesToLogsV2"]["datasourceUid"] == "loki"
    assert sources["tempo"]["jsonData"]["tracesToMetrics"]["datasourceUid"] == "prometheus"
    assert {field["datasourceUid"] for field in sources["loki"]["jsonData"]["derivedFields"]} == {"tempo"}
    assert {field["datasourceUid"] for field in sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]} == {
        "tempo"
    }
    # Grafana takes $x for a variable of its environment while it reads the file; only $$ stays a dollar.
    assert re.search(r"(?<!\$)\$(?!\$)", json.dumps(sources)) is None


def test_grafana_has_a_route_only_where_a_name_is_given() -> None:
    assert "route" not in stack()["grafana"]
    grafana = stack(observability_grafana_hostname="grafana.example.com")["grafana"]
    assert grafana["route"]["main"] == {
        "enabled": True,
        "hostnames": ["grafana.example.com"],
        "parentRefs": [{"namespace": "wasmfaas-system", "name": "wasmfaas"}],
    }


def test_dashboards_of_the_role_and_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"uid": "mine"}')
    files = RenderedRole("observability", observability_dashboards=[str(tmp_path / "mine.json")]).objects()[
        "ConfigMap", "grafana-dashboards"
    ]["data"]
    assert {
        "functions.json",
        "cold-start.json",
        "ingress.json",
        "cluster.json",
        "nodes.json",
        "cost.json",
        "hosted-service.json",
        "mine.json",
    } == set(files)
    assert all(json.loads(text)["uid"] for text in files.values())
    assert len(json.dumps(files)) < 900_000, "a ConfigMap holds 1 MiB"


def test_agent_is_on_every_node_and_the_rest_where_the_platform_goes() -> None:
    place: dict[str, t.Any] = {
        "platform_node_selector": {"wasmfaas.dev/group": "observability"},
        "platform_tolerations": [{"key": "x", "operator": "Exists"}],
    }
    role = RenderedRole("observability", **place)
    values = role.template("values_kube-prometheus-stack.yml.j2")
    everywhere = [{"operator": "Exists"}]
    assert values["prometheus-node-exporter"]["tolerations"] == everywhere
    collector = role.template("values_opentelemetry-collector.yml.j2")
    assert (
        collector["mode"] == "daemonset" and collector["tolerations"] == everywhere and "nodeSelector" not in collector
    )
    placed = [
        values["prometheus"]["prometheusSpec"],
        values["alertmanager"]["alertmanagerSpec"],
        values["prometheusOperator"],
        values["prometheusOperator"]["admissionWebhooks"]["patch"],
        values["kube-state-metrics"],
        values["grafana"],
        role.template("values_loki.yml.j2")["singleBinary"],
        role.template("values_tempo.yml.j2"),
    ]
    assert all(
        part["nodeSelector"] == place["platform_node_selector"] and part["tolerations"] == place["platform_tolerations"]
        for part in placed
    )


def scraped(**variables: t.Any) -> dict[str, dict[str, t.Any]]:
    return {
        job["job_name"]: job for job in stack(**variables)["prometheus"]["prometheusSpec"]["additionalScrapeConfigs"]
    }


def test_only_parts_that_are_there_are_scraped() -> None:
    assert set(scraped(platform_components=["observability"])) == {
        "kube-etcd",
        "opentelemetry-collector",
        "loki",
        "tempo",
    }
    assert "kube-etcd" not in scraped(observability_etcd=False)
    assert {"traefik", "keda-operator", "keda-interceptor", "cert-manager"} <= set(scraped())
    assert "function-service" in scraped(platform_components=["function_service", "observability"])
    assert "cluster-autoscaler" in scraped(platform_components=["aws_integration", "observability"])


def test_promtool_takes_the_scrape_configuration(tmp_path: Path) -> None:
    """Debian builds Prometheus without the discovery of Kubernetes, so that this part is looked at here and taken
    out."""
    jobs = list(
        scraped(platform_components=["cert_manager", "ingress", "keda", "aws_integration", "observability"]).values()
    )
    for job in jobs:
        (discovery,) = job.pop("kubernetes_sd_configs")
        assert discovery == {"role": "node"} or (
            discovery["role"] == "pod" and set(discovery) == {"role", "namespaces"} and discovery["namespaces"]["names"]
        )
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump({"scrape_configs": jobs}), encoding="utf-8")
    finished = subprocess.run(
        [str(tools.promtool()), "check", "config", str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_alerts_by_promtool(tmp_path: Path) -> None:
    """Each alert with what makes it fire and what does not."""
    role = RenderedRole("observability")
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": groups()}), encoding="utf-8")
    cases = (
        (PROJECT / "tests/observability/alerts.yml")
        .read_text(encoding="utf-8")
        .replace("RUNBOOKS", role.value("observability_runbooks"))
    )
    (tmp_path / "alerts.yml").write_text(cases, encoding="utf-8")
    finished = subprocess.run(
        [str(tools.promtool()), "test", "rules", "alerts.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    fired = {
        test["alertname"]
        for case in yaml.safe_load(cases)["tests"]
        for test in case["alert_rule_test"]
        if test["exp_alerts"]
    }
    assert fired == set(alerts()), "each alert needs a case in which it fires"


def test_promtool_takes_the_rules_with_every_variable_set(tmp_path: Path) -> None:
    made = groups(observability_prices={"worker-wasm": 0.068}, observability_etcd=False)
    assert "wasmfaas-prices" in [group["name"] for group in made] and "wasmfaas-etcd" not in [
        group["name"] for group in made
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": made}), encoding="utf-8")
    finished = subprocess.run(
        [str(tools.promtool()), "check", "rules", str(tmp_path / "rules.yml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_thresholds_are_the_variables() -> None:
    changed = alerts(
        observability_backup_hours=1, observability_certificate_days=2, observability_function_error_percent=3
    )
    assert "> 3600" in changed["BackupTooOld"]["expr"]
    assert "< 172800" in changed["CertificateEnds"]["expr"] and "< 172800" in changed["NodeCertificateEnds"]["expr"]
    assert "> 0.03" in changed["FunctionFailing"]["expr"]


def test_every_alert_has_its_runbook() -> None:
    made = alerts(observability_runbooks="https://docs.example.com/runbooks")
    assert {rule["annotations"]["runbook_url"] for rule in made.values()} == {
        f"https://docs.example.com/runbooks/{name}.md" for name in made
    }
    assert {file.stem for file in RUNBOOKS.glob("*.md")} - {"README"} == set(made)
    for name in made:
        text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {name}\n"), name
        assert {"## What it means", "## What to look at", "## What to do"} <= set(text.splitlines()), name


def test_other_roles_show_what_is_scraped() -> None:
    """Ports and switches in the values of other roles that job definitions here rely on."""
    metrics = RenderedRole("ingress", ingress_addresses=["192.0.2.1"]).template("values_traefik.yml.j2")["metrics"][
        "prometheus"
    ]
    assert metrics["addRoutersLabels"] is True and metrics["addEntryPointsLabels"] is True
    assert RenderedRole("keda").template("values_keda.yml.j2")["prometheus"]["operator"]["enabled"] is True
    text = (PROJECT / "roles/aws_integration/templates/values_cluster-autoscaler.yml.j2").read_text(encoding="utf-8")
    assert "emit-per-nodegroup-metrics: true" in text, "alert NodeGroupAtLimit needs metrics by group"
    text = (PROJECT / "roles/aws_integration/templates/values_aws-node-termination-handler.yml.j2").read_text(
        encoding="utf-8"
    )
    assert "enablePrometheusServer: true" in text
