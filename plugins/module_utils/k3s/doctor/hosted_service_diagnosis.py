# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server sees of the hosted service (role function_service): its pods, its definition, its queue, and what
failed. Only reads; runs on the host."""

from __future__ import annotations

import collections
import datetime
import typing as t

from ...errors import PlatformError
from ...kubernetes.kubectl import Kubectl, NotFound
from ...kubernetes.workloads import Workloads

DEPLOYMENT = "/apis/apps/v1/namespaces/wasmfaas-service/deployments/function-service"
FUNCTION_DEPLOYMENTS = "/apis/hosted.wasmfaas.dev/v1alpha1/functiondeployments"
UNFINISHED = f"{FUNCTION_DEPLOYMENTS}?fieldSelector=status.phase!=Ready,status.phase!=Failed,status.phase!=Cancelled"
FAILED = f"{FUNCTION_DEPLOYMENTS}?fieldSelector=status.phase=Failed&limit=500"
"""The definition names status.phase among its `selectableFields`."""
RECENT_SECONDS = 3600.0


def hosted_service(kubectl: Kubectl, workloads: Workloads, now: float) -> dict[str, t.Any] | None:
    """How the hosted service is; {} where it is not installed, None where the API does not answer.

    Args:
        now: seconds since 1970.

    Returns:
        `ready` and `replicas` of its pods; of a pod that does not run `what`, `pod` and `last_line`, "" where all do;
        `definition`: whether its kind is there; `oldest_wait`: seconds that a deployment has waited for its turn;
        `failures`: how many failed within the last hour, by stage.
    """
    try:
        deployment = kubectl.get(DEPLOYMENT)
    except NotFound:
        return {}
    except PlatformError:
        return None
    try:
        unready = next(iter(workloads.of_workload(deployment)), None)
        found: dict[str, t.Any] = {
            "replicas": (deployment.get("spec") or {}).get("replicas", 1),
            "ready": (deployment.get("status") or {}).get("availableReplicas", 0),
            "what": f"{unready.problem.where}: {unready.problem.what}" if unready else "",
            "pod": unready.pod if unready else "",
            "last_line": workloads.log(unready, lines=1) if unready else "",
            "definition": True,
            "oldest_wait": 0.0,
            "failures": {},
        }
    except PlatformError:
        return None
    try:
        waiting = [entry for entry in _listed(kubectl, UNFINISHED) if _phase(entry) == "Queued"]
        found["oldest_wait"] = max((now - _epoch(entry["spec"]["created"]) for entry in waiting), default=0.0)
        found["failures"] = dict(
            collections.Counter(
                str((entry["status"].get("facts") or {}).get("stage") or "service")
                for entry in _listed(kubectl, FAILED)
                if now - _epoch(str(entry["status"].get("finished", ""))) < RECENT_SECONDS
            )
        )
    except NotFound:
        found["definition"] = False
    except PlatformError:
        return None
    return found


def _listed(kubectl: Kubectl, path: str) -> list[dict[str, t.Any]]:
    return list(kubectl.get(path).get("items") or [])


def _phase(entry: dict[str, t.Any]) -> str:
    return str((entry.get("status") or {}).get("phase") or "Queued")


def _epoch(text: str) -> float:
    """An RFC 3339 time as seconds since 1970; 0 where it is none."""
    try:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0
