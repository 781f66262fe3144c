# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The platform components of the inventory are installed and ready, and a second run of site.yml reads each of their
objects only once."""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime
import itertools
import json
import re
import typing as t

import lightkube
import pytest
import yaml
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Secret

from .conftest import PROJECT, Scenario, connect

HelmChart = create_namespaced_resource("helm.cattle.io", "v1", "HelmChart", "helmcharts")
Gateway = create_namespaced_resource("gateway.networking.k8s.io", "v1", "Gateway", "gateways")
ReferenceGrant = create_namespaced_resource("gateway.networking.k8s.io", "v1beta1", "ReferenceGrant", "referencegrants")
SpinAppExecutor = create_namespaced_resource("core.spinkube.dev", "v1alpha1", "SpinAppExecutor", "spinappexecutors")
PrometheusRule = create_namespaced_resource("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
CHARTS = {
    "cert_manager": {"cert-manager"},
    "spin_operator": {"spin-operator"},
    "ingress": {"traefik"},
    "keda": {"keda", "keda-add-ons-http"},
    "observability": {"kube-prometheus-stack", "loki", "tempo", "opentelemetry-collector"},
}
NAMESPACES = {
    "cert_manager": "cert-manager",
    "spin_operator": "spin-operator",
    "ingress": "wasmfaas-system",
    "keda": "keda",
    "observability": "observability",
}
KINDS = {
    "cert_manager": {"certificates.cert-manager.io", "clusterissuers.cert-manager.io"},
    "spin_operator": {"spinapps.core.spinkube.dev", "spinappexecutors.core.spinkube.dev"},
    "ingress": {
        f"{kind}.gateway.networking.k8s.io"
        for kind in (
            "gatewayclasses",
            "gateways",
            "httproutes",
            "grpcroutes",
            "tlsroutes",
            "referencegrants",
            "backendtlspolicies",
            "listenersets",
        )
    },
    "keda": {"scaledobjects.keda.sh", "interceptorroutes.http.keda.sh"},
    "observability": {"prometheusrules.monitoring.coreos.com", "podmonitors.monitoring.coreos.com"},
}
"""CustomResourceDefinitions of each component, from itself or its charts."""
OBJECTS: dict[str, list[tuple[t.Any, str, str]]] = {
    "spin_operator": [(SpinAppExecutor, "containerd-shim-spin", "default")],
    "ingress": [(Gateway, "wasmfaas", "wasmfaas-system")],
    "keda": [(ReferenceGrant, "functions-default", "keda")],
    "observability": [
        (Secret, "alertmanager-configuration", "observability"),
        (ConfigMap, "grafana-dashboards", "observability"),
        (PrometheusRule, "wasmfaas", "observability"),
    ],
}
"""Kind, name and namespace of other objects of each component."""
WORKLOADS = ("deployments", "statefulsets", "daemonsets", "pods")
PACKAGED_INGRESS = {("deployments", "kube-system"), ("daemonsets", "kube-system")}
"""Where the role `ingress` looks for k3s's own Traefik."""
NODE_WARMER = {("nodes", ""), ("spinapps", "")}
"""What the timer of role spin_operator lists each minute, also during a run."""
PLAY = "Install the platform"
AUDIT_LOG = "/var/lib/rancher/k3s/server/logs/audit.log"


@dataclasses.dataclass(frozen=True)
class Request:
    """A request of kubectl on a server; `name` is empty for a list."""

    verb: str
    resource: str
    namespace: str
    name: str
    answer: int = dataclasses.field(compare=False)


@pytest.fixture
def parts(scenario: Scenario) -> list[str]:
    named: list[str] = scenario.variables[scenario.servers[0]].get("platform_components", [])
    if not named:
        pytest.skip("the scenario's inventory has no platform components")
    return named


def test_charts_of_the_components_are_installed(parts: list[str], api: lightkube.Client) -> None:
    found = {chart.metadata.name: chart for chart in api.list(HelmChart, namespace="*") if chart.metadata}
    assert set(found) == set().union(*(CHARTS[part] for part in parts))
    for name, chart in found.items():
        assert name
        assert chart.metadata
        mark = (chart.metadata.annotations or {}).get("wasmfaas.dev/installed", "")
        assert mark.endswith(f"/{chart.metadata.generation}"), name
        deployment = api.get(Deployment, name, namespace=chart.spec["targetNamespace"])
        assert deployment.status
        assert deployment.status.availableReplicas == 1, name


def test_objects_of_the_components_exist_and_are_not_being_deleted(parts: list[str], api: lightkube.Client) -> None:
    found = [api.get(Namespace, NAMESPACES[part]) for part in parts]
    found += [
        api.get(kind, name, namespace=namespace) for part in parts for kind, name, namespace in OBJECTS.get(part, [])
    ]
    assert [entry.metadata.name for entry in found if entry.metadata and entry.metadata.deletionTimestamp] == []


def test_kinds_of_the_components_are_served(parts: list[str], api: lightkube.Client) -> None:
    served = set()
    for definition in api.list(CustomResourceDefinition):
        assert definition.metadata
        conditions = (definition.status.conditions if definition.status else None) or []
        if any(condition.type == "Established" and condition.status == "True" for condition in conditions):
            served.add(definition.metadata.name)
    assert set().union(*(KINDS[part] for part in parts)) - served == set()


def test_gateway_accepts_routes_of_all_namespaces(parts: list[str], api: lightkube.Client) -> None:
    if "ingress" not in parts:
        pytest.skip("the scenario has no ingress")
    spec = api.get(Gateway, "wasmfaas", namespace="wasmfaas-system").spec
    assert spec["gatewayClassName"] == "wasmfaas"
    assert [(one["name"], one["port"], one["protocol"]) for one in spec["listeners"]] == [("http", 80, "HTTP")]
    assert spec["listeners"][0]["allowedRoutes"]["namespaces"]["from"] == "All"


def test_executor_sends_traces_to_the_collector(parts: list[str], api: lightkube.Client) -> None:
    if not {"spin_operator", "observability"} <= set(parts):
        pytest.skip("the scenario has no executor, or nothing that receives its traces")
    deployment = api.get(SpinAppExecutor, "containerd-shim-spin", namespace="default").spec["deploymentConfig"]
    assert deployment["runtimeClassName"] == "wasmtime-spin-v2"
    endpoint = "http://opentelemetry-collector.observability:4318/v1/traces"
    assert deployment["otel"]["exporter_otlp_traces_endpoint"] == endpoint


def test_every_server_looks_for_cold_nodes(parts: list[str], server: t.Any) -> None:
    if "spin_operator" not in parts:
        pytest.skip("this scenario has no SpinKube operator")
    unit = "wasmfaas-node-warmer"
    assert (
        server.run(f"systemctl is-active {unit}.timer; systemctl is-enabled {unit}.timer").stdout == "active\nenabled\n"
    )
    ran = server.run(f"systemctl start {unit}.service")
    assert ran.rc == 0, server.run(f"journalctl --no-pager -u {unit} -n 50").stdout


def test_each_alert_has_a_runbook(parts: list[str], api: lightkube.Client) -> None:
    if "observability" not in parts:
        pytest.skip("the scenario has no observability")
    groups = api.get(PrometheusRule, "wasmfaas", namespace="observability").spec["groups"]
    alerts = {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}
    assert {"EtcdQuorumAtRisk", "CertificateEnds", "BackupTooOld", "FunctionFailing", "NodeGroupAtLimit"} <= set(alerts)
    pages = {
        name: PROJECT / "docs/runbooks" / rule["annotations"]["runbook_url"].rpartition("/")[2]
        for name, rule in alerts.items()
    }
    assert [name for name, page in pages.items() if not page.is_file()] == []
    secret = api.get(Secret, "alertmanager-configuration", namespace="observability")
    read = yaml.safe_load(base64.b64decode((secret.data or {})["alertmanager.yaml"]))
    assert read["route"]["receiver"] in [receiver["name"] for receiver in read["receivers"]]


def test_dashboards_are_the_files_of_the_repository(parts: list[str], api: lightkube.Client) -> None:
    if "observability" not in parts:
        pytest.skip("the scenario has no observability")
    files = {
        file.name: json.loads(file.read_text(encoding="utf-8"))
        for file in PROJECT.glob("roles/observability/files/dashboards/*.json")
    }
    assert files
    data = api.get(ConfigMap, "grafana-dashboards", namespace="observability").data or {}
    assert {name: json.loads(text) for name, text in data.items()} == files


def test_second_run_reads_each_object_once_and_writes_nothing(
    parts: list[str], scenario: Scenario, api: lightkube.Client
) -> None:
    runs = _platform_plays((scenario.directory / "ansible.log").read_text(encoding="utf-8", errors="replace"))
    if len(runs) < 2:
        pytest.skip("site.yml ran only once")
    began, ended = runs[-1]
    requests = [request for name in scenario.servers for request in _requests(connect(name), began, ended)]
    gets = collections.Counter(request for request in requests if request.verb == "get")
    # Makes sure that these are the requests of this run.
    seen = {(request.resource, request.name) for request in gets}
    assert {("namespaces", NAMESPACES[part]) for part in parts} | {
        ("helmcharts", chart) for part in parts for chart in CHARTS[part]
    } <= seen
    assert [request for request in requests if request.verb not in ("get", "list")] == []
    # If an object does not exist, such as one of earlier settings, kubectl also checks whether its namespace exists.
    absent = collections.Counter(
        ("namespaces", request.namespace) for request in requests if request.verb == "get" and request.answer == 404
    )
    assert {
        request: count for request, count in gets.items() if count > 1 + absent[request.resource, request.name]
    } == {}
    # Lists show whether the workloads of charts are still ready. They are only in namespaces of charts, so their number
    # does not depend on functions.
    charts = collections.Counter(chart.spec["targetNamespace"] for chart in api.list(HelmChart, namespace="*"))
    lists = collections.Counter(
        request
        for request in requests
        if request.verb == "list" and (request.resource, request.namespace) not in PACKAGED_INGRESS | NODE_WARMER
    )
    assert {
        request: count
        for request, count in lists.items()
        if request.resource not in WORKLOADS or count > charts[request.namespace]
    } == {}


def _platform_plays(log: str) -> list[tuple[datetime.datetime, datetime.datetime]]:
    """Begin and end of each play of site.yml that installed the platform, from Ansible's log, which has local times."""
    lines = re.findall(
        r"^(\d+-\d+-\d+ \d+:\d+:\d+),(\d+) p=(\d+) .*\| (PLAY (?:\[(.*)\] \*|RECAP).*)$", log, re.MULTILINE
    )
    plays = [
        (datetime.datetime.fromisoformat(f"{seconds}.{thousandths}").astimezone(), process, name)
        for seconds, thousandths, process, _line, name in lines
    ]
    return [
        (began, ended)
        for (began, process, name), (ended, next_process, _next) in itertools.pairwise(plays)
        if name == PLAY and process == next_process
    ]


def _requests(server: t.Any, began: datetime.datetime, ended: datetime.datetime) -> list[Request]:
    """The requests of kubectl to the server meanwhile, without discovery of kinds."""
    lines = server.check_output(f"""grep -F '"userAgent":"kubectl/' {AUDIT_LOG}""").splitlines()
    events = [event for event in map(json.loads, lines) if "objectRef" in event]
    return [
        Request(
            event["verb"],
            target.get("resource", ""),
            target.get("namespace", ""),
            target.get("name", ""),
            answer=event["responseStatus"]["code"],
        )
        for event in events
        for target in [event["objectRef"]]
        if began <= datetime.datetime.fromisoformat(event["requestReceivedTimestamp"]) <= ended
    ]
