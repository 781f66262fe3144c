# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what a chart installed runs, and if not, why: the pod, its reason and its last lines."""

from __future__ import annotations

import dataclasses
import json
import time
import typing as t

from .kubectl import ApiProblem, Kubectl

RELEASE_NAME = "meta.helm.sh/release-name"
RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"
"""Helm writes these on all that it creates, whatever labels a chart uses itself (helm.sh/helm,
pkg/action/validate.go)."""
WORKLOADS = "deployments.apps,statefulsets.apps,daemonsets.apps"
OPERATED = ("prometheuses.monitoring.coreos.com", "alertmanagers.monitoring.coreos.com")
"""Kinds in our charts of whose objects an operator makes workloads. These have the annotations of their object, and
with them Helm's, but a label `managed-by` of the operator's own (prometheus-operator 0.93,
pkg/prometheus/server/statefulset.go and pkg/alertmanager/statefulset.go)."""
LOG_LINES = 10
TRIED_AGAIN = "wasmfaas.dev/tried-again"
"""Annotation of what has no pods: when we asked for them anew."""

PULL_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
CONFIGURATION_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")

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

Object = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Patience:
    """How much of a trouble passes by itself. Seconds are of what lasts without a break; restarts of one container.

    `running_…`: of what ran before, whose pods were started anew; seconds of all its troubles together.
    """

    pull_seconds: float = 120.0
    quota_seconds: float = 30.0
    configuration_seconds: float = 60.0
    restarts: int = 5
    job_restarts: int = 3
    running_restarts: int = 2
    running_seconds: float = 120.0


@dataclasses.dataclass(frozen=True)
class Trouble:
    """Why something does not run. `lasting`: it won't pass by itself."""

    text: str
    next_step: str
    lasting: bool = False
    namespace: str = ""
    pod: str = ""
    container: str = ""
    previous: bool = False
    """Whether the log to see is that of the container before its restart."""


class Workloads:
    """What charts of one cluster have installed; remembers since when there is trouble."""

    def __init__(
        self, kubectl: Kubectl, *, patience: Patience | None = None, clock: t.Callable[[], float] = time.monotonic
    ) -> None:
        self._kubectl = kubectl
        self.patience = patience or Patience()
        self._clock = clock
        self._since: dict[tuple[str, ...], float] = {}

    def troubles(self, release: str, namespace: str, *, restarts: int | None = None) -> list[Trouble]:
        """Why the workloads of a release are not ready, the gravest first; nothing if all are. `restarts`: instead of
        the patience's."""
        ours = self._of_release(release, namespace)
        limit = self.patience.restarts if restarts is None else restarts
        found = [
            trouble
            for entry in ours
            if (missing := missing_of(entry))
            for trouble in self._of_workload(entry, missing, limit)
        ]
        found = found or self._not_made(release, namespace, ours)
        return sorted(found, key=lambda trouble: not trouble.lasting)

    def unready(self, releases: t.Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Of releases, by name and namespace, those with a workload that is not ready; by one list of each kind in a
        namespace."""
        wanted = set(releases)
        listed = {
            namespace: self._list([WORKLOADS, "-n", namespace])
            for namespace in sorted({namespace for _release, namespace in wanted})
        }
        return {
            (release, namespace)
            for release, namespace in wanted
            if any(_is_of(entry, release, namespace) and missing_of(entry) for entry in listed[namespace])
        }

    def try_again(self, release: str, namespace: str) -> None:
        """Have pods of a release started anew that wait for their next try, and such asked for again that were refused:
        both may be minutes off."""
        for entry in self._of_release(release, namespace):
            selector = _selector(entry)
            if not selector or not missing_of(entry):
                continue
            stuck = [
                pod["metadata"]["name"]
                for pod in self._list(["pods", "-n", namespace, "-l", selector])
                if backs_off(pod)
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

    def of_pods(self, pods: list[Object], *, restarts: int) -> list[Trouble]:
        """What is wrong with pods; nothing of those that run or are done."""
        return [trouble for pod in pods if (trouble := self._of_pod(pod, restarts)) is not None]

    def of_events(self, kind: str, name: str, namespace: str) -> Trouble | None:
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

    def log(self, trouble: Trouble, lines: int = LOG_LINES) -> str:
        """The last lines of the pod of a trouble; empty where it has none yet."""
        if not trouble.pod:
            return ""
        arguments = [
            "logs",
            "-n",
            trouble.namespace,
            trouble.pod,
            f"--tail={lines}",
            *(["-c", trouble.container] if trouble.container else []),
        ]
        for command in ([*arguments, "--previous"], arguments) if trouble.previous else (arguments,):
            completed = self._kubectl.completed(command)
            if completed.exit_code == 0 and completed.output.strip():
                return completed.output.strip()
        return ""

    def _of_release(self, release: str, namespace: str) -> list[Object]:
        return [entry for entry in self._list([WORKLOADS, "-n", namespace]) if _is_of(entry, release, namespace)]

    def _not_made(self, release: str, namespace: str, ours: list[Object]) -> list[Trouble]:
        """What an operator has yet to make of a release's objects, which Helm does not wait for."""
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
        troubles = (_of_operated(entry, ours) for entry in objects if _is_of(entry, release, namespace))
        return [trouble for trouble in troubles if trouble is not None]

    def _of_workload(self, entry: Object, missing: str, restarts: int) -> list[Trouble]:
        kind, name, namespace = entry["kind"], entry["metadata"]["name"], entry["metadata"]["namespace"]
        plain = Trouble(f"{kind} {name}: {missing}", STEP_SCHEDULE, namespace=namespace)
        for condition in (entry.get("status") or {}).get("conditions") or []:
            if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
                return [self._refused(f"{kind} {name}", str(condition.get("message")), namespace)]
        selector = _selector(entry)
        pods = self._list(["pods", "-n", namespace, "-l", selector]) if selector else []
        if not pods:
            return [self.of_events(kind, name, namespace) or plain]
        if kind == "DaemonSet":
            down = self._nodes_down()
            left = [pod for pod in pods if (pod.get("spec") or {}).get("nodeName") not in down]
            if len(left) < len(pods) and not missing_of(entry, fewer=len(pods) - len(left)):
                return []
            pods = left
        return self.of_pods(pods, restarts=restarts) or [plain]

    def _nodes_down(self) -> set[str]:
        """Nodes that are not ready, whose pods no chart can help."""
        return {node["metadata"]["name"] for node in self._list(["nodes"]) if not _has(node, "Ready")}

    def _refused(self, what: str, message: str, namespace: str) -> Trouble:
        quota = "exceeded quota" in message
        lasting = quota and self._lasts("quota", namespace, what, seconds=self.patience.quota_seconds)
        return Trouble(
            f"{what} gets no pods: {message}",
            STEP_QUOTA if quota else "Correct what it names, and run it again.",
            lasting,
            namespace,
        )

    def _of_pod(self, pod: Object, restarts: int) -> Trouble | None:
        name, namespace, status = pod["metadata"]["name"], pod["metadata"].get("namespace", ""), pod.get("status") or {}
        if status.get("phase") == "Succeeded" or pod["metadata"].get("deletionTimestamp"):
            return None
        for condition in status.get("conditions") or []:
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                # A group of nodes may be on its way up from zero; only the whole time-out ends this.
                return Trouble(
                    f"Pod {name} can't be scheduled: {condition.get('message')}",
                    STEP_SCHEDULE,
                    namespace=namespace,
                    pod="",
                )
        for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
            trouble = self._of_container(name, namespace, container, restarts)
            if trouble is not None:
                return trouble
        return (
            None
            if _has(pod, "Ready")
            else Trouble(f"Pod {name} is not ready yet", STEP_CRASH, namespace=namespace, pod=name)
        )

    def _of_container(self, pod: str, namespace: str, container: Object, restarts: int) -> Trouble | None:
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, name, count = (
            str(waiting.get("reason") or ""),
            str(container.get("name")),
            int(container.get("restartCount") or 0),
        )
        said = f"{reason}: {waiting.get('message')}" if waiting.get("message") else reason
        if reason in PULL_REASONS:
            lasting = self._lasts(
                "pull", namespace, pod, name, seconds=0 if reason == "InvalidImageName" else self.patience.pull_seconds
            )
            return Trouble(
                f"Pod {pod} can't pull the image {container.get('image')}: {said}", STEP_PULL, lasting, namespace
            )
        if reason in CONFIGURATION_REASONS:
            lasting = self._lasts("configuration", namespace, pod, name, seconds=self.patience.configuration_seconds)
            return Trouble(
                f"Pod {pod} can't start its container {name}: {said}", STEP_CONFIGURATION, lasting, namespace
            )
        ended = (container.get("state") or {}).get("terminated") or {}
        if count and (reason == "CrashLoopBackOff" or ended.get("exitCode")):
            code = ended.get("exitCode") or ((container.get("lastState") or {}).get("terminated") or {}).get("exitCode")
            text = f"Pod {pod}: its container {name} ended {count} times, the last time with exit code {code}"
            return Trouble(text, STEP_CRASH, count >= restarts, namespace, pod, name, previous=bool(waiting))
        return None

    def _lasts(self, *key: str, seconds: float) -> bool:
        now = self._clock()
        return now - self._since.setdefault(key, now) >= seconds

    def _list(self, arguments: list[str]) -> list[Object]:
        read = json.loads(
            self._kubectl.call(["get", *arguments, "-o", "json", "--ignore-not-found"], what=f"list {arguments[0]}")
            or "{}"
        )
        items: list[Object] = read.get("items") or []
        return items


def missing_of(entry: Object, *, fewer: int = 0) -> str:
    """What a Deployment, StatefulSet or DaemonSet lacks to be rolled out, by the rules of `kubectl rollout status`;
    empty if nothing.

    `fewer`: pods that a DaemonSet need not have.
    """
    spec, status = entry.get("spec") or {}, entry.get("status") or {}
    if int(status.get("observedGeneration") or 0) < int(entry["metadata"].get("generation") or 0):
        return "its change was not taken up yet"
    if entry["kind"] == "DaemonSet":
        wanted, updated, ready = (
            int(status.get(key) or 0) for key in ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
        )
        wanted -= fewer
    else:
        wanted, updated = int(spec.get("replicas", 1)), int(status.get("updatedReplicas") or 0)
        ready = int(status.get("readyReplicas" if entry["kind"] == "StatefulSet" else "availableReplicas") or 0)
    strategy = (spec.get("updateStrategy") or {}) if entry["kind"] != "Deployment" else {}
    if strategy.get("type") == "OnDelete" or ((strategy.get("rollingUpdate") or {}).get("partition")):
        updated = wanted
    if updated < wanted:
        return f"{updated} of {wanted} pods are of the newest version"
    if entry["kind"] == "Deployment" and int(status.get("replicas") or 0) > updated:
        return "pods of an older version still run"
    return "" if ready >= wanted else f"{ready} of {wanted} pods are ready"


def backs_off(pod: Object) -> bool:
    """Whether a pod does nothing but wait for its next try."""
    status = pod.get("status") or {}
    states = [
        container.get("state") or {}
        for key in ("initContainerStatuses", "containerStatuses")
        for container in status.get(key) or []
    ]
    return any((state.get("waiting") or {}).get("reason") in ("CrashLoopBackOff", *PULL_REASONS) for state in states)


def _of_operated(entry: Object, workloads: list[Object]) -> Trouble | None:
    """What is wrong with an object of which an operator makes workloads, beside what is wrong with these."""
    metadata = entry["metadata"]
    name, namespace = f"{entry['kind']} {metadata['name']}", metadata["namespace"]
    conditions = (entry.get("status") or {}).get("conditions") or []
    reconciled = next((condition for condition in conditions if condition.get("type") == "Reconciled"), None)
    if (entry.get("spec") or {}).get("paused"):
        return None
    if reconciled is not None and reconciled.get("status") != "True":
        return Trouble(
            f"{name}: {reconciled.get('reason')}: {reconciled.get('message')}", STEP_OPERATOR, namespace=namespace
        )
    if not any(
        owner.get("uid") == metadata["uid"]
        for workload in workloads
        for owner in workload["metadata"].get("ownerReferences") or []
    ):
        return Trouble(f"{name}: its operator has made no pods of it", STEP_OPERATOR, namespace=namespace)
    if reconciled is not None and int(reconciled.get("observedGeneration") or 0) < int(metadata.get("generation") or 0):
        return Trouble(f"{name}: its operator has not taken its change up", STEP_OPERATOR, namespace=namespace)
    return None


def _is_of(entry: Object, release: str, namespace: str) -> bool:
    return _annotation(entry, RELEASE_NAME) == release and _annotation(entry, RELEASE_NAMESPACE) == namespace


def _has(entry: Object, condition: str) -> bool:
    conditions = (entry.get("status") or {}).get("conditions") or []
    return any(found.get("type") == condition and found.get("status") == "True" for found in conditions)


def _selector(entry: Object) -> str:
    labels = ((entry.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _annotation(entry: Object, name: str) -> str:
    return str((entry["metadata"].get("annotations") or {}).get(name, ""))
