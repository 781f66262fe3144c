# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until the pods of a Deployment run, and finds out why they do not."""

from __future__ import annotations

import contextlib
import re
import time
import typing as t

from ..errors import PlatformError
from ..kubernetes.pods import Patience, failures_of
from ..kubernetes.rollout import refusal, unfinished
from ..registry import ecr
from .api import KubernetesApi
from .kinds import DEPLOYMENT, POD, Object
from .objects import REVISION
from .stored import quantity

HOPELESS_RESTARTS = 3
"""The restart from which on a crashing container is given up. Several pods of a fresh artifact that start on one node
at the same moment collide in the shim (exit code 137, `Failed to read Spin app manifest`): the kubelet says
CrashLoopBackOff within 2 s, and the second or third restart works (seen with containerd-shim-spin 0.24.0 on containerd
2.2.9 and kubelet 1.34.1). The kubelet restarts at once, after 10 s, and after 20 s."""

PATIENCE = Patience(pull_seconds=0, configuration_seconds=0, restarts=HOPELESS_RESTARTS)
"""What keeps a pod from pulling or starting is reported at once: it comes only after a try that failed."""

LITTLE_MEMORY_BYTES = 96 << 20
"""Functions start with this memory limit, and never with 32 MiB (seen with the same versions; Python uses 91 MiB at its
peak, JavaScript 105 MiB)."""

REFUSED_SECONDS = 10.0
"""How long pods may be refused without any progress: in a larger rollout old pods free quota meanwhile, but the
condition stays set for a while."""

_ASLEEP = "it sleeps, and no request has woken it"
_FIRST_POLL_SECONDS = 0.1
_LONGEST_POLL_SECONDS = 1.0


class AsleepError(PlatformError):
    """No scaler gave the function a replica, so nobody knows whether it runs."""


def wait_for_rollout(api: KubernetesApi, app: Object, *, timeout_seconds: float, must_run: bool = False) -> Object:
    """Wait until all pods of the SpinApp `app` are available and those of earlier revisions are gone.

    Looks at the Deployment, since a SpinApp's status does not say which generation it is about.

    Args:
        must_run: whether 0 replicas are not enough, since 0 of 0 pods prove nothing of a version.

    Returns:
        The Deployment.

    Raises:
        AsleepError: `must_run`, and no scaler gave it a replica.
        PlatformError: a pod cannot start, or it takes longer than `timeout_seconds`; the facts hold the pods' events
            and log.
    """
    import tenacity

    namespace, name = app["metadata"]["namespace"], app["metadata"]["name"]
    revision = (app["spec"].get("podAnnotations") or {}).get(REVISION, "")
    replicas = app["spec"].get("replicas")

    seen = ("", False)
    seen_at = 0.0

    def look() -> tuple[Object | None, str]:
        """The Deployment, and why its rollout is not finished ("" once it is)."""
        nonlocal seen, seen_at
        deployment = api.get(DEPLOYMENT, namespace, name)
        reason = _unfinished(deployment, revision, replicas, must_run=must_run)
        if reason and deployment is not None:
            for pod in _pods(api, namespace, name, revision):
                if problem := _problem(pod, only_lasting=True):
                    raise _failure(api, namespace, name, revision, problem)
            refused = refusal(deployment)
            if (reason, bool(refused)) != seen:  # without the refusal's text, which names another pod each time
                seen, seen_at = (reason, bool(refused)), time.monotonic()
            if refused and time.monotonic() - seen_at > REFUSED_SECONDS:
                raise _failure(api, namespace, name, revision, f"{reason}, as no more are let in: {refused}")
            reason += f", as no more are let in: {refused}" if refused else ""
        return deployment, reason

    def too_late(state: t.Any) -> t.NoReturn:
        _deployment, reason = state.outcome.result()
        if reason == _ASLEEP:
            raise AsleepError(
                f"The function does not come up: {reason} after {timeout_seconds:g} s.",
                next_step=asleep_advice(namespace, name),
            )
        raise _failure(api, namespace, name, revision, f"{reason} after {timeout_seconds:g} s")

    deployment, _reason = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda result: bool(result[1])),
        wait=tenacity.wait_exponential(multiplier=_FIRST_POLL_SECONDS, exp_base=1.3, max=_LONGEST_POLL_SECONDS),
        stop=tenacity.stop_after_delay(timeout_seconds),
        retry_error_callback=too_late,
    )(look)
    if deployment is None:
        raise AssertionError("too_late raises where there is no deployment")
    return deployment


def pod_problem(api: KubernetesApi, app: Object) -> PlatformError | None:
    """Why a pod of the SpinApp `app` does not run, with the advice of `wait_for_rollout`; None where all run."""
    namespace, name = app["metadata"]["namespace"], app["metadata"]["name"]
    revision = (app["spec"].get("podAnnotations") or {}).get(REVISION, "")
    for pod in _pods(api, namespace, name, revision):
        if problem := _problem(pod):
            return _failure(api, namespace, name, revision, problem)
    return None


def is_asleep(deployment: Object | None) -> bool:
    """Whether a scaler has taken the last replica."""
    return deployment is not None and deployment["spec"].get("replicas", 1) == 0


def asleep_advice(namespace: str, name: str) -> str:
    """The next step where requests give a function no replica."""
    return (
        f"See what KEDA says of it: `kubectl describe scaledobject {name} -n {namespace}`, and that KEDA and its HTTP "
        "add-on run: `kubectl get pods -n keda`."
    )


def _unfinished(deployment: Object | None, revision: str, replicas: int | None, *, must_run: bool) -> str:
    """What the Deployment lacks to be rolled out, and to follow the SpinApp; `replicas` is None where a scaler decides
    on them."""
    if deployment is None:
        return "the SpinKube operator has made no Deployment"
    if _revision(deployment["spec"]["template"]) != revision or replicas not in (
        None,
        deployment["spec"].get("replicas", 1),
    ):
        return "the SpinKube operator has not updated the Deployment"
    if must_run and is_asleep(deployment):
        return _ASLEEP
    return unfinished({**deployment, "kind": "Deployment"})


def _revision(pod: Object) -> str:
    """That of a pod, or of a template of pods; "" where the SpinApp is not one of ours."""
    return str((pod["metadata"].get("annotations") or {}).get(REVISION, ""))


def _pods(api: KubernetesApi, namespace: str, name: str, revision: str) -> list[Object]:
    pods = api.list(POD, namespace, labels={"core.spinkube.dev/app-name": name})
    return [pod for pod in pods if _revision(pod) == revision]


def _problem(pod: Object, *, only_lasting: bool = False) -> str:
    """Why a container of the pod does not run; "" where it does. `only_lasting`: only what does not pass by itself."""
    for failure in failures_of(pod):
        if failure.of_container and (not only_lasting or failure.lasts(PATIENCE, 0)):
            return f"{failure.where}: {failure.what}"
    return ""


def _failure(api: KubernetesApi, namespace: str, name: str, revision: str, problem: str) -> PlatformError:
    pods: list[Object] = []
    events: list[str] = []
    with contextlib.suppress(PlatformError):  # a user who may not read events still learns the problem itself
        pods = _pods(api, namespace, name, revision)
        events = api.events_of(namespace, {name, *(pod["metadata"]["name"] for pod in pods)})
    troubled = [(pod, text) for pod in pods if (text := _problem(pod))]
    troubled.sort(key=lambda entry: entry[1] != problem)  # first the pod that the problem is about
    shown = [*(pod for pod, _text in troubled), *pods]
    log = api.pod_log(namespace, shown[0]["metadata"]["name"]) if shown else ""
    if troubled and not any(text in problem for _pod, text in troubled):
        problem += f"; {troubled[0][1]}"
    event = telling(events)
    detail = f"; last event: {event}" if event else ""
    if log.strip():
        detail += f"; last line of its log: {log.strip().splitlines()[-1]}"
    return PlatformError(
        f"The function does not come up: {problem}{detail}.",
        next_step=advice(problem, events, f"core.spinkube.dev/app-name={name}", namespace, memory_limit_of(shown[:1])),
        facts={"events": events[-20:], "pod_log": log, "pods": [pod["metadata"]["name"] for pod in pods]},
    )


def telling(events: list[str]) -> str:
    """The last event that says why: a warning if there is one, preferably about a pod, and not that of a failed probe,
    which only says that the function is not ready."""
    warnings = [event for event in events if event.startswith("Warning ")]
    causes = [event for event in warnings if not event.startswith("Warning Unhealthy ")]
    of_pods = [event for event in causes if event.split(" ", 3)[2].startswith("Pod/")]
    return next((found[-1] for found in (of_pods, causes, warnings, events) if found), "")


def memory_limit_of(pods: list[Object]) -> int | None:
    """The memory limit in bytes of the container of the first of these pods; None without one."""
    for pod in pods:
        for container in (pod.get("spec") or {}).get("containers") or []:
            limit = quantity(((container.get("resources") or {}).get("limits") or {}).get("memory"))
            if limit is not None:
                return int(limit)
    return None


def _crash_advice(problem: str, memory_limit: int | None) -> str:
    node_log = "the node's /var/lib/rancher/k3s/agent/containerd/containerd.log"
    if "exit code 137" not in problem:
        return f"Read the log; where it is empty the cause is in {node_log}."
    limit = f"the limit is {memory_limit / (1 << 20):.0f} MiB" if memory_limit is not None else "there is no limit"
    if memory_limit is not None and memory_limit < LITTLE_MEMORY_BYTES:
        return (
            f"Give it more memory ({limit}, and functions need 96 MiB and more to start), as in `-e memory=128Mi`. "
            f"If it still ends with exit code 137, the shim could not run it, and the cause is in {node_log}."
        )
    return (
        f"Exit code 137 means that the shim could not run it, or that its memory was too little ({limit}); "
        f"Kubernetes does not say which. The shim's error is in {node_log}. If there is none, give it more memory with "
        "`-e memory=…`."
    )


def advice(problem: str, events: list[str], selector: str, namespace: str, memory_limit: int | None) -> str:
    """What to do about pods that do not run; `selector` finds them by their labels, `memory_limit` is in bytes."""
    text = " ".join((problem, *events))
    if "exceeded quota" in problem or "failed quota" in problem:
        return _quota_advice(problem, namespace)
    if "violates PodSecurity" in problem:
        return (
            f"Lower the Pod Security level that namespace {namespace} enforces (label "
            "pod-security.kubernetes.io/enforce): Spin's pods fit `baseline`."
        )
    if "usage per Container" in problem or "usage per Pod" in problem:
        return (
            "Give `memory`, `cpu` or `resources` that fit the LimitRange: `kubectl describe limitranges -n "
            f"{namespace}`."
        )
    if ("ImagePull" in text or "ErrImage" in text) and (registry := ecr.host_in(text)):
        return (
            f"See that the nodes can log in to {registry} (`registries_ecr_login: true` in the inventory, then "
            "`ansible-playbook wasmfaas.platform.site`), and that the role of their machines may read it "
            "(roles/registries/README.md)."
        )
    if "ImagePull" in text or "ErrImage" in text or "InvalidImageName" in text:
        return (
            "See that the nodes reach the registry and may read from it (`-e image_pull_secrets=[NAME]`, "
            "registries.yaml on the nodes)."
        )
    if "no runtime for" in text or "binary not installed" in text:
        return (
            "Install the shim on the nodes (`ansible-playbook wasmfaas.platform.site`), or let the RuntimeClass choose "
            "the nodes that have it."
        )
    if "operator has" in problem:
        return (
            f"See that the SpinKube operator runs and that namespace {namespace} has the executor: `kubectl get "
            f"spinappexecutors -n {namespace}`."
        )
    if "CrashLoopBackOff" in text or "exit code" in problem:
        return _crash_advice(problem, memory_limit)
    if "FailedScheduling" in text or "Insufficient" in text:
        return "No node has room for the pods: add a worker_wasm host, or lower `resources.requests`."
    return f"`kubectl describe pods -n {namespace} -l {selector}` shows more."


def _quota_advice(problem: str, namespace: str) -> str:
    """What to do about `exceeded quota: NAME, requested: …, used: …, limited: …`, or `failed quota: NAME: must specify
    …` (apiserver's admission plugin)."""
    named = re.search(r"(?:exceeded|failed) quota: ([^,:\s]+)", problem)
    quota = f"The ResourceQuota {namespace}/{named[1]}" if named else f"The ResourceQuota of namespace {namespace}"
    if "must specify" in problem:
        return (
            f"{quota} wants every pod to say what it needs. Give `memory` and `cpu`, and `resources` for limits of the "
            "processor."
        )
    return (
        f"{quota} has no room for them, and an update needs room for one pod more than it replaces. Lower `replicas`, "
        "`memory` or `cpu`, delete a function that is not needed, or have the quota raised (`kubectl describe "
        f"resourcequota -n {namespace}`)."
    )
