# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Describes deployed programs as users see them."""

from __future__ import annotations

import typing as t

from ..function.model import LiveFunction
from ..kubernetes.rollout import condition, refusal, unfinished
from ..spinkube.api import KubernetesApi
from ..spinkube.kinds import DEPLOYMENT, JOB, POD, Object
from ..spinkube.objects import PROGRAM, SOURCE_DIGEST, URL
from .artifact import PROGRAM_KIND
from .kinds import WORKLOADS


def list_programs(api: KubernetesApi, namespace: str | None) -> list[LiveFunction]:
    """Read all programs of a namespace (None: of all), sorted by namespace and name."""
    found = [
        live_program({**item, "kind": kind.kind})
        for kind in WORKLOADS
        for item in api.list(kind, namespace, labels={PROGRAM: None})
    ]
    return sorted(found, key=lambda program: (program.namespace, program.name))


def live_program(workload: Object) -> LiveFunction:
    """What a Job or Deployment says of its program."""
    metadata = workload["metadata"]
    annotations = metadata.get("annotations") or {}
    details: dict[str, t.Any] = {"kind": annotations.get(PROGRAM_KIND, ""), "workload": workload["kind"]}
    if workload["kind"] == DEPLOYMENT.kind:
        status = deployment_status(workload)
        ready = int((workload.get("status") or {}).get("readyReplicas", 0))
        details |= {"replicas": workload["spec"].get("replicas", 1), "ready_replicas": ready}
    else:
        status = job_status(workload)
    return LiveFunction(
        name=metadata["name"],
        namespace=metadata["namespace"],
        source_digest=annotations.get(SOURCE_DIGEST, ""),
        image=workload["spec"]["template"]["spec"]["containers"][0]["image"],
        url=annotations.get(URL, ""),
        status=status,
        created=metadata.get("creationTimestamp", ""),
        details=details,
    )


def deployment_status(deployment: Object) -> str:
    """`ready`, `failed` or `progressing`."""
    if not unfinished(deployment):
        return "ready"
    late = condition(deployment, "Progressing", "False")  # ProgressDeadlineExceeded
    return "failed" if late or refusal(deployment) else "progressing"


def job_status(job: Object) -> str:
    """`succeeded`, `failed` or `progressing`."""
    if condition(job, "Complete"):
        return "succeeded"
    return "failed" if condition(job, "Failed") else "progressing"


def pods_of(api: KubernetesApi, workload: Object) -> list[Object]:
    """The pods of a program that are of its live Job, or of the newest version of its Deployment; oldest first."""
    metadata = workload["metadata"]
    labels = {PROGRAM: metadata["name"]}
    pods = api.list(POD, metadata["namespace"], labels=labels)
    if workload["kind"] == JOB.kind:
        pods = [pod for pod in pods if _is_owned_by(pod, metadata.get("uid"))]
    else:
        image = workload["spec"]["template"]["spec"]["containers"][0]["image"]
        pods = [pod for pod in pods if pod["spec"]["containers"][0]["image"] == image]
    return sorted(pods, key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"]))


def _is_owned_by(pod: Object, uid: str | None) -> bool:
    return any(owner.get("uid") == uid for owner in pod["metadata"].get("ownerReferences") or [])
