# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts by k3s' Helm controller: a HelmChart for each, which the controller installs by a Job (k3s-io/helm-controller,
pkg/controllers/chart/chart.go).

A HelmChart has no generation in its status, and its Job has a hash of its own making. So two annotations on the
HelmChart say how far we are, whenever a run is cut off: which Job was there when we applied it (a newer one is ours),
and for which generation we have seen the chart's pods ready.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import time
import typing as t

from ..errors import PlatformError
from ..host.waiting import wait_for
from ..kubernetes.applied import APPLIED, Object, is_applied, prepared
from ..kubernetes.kubectl import ApiProblem, Kubectl, NotFound, Unreachable
from ..kubernetes.objects import Objects, object_key, result
from ..kubernetes.pods import backs_off
from ..kubernetes.rollout import condition
from ..kubernetes.workloads import NotReady, Patience, Workloads, not_ready
from .model import STEP_FETCH, Chart, failure, require_running

NAMESPACE = "kube-system"
"""k3s' controller takes HelmCharts of any namespace; with the Jobs in this one, no namespace of a chart needs rights
for them."""
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/helmcharts.helm.cattle.io"
CHART_LABEL = "helmcharts.helm.cattle.io/chart"
REPLACES = "wasmfaas.dev/replaces"
"""Annotation: uid of the Job that was there when the HelmChart was applied, and the generation that the HelmChart had,
as `uid/generation`."""
INSTALLED = "wasmfaas.dev/installed"
"""Annotation: digest and generation of what was seen ready, as `digest/generation`."""
POLICIES = ("retry", "abort")
"""The best first: `retry` continues with a failed release, `abort` leaves it to a person; `reinstall`, the controller's
default, uninstalls it together with its data. `retry` is known since helm-controller 0.16.26 and 0.17.7."""
START_SECONDS = 60.0
"""How long the controller of a server that has just started may take to define its kinds."""
QUIET_SECONDS = 15.0
"""How long a missing Job is not reported."""

FETCH = re.compile(
    r"failed to (?:fetch|download|perform)|no such host|dial tcp|looks like .* is not a valid chart repository|chart "
    r".* not found|manifest unknown"
    r"|unauthorized|forbidden: .*registry|x509:|404 Not Found|name unknown|index\.yaml",
    re.IGNORECASE,
)
INTERVENTION = "waiting for operator intervention"
OWNERSHIP = "invalid ownership metadata"


@dataclasses.dataclass
class _Wait:
    """A chart that is waited for, in one of its stages."""

    chart: Chart
    live: Object
    began: float
    installed: bool = False
    """Whether its Job is done and only its workloads are waited for."""
    problem: NotReady | None = None
    log: str = ""


class Controller:
    """See `model.Installer`."""

    missing = "the cluster has no Helm controller (no kind HelmChart)"

    def __init__(
        self,
        kubectl: Kubectl,
        *,
        patience: Patience | None = None,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._kubectl = kubectl
        self._patience = patience or Patience()
        self._workloads = Workloads(kubectl, patience=self._patience, clock=clock)
        self._clock = clock
        self._sleep = sleep
        self._found: Object | None = None

    def available(self) -> bool:
        return self._definition() is not None

    def wait_available(self) -> bool:
        return wait_for(self.available, seconds=START_SECONDS, interval=1.0, clock=self._clock, sleep=self._sleep)

    def objects(self, charts: list[Chart]) -> list[Object]:
        return [
            {
                "apiVersion": "helm.cattle.io/v1",
                "kind": "HelmChart",
                "metadata": {"name": chart.name, "namespace": NAMESPACE},
            }
            for chart in charts
        ]

    def install(
        self, charts: list[Chart], *, check_mode: bool, namespaces: set[str], before: dict[str, Object] | None
    ) -> dict[str, t.Any]:
        """See `model.Installer`.

        Raises:
            PlatformError: the API refuses a chart, or one of them is not ready in its time, or cannot become ready.
        """
        objects = Objects(self._kubectl, show=readable, sleep=self._sleep)
        stubs = self.objects(charts)
        keys = {chart.name: object_key(stub) for chart, stub in zip(charts, stubs)}
        live = before if before is not None else objects.live(stubs)
        entries = {chart.name: self._entry(chart, live.get(keys[chart.name]), namespaces) for chart in charts}
        due = [chart for chart in charts if not is_applied(prepared(entries[chart.name]), live.get(keys[chart.name]))]
        if due and not check_mode:
            jobs, _pods = self._jobs()
            for chart in due:
                known = (live.get(keys[chart.name]) or {}).get("metadata") or {}
                uid = jobs.get(chart.name, {}).get("metadata", {}).get("uid", "")
                entries[chart.name]["metadata"]["annotations"] = {REPLACES: f"{uid}/{known.get('generation', 0)}"}
        after = {**live, **objects.apply([entries[chart.name] for chart in due], live, check_mode=check_mode)}
        if not check_mode:
            now = self._clock()
            waits = [
                _Wait(chart, after[keys[chart.name]], now)
                for chart in charts
                if not _is_installed(after[keys[chart.name]])
            ]
            self._begin_anew([wait for wait in waits if wait.chart not in due])
            self._wait(waits)
            waited = {wait.chart.name for wait in waits}
            require_running(
                [chart for chart in charts if chart.name not in waited],
                self._workloads,
                clock=self._clock,
                sleep=self._sleep,
            )
        return result(live, after, list(entries.values()), readable)

    def uninstall(self, charts: list[Chart], *, check_mode: bool) -> dict[str, t.Any]:
        """See `model.Installer`.

        Raises:
            PlatformError: one is not gone in its time.
        """
        found: dict[str, t.Any] = {"changed": False, "changed_objects": [], "diff": []}
        for chart in charts:
            objects = Objects(self._kubectl, show=readable, deletion_seconds=chart.timeout, sleep=self._sleep)
            try:
                one = objects.reconcile(self.objects([chart]), state="absent", check_mode=check_mode)
            except Unreachable:
                raise
            except ApiProblem as problem:
                raise self._not_uninstalled(chart, problem) from problem
            found = {
                "changed": found["changed"] or one["changed"],
                **{key: [*found[key], *one[key]] for key in ("changed_objects", "diff")},
            }
        return found

    def _entry(self, chart: Chart, live: Object | None, namespaces: set[str]) -> Object:
        """The HelmChart."""
        spec: dict[str, t.Any] = {
            "targetNamespace": chart.namespace,
            "createNamespace": chart.namespace not in namespaces and chart.namespace != NAMESPACE,
            "valuesContent": chart.values_text,
            "failurePolicy": self._policy(live),
            "timeout": f"{chart.timeout}s",
        }
        if chart.content:
            spec["chartContent"] = chart.content
        elif chart.repository.startswith("oci://"):
            spec.update(chart=chart.repository, version=chart.version)
        else:
            spec.update(chart=chart.chart, repo=chart.repository, version=chart.version)
        spec.update(
            {"bootstrap": True} if chart.bootstrap else {}, **({"takeOwnership": True} if chart.take_ownership else {})
        )
        return {**self.objects([chart])[0], "spec": spec}

    def _policy(self, live: Object | None) -> str:
        """The best failure policy that this controller knows. A HelmChart keeps the one it has: a newer controller does
        not cause a new installation."""
        kept = ((live or {}).get("spec") or {}).get("failurePolicy")
        if kept in POLICIES:
            return str(kept)
        text = json.dumps(self._definition() or {"retry": None})
        return POLICIES[0] if f'"{POLICIES[0]}"' in text else POLICIES[1]

    def _definition(self) -> Object | None:
        """The definition of HelmChart, which is not read again once it was there; None if there is none."""
        if self._found is None:
            with contextlib.suppress(NotFound):
                self._found = self._kubectl.get(DEFINITION)
        return self._found

    def _jobs(self) -> tuple[dict[str, Object], list[Object]]:
        """The Jobs that install charts, by the chart's name, and the pods of all Jobs of charts."""
        output = self._kubectl.call(
            ["get", "jobs.batch,pods", "-n", NAMESPACE, "-l", CHART_LABEL, "-o", "json"], what="list the Jobs of charts"
        )
        items: list[Object] = json.loads(output).get("items") or []
        jobs = {entry["metadata"]["labels"][CHART_LABEL]: entry for entry in items if _is_job(entry, "install")}
        return jobs, [entry for entry in items if entry["kind"] == "Pod"]

    def _begin_anew(self, waits: list[_Wait]) -> None:
        """Try at once what failed in an earlier run, since its next try may be minutes off. The controller makes a
        deleted Job anew."""
        if not waits:
            return
        for wait in waits:
            self._workloads.try_again(wait.chart.name, wait.chart.namespace)
        jobs, pods = self._jobs()
        for wait in waits:
            job = jobs.get(wait.chart.name)
            if job is not None and (condition(job, "Failed") or any(backs_off(pod) for pod in _of_job(job, pods))):
                arguments = [
                    "delete",
                    "jobs.batch",
                    job["metadata"]["name"],
                    "-n",
                    NAMESPACE,
                    "--cascade=background",
                    "--ignore-not-found",
                    "--timeout=60s",
                ]
                self._kubectl.call(arguments, what=f"delete the Job of the chart {wait.chart.name}")

    def _wait(self, waits: list[_Wait]) -> None:
        """Wait for the Jobs, and for what they install; each chart is noted as soon as it is ready."""
        pending = list(waits)

        def look() -> bool:
            try:
                jobs, pods = self._jobs() if any(not wait.installed for wait in pending) else ({}, [])
                for wait in list(pending):
                    if self._ready(wait, jobs.get(wait.chart.name), pods):
                        self._note(wait)
                        pending.remove(wait)
            except Unreachable:
                # A server restarts or changes its leader; the charts' own time continues.
                pass
            for wait in pending:
                if self._clock() - wait.began > wait.chart.timeout:
                    raise self._late(wait)
            return not pending

        if pending:
            longest = max(wait.chart.timeout for wait in pending)
            wait_for(look, seconds=2.0 * longest + START_SECONDS, interval=0.5, clock=self._clock, sleep=self._sleep)

    def _ready(self, wait: _Wait, job: Object | None, pods: list[Object]) -> bool:
        if not wait.installed:
            if not self._job_done(wait, job, pods):
                return False
            wait.installed, wait.began, wait.problem = True, self._clock(), None
        problems = self._workloads.problems(wait.chart.name, wait.chart.namespace)
        wait.problem = problems[0] if problems else None
        if wait.problem is not None and wait.problem.lasting:
            raise failure(wait.chart, wait.problem, self._workloads, did="is installed and does not run")
        return wait.problem is None

    def _job_done(self, wait: _Wait, job: Object | None, pods: list[Object]) -> bool:
        """Whether the Job for what we applied has succeeded.

        Raises:
            PlatformError: it fails, or is not even begun for a reason that lasts.
        """
        if job is None or not _is_ours(job, wait.live):
            wait.problem = self._no_job(wait) if self._clock() - wait.began > QUIET_SECONDS else wait.problem
            return False
        name = job["metadata"]["name"]
        if condition(job, "Complete"):
            return True
        ours = _of_job(job, pods)
        failed = condition(job, "Failed")
        problems = self._workloads.of_pods(ours, restarts=self._patience.job_restarts)
        if not ours and not (job.get("spec") or {}).get("suspend"):
            said = self._workloads.of_events("Job", name, NAMESPACE)
            problems = [said] if said is not None else []
        wait.problem = problems[0] if problems else None
        if failed is not None:
            pod = ours[-1]["metadata"]["name"] if ours else ""
            step = "Correct what its last lines name, and run it again."
            what = f"its Job {name} has failed: {failed.get('message') or failed.get('reason')}"
            raise self._job_failure(wait, not_ready("", what, step, namespace=NAMESPACE, pod=pod))
        if wait.problem is not None and wait.problem.lasting:
            raise self._job_failure(wait, wait.problem)
        return False

    def _job_failure(self, wait: _Wait, problem: NotReady, did: str = "is not installed") -> PlatformError:
        log = self._workloads.log(problem)
        chart = wait.chart
        step = problem.problem.next_step
        if INTERVENTION in log:
            records = f"secret -l owner=helm,name={chart.name},status=failed"
            step = (
                f"Its release has failed before. Correct why (k3s kubectl -n {chart.namespace} get events), "
                "remove the record of the failed revision "
            )
            step += (
                f"(k3s kubectl -n {chart.namespace} delete {records}), which removes nothing that runs, and run "
                "it again."
            )
        elif OWNERSHIP in log:
            step = (
                "Something of that name was made by other means. Remove it, or let the chart take it over: "
                "take_ownership: true. Then run it again."
            )
        elif FETCH.search(log):
            step = STEP_FETCH
        problem = dataclasses.replace(problem, problem=dataclasses.replace(problem.problem, next_step=step))
        return failure(chart, problem, self._workloads, did=did, log=log)

    def _no_job(self, wait: _Wait) -> NotReady:
        name = wait.chart.name
        step = (
            "See whether k3s' Helm controller runs: journalctl -u k3s on the servers, and k3s kubectl -n kube-system "
            "describe helmchart " + name
        )
        try:
            live = self._kubectl.get(f"/apis/helm.cattle.io/v1/namespaces/{NAMESPACE}/helmcharts/{name}")
        except NotFound:
            return not_ready("", "somebody has deleted its HelmChart meanwhile", "Run it again.", lasting=True)
        failed = condition(live, "Failed")
        said = f": {failed.get('message') or failed.get('reason')}" if failed else ""
        return not_ready("", f"the Helm controller has made no Job for it{said}", step, namespace=NAMESPACE)

    def _late(self, wait: _Wait) -> PlatformError:
        after = f"after {wait.chart.timeout} s"
        problem = wait.problem or not_ready(
            "", "nothing says why", "Run it again, with a longer platform_timeout.", namespace=wait.chart.namespace
        )
        if wait.installed:
            return failure(wait.chart, problem, self._workloads, did=f"is installed and does not run {after}")
        return self._job_failure(wait, problem, f"is not installed {after}")

    def _not_uninstalled(self, chart: Chart, problem: ApiProblem) -> PlatformError:
        _jobs, pods = self._jobs()
        ours = [pod for pod in pods if pod["metadata"]["labels"].get(CHART_LABEL) == chart.name]
        problems = self._workloads.of_pods(ours, restarts=1)
        if not problems:
            return PlatformError(
                f"The chart {chart.name} is not uninstalled: {problem.cause}", next_step=problem.next_step
            )
        return failure(chart, problems[0], self._workloads, did="is not uninstalled")

    def _note(self, wait: _Wait) -> None:
        path = f"/apis/helm.cattle.io/v1/namespaces/{NAMESPACE}/helmcharts/{wait.chart.name}"
        self._kubectl.patch(path, {"metadata": {"annotations": {INSTALLED: _mark(wait.live)}}})


def readable(entry: Object) -> Object:
    """A HelmChart as a diff shows it: values as values, and the digest instead of an archive."""
    spec = dict(entry.get("spec") or {})
    if "valuesContent" in spec:
        with contextlib.suppress(ValueError):
            spec["valuesContent"] = json.loads(spec["valuesContent"])
    if spec.get("chartContent"):
        spec["chartContent"] = f"SHA-256 {hashlib.sha256(spec['chartContent'].encode()).hexdigest()}"
    return {**entry, "spec": spec}


def _is_installed(live: Object) -> bool:
    return bool((live["metadata"].get("annotations") or {}).get(INSTALLED) == _mark(live))


def _mark(live: Object) -> str:
    return f"{(live['metadata'].get('annotations') or {}).get(APPLIED)}/{live['metadata'].get('generation')}"


def _is_ours(job: Object, live: Object) -> bool:
    """Whether the Job belongs to the last apply: it is another one than before, or the apply changed nothing that the
    controller reads."""
    uid, _slash, generation = str((live["metadata"].get("annotations") or {}).get(REPLACES, "")).rpartition("/")
    return bool(job["metadata"]["uid"] != uid or str(live["metadata"].get("generation")) == generation)


def _is_job(entry: Object, action: str) -> bool:
    return bool(
        entry["kind"] == "Job"
        and entry["metadata"]["name"].startswith(f"helm-{action}-")
        and not entry["metadata"].get("deletionTimestamp")
    )


def _of_job(job: Object, pods: list[Object]) -> list[Object]:
    uid = job["metadata"]["uid"]
    return [
        pod for pod in pods if any(owner.get("uid") == uid for owner in pod["metadata"].get("ownerReferences") or [])
    ]
