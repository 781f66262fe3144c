# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of role aws_integration."""

from __future__ import annotations

import re
import typing as t

from ..problems import Problem
from .checks import Variables, chart_problems, is_true, range_problems

LIMITS = {"aws_integration_drain_seconds": (1, 120)}
"""Seconds: AWS ends a spot instance 120 s after its notice."""
VERSIONED = {
    "aws-cloud-controller-manager": "aws_integration_cloud_controller_versions",
    "cluster-autoscaler": "aws_integration_cluster_autoscaler_versions",
}
"""Charts whose image follows the minor version of Kubernetes, and the variable with the tags."""


def problems(variables: Variables) -> t.Iterator[Problem]:
    """What is wrong with what Terraform says of the cluster, the controllers' versions and their values."""
    cluster = variables["aws_integration_cluster"]
    if _is_described(cluster):
        yield from _cluster_problems(cluster, variables)
    else:
        yield Problem(
            "aws_cluster",
            "what Terraform knows of the cluster is missing or incomplete: name, region and node_groups are needed",
            "use inventories/aws, or set aws_cluster as docs/aws.md describes it",
        )
    yield from range_problems(variables, LIMITS)
    yield from _version_problems(variables)
    yield from _cloud_controller_problems(variables)
    charts = [part["chart"] for part in variables["__aws_integration_parts"]]
    yield from chart_problems("aws_integration_values", variables["aws_integration_values"], charts)


def _is_described(cluster: t.Mapping[str, t.Any]) -> bool:
    return (
        re.match("[a-z]", str(cluster.get("name", ""))) is not None
        and re.fullmatch("[a-z]{2}(-[a-z]+)+-[0-9]", str(cluster.get("region", ""))) is not None
        and isinstance(cluster.get("node_groups"), dict)
    )


def _cluster_problems(cluster: t.Mapping[str, t.Any], variables: Variables) -> t.Iterator[Problem]:
    allowed = variables["__aws_integration_server_permissions"]
    groups = ", ".join(variables["__aws_integration_server_groups"]) or "unknown"
    for part in variables["__aws_integration_wanted"]:
        if part["permission"] not in allowed:
            yield Problem(
                str(part["variable"]),
                f"{part['chart']} runs on servers, and those may not {part['permission']} (group {groups})",
                "add it to the permissions of that group in Terraform's node_groups and apply, or set "
                f"{part['variable']}: false",
            )
    queue = str(cluster.get("interruption_queue", ""))
    if is_true(variables["aws_integration_termination_handler"]) and not re.match("https?://", queue):
        yield Problem(
            "aws_cluster",
            "the URL of the queue for the termination handler (interruption_queue) is missing",
            "run terraform apply, which writes it; or set aws_integration_termination_handler: false",
        )
    tag = f"k8s.io/cluster-autoscaler/{cluster['name']}"
    if is_true(variables["aws_integration_cluster_autoscaler"]) and tag not in cluster.get("autoscaler_tags", []):
        yield Problem(
            "aws_cluster",
            f"autoscaler_tags lacks {tag}: the autoscaler would resize groups of other clusters",
            "run terraform apply, which writes it; or set aws_integration_cluster_autoscaler: false",
        )


def _version_problems(variables: Variables) -> t.Iterator[Problem]:
    minor = variables["__aws_integration_minor"]
    for part in variables["__aws_integration_wanted"]:
        versions = VERSIONED.get(part["chart"])
        if versions and minor not in variables[versions]:
            yield Problem(
                versions,
                f"no version of {part['chart']} is known for Kubernetes "
                f"{variables['aws_integration_kubernetes_version']}",
                f"add {minor or 'its minor version'}, with a tag that has an image",
            )


def _cloud_controller_problems(variables: Variables) -> t.Iterator[Problem]:
    """Two cloud controllers would give each node two provider ids; with none, nodes stay tainted for ever."""
    wanted = is_true(variables["aws_integration_cloud_controller"])
    off = is_true(variables["k3s_server_config"].get("disable-cloud-controller") or False)
    if off != wanted:
        yield Problem(
            "aws_integration_cloud_controller",
            f"is {str(wanted).lower()} and k3s's own controller is {'off' if off else 'on'}: exactly one must run",
            f"set disable-cloud-controller: {str(wanted).lower()} in k3s_server_config",
        )
