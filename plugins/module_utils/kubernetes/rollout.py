# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one rule for when a workload is rolled out, for functions, charts and the doctor. Pure functions on objects."""

from __future__ import annotations

import typing as t

Object = dict[str, t.Any]


def unfinished(entry: Object, *, fewer: int = 0) -> str:
    """What a Deployment, StatefulSet or DaemonSet lacks to be rolled out; "" if nothing.

    The rules of `kubectl rollout status` (kubernetes/kubectl v0.35, pkg/polymorphichelpers/rollout_status.go).

    Args:
        fewer: pods that a DaemonSet need not have.
    """
    spec, status, kind = entry.get("spec") or {}, entry.get("status") or {}, entry["kind"]
    if _number(status, "observedGeneration") < _number(entry["metadata"], "generation"):
        return f"the {kind}'s controller has not seen the change yet"
    if kind == "DaemonSet":
        desired = _number(status, "desiredNumberScheduled") - fewer
        updated, ready = _number(status, "updatedNumberScheduled"), _number(status, "numberAvailable")
    else:
        desired, updated = int(spec.get("replicas", 1)), _number(status, "updatedReplicas")
        ready = _number(status, "readyReplicas" if kind == "StatefulSet" else "availableReplicas")
    strategy = (spec.get("updateStrategy") or {}) if kind != "Deployment" else {}
    if strategy.get("type") == "OnDelete" or (strategy.get("rollingUpdate") or {}).get("partition"):
        updated = desired
    if updated < desired:
        return f"{updated} of {desired} pods are of the newest version"
    if kind == "Deployment":
        old, not_ready = _number(status, "replicas") - updated, _number(status, "unavailableReplicas")
        if old > 0:
            return f"{not_ready} new pods are not ready" if not_ready else f"pods of an older version still run: {old}"
        desired = updated
    return f"{ready} of {desired} pods are ready" if ready < desired else ""


def refusal(entry: Object) -> str:
    """Why the API server refuses the pods of a workload (quota, limit range, pod security); "" if it does not."""
    found = condition(entry, "ReplicaFailure")
    return str(found.get("message") or found.get("reason")).strip() if found else ""


def condition(entry: Object, kind: str, status: str = "True") -> Object | None:
    """The condition of this kind and status; None if the object does not have it."""
    conditions: list[Object] = (entry.get("status") or {}).get("conditions") or []
    return next((found for found in conditions if found.get("type") == kind and found.get("status") == status), None)


def _number(fields: Object, key: str) -> int:
    return int(fields.get(key) or 0)
