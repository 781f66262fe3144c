# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts by HelmChart objects, against the real API server with the real Job controller; helm-controller and kubelets
are played by a strict stand-in."""

from __future__ import annotations

import base64
import collections.abc
import itertools
import json
import threading
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.charts import (
    component,
    helm,
    helm_controller,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.doctor import node_diagnosis
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import host_kubectl
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.workloads import Patience

from .support.audit import Requests
from .support.control_plane import ControlPlane
from .support.definitions import DefinitionsMissingError, definition_files
from .support.helm_controller_stand_in import Api, HelmControllerStandIn, Object
from .support.marks import needs_kubectl
from .support.module_files import HELM_CHART_DEFINITION, HELM_CONTROLLER, PROMETHEUS_OPERATOR, ModuleMissingError
from .support.playbooks import Playbooks
from .support.servers import Programs, wait_until

pytestmark = needs_kubectl
QUICK = Patience(
    pull_seconds=1,
    quota_seconds=1,
    configuration_seconds=1,
    restarts=3,
    job_restarts=3,
    running_restarts=2,
    running_seconds=5,
)
_numbers = itertools.count(1)


def web_chart(values: dict[str, t.Any]) -> list[Object]:
    """A Deployment and a Service, with labels of the chart's own."""
    labels = {"application": values.get("name", "web")}
    resources = {"requests": {"cpu": "1000m", "memory": "64Mi"}}
    container = {"name": "web", "image": f"example.com/web:{values.get('tag', '1')}", "resources": resources}
    spec = {
        "replicas": values.get("replicas", 1),
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    name = labels["application"]
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 80}]},
        },
    ]


def agent_chart(_values: dict[str, t.Any]) -> list[Object]:
    """A DaemonSet and a StatefulSet."""
    made = []
    for kind, name in (("DaemonSet", "agent"), ("StatefulSet", "store")):
        labels = {"application": name}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": name, "image": "example.com/agent:1"}]},
        }
        spec: Object = {"selector": {"matchLabels": labels}, "template": template}
        made.append(
            {
                "apiVersion": "apps/v1",
                "kind": kind,
                "metadata": {"name": name},
                "spec": spec if kind == "DaemonSet" else {**spec, "serviceName": name},
            }
        )
    return made


CHARTS = {
    "oci://registry.example.com/charts/web:1.0.0": web_chart,
    "oci://registry.example.com/charts/web:1.1.0": web_chart,
    "https://charts.example.com/agent:2.0.0": agent_chart,
}
WEB = {"repository": "oci://registry.example.com/charts/web", "version": "1.0.0"}
AGENT = {"repository": "https://charts.example.com/", "version": "2.0.0", "chart": "agent"}


class Cluster:
    """A control plane of this module's own, with the stand-in, and a part of a platform under names that no other test
    uses."""

    def __init__(self, control_plane: ControlPlane, stand_in: HelmControllerStandIn) -> None:
        self.control_plane = control_plane
        self.stand_in = stand_in
        self.kubectl = ["kubectl", f"--kubeconfig={control_plane.kubeconfig}"]
        self.api = Api(control_plane.kubeconfig)
        self.number = next(_numbers)
        self.namespace = f"part-{self.number}"
        self.chart = f"web-{self.number}"

    def objects(self) -> list[Object]:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "key", "namespace": self.namespace},
            "stringData": {"key": "a-secret-value"},
        }
        return [namespace, secret]

    def after(self) -> list[Object]:
        return [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "after", "namespace": self.namespace},
                "data": {"key": "value"},
            }
        ]

    def parameters(self, **changes: t.Any) -> dict[str, t.Any]:
        given = {
            "objects": self.objects(),
            "charts": [{"name": self.chart, "namespace": self.namespace, "values": {"replicas": 1}}],
            "objects_after": self.after(),
            "objects_absent": [],
            "sources": {self.chart: WEB},
            "kubectl": self.kubectl,
            "helm": "no-such-helm",
            "installer": "auto",
            "timeout": 60,
            "state": "present",
            "remove_definitions": False,
        }
        return {**given, **changes}

    def run(self, *, check_mode: bool = False, **changes: t.Any) -> dict[str, t.Any]:
        return component.run(self.parameters(**changes), check_mode, set())

    def helm_chart(self, name: str = "") -> Object:
        found = self.api.get(f"/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts/{name or self.chart}")
        assert found is not None
        return found

    def exists(self, path: str) -> bool:
        return self.api.get(path) is not None

    def clear(self) -> None:
        self.stand_in.behaviours.clear()
        self.stand_in.controller_runs = True
        if self.stand_in.running:
            names = [chart["metadata"]["name"] for chart in self.api.list("/apis/helm.cattle.io/v1/helmcharts")]
            for name in names:
                self.api.delete(f"/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts/{name}")
            wait_until(
                lambda: not self.api.list("/apis/helm.cattle.io/v1/helmcharts"),
                seconds=120,
                what="the HelmCharts are gone",
            )
        self.api.delete(f"/api/v1/namespaces/{self.namespace}")
        self.api.close()


@pytest.fixture(scope="module")
def plane(
    server_programs: Programs, tmp_path_factory: pytest.TempPathFactory
) -> collections.abc.Iterator[ControlPlane]:
    try:
        definition = HELM_CONTROLLER.directory(*HELM_CHART_DEFINITION)
    except ModuleMissingError as error:
        pytest.skip(str(error))
    made = ControlPlane(
        server_programs, tmp_path_factory.mktemp("charts") / "plane", definitions=[definition], audit=True
    )
    yield made
    made.stop()


@pytest.fixture(scope="module")
def stand_in(
    plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> collections.abc.Iterator[HelmControllerStandIn]:
    made = HelmControllerStandIn(
        plane.directory / "data" / "controller-manager.kubeconfig", tmp_path_factory.mktemp("helm"), dict(CHARTS)
    )
    yield made
    made.stop()


@pytest.fixture
def cluster(
    plane: ControlPlane, stand_in: HelmControllerStandIn, monkeypatch: pytest.MonkeyPatch
) -> collections.abc.Iterator[Cluster]:
    monkeypatch.setattr(helm_controller, "Patience", lambda: QUICK)
    monkeypatch.setattr(helm_controller, "QUIET_SECONDS", 1.0)
    stand_in.installs.clear()
    stand_in.uninstalls.clear()
    made = Cluster(plane, stand_in)
    yield made
    made.clear()


# What is asked for is there, once


def test_a_part_is_installed_once(cluster: Cluster) -> None:
    foretold = cluster.run(check_mode=True)
    assert len(foretold["changed_objects"]) == 4
    assert not cluster.exists(f"/api/v1/namespaces/{cluster.namespace}")

    first = cluster.run()
    assert first["changed_objects"] == foretold["changed_objects"]
    assert "a-secret-value" not in json.dumps(first)
    spec = cluster.helm_chart()["spec"]
    assert spec == {
        "chart": WEB["repository"],
        "version": "1.0.0",
        "targetNamespace": cluster.namespace,
        "createNamespace": False,
        "valuesContent": json.dumps({"replicas": 1}, indent=2),
        "failurePolicy": "retry",
        "timeout": "60s",
        "driver": "secret",
    }
    deployment = cluster.api.get(f"/apis/apps/v1/namespaces/{cluster.namespace}/deployments/web")
    assert deployment is not None
    assert deployment["status"]["readyReplicas"] == 1

    unchanged = {"changed": False, "changed_objects": [], "diff": []}
    assert cluster.run() == unchanged
    assert cluster.run(check_mode=True) == unchanged
    assert cluster.stand_in.installs == [cluster.chart]


def test_the_second_run_reads_each_object_once_and_writes_nothing(cluster: Cluster) -> None:
    cluster.run()
    requests = Requests(cluster.control_plane.audit_log)
    cluster.run()
    made = requests.of("kubectl")
    assert [request for request in made if request.writes] == []
    names = sorted(request.name for request in made if request.verb == "get")
    assert names == sorted([cluster.namespace, "key", cluster.chart, "after"])
    lists = sorted((request.resource, request.namespace) for request in made if request.verb == "list")
    assert lists == [(kind, cluster.namespace) for kind in ("daemonsets", "deployments", "statefulsets")], (
        "what runs is read by one list of each kind"
    )


def test_only_a_change_upgrades(cluster: Cluster) -> None:
    cluster.run()
    changed = [{"name": cluster.chart, "namespace": cluster.namespace, "values": {"replicas": 2}}]
    foretold = cluster.run(check_mode=True, charts=changed)
    assert foretold["changed_objects"] == [f"HelmChart.helm.cattle.io kube-system/{cluster.chart}"]
    assert '"replicas": 2' in foretold["diff"][0]["after"]
    assert "wasmfaas.dev" not in json.dumps(foretold["diff"])
    assert cluster.stand_in.installs == [cluster.chart]

    assert cluster.run(charts=changed)["changed_objects"] == foretold["changed_objects"]
    deployment = cluster.api.get(f"/apis/apps/v1/namespaces/{cluster.namespace}/deployments/web")
    assert deployment is not None
    assert deployment["status"]["readyReplicas"] == 2, (
        "it was not waited for the upgrade, but judged by the Job before it"
    )
    assert cluster.run(charts=changed)["changed"] is False
    cluster.run(charts=changed, sources={cluster.chart: {**WEB, "version": "1.1.0"}})
    assert cluster.stand_in.installs == [cluster.chart] * 3


def test_what_others_changed_comes_back(cluster: Cluster) -> None:
    cluster.run()
    path = f"/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts/{cluster.chart}"
    cluster.api.merge(path, {"spec": {"valuesContent": "replicas: 3"}})
    wait_until(lambda: len(cluster.stand_in.installs) == 2, seconds=120, what="the change of another is installed")
    assert cluster.run()["changed_objects"] == [f"HelmChart.helm.cattle.io kube-system/{cluster.chart}"]
    deployment = cluster.api.get(f"/apis/apps/v1/namespaces/{cluster.namespace}/deployments/web")
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 1
    cluster.api.merge(f"/api/v1/namespaces/{cluster.namespace}/configmaps/after", {"data": {"key": "theirs"}})
    assert cluster.run()["changed_objects"] == [f"ConfigMap {cluster.namespace}/after"]
    assert cluster.run()["changed"] is False


def test_several_charts_are_installed_at_once(cluster: Cluster) -> None:
    other = f"agent-{cluster.number}"
    cluster.stand_in.behaviour(cluster.chart).held = True
    wanted = [*cluster.parameters()["charts"], {"name": other, "namespace": cluster.namespace, "values": {}}]

    def let_go() -> None:
        wait_until(
            lambda: other in cluster.stand_in.installs,
            seconds=120,
            what="the second chart is installed while the first is not",
        )
        cluster.stand_in.behaviour(cluster.chart).held = False

    helper = threading.Thread(target=let_go)
    helper.start()
    cluster.run(charts=wanted, sources={cluster.chart: WEB, other: AGENT})
    helper.join()
    assert cluster.stand_in.installs == [other, cluster.chart]
    assert cluster.helm_chart(other)["spec"]["repo"] == "https://charts.example.com"
    for kind in ("daemonsets", "statefulsets"):
        (found,) = cluster.api.list(f"/apis/apps/v1/namespaces/{cluster.namespace}/{kind}")
        assert found["status"].get("numberReady", found["status"].get("readyReplicas")) == 1


def test_an_archive_goes_in_place_of_a_repository(cluster: Cluster) -> None:
    import hashlib

    archive = b"an archive of a chart"
    cluster.stand_in.charts[hashlib.sha256(archive).hexdigest()] = web_chart
    first = cluster.run(sources={cluster.chart: {"content": base64.b64encode(archive).decode()}})
    assert base64.b64encode(archive).decode() not in json.dumps(first)
    spec = cluster.helm_chart()["spec"]
    assert {"chart", "repo", "version"} & set(spec) == set()
    assert cluster.stand_in.installs == [cluster.chart]


def test_all_is_taken_away_in_the_other_order(cluster: Cluster) -> None:
    cluster.run()
    assert cluster.run(state="absent", check_mode=True)["changed"] is True
    assert cluster.stand_in.uninstalls == []
    gone = cluster.run(state="absent")
    assert gone["changed_objects"] == [
        f"ConfigMap {cluster.namespace}/after",
        f"HelmChart.helm.cattle.io kube-system/{cluster.chart}",
        f"Namespace {cluster.namespace}",
        f"Secret {cluster.namespace}/key",
    ]
    assert cluster.stand_in.uninstalls == [cluster.chart]
    assert not cluster.exists(f"/api/v1/namespaces/{cluster.namespace}")
    assert cluster.api.list("/apis/batch/v1/namespaces/kube-system/jobs") == []
    assert cluster.run(state="absent")["changed"] is False
    assert cluster.run(state="absent", sources={})["changed"] is False


def test_the_cluster_s_own_namespaces_stay(cluster: Cluster) -> None:
    wanted: dict[str, t.Any] = {
        "objects": [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}}],
        "charts": [],
        "objects_after": [],
    }
    cluster.run(**wanted)
    assert cluster.run(**wanted, state="absent")["changed"] is False
    assert cluster.exists("/api/v1/namespaces/kube-system")


def test_what_is_not_wanted_any_more_goes(cluster: Cluster) -> None:
    """As of a setting that is switched off; also of a kind that the cluster does not have, or that another manager has
    changed since."""
    policy = {"apiVersion": "example.com/v1", "kind": "Unknown", "metadata": {"name": "none"}}
    old = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "after", "namespace": cluster.namespace}}
    path = f"/api/v1/namespaces/{cluster.namespace}/configmaps/after"
    cluster.run()
    off: dict[str, t.Any] = {"objects_after": [], "objects_absent": [old, policy]}
    assert cluster.run(**off, check_mode=True)["changed_objects"] == [f"ConfigMap {cluster.namespace}/after"]
    assert cluster.exists(path)
    assert cluster.run(**off)["changed_objects"] == [f"ConfigMap {cluster.namespace}/after"]
    assert not cluster.exists(path)
    assert cluster.run(**off) == {"changed": False, "changed_objects": [], "diff": []}
    cluster.api.create(path.rpartition("/")[0], old)
    assert cluster.run(**off)["changed"] is False, "it is somebody else's"
    cluster.api.delete(path)
    cluster.run()
    cluster.run(state="absent", **off)
    assert not cluster.exists(path)


def test_definitions_stay_unless_asked_for(cluster: Cluster) -> None:
    group = f"group{cluster.number}.example.com"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    spec = {
        "group": group,
        "names": {"kind": "Thing", "plural": "things"},
        "scope": "Cluster",
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
    }
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": spec,
    }
    thing = {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "one"}, "size": 1}
    wanted: dict[str, t.Any] = {"objects": [thing, definition], "charts": [], "objects_after": []}
    assert len(cluster.run(**wanted)["changed_objects"]) == 2
    assert cluster.run(**wanted)["changed"] is False
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.{group}"
    assert len(cluster.run(**wanted, state="absent")["changed_objects"]) == 1
    assert cluster.exists(path)
    assert len(cluster.run(**wanted, state="absent", remove_definitions=True)["changed_objects"]) == 1
    assert not cluster.exists(path)


# A run that is cut off


class CutOffError(Exception):
    """In place of SIGKILL: nothing of the run is cleaned up."""


@pytest.mark.parametrize("after", range(12))
def test_a_run_cut_off_anywhere_converges(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Ends before its N-th command; the next run has everything, and the one after it changes nothing."""
    commands = itertools.count()
    real = host_kubectl

    def cut(*arguments: t.Any, **options: t.Any) -> t.Any:
        kubectl = real(*arguments, **options)
        run = kubectl._run

        def counted(words: list[str], standard_input: str | None) -> t.Any:
            if next(commands) == after:
                raise CutOffError
            return run(words, standard_input)

        kubectl._run = counted
        return kubectl

    monkeypatch.setattr(component, "host_kubectl", cut)
    with pytest.raises(CutOffError):
        cluster.run()
    monkeypatch.undo()
    monkeypatch.setattr(helm_controller, "Patience", lambda: QUICK)
    cluster.run()
    deployment = cluster.api.get(f"/apis/apps/v1/namespaces/{cluster.namespace}/deployments/web")
    assert deployment is not None
    assert deployment["status"]["readyReplicas"] == 1
    assert cluster.exists(f"/api/v1/namespaces/{cluster.namespace}/configmaps/after")
    assert cluster.run()["changed"] is False
    assert cluster.stand_in.installs == [cluster.chart]


def test_an_upgrade_that_was_cut_off_is_waited_for(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Job of the version before is Complete all the time."""
    cluster.run()
    cluster.stand_in.controller_runs = False
    changed = [{"name": cluster.chart, "namespace": cluster.namespace, "values": {"replicas": 2}}]

    def cut_off(*_arguments: object) -> None:
        raise CutOffError

    monkeypatch.setattr(helm_controller.Controller, "_wait", cut_off)
    with pytest.raises(CutOffError):
        cluster.run(charts=changed)
    monkeypatch.undo()
    cluster.stand_in.controller_runs = True
    assert cluster.run(charts=changed)["changed"] is False
    assert cluster.stand_in.installs == [cluster.chart] * 2
    deployment = cluster.api.get(f"/apis/apps/v1/namespaces/{cluster.namespace}/deployments/web")
    assert deployment is not None
    assert deployment["status"]["readyReplicas"] == 2


# What goes wrong


def failing(cluster: Cluster, **changes: t.Any) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        cluster.run(**changes)
    assert cluster.chart in str(caught.value)
    assert cluster.namespace in str(caught.value)
    assert caught.value.next_step
    return caught.value


def test_a_chart_that_can_t_be_fetched(cluster: Cluster) -> None:
    missing = {**WEB, "version": "9.9.9"}
    error = failing(cluster, sources={cluster.chart: missing})
    assert "failed to fetch oci://registry.example.com/charts/web: 404 Not Found" in error.cause
    assert "platform_charts" in error.next_step
    assert cluster.chart in error.facts["pod"]
    # The next run has the right version; the Job of before is looping.
    assert cluster.run()["changed"] is True
    assert cluster.run()["changed"] is False


def test_a_job_that_loops_and_then_does_not(cluster: Cluster) -> None:
    cluster.stand_in.behaviour(cluster.chart).job = [f"line {number}" for number in range(20)]
    error = failing(cluster)
    lines = error.facts["pod_log"].splitlines()
    assert len(lines) == 10
    assert lines[-1] == "line 19"
    # Nothing changes but what was wrong: the same HelmChart, and a Job whose next try may be minutes off.
    cluster.stand_in.behaviour(cluster.chart).job = None
    assert cluster.run()["changed_objects"] == [f"ConfigMap {cluster.namespace}/after"]
    assert cluster.stand_in.installs == [cluster.chart]
    assert cluster.run()["changed"] is False


def test_a_job_that_fails_for_good(cluster: Cluster) -> None:
    behaviour = cluster.stand_in.behaviour(cluster.chart)
    behaviour.job, behaviour.job_final = ["Error: no such value"], True
    assert "failed" in failing(cluster).cause
    behaviour.job, behaviour.job_final = None, False
    cluster.run()
    assert cluster.stand_in.installs == [cluster.chart]


def test_the_image_of_the_job_can_t_be_pulled(cluster: Cluster) -> None:
    cluster.stand_in.behaviour(cluster.chart).job_pull = True
    error = failing(cluster)
    assert "rancher/klipper-helm" in error.cause
    assert "platform_image_registries" in error.next_step


@pytest.mark.parametrize(
    ("pods", "said", "step"),
    [
        (
            "pull",
            r"cannot pull the image example\.com/web:1: ImagePullBackOff: pull access denied",
            "platform_image_registries",
        ),
        (
            "crash",
            r"its container web .*after \d+ restarts?, exit code 1",
            "last lines",
        ),
        ("configuration", r'secret "missing" not found', "Secret"),
        ("unschedulable", r"1 Insufficient memory", "platform_node_selector"),
        ("starting", r"is not ready yet", "value"),
    ],
)
def test_pods_that_do_not_run(cluster: Cluster, pods: str, said: str, step: str) -> None:
    behaviour = cluster.stand_in.behaviour(cluster.chart)
    behaviour.pods, behaviour.pod_lines = pods, ["first line", "panic: no configuration"]
    error = failing(cluster, timeout=3 if pods in ("unschedulable", "starting") else 60)
    import re

    assert re.search(said, error.cause), error.cause
    assert step in error.next_step
    assert ("panic: no configuration" in error.cause) is (pods in ("crash", "starting"))
    behaviour.pods = "ready"
    uid = cluster.helm_chart()["metadata"]["uid"]
    cluster.run()
    assert cluster.helm_chart()["metadata"]["uid"] == uid


def test_a_quota_that_is_used_up(cluster: Cluster) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": cluster.namespace},
        "spec": {"hard": {"requests.cpu": "500m"}},
    }
    error = failing(cluster, objects=[*cluster.objects(), quota])
    assert "exceeded quota: small" in error.cause
    assert "ResourceQuota" in error.next_step
    quota["spec"] = {"hard": {"requests.cpu": "2"}}
    cluster.run(objects=[*cluster.objects(), quota])


def doctor_is_told(cluster: Cluster) -> list[tuple[str, str, str]]:
    found = node_diagnosis.charts(host_kubectl(command=cluster.kubectl)) or []
    return [
        (chart["namespace"], chart["severity"], chart["last_line"]) for chart in found if chart["name"] == cluster.chart
    ]


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        ("crash", r"its container web .*after \d+ restarts?, exit code 1"),
        ("pull", r"cannot pull the image example\.com/web:1"),
        ("starting", r"also after 5 s: pod web-\S+: it is not ready yet"),
    ],
)
def test_what_breaks_later_is_noticed_by_the_next_run(cluster: Cluster, pods: str, said: str) -> None:
    cluster.run()
    behaviour = cluster.stand_in.behaviour(cluster.chart)
    behaviour.pods, behaviour.pod_lines = pods, ["panic: the disk is gone"]
    path = f"/apis/apps/v1/namespaces/{cluster.namespace}/deployments/web"
    wait_until(
        lambda: not (cluster.api.get(path) or {})["status"].get("availableReplicas"), seconds=120, what="it breaks"
    )
    error = failing(cluster)
    assert "was installed before and does not run" in error.cause
    import re

    assert re.search(said, error.cause), error.cause
    assert ("panic: the disk is gone" in error.cause) is (pods != "pull")
    told = (
        cluster.namespace,
        "warning" if pods == "starting" else "error",
        "" if pods == "pull" else "panic: the disk is gone",
    )
    wait_until(lambda: doctor_is_told(cluster) == [told], seconds=120, what="doctor.yml is told")
    # A dry run tells what would be changed, which is nothing.
    assert cluster.run(check_mode=True)["changed"] is False
    # Its cause is gone: pods that wait for minutes until their next try are started anew.
    behaviour.pods = "ready"
    assert cluster.run() == {"changed": False, "changed_objects": [], "diff": []}
    assert cluster.stand_in.installs == [cluster.chart]
    assert doctor_is_told(cluster) == []


def test_what_an_operator_makes_of_a_chart_s_objects_is_waited_for(cluster: Cluster) -> None:
    """A Prometheus object among the chart's, of which the prometheus-operator (played here) makes a StatefulSet."""
    try:
        directory = PROMETHEUS_OPERATOR.directory("example", "prometheus-operator-crd")
    except ModuleMissingError as error:
        pytest.skip(str(error))
    definition = yaml.safe_load((directory / "monitoring.coreos.com_prometheuses.yaml").read_text(encoding="utf-8"))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace}}
    cluster.run(objects=[definition, namespace], charts=[], objects_after=[])
    annotations = {"meta.helm.sh/release-name": cluster.chart, "meta.helm.sh/release-namespace": cluster.namespace}
    metadata: Object = {"name": "main", "annotations": annotations, "labels": {"app.kubernetes.io/managed-by": "Helm"}}
    path = f"/apis/monitoring.coreos.com/v1/namespaces/{cluster.namespace}/prometheuses/main"
    made = cluster.api.apply(
        path,
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": metadata, "spec": {"replicas": 1}},
    )
    error = failing(cluster, timeout=3)
    assert "Prometheus main: its operator has made no pods of it" in error.cause
    assert "operator" in error.next_step

    refused = {
        "type": "Reconciled",
        "status": "False",
        "reason": "ReconciliationFailed",
        "message": "no such Secret",
        "lastTransitionTime": "2026-11-22T00:00:00Z",
    }
    cluster.api.merge(f"{path}/status", {"status": {"conditions": [refused]}})
    assert "Prometheus main: ReconciliationFailed: no such Secret" in failing(cluster, timeout=3).cause

    labels = {"prometheus": "main", "release": f"operated-{cluster.number}"}
    owner = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "Prometheus",
        "name": "main",
        "uid": made["metadata"]["uid"],
        "controller": True,
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "prometheus", "image": "example.com/prometheus:1"}]},
    }
    operated: Object = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": "prometheus-main",
            "annotations": annotations,
            "labels": {"app.kubernetes.io/managed-by": "prometheus-operator"},
            "ownerReferences": [owner],
        },
        "spec": {
            "replicas": 1,
            "serviceName": "prometheus-operated",
            "selector": {"matchLabels": labels},
            "template": template,
        },
    }
    behaviour = cluster.stand_in.behaviour(labels["release"])
    behaviour.pods, behaviour.pod_lines = "crash", ["opening storage failed: no space left on device"]
    cluster.api.create(f"/apis/apps/v1/namespaces/{cluster.namespace}/statefulsets", operated)
    reconciled = {**refused, "status": "True", "reason": "", "message": "", "observedGeneration": 0}
    cluster.api.merge(f"{path}/status", {"status": {"conditions": [reconciled]}})
    error = failing(cluster)
    assert "its container prometheus is in CrashLoopBackOff" in error.cause
    assert "no space left on device" in error.cause
    behaviour.pods = "ready"
    assert "its operator has not taken its change up" in failing(cluster, timeout=10).cause
    cluster.api.merge(
        f"{path}/status",
        {"status": {"conditions": [{**reconciled, "observedGeneration": made["metadata"]["generation"]}]}},
    )
    cluster.run()
    assert cluster.run()["changed"] is False
    behaviour.pods = "crash"
    stateful = f"/apis/apps/v1/namespaces/{cluster.namespace}/statefulsets/prometheus-main"
    wait_until(
        lambda: not (cluster.api.get(stateful) or {})["status"].get("readyReplicas"),
        seconds=120,
        what="Prometheus breaks",
    )
    assert "no space left on device" in failing(cluster).cause


def test_nobody_makes_a_job(cluster: Cluster) -> None:
    cluster.stand_in.controller_runs = False
    assert "made no Job" in failing(cluster, timeout=3).cause


def test_an_uninstallation_that_fails_says_so(cluster: Cluster) -> None:
    cluster.run()
    cluster.stand_in.behaviour(cluster.chart).stuck = True
    error = failing(cluster, state="absent", timeout=3)
    assert "Error: uninstallation failed" in error.cause
    cluster.stand_in.behaviour(cluster.chart).stuck = False
    assert cluster.run(state="absent", timeout=60)["changed"] is True


def test_bad_input(cluster: Cluster) -> None:
    for changes, said in (
        ({"sources": {}}, "not said where"),
        ({"sources": {cluster.chart: {"repository": "https://charts.example.com"}}}, "lacks repository or version"),
        ({"sources": {cluster.chart: {**WEB, "verison": "1"}}}, "unknown key verison"),
        ({"sources": {cluster.chart: {"content": "A" * 1_000_001}}}, "a ConfigMap holds no more"),
        ({"charts": [*cluster.parameters()["charts"], *cluster.parameters()["charts"]]}, "listed twice"),
    ):
        with pytest.raises(PlatformError, match=said) as caught:
            cluster.run(**changes)
        assert cluster.chart in caught.value.cause


# Clusters without a Helm controller


def test_neither_controller_nor_helm(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        helm_controller, "DEFINITION", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/none.example.com"
    )
    monkeypatch.setattr(helm_controller, "START_SECONDS", 0.0)
    kind = {"apiVersion": "none.example.com/v1", "kind": "HelmChart", "metadata": {"name": cluster.chart}}
    monkeypatch.setattr(helm_controller.Controller, "objects", lambda _self, _charts: [kind])
    with pytest.raises(PlatformError, match=r"no kind HelmChart.* and helm is not installed"):
        cluster.run()
    assert cluster.run(state="absent")["changed"] is True


def test_k3s_has_its_own_place_for_the_kubeconfig() -> None:
    assert helm.connection(["/usr/local/bin/k3s", "kubectl"]) == ["--kubeconfig=/etc/rancher/k3s/k3s.yaml"]
    assert helm.connection(["kubectl", "--kubeconfig", "/a", "--context=b"]) == [
        "--kubeconfig=/a",
        "--kube-context=b",
    ]
    assert helm.connection(["kubectl"]) == []


# As Ansible runs it


def test_module_in_a_playbook(cluster: Cluster, tmp_path: Path) -> None:
    """Archive and definitions are files of the controller; secrets are in no output."""
    import hashlib

    archive = tmp_path / "web.tgz"
    archive.write_bytes(b"an archive from a file")
    cluster.stand_in.charts[hashlib.sha256(archive.read_bytes()).hexdigest()] = web_chart
    parameters = cluster.parameters(
        sources={cluster.chart: {"content": str(archive)}, "other": {"content": "/nowhere"}}
    )
    try:
        definition = next(file for file in definition_files() if file.name.endswith("keda.sh_scaledobjects.yaml"))
    except DefinitionsMissingError as error:
        pytest.skip(str(error))
    task = {"wasmfaas.platform.k3s_charts": {**parameters, "definitions": [{"path": str(definition)}]}}
    playbook = tmp_path / "play.yml"
    playbook.write_text(
        yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]), encoding="utf-8"
    )
    playbooks = Playbooks(tmp_path / "home")
    foretold = playbooks.run(str(playbook), "--check", "--diff", "-vvv")
    assert foretold.exit_code == 0, foretold.output
    assert '"replicas": 1' in foretold.output
    first = playbooks.run(str(playbook), "-vvv")
    assert first.exit_code == 0, first.output
    assert (foretold.changed, first.changed) == (1, 1)
    assert "a-secret-value" not in foretold.output + first.output
    assert playbooks.run(str(playbook)).changed == 0
    archive.unlink()
    missing = playbooks.run(str(playbook))
    assert missing.exit_code == 2
    assert "the archive of the chart" in missing.output
