# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What everything that site.yml installs asks of the nodes, added up from the roles' values. `python -m
tests.observability.budget` writes docs/budget.md.

Charts' templates are not there; CONTAINERS says which values become which container, from reading them. What a role
sets and CONTAINERS does not know is an error.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t
from pathlib import Path

from ..integration.support import platform_parts

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "budget.md"
GROUP = "wasmfaas.dev/group"
LIMIT = 0.85

# The fleet of terraform/variables.tf: nodes of a group, CPU in thousandths and memory in MiB. Of a machine's memory the
# kernel keeps some for itself; a twentieth is our assumption.
FLEET = {
    "control-plane": (3, "t4g.medium", 2000, round(4096 * 0.95)),
    "observability": (2, "t4g.large", 2000, round(8192 * 0.95)),
}

# The role of each part, with the variant of platform_parts that it is rendered with.
ROLES = {
    "cert_manager": "defaults",
    "spin_operator": "defaults",
    "ingress": "defaults",
    "keda": "defaults",
    "observability": "defaults",
    "aws_integration": "all",
    "function_registry": "defaults",
}


@dataclasses.dataclass(frozen=True)
class Container:
    """Which values say what a container asks for, how many of its pods there are, and where.

    `resources`, `replicas`, `selector`: ways in the values, with dots. `replicas` may be a number. `every_node`: of a
    DaemonSet; without a selector on all nodes.
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
        # Beside Prometheus and beside Alertmanager.
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

# Not by us, and there all the same. The process is a program of the host, no pod: the scheduler does not know of it,
# and so it is added here. k3s: docs.k3s.io/reference/resource-profiling, "K3s server with a workload" (embedded etcd)
# and "K3s agent"; its M are taken as MB. coredns, metrics-server: requests in k3s' manifests/coredns.yaml and
# manifests/metrics-server/metrics-server-deployment.yaml. local-path-provisioner asks for nothing.
K3S_PROCESS = {"control-plane": (60, 1606 / 1.048576), "observability": (30, 275 / 1.048576)}
K3S_PODS = {"coredns": (100, 70), "metrics-server": (100, 70)}
UNIT = {"Ki": 1 / 1024, "Mi": 1, "Gi": 1024, "": 1 / 1024 / 1024}


@dataclasses.dataclass(frozen=True)
class Part:
    """A container's request and limit: thousandths of a CPU and MiB; no limit is 0. `group` is empty where any node may
    have it."""

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
    """A role sets resources that CONTAINERS does not know, or the other way round."""


@functools.cache
def parts() -> tuple[Part, ...]:
    """All containers of all roles.

    Raises:
        BudgetError: see there.
    """
    found: list[Part] = []
    for role, variant in ROLES.items():
        for call in platform_parts.calls(role, variant):
            for chart in call.charts:
                found += _of_chart(role, chart["name"], chart["values"])
    return tuple(found)


def _of_chart(role: str, chart: str, values: dict[str, t.Any]) -> list[Part]:
    if chart not in CONTAINERS:
        raise BudgetError(
            f"{role}: which containers does the chart {chart} make? Add them to CONTAINERS in {Path(__file__).name}."
        )
    known = {container.resources for container in CONTAINERS[chart]}
    unknown = _ways_with_requests(values) - known
    if unknown:
        raise BudgetError(
            f"{role}: {chart} asks for resources in {', '.join(sorted(unknown))}, which CONTAINERS in "
            f"{Path(__file__).name} does not have."
        )
    found = []
    for container in CONTAINERS[chart]:
        asked = _at(values, container.resources)
        if not isinstance(asked, dict) or "requests" not in asked:
            raise BudgetError(f"{role}: {chart} sets no requests in {container.resources}.")
        replicas = container.replicas if isinstance(container.replicas, int) else _at(values, container.replicas)
        limits = asked.get("limits", {})
        found.append(
            Part(
                chart,
                container.name,
                (_at(values, container.selector) or {}).get(GROUP, ""),
                1 if replicas is None else int(replicas),
                container.every_node,
                cpu(asked["requests"]["cpu"]),
                memory(asked["requests"]["memory"]),
                cpu(limits.get("cpu", 0)),
                memory(limits.get("memory", 0)),
            )
        )
    return found


def _ways_with_requests(value: t.Any, way: str = "") -> set[str]:
    if not isinstance(value, dict):
        return set()
    if "requests" in value and {"cpu", "memory"} <= set(value["requests"] or {}):
        return {way}
    return {found for key, below in value.items() for found in _ways_with_requests(below, f"{way}.{key}".lstrip("."))}


def _at(values: t.Any, way: str) -> t.Any:
    for key in way.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    return values


def cpu(text: str | float) -> float:
    """Thousandths of a CPU."""
    return float(text[:-1]) if isinstance(text, str) and text.endswith("m") else float(text) * 1000


def memory(text: str | float) -> float:
    """MiB."""
    match = re.fullmatch(r"([0-9.]+)(Ki|Mi|Gi|)", str(text))
    if match is None:
        raise BudgetError(f"{text!r} is no amount of memory that is known here: Ki, Mi, Gi.")
    return float(match[1]) * UNIT[match[2]]


@dataclasses.dataclass(frozen=True)
class Load:
    """What nodes of a group are asked for. `each`: on every node, k3s itself in it. `together`: what goes to any of
    them, or perhaps to another group.

    `fullest`: the worst node when the pods of `together` are spread, each to where most is left, the largest first;
    `alone`: all of it on one node. Shares of a node, CPU and memory.
    """

    each: tuple[float, float]
    together: tuple[float, float]
    fullest: tuple[float, float]
    alone: tuple[float, float]


def load(group: str, listed: tuple[Part, ...] | None = None) -> Load:
    """The load of a group. A part without a group is counted in full in each group whose nodes have no taint."""
    listed = parts() if listed is None else listed
    nodes, _machine, node_cpu, node_memory = FLEET[group]
    here = [part for part in listed if part.group in {"", group}]
    each = [K3S_PROCESS[group], *((part.cpu, part.memory) for part in here if part.every_node)]
    movable = [(part.cpu, part.memory) for part in here if not part.every_node for _number in range(part.count)]
    movable += list(K3S_PODS.values())
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
    """docs/budget.md."""
    lines = [
        "# What the platform asks of its nodes",
        "",
        (
            "Made by `python -m tests.observability.budget` from the values that the roles give to their charts, with "
            "Terraform's default fleet and all parts"
        ),
        (
            "installed; `tests/unit/roles/test_budget.py` keeps it current and fails where a node of these groups "
            "would "
            "have more than"
        ),
        f"{LIMIT:.0%} of its CPU or memory requested.",
        "",
        (
            "| group | nodes | CPU of a node | memory of a node | fullest node: CPU | fullest node: memory | all on "
            "one "
            "node: CPU | all on one node: memory |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    for group, (nodes, machine, node_cpu, node_memory) in FLEET.items():
        found = load(group)
        lines.append(
            f"| {group} | {nodes} × {machine} | {node_cpu} m | {node_memory} MiB | {found.fullest[0]:.0%} | "
            f"{found.fullest[1]:.0%} "
            f"| {found.alone[0]:.0%} | {found.alone[1]:.0%} |"
        )
    lines += [
        "",
        (
            "Fullest node: pods go where most room is left, the largest first. All on one node: the other nodes of the "
            "group are away. A node's memory is"
        ),
        (
            "95 % of the machine's, since the kernel keeps some (an assumption). What may go to any node is counted in "
            "full in both groups. Functions, builds"
        ),
        "and their nodes are not in here.",
        "",
        "| part | container | pods | where | CPU | memory | CPU at most | memory at most |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| k3s | the process, with etcd and containerd | 1 | each node of {group} | {cpu:g} m | {memory:.0f} "
            "MiB | | |"
            for group, (cpu, memory) in K3S_PROCESS.items()
        ),
        *(
            f"| k3s | {name} | 1 | any node | {cpu} m | {memory} MiB | | 170 MiB |"
            for name, (cpu, memory) in K3S_PODS.items()
            if name == "coredns"
        ),
        *(
            f"| k3s | {name} | 1 | any node | {cpu} m | {memory} MiB | | |"
            for name, (cpu, memory) in K3S_PODS.items()
            if name != "coredns"
        ),
    ]
    for part in parts():
        where = (
            f"{'each node of ' if part.every_node else ''}{part.group}"
            if part.group
            else "each node"
            if part.every_node
            else "any node without a taint"
        )
        lines.append(
            f"| {part.chart} | {part.name} | {part.count} | {where} | {part.cpu:g} m | {part.memory:g} MiB "
            f"| {f'{part.cpu_limit:g} m' if part.cpu_limit else ''} | "
            f"{f'{part.memory_limit:g} MiB' if part.memory_limit else ''} |"
        )
    lines += [
        "",
        (
            "Sources for k3s: docs.k3s.io/reference/resource-profiling (its process; 95th percentile of a "
            "measurement on "
            "x86-64 with k3s 1.26) and k3s'"
        ),
        (
            "manifests (its pods). The process is no pod: the scheduler does not count it, which is why 85 % and not "
            "100 "
            "% is the limit here."
        ),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
