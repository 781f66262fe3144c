# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what a chart installed is ready, and if not, why: the pod, its reason and its last lines."""

from __future__ import annotations

import dataclasses
import json
import time
import typing as t

from ..problems import ERROR, WARNING, Problem
from . import pods
from .kubectl import ApiProblem, Kubectl
from .rollout import Object, condition, refusal, unfinished

RELEASE_NAME = "meta.helm.sh/release-name"
RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"
"""Helm writes these on all that it creates, whatever labels a chart uses itself (helm.sh/helm,
pkg/action/validate.go)."""
WORKLOADS = "deployments.apps,statefulsets.apps,daemonsets.apps"
OPERATED = ("prometheuses.monitoring.coreos.com", "alertmanagers.monitoring.coreos.com")
"""Kinds in our charts from whose objects an operator makes workloads. Those have the annotations of their object,
including Helm's, but a label `managed-by` of the operator's own (prometheus-operator 0.93,
pkg/prometheus/server/statefulset.go and pkg/alertmanager/statefulset.go)."""
LOG_LINES = 10
TRIED_AGAIN = "wasmfaas.dev/tried-again"
"""Annotation of a workload without pods: when pods were asked for again."""

STEP_PULL = (
    "See whether nodes reach that registry and may pull from it; platform_image_registries names a mirror, the role "
    "`registries` gives nodes credentials. "
    "Then run it again."
)
STEP_CRASH = "Correct what its last lines name, mostly a value of the chart, and run it again."
STEP_SCHEDULE = (
    "Make room, or let it run elsewhere: platform_node_selector, platform_tolerations, or smaller "
    "requests in the role's values. Then run it again."
)
STEP_QUOTA = "Raise the ResourceQuota of that namespace, or ask for less in the role's values, and run it again."
STEP_CONFIGURATION = "Make what it names, such as a Secret, and run it again."
STEP_OPERATOR = "See what the operator in that namespace says (kubectl logs), correct it, and run it again."

STEPS: dict[str, str] = {
    "scheduling": STEP_SCHEDULE,
    "pull": STEP_PULL,
    "configuration": STEP_CONFIGURATION,
    "crash": STEP_CRASH,
    "not-ready": STEP_CRASH,
}
"""What to do, by the kind of a pod's failure."""


@dataclasses.dataclass(frozen=True)
class Patience(pods.Patience):
    """How long what keeps a chart from being ready may pass by itself.

    `running_…`: for charts that ran before and whose pods were restarted; seconds for all its problems together.
    """

    quota_seconds: float = 30.0
    job_restarts: int = 3
    running_restarts: int = 2
    running_seconds: float = 120.0


@dataclasses.dataclass(frozen=True)
class NotReady:
    """Why something is not ready: the problem, and the pod whose log tells more.

    Args:
        problem: its severity is `warning` if it may pass by itself.
        pod: "" if there is no log.
        previous: whether the log to see is that of the container before its restart.
    """

    problem: Problem
    namespace: str = ""
    pod: str = ""
    container: str = ""
    previous: bool = False

    @property
    def lasting(self) -> bool:
        """Whether it does not pass by itself."""
        return self.problem.severity == ERROR


def not_ready(
    where: str, what: str, next_step: str, *, lasting: bool = False, namespace: str = "", pod: str = ""
) -> NotReady:
    """See `NotReady`. `lasting`: it does not pass by itself."""
    return NotReady(Problem(where, what, next_step, ERROR if lasting else WARNING), namespace, pod)


class Workloads:
    """What charts of one cluster have installed; remembers since when there are problems."""

    def __init__(
        self, kubectl: Kubectl, *, patience: Patience | None = None, clock: t.Callable[[], float] = time.monotonic
    ) -> None:
        self._kubectl = kubectl
        self.patience = patience or Patience()
        self._clock = clock
        self._since: dict[tuple[str, ...], float] = {}

    def problems(self, release: str, namespace: str, *, restarts: int | None = None) -> list[NotReady]:
        """Why the workloads of a release are not ready, the gravest first; nothing if all are. `restarts`: instead of
        the patience's."""
        ours = self._of_release(release, namespace)
        limit = self.patience.restarts if restarts is None else restarts
        found = [
            problem
            for entry in ours
            if (missing := unfinished(entry))
            for problem in self._of_workload(entry, missing, limit)
        ]
        found = found or self._not_made(release, namespace, ours)
        return sorted(found, key=lambda problem: not problem.lasting)

    def of_workload(self, entry: Object) -> list[NotReady]:
        """Why a Deployment, StatefulSet or DaemonSet is not ready, the gravest first; nothing if it is."""
        missing = unfinished(entry)
        found = self._of_workload(entry, missing, self.patience.restarts) if missing else []
        return sorted(found, key=lambda problem: not problem.lasting)

    def unready(self, releases: t.Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Of releases, by name and namespace, those with a workload that is not ready; by one list of each kind in a
        namespace."""
        asked = set(releases)
        listed = {
            namespace: self._list([WORKLOADS, "-n", namespace])
            for namespace in sorted({namespace for _release, namespace in asked})
        }
        return {
            (release, namespace)
            for release, namespace in asked
            if any(_is_of(entry, release, namespace) and unfinished(entry) for entry in listed[namespace])
        }

    def try_again(self, release: str, namespace: str) -> None:
        """Restart pods of a release that wait for their next try, and ask again for pods that were refused: both may be
        minutes off."""
        for entry in self._of_release(release, namespace):
            selector = _selector(entry)
            if not selector or not unfinished(entry):
                continue
            stuck = [
                pod["metadata"]["name"]
                for pod in self._list(["pods", "-n", namespace, "-l", selector])
                if pods.backs_off(pod)
            ]
            if stuck:
                self._kubectl.call(
                    ["delete", "pods", "-n", namespace, "--ignore-not-found", "--wait=false", *stuck],
                    what="delete pods that wait",
                )
            # Any change lets a controller look at once.
            what = (
                ["replicasets.apps", "-l", selector]
                if entry["kind"] == "Deployment"
                else [f"{entry['kind'].lower()}s.apps", entry["metadata"]["name"]]
            )
            self._kubectl.call(
                ["annotate", "-n", namespace, "--overwrite", *what, f"{TRIED_AGAIN}={time.time_ns()}"],
                what="annotate what has no pods",
            )

    def of_pods(self, entries: list[Object], *, restarts: int) -> list[NotReady]:
        """What is wrong with pods; nothing of those that run or are done."""
        failures = [failure for entry in entries if (failure := pods.failure_of(entry)) is not None]
        return [self._of_failure(failure, restarts) for failure in failures]

    def of_events(self, kind: str, name: str, namespace: str) -> NotReady | None:
        """The last warning about an object that has no pods, such as that its quota is used up."""
        selector = f"involvedObject.kind={kind},involvedObject.name={name},type=Warning"
        try:
            events = self._list(["events", "-n", namespace, "--field-selector", selector])
        except ApiProblem:
            return None
        if not events:
            return None
        last = max(
            events,
            key=lambda entry: str(
                entry.get("lastTimestamp") or entry.get("eventTime") or entry["metadata"].get("creationTimestamp")
            ),
        )
        return self._refused(f"{kind} {name}", f"{last.get('reason')}: {last.get('message')}", namespace)

    def log(self, found: NotReady, lines: int = LOG_LINES) -> str:
        """The last lines of the pod that is not ready; "" where it has none yet."""
        if not found.pod:
            return ""
        arguments = [
            "logs",
            "-n",
            found.namespace,
            found.pod,
            f"--tail={lines}",
            *(["-c", found.container] if found.container else []),
        ]
        for command in ([*arguments, "--previous"], arguments) if found.previous else (arguments,):
            completed = self._kubectl.completed(command)
            if completed.exit_code == 0 and completed.output.strip():
                return completed.output.strip()
        return ""

    def _of_release(self, release: str, namespace: str) -> list[Object]:
        return [entry for entry in self._list([WORKLOADS, "-n", namespace]) if _is_of(entry, release, namespace)]

    def _not_made(self, release: str, namespace: str, ours: list[Object]) -> list[NotReady]:
        """What an operator has not yet made from a release's objects, since Helm does not wait for that."""
        arguments = [
            "get",
            "customresourcedefinitions.apiextensions.k8s.io",
            *OPERATED,
            "-o",
            "name",
            "--ignore-not-found",
        ]
        known = [line.rpartition("/")[2] for line in self._kubectl.call(arguments, what="look up kinds").split()]
        objects = self._list([",".join(known), "-n", namespace]) if known else []
        found = (_of_operated(entry, ours) for entry in objects if _is_of(entry, release, namespace))
        return [problem for problem in found if problem is not None]

    def _of_workload(self, entry: Object, missing: str, restarts: int) -> list[NotReady]:
        kind, name, namespace = entry["kind"], entry["metadata"]["name"], entry["metadata"]["namespace"]
        plain = not_ready(f"{kind} {name}", missing, STEP_SCHEDULE, namespace=namespace)
        message = refusal(entry)
        if message:
            return [self._refused(f"{kind} {name}", message, namespace)]
        selector = _selector(entry)
        found = self._list(["pods", "-n", namespace, "-l", selector]) if selector else []
        if not found:
            return [self.of_events(kind, name, namespace) or plain]
        if kind == "DaemonSet":
            down = self._nodes_down()
            left = [pod for pod in found if (pod.get("spec") or {}).get("nodeName") not in down]
            if len(left) < len(found) and not unfinished(entry, fewer=len(found) - len(left)):
                return []
            found = left
        return self.of_pods(found, restarts=restarts) or [plain]

    def _nodes_down(self) -> set[str]:
        """Nodes that are not ready, whose pods no chart can help."""
        return {node["metadata"]["name"] for node in self._list(["nodes"]) if not condition(node, "Ready")}

    def _refused(self, where: str, message: str, namespace: str) -> NotReady:
        quota = "exceeded quota" in message
        lasting = quota and self._seconds("quota", namespace, where) >= self.patience.quota_seconds
        step = STEP_QUOTA if quota else "Correct what it names, and run it again."
        return not_ready(where, f"it gets no pods: {message}", step, lasting=lasting, namespace=namespace)

    def _of_failure(self, failure: pods.Failure, restarts: int) -> NotReady:
        seconds = self._seconds(failure.kind, failure.namespace, failure.pod, failure.container)
        lasting = failure.lasts(dataclasses.replace(self.patience, restarts=restarts), seconds)
        problem = Problem(failure.where, failure.what, STEPS[failure.kind], ERROR if lasting else WARNING)
        if not failure.has_log:
            return NotReady(problem, failure.namespace)
        return NotReady(problem, failure.namespace, failure.pod, failure.container, failure.previous)

    def _seconds(self, *key: str) -> float:
        """Seconds since a problem was first seen."""
        now = self._clock()
        return now - self._since.setdefault(key, now)

    def _list(self, arguments: list[str]) -> list[Object]:
        read = json.loads(
            self._kubectl.call(["get", *arguments, "-o", "json", "--ignore-not-found"], what=f"list {arguments[0]}")
            or "{}"
        )
        items: list[Object] = read.get("items") or []
        return items


def _of_operated(entry: Object, workloads: list[Object]) -> NotReady | None:
    """What is wrong with an object from which an operator makes workloads, besides the problems of those workloads."""
    metadata = entry["metadata"]
    name, namespace = f"{entry['kind']} {metadata['name']}", metadata["namespace"]
    conditions = (entry.get("status") or {}).get("conditions") or []
    reconciled = next((condition for condition in conditions if condition.get("type") == "Reconciled"), None)
    if (entry.get("spec") or {}).get("paused"):
        return None
    if reconciled is not None and reconciled.get("status") != "True":
        said = f"{reconciled.get('reason')}: {reconciled.get('message')}"
        return not_ready(name, said, STEP_OPERATOR, namespace=namespace)
    if not any(
        owner.get("uid") == metadata["uid"]
        for workload in workloads
        for owner in workload["metadata"].get("ownerReferences") or []
    ):
        return not_ready(name, "its operator has made no pods of it", STEP_OPERATOR, namespace=namespace)
    if reconciled is not None and int(reconciled.get("observedGeneration") or 0) < int(metadata.get("generation") or 0):
        return not_ready(name, "its operator has not taken its change up", STEP_OPERATOR, namespace=namespace)
    return None


def _is_of(entry: Object, release: str, namespace: str) -> bool:
    return _annotation(entry, RELEASE_NAME) == release and _annotation(entry, RELEASE_NAMESPACE) == namespace


def _selector(entry: Object) -> str:
    labels = ((entry.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _annotation(entry: Object, name: str) -> str:
    return str((entry["metadata"].get("annotations") or {}).get(name, ""))
