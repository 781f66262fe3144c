# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of role observability in the real OpenTelemetry collector, which asks a real API server with the
rights that the role gives it.

Where it hands things on, a stand-in of Loki, Tempo and Prometheus keeps what it gets: the exporters are told to write
JSON, and traces go by HTTP.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import http.server
import json
import os
import re
import subprocess
import threading
import time
import typing as t
import urllib.request
from pathlib import Path

import pytest
import yaml
from lightkube.resources.core_v1 import Pod, PodStatus

from ..observability import tools
from .support import platform_parts
from .support.control_plane import ControlPlane
from .support.servers import Server, answers, free_port, wait_until

NODE = "worker-1"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.fixture(scope="module")
def program() -> Path:
    return tools.collector()


def values(**variables: t.Any) -> dict[str, t.Any]:
    (call,) = platform_parts.calls("observability", "defaults", **variables)
    return next(dict(chart["values"]) for chart in call.charts if chart["name"] == "opentelemetry-collector")


def validated(program: Path, directory: Path, configuration: dict[str, t.Any]) -> subprocess.CompletedProcess[str]:
    (directory / "store").mkdir()
    write(directory / "collector.yml", configuration)
    write(directory / "here.yml", {"extensions": {"file_storage": {"directory": str(directory / "store")}}})
    command = [
        str(program),
        "validate",
        f"--config=file:{directory / 'collector.yml'}",
        f"--config=file:{directory / 'here.yml'}",
    ]
    environment = {**os.environ, "MY_POD_IP": "127.0.0.1", "OTEL_K8S_NODE_NAME": NODE}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


def write(file: Path, content: t.Any) -> None:
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


@pytest.mark.parametrize(
    "variables", [{}, {"observability_containerd_log_directory": ""}, {"observability_trace_percent": 12.5}]
)
def test_the_collector_takes_the_configuration(program: Path, tmp_path: Path, variables: dict[str, t.Any]) -> None:
    finished = validated(program, tmp_path, values(**variables)["alternateConfig"])
    assert finished.returncode == 0, finished.stderr


def test_the_collector_refuses_what_is_wrong(program: Path, tmp_path: Path) -> None:
    configuration = values()["alternateConfig"]
    configuration["processors"]["transform/names"]["log_statements"][0]["statements"][0] = (
        'set(attributes["service.name"], nothing["x"])'
    )
    finished = validated(program, tmp_path, configuration)
    assert finished.returncode != 0 and "transform/names" in finished.stderr


class Sink:
    """Takes what exporters send: `bodies` by their path, as JSON."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[dict[str, t.Any]]] = {}
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.bodies.setdefault(self.path, []).append(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_arguments: t.Any) -> None:
                """Nothing: pytest has the failures."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def logs(self) -> list[tuple[dict[str, str], dict[str, t.Any]]]:
        """Each log record with the attributes of its resource."""
        return list(_records(self.bodies.get("/otlp/v1/logs", []), "resourceLogs", "scopeLogs", "logRecords"))

    def spans(self) -> list[tuple[dict[str, str], dict[str, t.Any]]]:
        return list(_records(self.bodies.get("/v1/traces", []), "resourceSpans", "scopeSpans", "spans"))

    def metrics(self) -> list[tuple[dict[str, str], dict[str, t.Any]]]:
        return list(
            _records(self.bodies.get("/api/v1/otlp/v1/metrics", []), "resourceMetrics", "scopeMetrics", "metrics")
        )


def _value(attribute: dict[str, t.Any]) -> str:
    (value,) = attribute["value"].values()
    return str(value)


def _records(
    bodies: list[dict[str, t.Any]], resources: str, scopes: str, records: str
) -> collections.abc.Iterator[tuple[dict[str, str], dict[str, t.Any]]]:
    for body in bodies:
        for resource in body[resources]:
            attributes = {entry["key"]: _value(entry) for entry in resource["resource"].get("attributes", [])}
            for scope in resource[scopes]:
                for record in scope[records]:
                    yield attributes, record


@dataclasses.dataclass(frozen=True)
class Agent:
    """A running collector: OTLP by HTTP at `otlp`, its own metrics at `metrics`, pods' and containerd's logs in
    folders. `pod_uid`: of the pod in the API."""

    sink: Sink
    otlp: str
    metrics: str
    pods: Path
    containerd: Path
    pod_uid: str

    def container_log(self, pod: str, container: str) -> Path:
        """Where the kubelet has a container's log; `pod` with its namespace, <namespace>_<name>."""
        return self.pods / f"{pod}_{self.pod_uid}" / container / "0.log"

    def send(self, kind: t.Literal["traces", "metrics", "logs"], body: dict[str, t.Any]) -> None:
        request = urllib.request.Request(
            f"{self.otlp}/v1/{kind}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 200


@pytest.fixture(scope="module")
def agent(
    program: Path, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> collections.abc.Iterator[Agent]:
    directory = tmp_path_factory.mktemp("collector")
    (directory / "store").mkdir()
    chart = values()
    sink, http_port, metrics_port, health_port, grpc_port = Sink(), free_port(), free_port(), free_port(), free_port()
    kubeconfig = rights(control_plane, chart["clusterRole"]["rules"])
    urls = (f"http://127.0.0.1:{http_port}", f"http://127.0.0.1:{metrics_port}/metrics")
    found = Agent(sink, *urls, directory / "pods", directory / "containerd", make_pod(control_plane))
    found.pods.mkdir()
    found.containerd.mkdir()
    write(directory / "collector.yml", chart["alternateConfig"])
    (reader,) = chart["alternateConfig"]["service"]["telemetry"]["metrics"]["readers"]
    exporter = {**reader["pull"]["exporter"]["prometheus"], "host": "127.0.0.1", "port": metrics_port}
    to_sink = {"encoding": "json", "compression": "none"}
    here = {
        "extensions": {
            "file_storage": {"directory": str(directory / "store")},
            "health_check": {"endpoint": f"127.0.0.1:{health_port}"},
        },
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {"endpoint": f"127.0.0.1:{grpc_port}"},
                    "http": {"endpoint": f"127.0.0.1:{http_port}"},
                }
            },
            "file_log/pods": {
                "include": [f"{found.pods}/*/*/*.log"],
                "start_at": "beginning",
                "poll_interval": "100ms",
            },
            "file_log/containerd": {
                "include": [f"{found.containerd}/containerd.log"],
                "start_at": "beginning",
                "poll_interval": "100ms",
            },
        },
        "processors": {
            "k8s_attributes/senders": {"auth_type": "kubeConfig"},
            "k8s_attributes/files": {"auth_type": "kubeConfig"},
            "batch": {"timeout": "100ms"},
        },
        "exporters": {
            "otlp_http/loki": {"endpoint": f"{sink.url}/otlp", **to_sink},
            "otlp_http/prometheus": {"endpoint": f"{sink.url}/api/v1/otlp", **to_sink},
            "otlp_http/tempo": {"endpoint": sink.url, **to_sink},
        },
        "service": {
            "telemetry": {"metrics": {"readers": [{"pull": {"exporter": {"prometheus": exporter}}}]}},
            "pipelines": {"traces": {"exporters": ["otlp_http/tempo"]}},
        },
    }
    write(directory / "here.yml", here)
    server = Server(
        [str(program), f"--config=file:{directory / 'collector.yml'}", f"--config=file:{directory / 'here.yml'}"],
        log=directory / "collector.log",
        environment={"KUBECONFIG": str(kubeconfig), "MY_POD_IP": "127.0.0.1", "OTEL_K8S_NODE_NAME": NODE},
    )
    try:
        server.wait_ready(lambda: answers(f"http://127.0.0.1:{health_port}/"), seconds=60)
        yield found
    finally:
        server.stop()
        sink.server.shutdown()


def rights(control_plane: ControlPlane, rules: list[dict[str, t.Any]]) -> Path:
    """A kubeconfig with the rights of the chart's ClusterRole and no others."""
    kubeconfig = control_plane.kubeconfig_for("collector")
    control_plane.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "collector"},
            "rules": rules,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "collector"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "collector"},
            "subjects": [{"kind": "ServiceAccount", "name": "collector", "namespace": "default"}],
        },
    )
    return kubeconfig


def make_pod(control_plane: ControlPlane) -> str:
    """A replica of function `hello` on the collector's node, whose address is the one that the tests send from; its
    UID."""
    control_plane.create_namespace("shop")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "hello-abc", "namespace": "shop", "labels": {"core.spinkube.dev/app-name": "hello"}},
        "spec": {"nodeName": NODE, "containers": [{"name": "hello", "image": "example.com/hello:1"}]},
    }
    control_plane.apply(pod)
    status = {
        "status": {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "podIPs": [{"ip": "127.0.0.1"}],
            "startTime": "2026-11-22T10:00:00Z",
        }
    }
    control_plane.client().patch(PodStatus, "hello-abc", status, namespace="shop")
    metadata = control_plane.client().get(Pod, "hello-abc", namespace="shop").metadata
    assert metadata is not None and metadata.uid is not None
    return metadata.uid


def append(file: Path, *lines: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as opened:
        opened.writelines(f"{line}\n" for line in lines)


def named(key: str, value: str) -> dict[str, t.Any]:
    return {"key": key, "value": {"stringValue": value}}


def body_of(record: dict[str, t.Any]) -> str:
    return str(record["body"]["stringValue"])


def test_output_of_a_function_goes_under_its_name(agent: Agent) -> None:
    append(agent.container_log("shop_hello-abc", "hello"), "2026-11-22T10:00:00.000000000Z stderr F hello from wasm")
    wait_until(
        lambda: any(body_of(record) == "hello from wasm" for _attributes, record in agent.sink.logs()),
        seconds=120,
        what="the line at Loki's stand-in",
    )
    attributes = next(attributes for attributes, record in agent.sink.logs() if body_of(record) == "hello from wasm")
    wanted = {
        "service.name": "hello",
        "service.namespace": "shop",
        "k8s.namespace.name": "shop",
        "k8s.pod.name": "hello-abc",
        "k8s.container.name": "hello",
    }
    assert {key: attributes.get(key) for key in wanted} == wanted


def test_a_line_with_a_trace_id_becomes_a_log_of_that_trace(agent: Agent) -> None:
    line = json.dumps({"DownstreamStatus": 200, "TraceId": TRACE, "SpanId": SPAN}, separators=(",", ":"))
    append(
        agent.container_log("wasmfaas-system_traefik-1", "traefik"), f"2026-11-22T10:00:00.000000000Z stdout F {line}"
    )
    wait_until(
        lambda: any(body_of(record) == line for _attributes, record in agent.sink.logs()),
        seconds=120,
        what="the line at Loki's stand-in",
    )
    record = next(record for _attributes, record in agent.sink.logs() if body_of(record) == line)
    assert (record["traceId"], record["spanId"]) == (TRACE, SPAN)


def test_a_line_that_only_looks_like_json_stays_as_it_is(agent: Agent) -> None:
    line = f'{{"TraceId":"{TRACE}" and then no more JSON'
    append(agent.container_log("shop_hello-abc", "hello"), f"2026-11-22T10:00:01.000000000Z stderr F {line}")
    wait_until(
        lambda: any(body_of(record) == line for _attributes, record in agent.sink.logs()),
        seconds=120,
        what="the line at Loki's stand-in",
    )
    assert not next(record for _attributes, record in agent.sink.logs() if body_of(record) == line).get("traceId")


def test_of_containerds_log_only_what_went_wrong(agent: Agent) -> None:
    append(
        agent.containerd / "containerd.log",
        'time="2026-11-22T10:00:00Z" level=info msg="StartContainer"',
        'time="2026-11-22T10:00:01Z" level=error msg="unsupported import wasi:http"',
    )
    wait_until(
        lambda: any("unsupported import" in body_of(record) for _attributes, record in agent.sink.logs()),
        seconds=120,
        what="containerd's line",
    )
    ours = [
        (attributes, body_of(record))
        for attributes, record in agent.sink.logs()
        if attributes.get("service.name") == "containerd"
    ]
    assert [text for _attributes, text in ours] == [
        'time="2026-11-22T10:00:01Z" level=error msg="unsupported import wasi:http"'
    ]
    assert ours[0][0]["k8s.node.name"] == NODE


def test_spans_of_spin_get_the_functions_name_and_health_checks_go(agent: Agent) -> None:
    now = time.time_ns()

    def span(path: str, identifier: str) -> dict[str, t.Any]:
        times = {"startTimeUnixNano": str(now), "endTimeUnixNano": str(now + 1000)}
        return {
            "traceId": TRACE,
            "spanId": identifier,
            "name": f"GET {path}",
            "kind": 2,
            "attributes": [named("url.path", path)],
            **times,
        }

    spans = [span("/.well-known/spin/health", "b7ad6b7169203332"), span("/cart", SPAN)]
    agent.send(
        "traces",
        {
            "resourceSpans": [
                {"resource": {"attributes": [named("service.name", "spin")]}, "scopeSpans": [{"spans": spans}]}
            ]
        },
    )
    wait_until(lambda: bool(agent.sink.spans()), seconds=120, what="the span at Tempo's stand-in")
    assert [record["name"] for _attributes, record in agent.sink.spans()] == ["GET /cart"]
    attributes = agent.sink.spans()[0][0]
    assert (attributes["service.name"], attributes["service.namespace"], attributes["k8s.pod.name"]) == (
        "hello",
        "shop",
        "hello-abc",
    )


def test_metrics_of_spin_say_which_replica_counted(agent: Agent) -> None:
    point = {
        "asInt": "3",
        "timeUnixNano": str(time.time_ns()),
        "attributes": [named("app_id", "hello"), named("component_id", "web")],
    }
    metric = {
        "name": "spin.request_count",
        "sum": {"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": True},
    }
    agent.send(
        "metrics",
        {
            "resourceMetrics": [
                {"resource": {"attributes": [named("service.name", "spin")]}, "scopeMetrics": [{"metrics": [metric]}]}
            ]
        },
    )
    wait_until(lambda: bool(agent.sink.metrics()), seconds=120, what="the metric at Prometheus' stand-in")
    attributes, record = agent.sink.metrics()[0]
    assert record["name"] == "spin.request_count"
    assert (attributes["wasmfaas.function"], attributes["k8s.namespace.name"], attributes["k8s.pod.name"]) == (
        "hello",
        "shop",
        "hello-abc",
    )


def test_logs_that_spin_sends_besides_are_not_doubled(agent: Agent) -> None:
    def logs(scope: str, text: str) -> dict[str, t.Any]:
        record = {"body": {"stringValue": text}, "timeUnixNano": str(time.time_ns())}
        return {
            "resourceLogs": [
                {"resource": {"attributes": []}, "scopeLogs": [{"scope": {"name": scope}, "logRecords": [record]}]}
            ]
        }

    agent.send("logs", logs("spin", "from spin"))
    agent.send("logs", logs("another", "from another"))
    wait_until(
        lambda: any(body_of(record) == "from another" for _attributes, record in agent.sink.logs()),
        seconds=120,
        what="the log of another sender",
    )
    assert not any(body_of(record) == "from spin" for _attributes, record in agent.sink.logs())


def test_who_sends_can_not_say_who_it_is(agent: Agent) -> None:
    claimed = {
        "k8s.pod.uid": "00000000-0000-0000-0000-000000000000",
        "k8s.namespace.name": "bank",
        "k8s.cluster.name": "another",
        "service.namespace": "bank",
        "wasmfaas.function": "vault",
        "service.name": "vault",
    }
    record = {"body": {"stringValue": "forged"}, "timeUnixNano": str(time.time_ns())}
    resource = {"attributes": [named(key, value) for key, value in claimed.items()]}
    agent.send("logs", {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]})

    def found() -> list[dict[str, str]]:
        return [attributes for attributes, record in agent.sink.logs() if body_of(record) == "forged"]

    wait_until(lambda: bool(found()), seconds=120, what="the forged log at Loki's stand-in")
    (attributes,) = found()
    assert {key: attributes.get(key) for key in claimed} == {
        "k8s.pod.uid": agent.pod_uid,
        "k8s.namespace.name": "shop",
        "k8s.cluster.name": None,
        "service.namespace": "shop",
        "wasmfaas.function": "hello",
        "service.name": "hello",
    }


def test_its_own_metrics_are_those_that_dashboards_ask_for(agent: Agent) -> None:
    """After the tests above: metrics of a kind come with the first of that kind."""
    with urllib.request.urlopen(agent.metrics, timeout=10) as response:
        there = set(re.findall(r"^(otelcol_\w+)\{", response.read().decode(), re.MULTILINE))
    listed = yaml.safe_load((tools.COLLECTOR_SOURCES.parent / "metrics.yml").read_text(encoding="utf-8"))["sources"]
    asked = {metric for entry in listed for metric in entry["metrics"] if metric.startswith("otelcol_receiver_")}
    assert asked and asked <= there
