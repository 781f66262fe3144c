# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until a program's Job has ended or its Deployment is rolled out, and finds out why it does not."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ..errors import PlatformError
from ..kubernetes.pods import Failure, failures_of
from ..kubernetes.rollout import condition, refusal, unfinished
from ..spinkube.api import KubernetesApi
from ..spinkube.kinds import JOB, Kind, Object
from ..spinkube.objects import PROGRAM
from ..spinkube.rollout import PATIENCE, REFUSED_SECONDS, advice, memory_limit_of, telling
from .live import job_status, pods_of
from .model import LAST_LINES, NOT_RUN

_FIRST_POLL_SECONDS = 0.1
_LONGEST_POLL_SECONDS = 1.0


class NotStarted(PlatformError):
    """The program could not be started, so it has done nothing."""


def wait_for_workload(api: KubernetesApi, kind: Kind, namespace: str, name: str, *, timeout_seconds: float) -> Object:
    """Wait until a Job has succeeded, or all pods of a Deployment are available and older ones gone.

    Returns:
        The Job or Deployment.

    Raises:
        NotStarted: its pods cannot start.
        PlatformError: the program failed, or it takes longer than `timeout_seconds`; the facts hold events and log.
    """
    import tenacity

    refused_since = 0.0

    def look() -> tuple[Object, str]:
        """The workload, and what is missing ("" for nothing)."""
        nonlocal refused_since
        found = api.get(kind, namespace, name)
        if found is None:
            raise PlatformError(
                f"Somebody else deleted the {kind.kind} {namespace}/{name} during the deployment.",
                next_step="Run the same command again to have it.",
            )
        workload = {**found, "kind": kind.kind}
        if kind is JOB:
            if job_status(workload) == "failed":
                raise _job_failure(api, workload)
            reason = "" if job_status(workload) == "succeeded" else "it has not ended"
        else:
            reason = unfinished(workload)
        if not reason:
            return workload, ""
        for failure in _failures(pods_of(api, workload)):
            if failure.lasts(PATIENCE, 0) and not (kind is JOB and failure.kind == "crash"):
                raise _not_started(api, workload, f"{failure.where}: {failure.what}")
        refused = refusal(workload) or _job_refusal(api, workload)
        refused_since = (refused_since or time.monotonic()) if refused else 0.0
        if refused and time.monotonic() - refused_since > REFUSED_SECONDS:
            raise _not_started(api, workload, f"no pods are let in: {refused}")
        return workload, reason

    def too_late(state: t.Any) -> t.NoReturn:
        workload, reason = state.outcome.result()
        pods = pods_of(api, workload)
        started = any(_has_started(pod) for pod in pods)
        if kind is JOB and started:
            raise PlatformError(
                f"The program has not ended after {timeout_seconds:g} s; it goes on.",
                next_step=f"Look at it with `ansible-playbook wasmfaas.platform.program_logs -e name={name} -e "
                f"namespace={namespace}`, or wait longer with `-e wait_timeout=SECONDS`; keep a program that never "
                "ends with `-e run=always`.",
                facts=_facts(api, workload, pods),
            )
        raise _not_started(api, workload, f"{reason} after {timeout_seconds:g} s")

    workload, _reason = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda result: bool(result[1])),
        wait=tenacity.wait_exponential(multiplier=_FIRST_POLL_SECONDS, exp_base=1.3, max=_LONGEST_POLL_SECONDS),
        stop=tenacity.stop_after_delay(timeout_seconds),
        retry_error_callback=too_late,
    )(look)
    return workload


def last_lines(api: KubernetesApi, workload: Object) -> list[str]:
    """What the newest pod of a program wrote last; nothing where it cannot be read."""
    pods = pods_of(api, workload)
    return _log(api, pods[-1]).splitlines() if pods else []


def _failures(pods: t.Iterable[Object]) -> list[Failure]:
    return [failure for pod in pods for failure in failures_of(pod) if failure.of_container]


def _has_started(pod: Object) -> bool:
    return any(
        "running" in (container.get("state") or {}) or "terminated" in (container.get("state") or {})
        for container in (pod.get("status") or {}).get("containerStatuses") or []
    )


def _job_refusal(api: KubernetesApi, workload: Object) -> str:
    """Why the API server refuses the pods of a Job, which says so in events only."""
    if workload["kind"] != JOB.kind or (workload.get("status") or {}).get("active"):
        return ""
    metadata = workload["metadata"]
    with contextlib.suppress(PlatformError):
        events = api.events_of(metadata["namespace"], {metadata["name"]})
        refused = [event for event in events if event.startswith("Warning FailedCreate ")]
        return refused[-1].partition(": ")[2] if refused else ""
    return ""


def _job_failure(api: KubernetesApi, job: Object) -> PlatformError:
    metadata = job["metadata"]
    pods = pods_of(api, job)
    facts = _facts(api, job, pods)
    exit_code = _exit_code(pods[-1]) if pods else None
    failed = condition(job, "Failed") or {}
    ended = f"ended with exit code {exit_code}" if exit_code is not None else f"failed ({failed.get('reason')})"
    log = str(facts["pod_log"]).strip()
    step = (
        "Correct what its last lines name, then deploy again. The whole log: `ansible-playbook "
        f"wasmfaas.platform.program_logs -e name={metadata['name']} -e namespace={metadata['namespace']}`."
    )
    if exit_code == NOT_RUN:
        step = (
            f"Exit code {NOT_RUN} means that the program trapped (a panic), that the shim could not run it, or that "
            "its memory was too little (`-e memory=…`). The shim's error is in the node's "
            "/var/lib/rancher/k3s/agent/containerd/containerd.log."
        )
    return PlatformError(
        f"The program {ended}" + (f". Its last lines:\n{log}" if log else " and wrote nothing."),
        next_step=step,
        facts={**facts, "exit_code": exit_code},
    )


def _exit_code(pod: Object) -> int | None:
    for container in (pod.get("status") or {}).get("containerStatuses") or []:
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            if "terminated" in state:
                return int(state["terminated"].get("exitCode", 0))
    return None


def _not_started(api: KubernetesApi, workload: Object, problem: str) -> NotStarted:
    metadata = workload["metadata"]
    pods = pods_of(api, workload)
    facts = _facts(api, workload, pods)
    failures = [f"{failure.where}: {failure.what}" for failure in _failures(pods)]
    if failures and not any(text in problem for text in failures):
        problem += f"; {failures[0]}"
    event, log = telling(facts["events"]), str(facts["pod_log"]).strip()
    detail = (f"; last event: {event}" if event else "") + (
        f"; last line of its log: {log.splitlines()[-1]}" if log else ""
    )
    runtime_class = workload["spec"]["template"]["spec"]["runtimeClassName"]
    step = (
        f"Give a node the shim of RuntimeClass {runtime_class} (`wasm_shims_installed: [spin, wasmtime]` in the "
        "inventory, then `ansible-playbook wasmfaas.platform.site`)."
        if any(sign in f"{problem} {detail}" for sign in ("didn't match Pod's node affinity", "no runtime for"))
        or ("RuntimeClass" in problem and "not found" in problem)
        else advice(
            problem,
            facts["events"],
            f"{PROGRAM}={metadata['name']}",
            metadata["namespace"],
            memory_limit_of([{"spec": workload["spec"]["template"]["spec"]}]),
        )
    )
    return NotStarted(f"The program does not start: {problem}{detail}.", next_step=step, facts=facts)


def _facts(api: KubernetesApi, workload: Object, pods: list[Object]) -> dict[str, t.Any]:
    metadata = workload["metadata"]
    events: list[str] = []
    with contextlib.suppress(PlatformError):  # a user who may not read events still learns the problem itself
        events = api.events_of(metadata["namespace"], {metadata["name"], *(pod["metadata"]["name"] for pod in pods)})
    log = _log(api, pods[-1]) if pods else ""
    return {"events": events[-20:], "pod_log": log, "pods": [pod["metadata"]["name"] for pod in pods]}


def _log(api: KubernetesApi, pod: Object) -> str:
    return api.pod_log(pod["metadata"]["namespace"], pod["metadata"]["name"], lines=LAST_LINES)
