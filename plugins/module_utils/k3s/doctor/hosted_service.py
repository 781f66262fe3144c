# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the hosted service: its pods, its definition, its queue, and deployments that fail."""

from __future__ import annotations

import typing as t

from ...problems import ERROR, WARNING, Problem
from .model import SITE, Host, Limits, Nodes, error, found, one_line, warning

LONGEST_WAIT = 1800.0
MOST_FAILURES = 5
"""Of one stage within an hour; fewer may be users' mistakes."""
KUBECTL = "k3s kubectl -n wasmfaas-service"
PUBLISH = "ansible-playbook wasmfaas.platform.publish_images"
LIST = "k3s kubectl get functiondeployments -A -o wide"


def hosted_service(hosts: t.Sequence[Host], _nodes: Nodes, _limits: Limits) -> t.Iterator[Problem]:
    """Whether the hosted service serves, where it is installed, and deploys."""
    seen: dict[str, t.Any] = next(
        (host.diagnosis["hosted_service"] for host in hosts if host.diagnosis.get("hosted_service")), {}
    )
    if not seen:
        return
    if not seen["definition"]:
        yield error(
            "cluster",
            "hosted-service-definition",
            "the hosted service is installed, and the kind of its deployments (FunctionDeployment) is not",
            f"Run {SITE}, which installs it again; what was in it is in a backup of etcd only",
        )
    if seen["ready"] < seen["replicas"]:
        yield _not_ready(seen)
    if seen["oldest_wait"] > LONGEST_WAIT:
        yield warning(
            "cluster",
            "hosted-queue-stuck",
            f"a deployment of the hosted service has waited {seen['oldest_wait'] / 60:.0f} minutes for its turn",
            f"Run {LIST}, which says why it waits; docs/runbooks/DeploymentsWaiting.md says more",
        )
    for stage, number in sorted(seen["failures"].items()):
        if number >= MOST_FAILURES:
            yield warning(
                "cluster",
                "hosted-deployments-fail",
                f"{number} deployments of the hosted service failed in the stage {stage} within an hour",
                f"Run {LIST}, which says why; docs/runbooks/DeploymentsFailing.md says more",
            )


def _not_ready(seen: dict[str, t.Any]) -> Problem:
    why, pod = seen["what"], seen["pod"]
    if "image" in why:
        step = f"Publish its images with {PUBLISH}, or name those that there are (function_service_images), then {SITE}"
    else:
        look = f"describe pod {pod}; {KUBECTL} logs {pod}" if pod else "get pods,events"
        step = f"Run {KUBECTL} {look}; correct what they name, then run {SITE}"
    last_line = f"; its last line: {one_line(seen['last_line'])}" if seen["last_line"] else ""
    return found(
        WARNING if seen["ready"] else ERROR,
        "cluster",
        "hosted-service-not-ready",
        f"{seen['ready']} of {seen['replicas']} pods of the hosted service are ready"
        f"{': ' + one_line(why) if why else ''}{last_line}",
        step,
    )
