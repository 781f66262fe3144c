# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the dashboards of the role observability: `python scripts/dashboards.py`. One test fails if they are not
current, another checks every metric and label.

The tables below describe the panels; grafana-foundation-sdk makes Grafana's JSON from them.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import logs, loki, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, StackingConfig, VizLegendOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, StackingMode
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef, VariableRefresh, VariableSort
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DIRECTORY = Path(__file__).resolve().parent.parent / "roles" / "observability" / "files" / "dashboards"
PROMETHEUS = DataSourceRef(type_val="prometheus", uid="prometheus")
LOKI = DataSourceRef(type_val="loki", uid="loki")

# The SpinKube operator puts this label on the Deployment and the pods of a function. kube-state-metrics reports it.
FUNCTION = "label_core_spinkube_dev_app_name"
GROUP = "label_wasmfaas_dev_group"

# Selectors for the variables of a dashboard. Traefik's routes are named <namespace>-<function>.
ROUTE = 'route=~"$namespace-$function"'
DEPLOYMENT = 'namespace=~"$namespace", deployment=~"$function"'
POD_OF_FUNCTION = (
    f'on (namespace, pod) group_left ({FUNCTION}) kube_pod_labels{{namespace=~"$namespace", {FUNCTION}=~"$function"}}'
)
NEW_POD = "on (namespace, pod) (time() - kube_pod_created < 3600)"
GROUP_OF_NODE = f"on (node) group_left ({GROUP}) kube_node_labels"


@dataclasses.dataclass(frozen=True)
class Panel:
    """A panel of a dashboard.

    Args:
        queries: Pairs of expression and legend. Expressions are PromQL, or LogQL if `kind` is logs.
        width: Columns of the 24 of a row.
        height: Rows of Grafana's grid.
        maximum: The largest value of the axis.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: t.Literal["timeseries", "stacked", "stat", "table", "logs"] = "timeseries"
    width: int = 8
    height: int = 8
    description: str = ""
    maximum: float | None = None


@dataclasses.dataclass(frozen=True)
class Dashboard:
    """A dashboard.

    Args:
        name: The name of the file, and of the uid after `wasmfaas-`.
        rows: Headings with their panels.
        variables: Pairs of name and the query that returns its values.
    """

    name: str
    title: str
    description: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]
    variables: tuple[tuple[str, str], ...] = ()


def one(expression: str, legend: str = "") -> tuple[tuple[str, str], ...]:
    """The queries of a panel that has only one."""
    return ((expression, legend),)


def quantile(share: float, buckets: str, by: str) -> str:
    """The PromQL of a histogram's quantile `share`; `buckets` are the rates of its buckets."""
    return f"histogram_quantile({share}, sum by (le{', ' if by else ''}{by}) ({buckets}))"


def network_rate(direction: str) -> str:
    """The PromQL of bytes per second by node, without interfaces of pods; `direction`: `receive` or `transmit`."""
    devices = 'device!~"lo|veth.*|cni.*|flannel.*"'
    return f"sum by (node) (rate(node_network_{direction}_bytes_total{{{devices}}}[$__rate_interval]))"


FUNCTION_VARIABLES = (
    ("namespace", f'label_values(kube_deployment_labels{{{FUNCTION}!=""}}, namespace)'),
    ("function", f'label_values(kube_deployment_labels{{{FUNCTION}!="", namespace=~"$namespace"}}, deployment)'),
)

FUNCTIONS = Dashboard(
    "functions",
    "Functions",
    "Rate, errors and duration of functions, their replicas, CPU and memory.",
    (
        (
            "Requests at the ingress",
            (
                Panel(
                    "Requests per second",
                    one(f"sum by (route) (wasmfaas:route_requests:rate5m{{{ROUTE}}})", "{{route}}"),
                    "reqps",
                ),
                Panel(
                    "Share that failed (5xx)",
                    one(f"wasmfaas:route_errors:ratio5m{{{ROUTE}}}", "{{route}}"),
                    "percentunit",
                    maximum=1,
                ),
                Panel(
                    "Duration",
                    tuple(
                        (
                            quantile(
                                share, f"wasmfaas:route_request_duration_seconds_bucket:rate5m{{{ROUTE}}}", "route"
                            ),
                            f"{{{{route}}}} p{round(share * 100)}",
                        )
                        for share in (0.5, 0.95, 0.99)
                    ),
                    "s",
                    description="From the ingress's first byte to its last, cold starts included.",
                ),
                Panel(
                    "Requests by status",
                    one(f"sum by (code) (wasmfaas:route_requests:rate5m{{{ROUTE}}})", "{{code}}"),
                    "reqps",
                    "stacked",
                ),
                Panel(
                    "Requests by method",
                    one(f"sum by (method) (wasmfaas:route_requests:rate5m{{{ROUTE}}})", "{{method}}"),
                    "reqps",
                    "stacked",
                ),
                Panel(
                    "Requests in Spin, by component",
                    one(
                        "sum by (wasmfaas_function, component_id) "
                        '(rate(spin_request_count_total{k8s_namespace_name=~"$namespace", '
                        'wasmfaas_function=~"$function"}[$__rate_interval]))',
                        "{{wasmfaas_function}} {{component_id}}",
                    ),
                    "reqps",
                    description="Counted by Spin, without health checks. Needs an executor with an OTLP endpoint.",
                ),
            ),
        ),
        (
            "By route of the application, from traces",
            (
                Panel(
                    "Requests per second",
                    one(
                        "sum by (service, http_route) "
                        '(rate(traces_spanmetrics_calls_total{service_namespace=~"$namespace", '
                        'service=~"$function", '
                        'span_kind="SPAN_KIND_SERVER"}[$__rate_interval]))',
                        "{{service}} {{http_route}}",
                    ),
                    "reqps",
                    width=12,
                    description="If observability_trace_percent is below 100, only that share of requests is counted.",
                ),
                Panel(
                    "Duration, 95th percentile",
                    one(
                        quantile(
                            0.95,
                            'rate(traces_spanmetrics_latency_bucket{service_namespace=~"$namespace", '
                            'service=~"$function", span_kind="SPAN_KIND_SERVER"}'
                            "[$__rate_interval])",
                            "service, http_route",
                        ),
                        "{{service}} {{http_route}}",
                    ),
                    "s",
                    width=12,
                ),
            ),
        ),
        (
            "Replicas, CPU and memory",
            (
                Panel(
                    "Replicas",
                    (
                        (
                            f"wasmfaas:function_replicas:available{{{DEPLOYMENT}}}",
                            "{{namespace}}/{{deployment}} available",
                        ),
                        (f"wasmfaas:function_replicas:wanted{{{DEPLOYMENT}}}", "{{namespace}}/{{deployment}} desired"),
                    ),
                ),
                Panel(
                    "Cold starts in the last hour",
                    one(
                        f"ceil(changes((wasmfaas:function_replicas:available{{{DEPLOYMENT}}} > bool 0)[1h:30s]) / 2)",
                        "{{namespace}}/{{deployment}}",
                    ),
                    description="How often the first replica of a function became ready.",
                ),
                Panel(
                    "Restarts in the last hour",
                    one(
                        f"sum by (namespace, {FUNCTION}) (increase(kube_pod_container_status_restarts_total[1h]) * "
                        f"{POD_OF_FUNCTION}) > 0",
                        f"{{{{namespace}}}}/{{{{{FUNCTION}}}}}",
                    ),
                ),
                Panel(
                    "CPU",
                    one(
                        f"sum by (namespace, {FUNCTION}) (sum by (namespace, pod) "
                        "(rate(container_cpu_usage_seconds_total"
                        f'{{namespace=~"$namespace", container=""}}[$__rate_interval])) * {POD_OF_FUNCTION})',
                        f"{{{{namespace}}}}/{{{{{FUNCTION}}}}}",
                    ),
                    "none",
                    width=12,
                    description="Cores of whole pods.",
                ),
                Panel(
                    "Memory",
                    one(
                        f"sum by (namespace, {FUNCTION}) (sum by (namespace, pod) (container_memory_working_set_bytes"
                        f'{{namespace=~"$namespace", container=""}}) * {POD_OF_FUNCTION})',
                        f"{{{{namespace}}}}/{{{{{FUNCTION}}}}}",
                    ),
                    "bytes",
                    width=12,
                ),
            ),
        ),
        (
            "Logs",
            (
                Panel(
                    "Output",
                    one('{k8s_namespace_name=~"$namespace", service_name=~"$function"}'),
                    kind="logs",
                    width=24,
                    height=12,
                ),
            ),
        ),
    ),
    FUNCTION_VARIABLES,
)

COLD_START = Dashboard(
    "cold-start",
    "Cold starts",
    "How long each step takes between a request to a function without a replica and its answer.",
    (
        (
            "From the pod's creation to its readiness: pods of the last hour",
            tuple(
                Panel(
                    title,
                    one(
                        f"avg by (namespace, {FUNCTION}) ((({expression}) and {NEW_POD}) * {POD_OF_FUNCTION})",
                        f"{{{{namespace}}}}/{{{{{FUNCTION}}}}}",
                    ),
                    "s",
                    description=description,
                )
                for title, expression, description in (
                    (
                        "1. Until it has a node",
                        "kube_pod_status_scheduled_time - on (namespace, pod) kube_pod_created",
                        "Minutes mean that a new node had to start. Kubernetes reports whole seconds.",
                    ),
                    (
                        "2. Until its container runs",
                        (
                            "max by (namespace, pod) (kube_pod_container_state_started) - on (namespace, pod) "
                            "kube_pod_status_scheduled_time"
                        ),
                        "Sets up the network, pulls the artifact from the registry and starts the shim.",
                    ),
                    (
                        "3. Until it is ready",
                        (
                            "kube_pod_status_ready_time - on (namespace, pod) max by (namespace, pod) "
                            "(kube_pod_container_state_started)"
                        ),
                        "Compiles the module and waits for the readiness probe.",
                    ),
                )
            ),
        ),
        (
            "On the nodes",
            (
                Panel(
                    "Duration of the runtime's operations, 95th percentile",
                    one(
                        quantile(
                            0.95,
                            "rate(kubelet_runtime_operations_duration_seconds_bucket"
                            '{operation_type=~"run_podsandbox|pull_image|create_container|start_container"}[15m])',
                            "operation_type",
                        ),
                        "{{operation_type}}",
                    ),
                    "s",
                ),
                Panel(
                    "Pulling an artifact, 95th percentile",
                    one(
                        quantile(0.95, "rate(kubelet_image_pull_duration_seconds_bucket[15m])", "image_size_in_bytes"),
                        "{{image_size_in_bytes}}",
                    ),
                    "s",
                    description="By size of the artifact.",
                ),
                Panel(
                    "Start of a pod without the pull, 95th percentile",
                    one(quantile(0.95, "rate(kubelet_pod_start_sli_duration_seconds_bucket[15m])", "node"), "{{node}}"),
                    "s",
                ),
            ),
        ),
        (
            "In front of the function: KEDA's interceptor",
            (
                Panel(
                    "Duration at the interceptor",
                    tuple(
                        (
                            quantile(
                                share,
                                'rate(interceptor_request_duration_seconds_bucket{route_namespace=~"$namespace", '
                                'route_name=~"$function"}[$__rate_interval])',
                                "route_namespace, route_name",
                            ),
                            f"{{{{route_namespace}}}}/{{{{route_name}}}} p{round(share * 100)}",
                        )
                        for share in (0.5, 0.99)
                    ),
                    "s",
                    description="Includes the wait for a replica; p99 less p50 is about the time of a cold start.",
                ),
                Panel(
                    "Requests waiting or in progress",
                    one(
                        "sum by (route_namespace, route_name) "
                        '(interceptor_request_concurrency{route_namespace=~"$namespace", '
                        'route_name=~"$function"})',
                        "{{route_namespace}}/{{route_name}}",
                    ),
                ),
                Panel(
                    "Requests that failed at the interceptor",
                    one(
                        "sum by (route_namespace, route_name, code) "
                        '(rate(interceptor_request_count_total{route_namespace=~"$namespace", '
                        'route_name=~"$function", code=~"50[234]"}[$__rate_interval]))',
                        "{{route_namespace}}/{{route_name}} {{code}}",
                    ),
                    "reqps",
                ),
                Panel(
                    "Functions that KEDA scales above zero",
                    one(
                        'max by (namespace, scaledObject) (keda_scaler_active{namespace=~"$namespace"})',
                        "{{namespace}}/{{scaledObject}}",
                    ),
                    width=12,
                ),
                Panel(
                    "Duration of KEDA's queries to its scalers",
                    one(
                        "max by (namespace, scaledObject) "
                        '(keda_scaler_metrics_latency_seconds{namespace=~"$namespace"})',
                        "{{namespace}}/{{scaledObject}}",
                    ),
                    "s",
                    width=12,
                ),
            ),
        ),
    ),
    FUNCTION_VARIABLES,
)

INGRESS = Dashboard(
    "ingress",
    "Ingress",
    "Traffic, certificates and resources of Traefik.",
    (
        (
            "Traffic",
            (
                Panel(
                    "Requests per second by status",
                    one("sum by (code) (rate(traefik_entrypoint_requests_total[$__rate_interval]))", "{{code}}"),
                    "reqps",
                    "stacked",
                ),
                Panel(
                    "Share that failed (5xx)",
                    one(
                        'sum by (entrypoint) (rate(traefik_entrypoint_requests_total{code=~"5.."}[$__rate_interval])) '
                        "/ sum by (entrypoint) (rate(traefik_entrypoint_requests_total[$__rate_interval]))",
                        "{{entrypoint}}",
                    ),
                    "percentunit",
                    maximum=1,
                ),
                Panel(
                    "Duration",
                    tuple(
                        (
                            quantile(
                                share, "rate(traefik_entrypoint_request_duration_seconds_bucket[$__rate_interval])", ""
                            ),
                            f"p{round(share * 100)}",
                        )
                        for share in (0.5, 0.95, 0.99)
                    ),
                    "s",
                ),
                Panel(
                    "Open connections",
                    one("sum by (entrypoint, protocol) (traefik_open_connections)", "{{entrypoint}} {{protocol}}"),
                ),
                Panel(
                    "Bytes per second",
                    (
                        (
                            "sum by (entrypoint) (rate(traefik_entrypoint_requests_bytes_total[$__rate_interval]))",
                            "{{entrypoint}} in",
                        ),
                        (
                            "sum by (entrypoint) (rate(traefik_entrypoint_responses_bytes_total[$__rate_interval]))",
                            "{{entrypoint}} out",
                        ),
                    ),
                    "Bps",
                ),
                Panel(
                    "The ten busiest routes",
                    one("topk(10, sum by (route) (wasmfaas:route_requests:rate5m))", "{{route}}"),
                    "reqps",
                ),
            ),
        ),
        (
            "Traefik itself",
            (
                Panel(
                    "Days until certificates expire",
                    one("min by (cn, sans) (traefik_tls_certs_not_after - time()) / 86400", "{{cn}} {{sans}}"),
                    "d",
                ),
                Panel(
                    "Configuration reloads in five minutes",
                    one("sum by (pod) (increase(traefik_config_reloads_total[5m]))", "{{pod}}"),
                ),
                Panel(
                    "CPU and memory",
                    (
                        ('rate(process_cpu_seconds_total{job="traefik"}[$__rate_interval])', "{{pod}} cores"),
                        ('process_resident_memory_bytes{job="traefik"} / 1024 / 1024 / 1024', "{{pod}} GiB"),
                    ),
                    "none",
                ),
            ),
        ),
        (
            "Access log",
            (
                Panel(
                    "Requests",
                    one('{k8s_namespace_name="wasmfaas-system", service_name="traefik"}'),
                    kind="logs",
                    width=24,
                    height=12,
                ),
            ),
        ),
    ),
)

CLUSTER = Dashboard(
    "cluster",
    "Cluster and etcd",
    "Health of the control plane.",
    (
        (
            "At a glance",
            (
                Panel(
                    "Servers that may fail",
                    one('sum(up{job="kube-etcd"}) - floor(count(max_over_time(up{job="kube-etcd"}[15m])) / 2) - 1'),
                    kind="stat",
                    width=4,
                    height=5,
                    description="How many servers may fail before the quorum is lost.",
                ),
                Panel(
                    "etcd without a leader",
                    one('count(etcd_server_has_leader{job="kube-etcd"} == 0) or vector(0)'),
                    kind="stat",
                    width=4,
                    height=5,
                ),
                Panel(
                    "Newest snapshot",
                    one(
                        "time() - max(k3s_etcd_snapshot_file_created_seconds and on (name) "
                        "k3s_etcd_snapshot_file_ready == 1)"
                    ),
                    "s",
                    "stat",
                    4,
                    5,
                ),
                Panel(
                    "Next certificate of k3s to expire",
                    one("min(k3s_certificate_expiration_seconds)"),
                    "s",
                    "stat",
                    4,
                    5,
                ),
                Panel(
                    "Next certificate of cert-manager to expire",
                    one("min(certmanager_certificate_expiration_timestamp_seconds) - time()"),
                    "s",
                    "stat",
                    4,
                    5,
                ),
                Panel(
                    "Pending pods", one('sum(kube_pod_status_phase{phase="Pending"})'), kind="stat", width=4, height=5
                ),
            ),
        ),
        (
            "etcd",
            (
                Panel(
                    "Write to the log (WAL), 99th percentile",
                    one(
                        quantile(
                            0.99,
                            'rate(etcd_disk_wal_fsync_duration_seconds_bucket{job="kube-etcd"}[$__rate_interval])',
                            "node",
                        ),
                        "{{node}}",
                    ),
                    "s",
                    description="Above 10 ms etcd is slow; above half a second it loses leaders.",
                ),
                Panel(
                    "Commit to the database, 99th percentile",
                    one(
                        quantile(
                            0.99,
                            'rate(etcd_disk_backend_commit_duration_seconds_bucket{job="kube-etcd"}[$__rate_interval])',
                            "node",
                        ),
                        "{{node}}",
                    ),
                    "s",
                ),
                Panel(
                    "Round trip to other members, 99th percentile",
                    one(
                        quantile(
                            0.99,
                            'rate(etcd_network_peer_round_trip_time_seconds_bucket{job="kube-etcd"}[$__rate_interval])',
                            "node, To",
                        ),
                        "{{node}} {{To}}",
                    ),
                    "s",
                ),
                Panel(
                    "Database",
                    (
                        ('etcd_mvcc_db_total_size_in_bytes{job="kube-etcd"}', "{{node}}"),
                        ('etcd_mvcc_db_total_size_in_use_in_bytes{job="kube-etcd"}', "{{node}} in use"),
                        ('min(etcd_server_quota_backend_bytes{job="kube-etcd"})', "limit"),
                    ),
                    "bytes",
                ),
                Panel(
                    "Leader changes in an hour",
                    one('increase(etcd_server_leader_changes_seen_total{job="kube-etcd"}[1h])', "{{node}}"),
                ),
                Panel("Pending proposals", one('etcd_server_proposals_pending{job="kube-etcd"}', "{{node}}")),
            ),
        ),
        (
            "API server",
            (
                Panel(
                    "Requests per second by status",
                    one('sum by (code) (rate(apiserver_request_total{job="apiserver"}[$__rate_interval]))', "{{code}}"),
                    "reqps",
                    "stacked",
                ),
                Panel(
                    "Duration, 99th percentile",
                    one(
                        quantile(
                            0.99,
                            'rate(apiserver_request_duration_seconds_bucket{job="apiserver", '
                            'verb!~"WATCH|CONNECT"}[$__rate_interval])',
                            "verb",
                        ),
                        "{{verb}}",
                    ),
                    "s",
                ),
                Panel(
                    "Requests in progress",
                    one(
                        'sum by (instance, request_kind) (apiserver_current_inflight_requests{job="apiserver"})',
                        "{{instance}} {{request_kind}}",
                    ),
                ),
                Panel(
                    "k3s: CPU",
                    one('rate(process_cpu_seconds_total{job="apiserver"}[$__rate_interval])', "{{instance}}"),
                    "none",
                    width=12,
                ),
                Panel(
                    "k3s: memory",
                    one('process_resident_memory_bytes{job="apiserver"}', "{{instance}}"),
                    "bytes",
                    width=12,
                ),
            ),
        ),
        (
            "Telemetry",
            (
                Panel("Targets that do not answer", one("count by (job) (up == 0)", "{{job}}")),
                Panel(
                    "Dropped by the collector, per second",
                    tuple(
                        (
                            f"sum by (node) (rate(otelcol_exporter_{kind}_{signal}_total[$__rate_interval]))",
                            f"{{{{node}}}} {name}",
                        )
                        for signal, name in (("log_records", "logs"), ("spans", "spans"), ("metric_points", "metrics"))
                        for kind in ("enqueue_failed", "send_failed")
                    ),
                ),
                Panel(
                    "Received per second",
                    (
                        ("sum(rate(otelcol_receiver_accepted_log_records_total[$__rate_interval]))", "log lines"),
                        ("sum(rate(otelcol_receiver_accepted_spans_total[$__rate_interval]))", "spans"),
                        (
                            "sum(rate(prometheus_tsdb_head_samples_appended_total[$__rate_interval]))",
                            "samples of metrics",
                        ),
                    ),
                ),
            ),
        ),
    ),
)

NODES = Dashboard(
    "nodes",
    "Nodes and interruptions",
    "Nodes by group, their use, scaling and interruptions.",
    (
        (
            "Nodes",
            (
                Panel(
                    "Nodes by group", one(f"count by ({GROUP}) (kube_node_labels)", f"{{{{{GROUP}}}}}"), kind="stacked"
                ),
                Panel(
                    "Not ready",
                    one(
                        'sum by (node) (kube_node_status_condition{condition="Ready", status!="true"}) > 0', "{{node}}"
                    ),
                ),
                Panel(
                    "Requested share of allocatable memory",
                    one(
                        f"sum by ({GROUP}) (sum by (node) "
                        f'(kube_pod_container_resource_requests{{resource="memory"}}) * {GROUP_OF_NODE}) '
                        f'/ sum by ({GROUP}) (kube_node_status_allocatable{{resource="memory"}} * {GROUP_OF_NODE})',
                        f"{{{{{GROUP}}}}}",
                    ),
                    "percentunit",
                    maximum=1,
                ),
                Panel(
                    "Requested share of allocatable CPU",
                    one(
                        f'sum by ({GROUP}) (sum by (node) (kube_pod_container_resource_requests{{resource="cpu"}}) * '
                        f"{GROUP_OF_NODE}) "
                        f'/ sum by ({GROUP}) (kube_node_status_allocatable{{resource="cpu"}} * {GROUP_OF_NODE})',
                        f"{{{{{GROUP}}}}}",
                    ),
                    "percentunit",
                    maximum=1,
                ),
                Panel(
                    "CPU in use",
                    one('1 - avg by (node) (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))', "{{node}}"),
                    "percentunit",
                    maximum=1,
                ),
                Panel(
                    "Memory in use",
                    one("1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "{{node}}"),
                    "percentunit",
                    maximum=1,
                ),
                Panel(
                    "Disk in use",
                    one(
                        '1 - node_filesystem_avail_bytes{mountpoint="/"} / node_filesystem_size_bytes{mountpoint="/"}',
                        "{{node}}",
                    ),
                    "percentunit",
                    maximum=1,
                ),
                Panel(
                    "CPU taken by the hypervisor",
                    one('avg by (node) (rate(node_cpu_seconds_total{mode="steal"}[$__rate_interval]))', "{{node}}"),
                    "percentunit",
                    description="On burstable machines this means that CPU credits are used up.",
                ),
                Panel(
                    "Network per second",
                    (
                        (network_rate("receive"), "{{node}} in"),
                        (network_rate("transmit"), "{{node}} out"),
                    ),
                    "Bps",
                ),
            ),
        ),
        (
            "Scaling and interruptions",
            (
                Panel(
                    "Nodes of autoscaled groups",
                    (
                        ("cluster_autoscaler_node_group_target_count", "{{node_group}}"),
                        ("cluster_autoscaler_node_group_max_count", "{{node_group}} maximum"),
                    ),
                ),
                Panel(
                    "Pods that no node can run",
                    one("sum by (type) (cluster_autoscaler_unschedulable_pods_count)", "{{type}}"),
                ),
                Panel(
                    "Nodes started and stopped in an hour",
                    (
                        ("sum(increase(cluster_autoscaler_scaled_up_nodes_total[1h]))", "started"),
                        (
                            "sum by (reason) (increase(cluster_autoscaler_scaled_down_nodes_total[1h]))",
                            "stopped: {{reason}}",
                        ),
                        (
                            "sum by (reason) (increase(cluster_autoscaler_failed_scale_ups_total[1h]))",
                            "not available: {{reason}}",
                        ),
                    ),
                ),
                Panel(
                    "Actions of the termination handler in an hour",
                    one(
                        "sum by (node_action, node_status) "
                        '(increase(actions_total{job="node-termination-handler"}[1h]))',
                        "{{node_action}}: {{node_status}}",
                    ),
                    width=12,
                    description="For spot interruptions, rebalances, and machines that a scaling group ends.",
                ),
                Panel(
                    "Nodes closed to new pods",
                    one(f"sum by ({GROUP}) (kube_node_spec_unschedulable * {GROUP_OF_NODE})", f"{{{{{GROUP}}}}}"),
                    width=12,
                ),
            ),
        ),
    ),
)

COST = Dashboard(
    "cost",
    "Cost",
    "Costs of machines only. They need observability_prices, the price of a node's hour by group; hours need nothing.",
    (
        (
            "By group",
            (
                Panel(
                    "Now, per hour",
                    one(f"sum(kube_node_labels * on ({GROUP}) group_left () wasmfaas:node_price:per_hour)"),
                    "none",
                    "stat",
                    6,
                    5,
                ),
                Panel(
                    "Per month at the current rate",
                    one(f"730 * sum(kube_node_labels * on ({GROUP}) group_left () wasmfaas:node_price:per_hour)"),
                    "none",
                    "stat",
                    6,
                    5,
                ),
                Panel(
                    "In the selected time range",
                    one(
                        f"sum(sum_over_time(sum by ({GROUP}) (kube_node_labels * on ({GROUP}) group_left () "
                        "wasmfaas:node_price:per_hour)[$__range:5m])) / 12"
                    ),
                    "none",
                    "stat",
                    6,
                    5,
                ),
                Panel("Nodes", one("count(kube_node_labels)"), "none", "stat", 6, 5),
                Panel(
                    "Per hour",
                    one(
                        f"sum by ({GROUP}) (kube_node_labels * on ({GROUP}) group_left () "
                        "wasmfaas:node_price:per_hour)",
                        f"{{{{{GROUP}}}}}",
                    ),
                    "none",
                    "stacked",
                    12,
                ),
                Panel(
                    "Node hours in the selected time range",
                    one(f"sum_over_time(count by ({GROUP}) (kube_node_labels)[$__range:5m]) / 12"),
                    "none",
                    "table",
                    12,
                ),
            ),
        ),
        (
            "By namespace",
            (
                Panel(
                    "Requested share of the CPU of all nodes",
                    one(
                        'sum by (namespace) (kube_pod_container_resource_requests{resource="cpu"}) / on () '
                        "group_left () "
                        'sum(kube_node_status_allocatable{resource="cpu"})',
                        "{{namespace}}",
                    ),
                    "percentunit",
                    "stacked",
                    12,
                ),
                Panel(
                    "Requested share of the memory of all nodes",
                    one(
                        'sum by (namespace) (kube_pod_container_resource_requests{resource="memory"}) / on () '
                        "group_left () "
                        'sum(kube_node_status_allocatable{resource="memory"})',
                        "{{namespace}}",
                    ),
                    "percentunit",
                    "stacked",
                    12,
                ),
            ),
        ),
    ),
)

SERVICE = 'job="function-service"'

HOSTED_SERVICE = Dashboard(
    "hosted-service",
    "Hosted service",
    "Queue of deployments, build time by language, failures by cause, and the service's own pods.",
    (
        (
            "Queue",
            (
                Panel("Waiting", one("max(wasmfaas_deployments_queued)"), "none", "stat", 6, 5),
                Panel("Longest wait", one("max(wasmfaas_deployments_oldest_wait_seconds)"), "s", "stat", 6, 5),
                Panel(
                    "Ready in the last hour",
                    one('sum(increase(wasmfaas_deployments_total{phase="Ready"}[1h]))'),
                    "none",
                    "stat",
                    6,
                    5,
                ),
                Panel(
                    "Failed in the last hour",
                    one('sum(increase(wasmfaas_deployments_total{phase="Failed"}[1h]))'),
                    "none",
                    "stat",
                    6,
                    5,
                ),
                Panel("Deployments that wait", one("max(wasmfaas_deployments_queued)", "waiting"), width=12),
                Panel(
                    "Wait for a turn",
                    tuple(
                        (
                            quantile(
                                share,
                                'rate(wasmfaas_deployment_stage_seconds_bucket{stage="queue"}[$__rate_interval])',
                                "",
                            ),
                            f"p{round(share * 100)}",
                        )
                        for share in (0.5, 0.95)
                    ),
                    "s",
                    width=12,
                ),
            ),
        ),
        (
            "Deployments",
            (
                Panel(
                    "Finished per minute",
                    one("60 * sum by (phase) (rate(wasmfaas_deployments_total[$__rate_interval]))", "{{phase}}"),
                    "none",
                    "stacked",
                ),
                Panel(
                    "Failed per minute, by cause",
                    one(
                        '60 * sum by (cause) (rate(wasmfaas_deployments_total{phase="Failed"}[$__rate_interval]))',
                        "{{cause}}",
                    ),
                    "none",
                    "stacked",
                    description="The stage in which a deployment failed; `service` is a mistake of the service itself.",
                ),
                Panel(
                    "Duration of stages (p95)",
                    one(
                        quantile(0.95, "rate(wasmfaas_deployment_stage_seconds_bucket[$__rate_interval])", "stage"),
                        "{{stage}}",
                    ),
                    "s",
                ),
                Panel(
                    "Build time by language (p50)",
                    one(
                        quantile(
                            0.5,
                            'rate(wasmfaas_deployment_stage_seconds_bucket{stage="build"}[$__rate_interval])',
                            "language",
                        ),
                        "{{language}}",
                    ),
                    "s",
                    width=12,
                ),
                Panel(
                    "Build time by language (p95)",
                    one(
                        quantile(
                            0.95,
                            'rate(wasmfaas_deployment_stage_seconds_bucket{stage="build"}[$__rate_interval])',
                            "language",
                        ),
                        "{{language}}",
                    ),
                    "s",
                    width=12,
                ),
            ),
        ),
        (
            "The service",
            (
                Panel(
                    "Replicas that serve",
                    one(
                        'sum by (deployment) (kube_deployment_status_replicas_available{namespace="wasmfaas-service"})',
                        "{{deployment}}",
                    ),
                    "none",
                ),
                Panel("Memory", one(f"process_resident_memory_bytes{{{SERVICE}}}", "{{pod}}"), "bytes"),
                Panel(
                    "CPU",
                    one(f"rate(process_cpu_seconds_total{{{SERVICE}}}[$__rate_interval])", "{{pod}}"),
                    "none",
                ),
            ),
        ),
    ),
)

DASHBOARDS = (FUNCTIONS, COLD_START, INGRESS, CLUSTER, NODES, COST, HOSTED_SERVICE)


def main() -> None:
    """Write all dashboards, and delete other JSON files from their directory."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    desired = files()
    for file in DIRECTORY.glob("*.json"):
        if file not in desired:
            file.unlink()
    for file, text in desired.items():
        file.write_text(text, encoding="utf-8")


def files() -> dict[Path, str]:
    """The desired text of each file."""
    return {DIRECTORY / f"{dashboard.name}.json": text(dashboard) for dashboard in DASHBOARDS}


def text(dashboard: Dashboard) -> str:
    """A dashboard as Grafana's JSON."""
    made = (
        build.Dashboard(dashboard.title)
        .uid(f"wasmfaas-{dashboard.name}")
        .description(dashboard.description)
        .tags(["wasmfaas"])
        .readonly()
    )
    made = made.timezone("browser").time("now-3h", "now").refresh("1m").tooltip(DashboardCursorSync.CROSSHAIR)
    for name, query in dashboard.variables:
        variable = build.QueryVariable(name).label(name).datasource(PROMETHEUS).query(query)
        made = made.with_variable(
            variable.multi(True)
            .include_all(True)
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_ASC)
        )
    for heading, panels in dashboard.rows:
        made = made.with_row(build.Row(heading))
        for panel in panels:
            made = made.with_panel(_panel(panel))
    return json.dumps(made.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _panel(panel: Panel) -> t.Any:
    made: t.Any = (
        _visualisation(panel).title(panel.title).description(panel.description).span(panel.width).height(panel.height)
    )
    made = made.datasource(LOKI if panel.kind == "logs" else PROMETHEUS)
    for number, (expression, legend) in enumerate(panel.queries):
        identifier = chr(ord("A") + number)
        if panel.kind == "logs":
            made = made.with_target(loki.Dataquery().expr(expression).ref_id(identifier))
            continue
        query = (
            prometheus.Dataquery()
            .expr(expression)
            .legend_format(legend or "__auto")
            .ref_id(identifier)
            .datasource(PROMETHEUS)
        )
        if panel.kind == "table":
            query = query.instant().format(PromQueryFormat.TABLE)
        made = made.with_target(query.exemplar(True) if "histogram_quantile" in expression else query)
    return made


def _visualisation(panel: Panel) -> t.Any:
    if panel.kind == "logs":
        return logs.Panel().show_time(True).wrap_log_message(True).enable_log_details(True)
    if panel.kind == "stat":
        return stat.Panel().unit(panel.unit).reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
    if panel.kind == "table":
        return table.Panel().unit(panel.unit)
    legend = VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    made = timeseries.Panel().unit(panel.unit).min(0).legend(legend)
    if panel.maximum is not None:
        made = made.max(panel.maximum)
    return (
        made.stacking(StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(30) if panel.kind == "stacked" else made
    )


if __name__ == "__main__":
    main()
