# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for k3s's helm-controller and its Job's container, and for the kubelet that runs the pods of charts.

It follows k3s-io/helm-controller, pkg/controllers/chart/chart.go, and k3s-io/klipper-helm, entry (July 2026):

- For a HelmChart it makes a ServiceAccount, `chart-values-NAME`, `chart-content-NAME`, and a suspended Job
  `helm-install-NAME`. It resumes the Job after the Job controller has seen it. When the template or the values change,
  it makes the Job again after its pods are gone. The real Job controller makes the pods.
- The Job's container installs, upgrades, gives up by `failurePolicy`, and fails as the test asks. The test gives the
  objects of a chart; nothing is rendered.
- It deletes a chart with a finalizer and a Job `helm-delete-NAME`.

It is stricter than the original: a HelmChart that the original accepts, but whose Job then fails or never ends, stops
the stand-in with `RefusedError`. It does not play repositories, authentication, hooks, HelmChartConfig, `set` and
valuesSecrets, and it only handles HelmCharts in kube-system.
"""

from __future__ import annotations

import base64
import collections.abc
import contextlib
import copy
import dataclasses
import hashlib
import http.server
import json
import re
import ssl
import threading
import typing as t
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import tenacity
import yaml
from lightkube import KubeConfig

from .certificates import CertificateAuthority

CHART_LABEL = "helmcharts.helm.cattle.io/chart"
CONFIG_HASH = "helmcharts.helm.cattle.io/configHash"
MANAGED_BY = "helmcharts.cattle.io/managed-by"
FINALIZER = "wrangler.cattle.io/on-helm-chart-remove"
NAMESPACE = "kube-system"
NODE = "helm-stand-in"
SCHEDULER = "helm-stand-in"
"""The scheduler of the Jobs' pods in a cluster with nodes. The cluster's own scheduler ignores these pods, so no
kubelet ends them before the stand-in has done their work."""
SPEC_KEYS = {
    "chart",
    "repo",
    "version",
    "targetNamespace",
    "createNamespace",
    "valuesContent",
    "failurePolicy",
    "timeout",
    "chartContent",
    "bootstrap",
    "takeOwnership",
}
Object = dict[str, t.Any]
Render = collections.abc.Callable[[dict[str, t.Any]], list[Object]]


class RefusedError(Exception):
    """The original could not install this HelmChart."""


def _asks_to_come_again(answer: httpx2.Response) -> bool:
    """Whether the API server asks for a retry, as while it makes the storage of a new kind, or has just begun."""
    return answer.status_code in (429, 503)


class Api:
    """The Kubernetes API as plain requests."""

    def __init__(self, kubeconfig: Path) -> None:
        config = KubeConfig.from_file(str(kubeconfig)).get()
        assert config is not None and config.user is not None
        directory = kubeconfig.parent / f"{kubeconfig.stem}-stand-in"
        directory.mkdir(mode=0o700, exist_ok=True)
        files = {}
        contents = (
            ("ca", config.cluster.certificate_auth_data),
            ("cert", config.user.client_cert_data),
            ("key", config.user.client_key_data),
        )
        for name, data in contents:
            files[name] = directory / name
            files[name].write_bytes(base64.b64decode(data or ""))
        context = ssl.create_default_context(cafile=files["ca"])
        context.load_cert_chain(files["cert"], files["key"])
        self._client = httpx2.Client(base_url=config.cluster.server, verify=context, timeout=10, trust_env=False)

    def get(self, path: str, **query: str) -> Object | None:
        """The object or list; None for 404."""
        return self._ask("GET", path, query=query)

    def list(self, path: str, **query: str) -> list[Object]:
        return list((self.get(path, **query) or {}).get("items") or [])

    def create(self, path: str, content: Object) -> bool:
        """Create an object. Returns False if it exists already."""
        return self._ask("POST", path, content, allowed=(409,)) is not None

    def apply(self, path: str, content: Object, manager: str = "helm") -> Object:
        made = self._ask(
            "PATCH",
            path,
            content,
            kind="application/apply-patch+yaml",
            query={"fieldManager": manager, "force": "true"},
        )
        assert made is not None, f"404 for {path}"
        return made

    def merge(self, path: str, content: t.Any) -> Object | None:
        return self._ask("PATCH", path, content, kind="application/merge-patch+json")

    def delete(self, path: str, **query: str) -> None:
        self._ask("DELETE", path, query=query)

    def close(self) -> None:
        self._client.close()

    def _ask(
        self,
        method: str,
        path: str,
        content: t.Any = None,
        *,
        kind: str = "application/json",
        query: dict[str, str] | None = None,
        allowed: tuple[int, ...] = (),
    ) -> Object | None:
        body = None if content is None else json.dumps(content)
        answer = self._answer(method, path, content=body, headers={"Content-Type": kind}, params=query or {})
        if answer.status_code in (404, *allowed):
            return None
        if answer.status_code >= 400:
            raise ApiRefusedError(f"{method} {path}: {answer.status_code} {answer.text[:600]}")
        read: Object = answer.json()
        return read

    @tenacity.retry(
        retry=tenacity.retry_if_result(_asks_to_come_again),
        wait=tenacity.wait_fixed(1),
        stop=tenacity.stop_after_delay(60),
    )
    def _answer(self, method: str, path: str, **request: t.Any) -> httpx2.Response:
        return self._client.request(method, path, **request)


class ApiRefusedError(Exception):
    """The API server refused a request of a chart or of the stand-in."""


@dataclasses.dataclass
class Behaviour:
    """The faults of a chart.

    Args:
        job: Lines that the Job's container prints before each end with exit code 1; None if it succeeds.
        job_pull: The Job's image cannot be pulled.
        job_final: The Job itself fails after the first try, as with a small backOffLimit.
        pods: State of the chart's pods: `ready`, `pull`, `crash`, `unschedulable`, `starting` or `configuration`.
        pod_lines: Lines that their containers print.
        held: The Job never ends.
        stuck: The uninstallation fails.
    """

    job: list[str] | None = None
    job_pull: bool = False
    job_final: bool = False
    pods: str = "ready"
    pod_lines: list[str] = dataclasses.field(default_factory=lambda: ["started"])
    held: bool = False
    stuck: bool = False


class HelmControllerStandIn:
    """Runs with a control plane until `stop`. Without the kind HelmChart, only its kubelet acts, on pods that may have
    the label `release`.

    Args:
        charts: The objects of a chart, by its `chart`, its `repo/chart`, or the SHA-256 of its archive.
        node: Whether it plays the cluster's only node. In a cluster with nodes, it only plays the Jobs' containers,
            without their logs.
    """

    def __init__(self, kubeconfig: Path, directory: Path, charts: dict[str, Render], *, node: bool = True) -> None:
        self.charts = charts
        self.behaviours: dict[str, Behaviour] = {}
        self.installs: list[str] = []
        """Names of the charts that a Job installed or upgraded, in order."""
        self.uninstalls: list[str] = []
        self.error: BaseException | None = None
        self.running = True
        self.controller_runs = True
        self._releases: dict[str, list[Object]] = {}
        self._statuses: dict[str, str] = {}
        self._tries: dict[str, int] = {}
        self._prepared: dict[str, str] = {}
        self._logs: dict[str, list[str]] = {}
        self._api = Api(kubeconfig)
        directory.mkdir(parents=True, exist_ok=True)
        certificate, key = CertificateAuthority(directory / "authority").issue("kubelet")
        self._kubelet = _kubelet(self._logs, certificate, key)
        self._node = node
        self._pause = 0.1 if node else 0.4  # leaves the CPU to the test hosts
        if node:
            self._make_node()
        self._threads = [
            threading.Thread(target=self._work, daemon=True),
            threading.Thread(target=self._kubelet.serve_forever, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def behaviour(self, chart: str) -> Behaviour:
        """The faults of a chart, which a test may change at any time."""
        return self.behaviours.setdefault(chart, Behaviour())

    def stop(self) -> None:
        """End it. Raises the error that stopped it before, if any."""
        self.running = False
        self._kubelet.shutdown()
        self._kubelet.server_close()
        for thread in self._threads:
            thread.join(10)
        self._api.close()
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        try:
            while self.running:
                with contextlib.suppress(httpx2.TransportError):
                    if self.controller_runs:
                        self._reconcile_charts()
                    self._play_pods()
                threading.Event().wait(self._pause)
        except BaseException as error:  # `stop` raises it
            self.error = error
            self.running = False

    # The controller

    def _reconcile_charts(self) -> None:
        for chart in self._api.list("/apis/helm.cattle.io/v1/helmcharts"):
            name, namespace = chart["metadata"]["name"], chart["metadata"]["namespace"]
            if namespace != NAMESPACE:
                raise RefusedError(f"HelmChart {namespace}/{name}: only those in {NAMESPACE} are played")
            self._refuse_wrong(chart)
            path = f"/apis/helm.cattle.io/v1/namespaces/{NAMESPACE}/helmcharts/{name}"
            metadata = chart["metadata"]
            if metadata.get("deletionTimestamp"):
                self._remove(chart, path)
            elif MANAGED_BY not in (metadata.get("annotations") or {}):
                self._api.merge(path, {"metadata": {"annotations": {MANAGED_BY: "helm-controller"}}})
            elif FINALIZER not in (metadata.get("finalizers") or []):
                self._api.merge(path, {"metadata": {"finalizers": [*(metadata.get("finalizers") or []), FINALIZER]}})
            else:
                self._install_job(chart, path)

    @staticmethod
    def _refuse_wrong(chart: Object) -> None:
        name, spec = chart["metadata"]["name"], chart["spec"]
        unknown = set(spec) - SPEC_KEYS - {"driver"}
        wrong = ""
        if unknown:
            wrong = f"{sorted(unknown)} are not played"
        elif not spec.get("chart") and not spec.get("chartContent"):
            wrong = "neither chart nor chartContent: the controller ignores it"
        elif spec.get("chart", "").startswith("oci://") and spec.get("repo"):
            wrong = "an OCI chart with a repo"
        elif (
            spec.get("chart")
            and not spec["chart"].startswith("oci://")
            and not str(spec.get("repo", "")).startswith("https://")
        ):
            wrong = "a chart by name without an https:// repo"
        elif spec.get("chart") and not spec.get("version"):
            wrong = "no version: whatever is newest gets installed"
        elif spec.get("failurePolicy", "reinstall") == "reinstall":
            wrong = "failurePolicy reinstall uninstalls what has data"
        elif not re.fullmatch(r"(\d+h)?(\d+m)?(\d+s)?", spec.get("timeout", "")) or not spec.get("timeout"):
            wrong = f"timeout {spec.get('timeout')!r} is no duration of Go"
        elif not spec.get("targetNamespace"):
            wrong = "no targetNamespace: it would go to kube-system"
        elif not isinstance(yaml.safe_load(spec.get("valuesContent") or "{}"), dict):
            wrong = "valuesContent is no mapping"
        if wrong:
            raise RefusedError(f"HelmChart {name}: {wrong}")

    def _job(self, chart: Object, action: str) -> Object:
        name, spec = chart["metadata"]["name"], chart["spec"]
        hashed = json.dumps([action, spec], sort_keys=True) if action == "install" else "delete"
        template = {
            "metadata": {
                "labels": {CHART_LABEL: name},
                "annotations": {CONFIG_HASH: f"SHA256={hashlib.sha256(hashed.encode()).hexdigest().upper()}"},
            },
            "spec": {
                "restartPolicy": "OnFailure",
                "serviceAccountName": f"helm-{name}",
                "priorityClassName": "system-cluster-critical",
                "containers": [{"name": "helm", "image": "rancher/klipper-helm:stand-in", "args": [action]}],
                **({} if self._node else {"schedulerName": SCHEDULER}),
            },
        }
        owner = {
            "apiVersion": "helm.cattle.io/v1",
            "kind": "HelmChart",
            "name": name,
            "uid": chart["metadata"]["uid"],
            "controller": True,
        }
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": f"helm-{action}-{name}",
                "namespace": NAMESPACE,
                "labels": {CHART_LABEL: name},
                "ownerReferences": [owner],
            },
            "spec": {
                "suspend": True,
                "backoffLimit": 0 if self.behaviour(name).job_final else 1000,
                "template": template,
            },
        }

    def _install_job(self, chart: Object, path: str) -> None:
        name = chart["metadata"]["name"]
        self._prepare(chart)
        if self._have_job(self._job(chart, "install")):
            status = {
                "jobName": f"helm-install-{name}",
                "conditions": [
                    {"type": "JobCreated", "status": "True", "reason": "Job created"},
                    {"type": "Failed", "status": "False"},
                ],
            }
            self._api.merge(f"{path}/status", {"status": status})

    def _prepare(self, chart: Object) -> None:
        """Make what the Job's pod needs, once for each generation."""
        name, mark = chart["metadata"]["name"], f"{chart['metadata']['uid']}/{chart['metadata']['generation']}"
        if self._prepared.get(name) == mark:
            return
        self._account(name)
        values = base64.b64encode((chart["spec"].get("valuesContent") or "").encode()).decode()
        secrets = f"/api/v1/namespaces/{NAMESPACE}/secrets"
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"chart-values-{name}", "namespace": NAMESPACE},
            "data": {"HelmChartValuesContent": values},
        }
        self._api.apply(f"{secrets}/chart-values-{name}", secret)
        self._prepared[name] = mark

    def _account(self, name: str) -> None:
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": f"helm-{name}", "namespace": NAMESPACE},
        }
        self._api.create(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", account)

    def _have_job(self, desired: Object) -> bool:
        """Take one step towards the desired Job. Returns whether it was made now."""
        path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
        name = desired["metadata"]["name"]
        job = self._api.get(f"{path}/{name}")
        if job is None:
            return self._api.create(path, desired)
        if job["metadata"].get("deletionTimestamp"):
            return False
        conditions = {entry["type"] for entry in job["status"].get("conditions") or [] if entry["status"] == "True"}
        ours, theirs = (entry["spec"]["template"]["metadata"]["annotations"][CONFIG_HASH] for entry in (desired, job))
        if ours == theirs:
            if job["spec"].get("suspend") and "Suspended" in conditions:
                self._api.merge(f"{path}/{name}", {"spec": {"suspend": False}})
            return False
        if not conditions & {"Complete", "Failed"} and not job["spec"].get("suspend"):
            self._api.merge(f"{path}/{name}", {"spec": {"suspend": True}})
        elif (job["status"].get("active") or 0) + (job["status"].get("terminating") or 0) == 0 and job["status"].get(
            "conditions"
        ):
            self._api.delete(f"{path}/{name}", propagationPolicy="Background")
        return False

    def _remove(self, chart: Object, path: str) -> None:
        name = chart["metadata"]["name"]
        if FINALIZER not in (chart["metadata"].get("finalizers") or []):
            return
        jobs = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
        self._api.delete(f"{jobs}/helm-install-{name}", propagationPolicy="Background")
        self._account(name)
        self._have_job(self._job(chart, "delete"))
        job = self._api.get(f"{jobs}/helm-delete-{name}") or {}
        if any(
            entry["type"] == "Complete" and entry["status"] == "True"
            for entry in job.get("status", {}).get("conditions") or []
        ):
            self._api.delete(f"{jobs}/helm-delete-{name}", propagationPolicy="Background")
            self._api.delete(f"/api/v1/namespaces/{NAMESPACE}/secrets/chart-values-{name}")
            self._api.delete(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/helm-{name}")
            self._api.merge(
                path,
                {
                    "metadata": {
                        "finalizers": [entry for entry in chart["metadata"]["finalizers"] if entry != FINALIZER]
                    }
                },
            )

    # The node

    def _make_node(self) -> None:
        self._api.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._kubelet.server_address[1]}},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Played", "message": "played"}],
            "allocatable": {"cpu": "8", "memory": "16Gi", "pods": "110"},
            "capacity": {"cpu": "8", "memory": "16Gi", "pods": "110"},
        }
        self._api.merge(f"/api/v1/nodes/{NODE}/status", {"status": status})
        self._api.merge(f"/api/v1/nodes/{NODE}", {"spec": {"taints": None}})

    def _play_pods(self) -> None:
        pods = (
            self._api.list("/api/v1/pods")
            if self._node
            else self._api.list(f"/api/v1/namespaces/{NAMESPACE}/pods", labelSelector=CHART_LABEL)
        )
        for pod in pods:
            path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
            if pod["metadata"].get("deletionTimestamp"):
                if pod["spec"].get("nodeName") == NODE:
                    self._api.delete(path, gracePeriodSeconds="0")
                continue
            chart = (pod["metadata"].get("labels") or {}).get(CHART_LABEL)
            if chart is not None:
                self._play_job_pod(pod, path, chart)
            elif self._node:
                self._play_chart_pod(pod, path)

    def _bind(self, pod: Object, path: str) -> bool:
        if pod["spec"].get("nodeName"):
            return bool(pod["spec"]["nodeName"] == NODE)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod["metadata"]["name"]},
            "target": {"kind": "Node", "name": NODE},
        }
        self._api.create(f"{path}/binding", binding)
        return False

    def _play_job_pod(self, pod: Object, path: str, chart: str) -> None:
        if pod["status"].get("phase") in ("Succeeded", "Failed") or (self._node and not self._bind(pod, path)):
            return
        behaviour = self.behaviour(chart)
        action = pod["spec"]["containers"][0]["args"][0]
        uid = pod["metadata"]["uid"]
        log = self._logs.setdefault(f"{NAMESPACE}/{pod['metadata']['name']}/helm", [])
        if behaviour.job_pull:
            self._report(
                pod,
                path,
                "Pending",
                waiting=("ImagePullBackOff", 'Back-off pulling image "rancher/klipper-helm:stand-in"'),
            )
            return
        if behaviour.held:
            self._report(pod, path, "Running", ready=True)
            return
        failed = (
            ["Error: uninstallation failed"]
            if action == "delete" and behaviour.stuck
            else behaviour.job
            if action == "install"
            else None
        )
        if failed is None:
            try:
                self._uninstall(chart) if action == "delete" else self._install(chart, log)
            except ApiRefusedError as error:
                failed = [f"Error: {error}"]
                self._statuses[chart] = "failed"
        if failed is None:
            self._report(pod, path, "Succeeded")
            return
        log.extend(failed)
        self._tries[uid] = self._tries.get(uid, 0) + 1
        if behaviour.job_final:
            self._report(pod, path, "Failed", restarts=0)
        else:
            # In a cluster with nodes, no kubelet has the log, so the message shows its last line.
            message = "back-off restarting failed container" if self._node else failed[-1]
            self._report(pod, path, "Running", waiting=("CrashLoopBackOff", message), restarts=self._tries[uid])

    def _install(self, name: str, log: list[str]) -> None:
        """Do what `helm upgrade --install` does, with the given objects instead of templates."""
        chart = self._api.get(f"/apis/helm.cattle.io/v1/namespaces/{NAMESPACE}/helmcharts/{name}")
        assert chart is not None
        spec = chart["spec"]
        if self._statuses.get(name) == "failed" and spec["failurePolicy"] == "abort":
            raise ApiRefusedError(
                "Release status is 'failed' and failure policy is 'abort'; waiting for operator intervention"
            )
        namespace = spec["targetNamespace"]
        if spec.get("createNamespace"):
            self._api.create(
                "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            )
        if spec.get("chartContent"):
            key = hashlib.sha256(base64.b64decode(spec["chartContent"])).hexdigest()
        else:
            key = spec["chart"] if spec["chart"].startswith("oci://") else f"{spec['repo']}/{spec['chart']}"
        render = self.charts.get(f"{key}:{spec.get('version')}") or self.charts.get(key)
        if render is None:
            raise ApiRefusedError(f"failed to fetch {key}: 404 Not Found")
        objects = [
            self._released(entry, name, namespace)
            for entry in render(yaml.safe_load(spec.get("valuesContent") or "{}"))
        ]
        before = {_path(entry): entry for entry in self._releases.get(name, [])}
        for entry in objects:
            self._api.apply(_path(entry), entry)
            before.pop(_path(entry), None)
        for path in before:
            self._api.delete(path, propagationPolicy="Background")
        self._releases[name] = objects
        self._statuses[name] = "deployed"
        self.installs.append(name)
        log.append(f"Release {name!r} has been upgraded")

    @staticmethod
    def _released(entry: Object, name: str, namespace: str) -> Object:
        made = copy.deepcopy(entry)
        made["metadata"].setdefault("namespace", namespace)
        made["metadata"].setdefault("labels", {})["app.kubernetes.io/managed-by"] = "Helm"
        made["metadata"].setdefault("annotations", {}).update(
            {"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace}
        )
        return made

    def _uninstall(self, name: str) -> None:
        for entry in reversed(self._releases.pop(name, [])):
            if (entry["metadata"].get("annotations") or {}).get("helm.sh/resource-policy") == "keep":
                continue
            self._api.delete(_path(entry), propagationPolicy="Background")
        self._statuses.pop(name, None)
        self.uninstalls.append(name)

    def _play_chart_pod(self, pod: Object, path: str) -> None:
        name = next(
            (entry for entry, objects in self._releases.items() if any(_owns(item, pod) for item in objects)), ""
        )
        behaviour = self.behaviours.get(name or (pod["metadata"].get("labels") or {}).get("release", "")) or Behaviour()
        container = pod["spec"]["containers"][0]["name"]
        self._logs[f"{pod['metadata']['namespace']}/{pod['metadata']['name']}/{container}"] = behaviour.pod_lines
        if behaviour.pods == "unschedulable":
            condition = {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/1 nodes are available: 1 Insufficient memory.",
            }
            self._api.merge(f"{path}/status", {"status": {"conditions": [condition]}})
            return
        if not self._bind(pod, path):
            return
        key = pod["metadata"]["uid"]
        if behaviour.pods == "pull":
            self._report(pod, path, "Pending", waiting=("ImagePullBackOff", "pull access denied"))
        elif behaviour.pods == "configuration":
            self._report(pod, path, "Pending", waiting=("CreateContainerConfigError", 'secret "missing" not found'))
        elif behaviour.pods == "crash":
            self._tries[key] = self._tries.get(key, 0) + 1
            self._report(
                pod,
                path,
                "Running",
                waiting=("CrashLoopBackOff", "back-off restarting failed container"),
                restarts=self._tries[key],
            )
        elif behaviour.pods == "starting":
            self._report(pod, path, "Running", ready=False)
        else:
            self._report(pod, path, "Running", ready=True)

    def _report(
        self,
        pod: Object,
        path: str,
        phase: str,
        *,
        waiting: tuple[str, str] | None = None,
        restarts: int = 0,
        ready: bool = False,
    ) -> None:
        """Write a pod's status, if it differs."""
        if phase in ("Succeeded", "Failed"):
            state: Object = {
                "terminated": {
                    "exitCode": 0 if phase == "Succeeded" else 1,
                    "reason": "Completed" if phase == "Succeeded" else "Error",
                }
            }
        elif waiting is not None:
            state = {"waiting": {"reason": waiting[0], "message": waiting[1]}}
        else:
            state = {"running": {"startedAt": "2026-11-22T00:00:00Z"}}
        last = {"terminated": {"exitCode": 1, "reason": "Error"}} if restarts else {}
        statuses = [
            {
                "name": entry["name"],
                "image": entry["image"],
                "imageID": "",
                "restartCount": restarts,
                "ready": ready,
                "state": state,
                "lastState": last,
            }
            for entry in pod["spec"]["containers"]
        ]
        conditions = [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "True" if ready else "False"},
            {"type": "ContainersReady", "status": "True" if ready else "False"},
        ]
        status = {"phase": phase, "containerStatuses": statuses, "conditions": conditions}
        mark = hashlib.sha256(json.dumps(status, sort_keys=True).encode()).hexdigest()
        if self._logs.get(f"reported/{pod['metadata']['uid']}") != [mark]:
            self._api.merge(f"{path}/status", {"status": status})
            self._logs[f"reported/{pod['metadata']['uid']}"] = [mark]


def _owns(item: Object, pod: Object) -> bool:
    labels = ((item.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    theirs = pod["metadata"].get("labels") or {}
    return (
        bool(labels)
        and item["metadata"]["namespace"] == pod["metadata"]["namespace"]
        and labels.items() <= theirs.items()
    )


def _path(entry: Object) -> str:
    """The API path of an object, for the kinds in the tests' charts."""
    namespaced = {
        "Deployment": "/apis/apps/v1",
        "StatefulSet": "/apis/apps/v1",
        "DaemonSet": "/apis/apps/v1",
        "Service": "/api/v1",
        "ConfigMap": "/api/v1",
        "Secret": "/api/v1",
        "ServiceAccount": "/api/v1",
        "PersistentVolumeClaim": "/api/v1",
    }
    kind, metadata = entry["kind"], entry["metadata"]
    if kind == "CustomResourceDefinition":
        return f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{metadata['name']}"
    return f"{namespaced[kind]}/namespaces/{metadata['namespace']}/{kind.lower()}s/{metadata['name']}"


def _kubelet(logs: dict[str, list[str]], certificate: Path, key: Path) -> http.server.ThreadingHTTPServer:
    """The part of a kubelet's API that `kubectl logs` uses."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            match = re.fullmatch(r"/containerLogs/([^/]+/[^/]+/[^/]+)", parts.path)
            lines = logs.get(match[1]) if match else None
            tail = int(parse_qs(parts.query).get("tailLines", ["1000"])[0])
            body = "".join(f"{line}\n" for line in (lines or [])[-tail:]).encode()
            self.send_response(200 if lines is not None else 404)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server
