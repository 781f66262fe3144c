# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CPU and memory that everything that site.yml installs requests, added up from the roles' values. `python -m
tests.observability.budget` writes docs/budget.md.

The charts' templates are not available here. CONTAINERS lists which values belong to which container, from reading the
templates. Resources that a role sets but CONTAINERS does not list are an error.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t
from pathlib import Path

import yaml

from ..integration.support import platform_parts

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "budget.md"
ROLES_DIRECTORY = Path(__file__).resolve().parents[2] / "roles"
GROUP = "wasmfaas.dev/group"
LIMIT = 0.85

# The fleet of terraform/variables.tf by group: number of nodes (the least of an autoscaled group), machine type, CPU in
# thousandths, memory in MiB. We assume that the kernel keeps 5 % of a machine's memory.
FLEET = {
    "control-plane": (3, "t4g.medium", 2000, round(4096 * 0.95)),
    "observability": (2, "t4g.large", 2000, round(8192 * 0.95)),
    "worker-backend": (1, "t4g.medium", 2000, round(4096 * 0.95)),
}

WASM_NODE = round(16384 * 0.95)
"""Memory in MiB of a node of the group worker-wasm, a t4g.xlarge."""

MAXIMUM_PODS = 110
"""The kubelet's default."""

FUNCTION_SIZES = (64, 128, 256)
"""Memory requests of functions, in MiB."""

# The role of each component, and the variant of platform_parts whose variables it is rendered with.
ROLES = {
    "cert_manager": "defaults",
    "spin_operator": "defaults",
    "ingress": "defaults",
    "keda": "defaults",
    "observability": "defaults",
    "aws_integration": "all",
    "function_registry": "defaults",
    "key_value_store": "defaults",
    "function_service": "two",
}


@dataclasses.dataclass(frozen=True)
class Container:
    """The values that set a container's resources, its number of pods, and its nodes.

    Args:
        resources: Path in the values, with dots.
        replicas: Path in the values, or a number.
        selector: Path in the values.
        every_node: It belongs to a DaemonSet, which runs on all nodes if there is no selector.
    """

    name: str
    resources: str
    replicas: str | int = 1
    selector: str = "nodeSelector"
    every_node: bool = False


def _sidecars(pod: str, names: tuple[str, ...], *, every_node: bool = False) -> tuple[Container, ...]:
    replicas: str | int = 1 if every_node else "controller.replicaCount"
    selector = "node.nodeSelector" if every_node else "controller.nodeSelector"
    return tuple(
        Container(f"{pod}: {name}", f"sidecars.{name}.resources", replicas, selector, every_node) for name in names
    )


CONTAINERS: dict[str, tuple[Container, ...]] = {
    "cert-manager": (
        Container("controller", "resources", "replicaCount", "global.nodeSelector"),
        Container("webhook", "webhook.resources", "webhook.replicaCount", "global.nodeSelector"),
        Container("injector", "cainjector.resources", "cainjector.replicaCount", "global.nodeSelector"),
        Container("startup check (a job)", "startupapicheck.resources", 1, "global.nodeSelector"),
    ),
    "spin-operator": (Container("operator", "controllerManager.manager.resources", "controllerManager.replicas"),),
    "traefik": (Container("traefik", "resources", every_node=True),),
    "keda": (
        Container("operator", "resources.operator"),
        Container("metrics server", "resources.metricServer"),
        Container("webhooks", "resources.webhooks"),
    ),
    "keda-add-ons-http": (
        Container("operator", "operator.resources", 1, "operator.nodeSelector"),
        Container("scaler", "scaler.resources", "scaler.replicas", "scaler.nodeSelector"),
        Container("interceptor", "interceptor.resources", "interceptor.replicas.min", "interceptor.nodeSelector"),
    ),
    "kube-prometheus-stack": (
        Container("prometheus", "prometheus.prometheusSpec.resources", 1, "prometheus.prometheusSpec.nodeSelector"),
        # One with Prometheus and one with Alertmanager.
        Container(
            "configuration reloaders",
            "prometheusOperator.prometheusConfigReloader.resources",
            2,
            "prometheus.prometheusSpec.nodeSelector",
        ),
        Container(
            "alertmanager", "alertmanager.alertmanagerSpec.resources", 1, "alertmanager.alertmanagerSpec.nodeSelector"
        ),
        Container("operator", "prometheusOperator.resources", 1, "prometheusOperator.nodeSelector"),
        Container(
            "webhook's certificate (a job)",
            "prometheusOperator.admissionWebhooks.patch.resources",
            1,
            "prometheusOperator.admissionWebhooks.patch.nodeSelector",
        ),
        Container("kube-state-metrics", "kube-state-metrics.resources", 1, "kube-state-metrics.nodeSelector"),
        Container(
            "node-exporter",
            "prometheus-node-exporter.resources",
            1,
            "prometheus-node-exporter.nodeSelector",
            every_node=True,
        ),
        Container("grafana", "grafana.resources", 1, "grafana.nodeSelector"),
    ),
    "loki": (Container("loki", "singleBinary.resources", "singleBinary.replicas", "singleBinary.nodeSelector"),),
    "tempo": (Container("tempo", "tempo.resources"),),
    "opentelemetry-collector": (Container("collector", "resources", every_node=True),),
    "aws-cloud-controller-manager": (Container("cloud controller", "resources", every_node=True),),
    "aws-ebs-csi-driver": (
        Container("controller", "controller.resources", "controller.replicaCount", "controller.nodeSelector"),
        *_sidecars("controller", ("provisioner", "attacher", "snapshotter", "resizer", "volumemodifier")),
        Container("node", "node.resources", 1, "node.nodeSelector", every_node=True),
        *_sidecars("node", ("livenessProbe", "nodeDriverRegistrar"), every_node=True),
    ),
    "cluster-autoscaler": (Container("autoscaler", "resources"),),
    "aws-node-termination-handler": (Container("handler", "resources"),),
    "aws-load-balancer-controller": (Container("controller", "resources", "replicaCount"),),
    "zot": (Container("zot", "resources"),),
}

# What k3s itself uses. Its process is a program of the host and not a pod, so the scheduler does not count it. Source:
# docs.k3s.io/reference/resource-profiling, "K3s server with a workload" (embedded etcd) and "K3s agent"; its M are read
# as MB. coredns and metrics-server: requests in k3s's manifests/coredns.yaml and
# manifests/metrics-server/metrics-server-deployment.yaml. local-path-provisioner requests nothing.
K3S_PROCESS = {
    "control-plane": (60, 1606 / 1.048576),
    "observability": (30, 275 / 1.048576),
    "worker-backend": (30, 275 / 1.048576),
}
K3S_PODS = {"coredns": (100, 70, "170 MiB"), "metrics-server": (100, 70, "")}
WORKLOADS = {"StatefulSet": " of a namespace", "Deployment": ""}
"""Kinds that roles apply without a chart, and what is said of their container: the key-value store has one for each
namespace."""

UNIT = {"Ki": 1 / 1024, "Mi": 1, "Gi": 1024, "": 1 / 1024 / 1024}


@dataclasses.dataclass(frozen=True)
class Request:
    """Requests and limits of a container, in thousandths of a CPU and in MiB; 0 is no limit. `group` is empty if any
    node may run it."""

    chart: str
    name: str
    group: str
    count: int
    every_node: bool
    cpu: float
    memory: float
    cpu_limit: float = 0
    memory_limit: float = 0


class BudgetError(Exception):
    """CONTAINERS does not agree with the resources that a role sets."""


@functools.cache
def requests() -> tuple[Request, ...]:
    """The requests of all containers of all roles.

    Raises:
        BudgetError: CONTAINERS does not agree with the resources that a role sets.
    """
    found: list[Request] = []
    for role, variant in ROLES.items():
        for call in platform_parts.calls(role, variant):
            for chart in call.charts:
                found += _of_chart(role, chart["name"], chart["values"])
            found += [_of_object(role, entry) for entry in call.objects if entry["kind"] in WORKLOADS]
    return tuple(found)


def _of_chart(role: str, chart: str, values: dict[str, t.Any]) -> list[Request]:
    if chart not in CONTAINERS:
        raise BudgetError(f"{role}: add the containers of the chart {chart} to CONTAINERS in {Path(__file__).name}.")
    known = {container.resources for container in CONTAINERS[chart]}
    unknown = _paths_with_requests(values) - known
    if unknown:
        raise BudgetError(
            f"{role}: {chart} requests resources in {', '.join(sorted(unknown))}. Add them to CONTAINERS in "
            f"{Path(__file__).name}."
        )
    found = []
    for container in CONTAINERS[chart]:
        resources = _at(values, container.resources)
        if not isinstance(resources, dict) or "requests" not in resources:
            raise BudgetError(f"{role}: {chart} sets no requests in {container.resources}.")
        replicas = container.replicas if isinstance(container.replicas, int) else _at(values, container.replicas)
        limits = resources.get("limits", {})
        found.append(
            Request(
                chart,
                container.name,
                (_at(values, container.selector) or {}).get(GROUP, ""),
                1 if replicas is None else int(replicas),
                container.every_node,
                cpu(resources["requests"]["cpu"]),
                memory(resources["requests"]["memory"]),
                cpu(limits.get("cpu", 0)),
                memory(limits.get("memory", 0)),
            )
        )
    return found


def _of_object(role: str, entry: dict[str, t.Any]) -> Request:
    """A workload that a role applies without a chart, with one container; for one namespace of several."""
    pod = entry["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    requested, limits = container["resources"]["requests"], container["resources"].get("limits", {})
    return Request(
        role,
        f"{container['name']}{WORKLOADS[entry['kind']]}",
        (pod["nodeSelector"] or {}).get(GROUP, ""),
        entry["spec"]["replicas"],
        every_node=False,
        cpu=cpu(requested["cpu"]),
        memory=memory(requested["memory"]),
        cpu_limit=cpu(limits.get("cpu", 0)),
        memory_limit=memory(limits.get("memory", 0)),
    )


def _paths_with_requests(value: t.Any, path: str = "") -> set[str]:
    if not isinstance(value, dict):
        return set()
    if "requests" in value and {"cpu", "memory"} <= set(value["requests"] or {}):
        return {path}
    return {found for key, below in value.items() for found in _paths_with_requests(below, f"{path}.{key}".lstrip("."))}


def _at(values: t.Any, path: str) -> t.Any:
    for key in path.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    return values


def cpu(text: str | float) -> float:
    """A quantity of Kubernetes in thousandths of a CPU."""
    return float(text[:-1]) if isinstance(text, str) and text.endswith("m") else float(text) * 1000


def memory(text: str | float) -> float:
    """A quantity of Kubernetes in MiB."""
    match = re.fullmatch(r"([0-9.]+)(Ki|Mi|Gi|)", str(text))
    if match is None:
        raise BudgetError(f"{text!r} is not an amount of memory in Ki, Mi or Gi.")
    return float(match[1]) * UNIT[match[2]]


@dataclasses.dataclass(frozen=True)
class Load:
    """The requests on the nodes of a group, as pairs of CPU and memory.

    Attributes:
        each: On every node, including k3s itself.
        together: On any of the nodes; a part of it may go to another group.
        fullest: Share of the fullest node if the pods of `together` go to the emptiest node each, the largest first.
        alone: Share of a node that runs all of it.
    """

    each: tuple[float, float]
    together: tuple[float, float]
    fullest: tuple[float, float]
    alone: tuple[float, float]


def load(group: str, listed: tuple[Request, ...] | None = None) -> Load:
    """The load of a group. Requests without a group count in full in each group whose nodes have no taint."""
    listed = requests() if listed is None else listed
    nodes, _machine, node_cpu, node_memory = FLEET[group]
    here = [entry for entry in listed if entry.group in {"", group}]
    each = [K3S_PROCESS[group], *((entry.cpu, entry.memory) for entry in here if entry.every_node)]
    movable = [(entry.cpu, entry.memory) for entry in here if not entry.every_node for _number in range(entry.count)]
    movable += [(pod_cpu, pod_memory) for pod_cpu, pod_memory, _limit in K3S_PODS.values()]
    base = (sum(item[0] for item in each), sum(item[1] for item in each))
    together = (sum(item[0] for item in movable), sum(item[1] for item in movable))
    bins = [list(base) for _node in range(nodes)]
    for item in sorted(movable, key=lambda item: (-item[1], -item[0])):
        target = min(bins, key=lambda node: max((node[0] + item[0]) / node_cpu, (node[1] + item[1]) / node_memory))
        target[0] += item[0]
        target[1] += item[1]
    return Load(
        base,
        together,
        (max(node[0] for node in bins) / node_cpu, max(node[1] for node in bins) / node_memory),
        ((base[0] + together[0]) / node_cpu, (base[1] + together[1]) / node_memory),
    )


def document() -> str:
    """The text of docs/budget.md."""
    lines = [
        f"""\
# What the platform requests from its nodes

`python -m tests.observability.budget` makes this page from the values that the roles give to their charts, for
Terraform's default fleet with all components. `tests/unit/roles/test_budget.py` fails if the page is not current, or if
more than {LIMIT:.0%} of the CPU or memory of a node would be requested.

| group | nodes | CPU of a node | memory of a node | fullest node: CPU | memory | all on one node: CPU | memory |
|---|---|---|---|---|---|---|---|"""
    ]
    for group, (nodes, machine, node_cpu, node_memory) in FLEET.items():
        found = load(group)
        node = f"{nodes} × {machine} | {node_cpu} m | {node_memory} MiB"
        shares = " | ".join(f"{share:.0%}" for share in (*found.fullest, *found.alone))
        lines.append(f"| {group} | {node} | {shares} |")
    lines.append("""
Fullest node: each pod goes to the emptiest node, the largest pods first. All on one node: the other nodes of the group
are down. The memory of a node is 95 % of the machine's; we assume that the kernel keeps the rest. Pods that any node
may run count in full in both groups. Builds, functions and their nodes are not included; [what a function
takes](#what-a-function-takes-from-its-node) is below.

| chart | container | pods | where | CPU | memory | CPU limit | memory limit |
|---|---|---|---|---|---|---|---|""")
    for group, (k3s_cpu, k3s_memory) in K3S_PROCESS.items():
        process = "| k3s | the process, with etcd and containerd | 1"
        lines.append(f"{process} | each node of {group} | {k3s_cpu:g} m | {k3s_memory:.0f} MiB | | |")
    for name, (pod_cpu, pod_memory, limit) in K3S_PODS.items():
        lines.append(f"| k3s | {name} | 1 | any node | {pod_cpu} m | {pod_memory} MiB | | {limit} |")
    lines += [_row(entry) for entry in requests()]
    lines.append("""
Sources for k3s: docs.k3s.io/reference/resource-profiling for its process (95th percentile of a measurement on x86-64
with k3s 1.26), and k3s's manifests for its pods. The process is not a pod, so the scheduler does not count it; this is
why the limit here is 85 % and not 100 %.

## What a function takes from its node

The shim of each pod runs outside of the pod's memory limit, in containerd's control group. The RuntimeClass adds it to
what the pod requests (`wasm_shims_overhead`), so that the scheduler and ResourceQuotas count it. A node without this
reserve runs out of memory while its pods stay below their limits.

| | memory |
|---|---|
| shim of a pod whose function was compiled on this node before | 75 MB |
| shim of a pod that compiled its function at its start: while it compiles | 500 to 540 MB |
| the same shim afterwards, until the pod ends | 370 to 398 MB |
| Python function in the pod: in use, peak | 47 to 57 MB, 91 MB |
| JavaScript function in the pod: peak | 105 MB |

Measured with containerd-shim-spin 0.24.0 (Spin 3.6.3, a debug build) on containerd 2.2.9 and kubelet 1.34.1. The first
start of an artifact on a node compiles, and so does every one of several replicas that start there at the same moment.

| memory of a replica | overhead | replicas on a node of worker-wasm |
|---|---|---|""")
    lines += [_functions_row(size) for size in FUNCTION_SIZES]
    lines.append("""
The node is a t4g.xlarge, of which 85 % are given to pods; a node takes 110 pods at most. Where most functions have
several replicas for each node, a smaller overhead is enough.
""")
    return "\n".join(lines)


def _functions_row(size: int) -> str:
    defaults = yaml.safe_load((ROLES_DIRECTORY / "wasm_shims/defaults/main.yml").read_text(encoding="utf-8"))
    overhead = memory(defaults["wasm_shims_overhead"]["spin"]["memory"])
    replicas = min(MAXIMUM_PODS, int(WASM_NODE * LIMIT // (size + overhead)))
    return f"| {size} MiB | {overhead:g} MiB | {replicas} |"


def _row(entry: Request) -> str:
    if entry.group:
        where = f"each node of {entry.group}" if entry.every_node else entry.group
    else:
        where = "each node" if entry.every_node else "any node without a taint"
    requested = f"{entry.cpu:g} m | {entry.memory:g} MiB"
    cpu_limit = f"{entry.cpu_limit:g} m" if entry.cpu_limit else ""
    memory_limit = f"{entry.memory_limit:g} MiB" if entry.memory_limit else ""
    return f"| {entry.chart} | {entry.name} | {entry.count} | {where} | {requested} | {cpu_limit} | {memory_limit} |"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
