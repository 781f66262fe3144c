# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves the pods off a node by the eviction API, before its host is worked on or before it leaves the cluster, and lets
it take pods again afterwards.

The reason is written on the node before the drain, so that a run after one that was cut off can let the node take pods
again, and so that a node that somebody else took out of service is left alone.
"""

from __future__ import annotations

import re
import typing as t

from ...errors import PlatformError
from ...kubernetes.kubectl import ApiProblem, Kubectl, NotFound
from . import node_state

ANNOTATION = "wasmfaas.dev/drained-by"
BLOCKED = re.compile(r'error when evicting pods?/"(?P<pod>[^"]+)" -n "(?P<namespace>[^"]+)"[^:]*: (?P<why>.+)')
UNMANAGED = re.compile(
    r"cannot delete .*?(?:no controller|declare no controller)[^:]*: (?P<pods>[^\n]+?)(?:, continuing command\.*)?$",
    re.IGNORECASE | re.MULTILINE,
)
BUDGET = "disruption budget"
MARGIN_SECONDS = 30
"""How much longer than the drain itself the command may take."""


class Drain:
    """How nodes are drained.

    Args:
        patient: runs commands that may take `timeout` and MARGIN_SECONDS.
        timeout: seconds that the pods of one node have to move.
        delete_unmanaged_pods: whether pods are deleted that no controller would start elsewhere.
    """

    def __init__(
        self, kubectl: Kubectl, patient: Kubectl, *, timeout: float = 300, delete_unmanaged_pods: bool = False
    ) -> None:
        self._kubectl = kubectl
        self._patient = patient
        self._timeout = timeout
        self._delete_unmanaged_pods = delete_unmanaged_pods

    def drain_for(self, name: str, reason: str, *, check_mode: bool) -> bool:
        """Move all pods but those of DaemonSets away, and note the reason on the node.

        Returns:
            Whether there was something to do: not for a node that somebody else took out of service.

        Raises:
            PlatformError: there is no such node, or pods cannot be moved; the node takes pods again in that case.
        """
        node = self._find(name)
        if (node.get("spec") or {}).get("unschedulable") and _reason(node) != reason:
            return False  # its pods are the business of whoever took it out of service
        if not check_mode:
            self.note(name, reason)
            self.drain(node)
        return True

    def restore(self, name: str, reason: str, *, check_mode: bool) -> bool:
        """Let the node take pods again, if it was drained for the same reason; gives whether it was."""
        if _reason(self._find(name)) != reason:
            return False
        if not check_mode:
            self._kubectl.call(["uncordon", name], what=f"let {name} take pods again")
            self.note(name, None)
        return True

    def note(self, name: str, reason: str | None) -> None:
        """Write on the node for what it is drained; None removes the note."""
        self._kubectl.patch(f"{node_state.NODES}/{name}", {"metadata": {"annotations": {ANNOTATION: reason}}})

    def _find(self, name: str) -> node_state.Node:
        try:
            return self._kubectl.get(f"{node_state.NODES}/{name}")
        except NotFound as error:
            raise PlatformError(
                f"The cluster has no node {name}.",
                next_step="Run ansible-playbook wasmfaas.platform.site, which lets its host join.",
            ) from error

    def drain(self, node: node_state.Node) -> None:
        """Move its pods away; where that does not work, it takes pods again.

        Raises:
            PlatformError: who keeps the node from being drained, and why.
        """
        name = node_state.name_of(node)
        cordoned = bool((node.get("spec") or {}).get("unschedulable"))
        # No budget is overridden: kubectl asks for evictions until the time is over.
        arguments = [
            "drain",
            name,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            f"--timeout={int(self._timeout)}s",
        ]
        completed = self._patient.completed([*arguments, *(["--force"] if self._delete_unmanaged_pods else [])])
        if completed.exit_code == 0:
            return
        if not cordoned:
            self._kubectl.completed(["uncordon", name])
        raise self._blocked(name, f"{completed.output}\n{completed.error}")

    def _blocked(self, name: str, said: str) -> PlatformError:
        """Who keeps the node from being drained."""
        unmanaged = UNMANAGED.search(said)
        if unmanaged:
            return PlatformError(
                f"{name} was not drained: no controller would start these pods again elsewhere: "
                f"{unmanaged['pods'].strip()}.",
                next_step="Delete them yourself, or let them be deleted: -e delete_unmanaged_pods=true.",
            )
        reasons: dict[tuple[str, str], str] = {}
        for match in BLOCKED.finditer(said):
            # The first one tells why; the last only that the time is over.
            reasons.setdefault((match["namespace"], match["pod"]), match["why"])
        kept = {pod: why for pod, why in reasons.items() if self._still_on(pod, name)}
        if not kept:
            last = said.strip().splitlines()[-1] if said.strip() else "kubectl drain said nothing"
            return PlatformError(
                f"{name} was not drained in {self._timeout:g} s: {last}",
                next_step=f"See what is still there: k3s kubectl get pods -A --field-selector spec.nodeName={name}; "
                "allow more time, and run it again.",
            )
        texts = [
            f"{namespace}/{pod}{self._budgets(namespace, pod)}" if BUDGET in why else f"{namespace}/{pod} ({why})"
            for (namespace, pod), why in kept.items()
        ]
        return PlatformError(
            f"{name} was not drained in {self._timeout:g} s, and takes pods again; these could not be moved: "
            f"{'; '.join(texts)}.",
            next_step="Give that application one more replica elsewhere, or relax its PodDisruptionBudget while the "
            "node goes, and run it again.",
            facts={"blocked": [f"{namespace}/{pod}" for namespace, pod in kept]},
        )

    def _still_on(self, pod: tuple[str, str], node: str) -> bool:
        try:
            return bool(self._kubectl.get(f"/api/v1/namespaces/{pod[0]}/pods/{pod[1]}")["spec"].get("nodeName") == node)
        except NotFound:
            return False
        except ApiProblem:
            return True

    def _budgets(self, namespace: str, pod: str) -> str:
        """The budgets that keep a pod, as a text in brackets."""
        try:
            labels = self._kubectl.get(f"/api/v1/namespaces/{namespace}/pods/{pod}")["metadata"].get("labels") or {}
            budgets = (
                self._kubectl.get(f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets").get("items") or []
            )
        except ApiProblem:
            return " (a PodDisruptionBudget keeps it)"
        found = []
        for budget in budgets:
            status = budget.get("status") or {}
            if selects(budget["spec"].get("selector"), labels) and not status.get("disruptionsAllowed"):
                need, have = status.get("desiredHealthy", "?"), status.get("currentHealthy", "?")
                found.append(f"{namespace}/{budget['metadata']['name']}, which wants {need} healthy and has {have}")
        return (
            f" (kept by the PodDisruptionBudget {' and '.join(found)})"
            if found
            else " (a PodDisruptionBudget keeps it)"
        )


def _reason(node: node_state.Node) -> str | None:
    """Why the node was drained by this module; None where it was not."""
    return (node["metadata"].get("annotations") or {}).get(ANNOTATION)


def selects(selector: dict[str, t.Any] | None, labels: dict[str, str]) -> bool:
    """Whether a label selector of the API matches; of a PodDisruptionBudget (policy/v1), an empty one selects all and a
    missing one none."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or []:
        key, operator, values = expression["key"], expression["operator"], expression.get("values") or []
        matched = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not matched.get(operator, False):
            return False
    return True
