# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Job of a build as plain data."""

from __future__ import annotations

import hashlib
import typing as t

from ..cluster.settings import BuildSettings
from ..deployments.model import Deployment

Object = dict[str, t.Any]

USER = 65532
"""The user of the builders' images."""

TRY_AGAIN = 75
"""Exit code of a builder that could not reach the service: EX_TEMPFAIL of sysexits.h."""

MOST_RETRIES = 2
SECRET_DIRECTORY = "/var/run/wasmfaas"  # noqa: S105 (a path)
WORK_DIRECTORY = "/work"
CREATED = "wasmfaas.dev/deployment-created"
"""Annotation that tells the Jobs of two deployments with the same number apart: a function was deleted meanwhile."""

_COMMAND = ["python3", "-m", "ansible_collections.wasmfaas.platform.service.builds.builder"]
_KEPT_SECONDS = 3600
_TEMPORARY_BYTES = "1Gi"


def job_name(deployment: Deployment) -> str:
    """The name of the Job of a deployment, and of its Secret: the same in all replicas."""
    return f"build-{hashlib.sha256('/'.join(map(str, deployment.key)).encode()).hexdigest()[:24]}"


def build_path(deployment: Deployment) -> str:
    """The path of a build at the build endpoint."""
    return f"/builds/{deployment.tenant}/{deployment.function}/{deployment.number}"


def job(deployment: Deployment, image: str, settings: BuildSettings) -> Object:
    """The Job: one pod at a time, which may nothing but speak to the build endpoint and the Internet.

    A build that fails ends it. A pod that a node's end took is made again, as is one that did not reach the service.
    """
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(deployment),
            "namespace": settings.namespace,
            "labels": _labels(deployment),
            "annotations": {CREATED: deployment.created},
        },
        "spec": {
            "backoffLimit": MOST_RETRIES,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "podFailurePolicy": {
                "rules": [
                    # The first rule that matches counts. That there are no more than MOST_RETRIES of these is seen to
                    # by the one who waits.
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": "build", "operator": "NotIn", "values": [TRY_AGAIN]},
                    },
                ]
            },
            "template": {
                "metadata": {
                    "labels": _labels(deployment),
                    "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
                },
                "spec": _pod(deployment, image, settings),
            },
        },
    }


def secret(deployment: Deployment, bearer: str, settings: BuildSettings, job_id: str) -> Object:
    """The Secret with the bearer of a build; it goes with the Job.

    Args:
        job_id: `metadata.uid` of the Job.
    """
    name = job_name(deployment)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            "labels": _labels(deployment),
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job_id}],
        },
        "type": "Opaque",
        "stringData": {"bearer": bearer},
    }


def _labels(deployment: Deployment) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "function-build",
        "app.kubernetes.io/managed-by": "wasmfaas",
        "wasmfaas.dev/build-of": deployment.tenant,
        "wasmfaas.dev/function": deployment.function,
    }


def _pod(deployment: Deployment, image: str, settings: BuildSettings) -> Object:
    amounts = {"memory": settings.memory, "cpu": settings.cpu, "ephemeral-storage": settings.ephemeral_storage}
    optional = {
        "runtimeClassName": settings.runtime_class,
        "priorityClassName": settings.priority_class,
        "nodeSelector": settings.node_selector,
        "tolerations": settings.tolerations,
        "imagePullSecrets": [{"name": settings.image_pull_secret}] if settings.image_pull_secret else [],
    }
    return {
        **{name: value for name, value in optional.items() if value},
        **({} if settings.host_users else {"hostUsers": False}),
        "activeDeadlineSeconds": settings.deadline_seconds,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "build",
                "image": image,
                "command": _COMMAND,
                "workingDir": WORK_DIRECTORY,
                "env": [
                    {"name": "WASMFAAS_BUILD_URL", "value": f"{settings.service_url}{build_path(deployment)}"},
                    {"name": "WASMFAAS_BUILD_BEARER_FILE", "value": f"{SECRET_DIRECTORY}/bearer"},
                    {"name": "WASMFAAS_BUILD_DIRECTORY", "value": WORK_DIRECTORY},
                    {"name": "HOME", "value": f"{WORK_DIRECTORY}/home"},
                    {"name": "TMPDIR", "value": "/tmp"},  # noqa: S108 (a volume of the pod)
                ],
                "resources": {"requests": amounts, "limits": amounts},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                },
                "volumeMounts": [
                    {"name": "bearer", "mountPath": SECRET_DIRECTORY, "readOnly": True},
                    {"name": "work", "mountPath": WORK_DIRECTORY},
                    {"name": "temporary", "mountPath": "/tmp"},  # noqa: S108 (a volume of the pod)
                ],
            }
        ],
        "volumes": [
            {"name": "bearer", "secret": {"secretName": job_name(deployment), "defaultMode": 0o440}},
            {"name": "work", "emptyDir": {"sizeLimit": settings.ephemeral_storage}},
            {"name": "temporary", "emptyDir": {"sizeLimit": _TEMPORARY_BYTES}},
        ],
    }
