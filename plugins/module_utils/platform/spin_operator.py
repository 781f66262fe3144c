# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of role spin_operator, and the executor that it and role tenant make."""

from __future__ import annotations

import re
import typing as t

from ..problems import Problem
from .checks import Variables, namespace_problems, network_problems, range_problems

LIMITS = {"spin_operator_drain_seconds": (0, 25)}
"""Seconds. The pause is part of the 30 s that Kubernetes gives a pod to end (its terminationGracePeriodSeconds, for
which a SpinApp has no field), and Kubernetes refuses a pod with a longer one."""
NETWORKS = (
    "platform_blocked_networks",
    "platform_node_networks",
    "platform_cluster_networks",
    "spin_operator_egress_networks",
)
SIGNALS = ("traces", "metrics", "logs")


def problems(variables: Variables) -> t.Iterator[Problem]:
    """What is wrong with the executors and the pause at a pod's end."""
    yield from range_problems(variables, LIMITS)
    yield from namespace_problems("spin_operator_executor_namespaces", variables["spin_operator_executor_namespaces"])
    if variables["spin_operator_warm_nodes"] and not variables["__spin_operator_node_warmer_possible"]:
        yield Problem(
            "spin_operator_warm_nodes",
            "a timer on the hosts of the group k3s_server would make nodes warm, and this is none of them",
            "leave it out, or run this for a cluster that site.yml made",
        )
    networks = [network for name in NETWORKS for network in variables[name]]
    yield from network_problems(", ".join(NETWORKS), networks, "10.1.2.0/24")
    for signal, url in variables["spin_operator_otlp_endpoints"].items():
        if signal not in SIGNALS or not re.match("https?://[^/]+/.+", str(url)):
            yield Problem(
                "spin_operator_otlp_endpoints",
                f"takes full URLs for traces, metrics or logs, and has {url} for {signal}",
                'write it as in {traces: "http://collector.example:4318/v1/traces"}; add the path, as Spin adds none '
                "there",
            )


def executor_spec(
    runtime_class: str, otlp_endpoints: t.Mapping[str, str], *, default_authorities: bool
) -> dict[str, t.Any]:
    """The spec of a SpinAppExecutor, without what is empty or false: the operator drops that when it writes its
    finalizer, and the next run would put it back.

    Args:
        runtime_class: the RuntimeClass of the functions' pods.
        otlp_endpoints: full URLs by signal (traces, metrics, logs).
        default_authorities: whether functions trust the public certificate authorities.
    """
    deployment: dict[str, t.Any] = {"runtimeClassName": runtime_class}
    if default_authorities:
        deployment["installDefaultCACerts"] = True
    if otlp_endpoints:
        deployment["otel"] = {f"exporter_otlp_{signal}_endpoint": url for signal, url in otlp_endpoints.items()}
    return {"createDeployment": True, "deploymentConfig": deployment}
