# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts by the real program helm, on a real API server that has no HelmChart kind. Pods are the real controllers',
their kubelet is played."""

from __future__ import annotations

import base64
import collections.abc
import itertools
import json
import os
import signal
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.charts import component
from ansible_collections.wasmfaas.platform.plugins.module_utils.charts import helm as charts_helm
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.workloads import Patience, Workloads

from .support import go_build, helm_program
from .support.audit import Requests
from .support.control_plane import ControlPlane
from .support.helm_controller_stand_in import Api, HelmControllerStandIn, Object
from .support.helm_program import chart_archive
from .support.marks import needs_kubectl
from .support.module_files import ModuleMissingError
from .support.servers import Programs, wait_until, write_private

pytestmark = needs_kubectl
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {release: {{ .Release.Name }}}}
  template:
    metadata: {labels: {release: {{ .Release.Name }}}}
    spec:
      containers: [{name: web, image: "example.com/web:{{ .Chart.Version }}"}]
"""
_numbers = itertools.count(1)


def archive(version: str = "1.0.0") -> str:
    return base64.b64encode(chart_archive("web", version, {"deployment.yaml": DEPLOYMENT}, {"replicas": 1})).decode()


class Cluster:
    """A part of a platform with one chart, of a name that no other test uses."""

    def __init__(
        self, control_plane: ControlPlane, stand_in: HelmControllerStandIn, helm: Path, directory: Path
    ) -> None:
        self.control_plane = control_plane
        self.stand_in = stand_in
        self.helm = helm
        self.notes = directory / "helm-calls"
        self.program = write_private(
            directory / "helm",
            f'#!/bin/sh\nfor word; do echo "$word"; case $word in --values=*) stat -c %a "${{word#*=}}";; esac; done '
            f'>> {self.notes}\nexec {helm} "$@"\n',
        )
        self.program.chmod(0o700)
        self.api = Api(control_plane.kubeconfig)
        self.chart = f"web-{next(_numbers)}"
        self.namespace = f"space-of-{self.chart}"

    def run(
        self,
        *,
        check_mode: bool = False,
        values: dict[str, t.Any] | None = None,
        version: str = "1.0.0",
        **changes: t.Any,
    ) -> dict[str, t.Any]:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        given = {
            "objects": [namespace],
            "charts": [{"name": self.chart, "namespace": self.namespace, "values": values or {"replicas": 1}}],
            "objects_after": [],
            "objects_absent": [],
            "sources": {self.chart: {"content": archive(version)}},
            "kubectl": ["kubectl", f"--kubeconfig={self.control_plane.kubeconfig}"],
            "helm": str(self.program),
            "installer": "auto",
            "timeout": 60,
            "state": "present",
            "remove_definitions": False,
        }
        return component.run({**given, **changes}, check_mode, set())

    def release(self) -> Object:
        command = [
            str(self.helm),
            f"--kubeconfig={self.control_plane.kubeconfig}",
            "status",
            self.chart,
            "-n",
            self.namespace,
            "-o",
            "json",
        ]
        return dict(json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout))

    def deployment(self) -> Object:
        found = self.api.get(f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{self.chart}")
        assert found is not None
        return found


@pytest.fixture(scope="module")
def helm() -> Path:
    try:
        return helm_program.build()
    except (ModuleMissingError, go_build.BuildError) as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def plane(
    server_programs: Programs, tmp_path_factory: pytest.TempPathFactory
) -> collections.abc.Iterator[ControlPlane]:
    made = ControlPlane(server_programs, tmp_path_factory.mktemp("helm") / "plane", audit=True)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def stand_in(
    plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> collections.abc.Iterator[HelmControllerStandIn]:
    made = HelmControllerStandIn(
        plane.directory / "data" / "controller-manager.kubeconfig", tmp_path_factory.mktemp("kubelet"), {}
    )
    yield made
    made.stop()


@pytest.fixture
def cluster(
    plane: ControlPlane, stand_in: HelmControllerStandIn, helm: Path, tmp_path: Path
) -> collections.abc.Iterator[Cluster]:
    made = Cluster(plane, stand_in, helm, tmp_path)
    yield made
    made.api.close()


def test_helm_installs_upgrades_on_change_only_and_uninstalls(cluster: Cluster) -> None:
    shown = f"release {cluster.namespace}/{cluster.chart}"
    assert cluster.run(check_mode=True)["changed_objects"] == [f"Namespace {cluster.namespace}", shown]
    assert not cluster.api.get(f"/api/v1/namespaces/{cluster.namespace}")
    first = cluster.run(values={"replicas": 1, "password": "a-secret-value"})
    assert first["changed_objects"] == [f"Namespace {cluster.namespace}", shown]
    assert cluster.deployment()["status"]["readyReplicas"] == 1
    said = cluster.notes.read_text()
    assert "a-secret-value" not in said
    assert "\n600\n" in said, "the file with the values is not private"
    (values,) = [Path(line.partition("=")[2]) for line in said.splitlines() if line.startswith("--values=")]
    assert not values.exists()

    requests = Requests(cluster.control_plane.audit_log)
    assert cluster.run(values={"replicas": 1, "password": "a-secret-value"}) == {
        "changed": False,
        "changed_objects": [],
        "diff": [],
    }
    made = [*requests.of("kubectl"), *requests.of("Helm")]
    assert [request for request in made if request.writes] == []
    assert len([request for request in made if request.program == "Helm"]) <= 2, (
        "its releases are listed, and the last one read"
    )

    changed = cluster.run(values={"replicas": 2})
    assert changed["changed_objects"] == [shown]
    assert '"replicas": 2' in changed["diff"][0]["after"]
    assert cluster.deployment()["status"]["readyReplicas"] == 2
    assert cluster.run(values={"replicas": 2}, version="1.1.0")["changed"] is True
    assert cluster.deployment()["spec"]["template"]["spec"]["containers"][0]["image"] == "example.com/web:1.1.0"
    assert cluster.release()["version"] == 3

    assert cluster.run(state="absent", check_mode=True)["changed_objects"] == [shown, f"Namespace {cluster.namespace}"]
    assert cluster.run(state="absent")["changed"] is True
    assert not cluster.api.get(f"/api/v1/namespaces/{cluster.namespace}")
    assert cluster.run(state="absent")["changed"] is False


def test_what_others_did_to_the_release_is_undone(cluster: Cluster) -> None:
    cluster.run()
    cluster.run(values={"replicas": 2})
    command = [
        str(cluster.helm),
        f"--kubeconfig={cluster.control_plane.kubeconfig}",
        "rollback",
        cluster.chart,
        "1",
        "-n",
        cluster.namespace,
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert cluster.run(values={"replicas": 2})["changed"] is True
    assert cluster.deployment()["spec"]["replicas"] == 2


def test_pods_that_do_not_run_are_shown(cluster: Cluster) -> None:
    behaviour = cluster.stand_in.behaviour(cluster.chart)
    behaviour.pods, behaviour.pod_lines = "crash", ["panic: no configuration"]
    with pytest.raises(PlatformError) as caught:
        cluster.run(timeout=5)
    assert f"The chart {cluster.chart} in the namespace {cluster.namespace} is not installed" in caught.value.cause
    assert "panic: no configuration" in caught.value.cause
    behaviour.pods = "ready"
    for pod in cluster.api.list(f"/api/v1/namespaces/{cluster.namespace}/pods"):
        cluster.api.delete(f"/api/v1/namespaces/{cluster.namespace}/pods/{pod['metadata']['name']}")
    assert cluster.run()["changed"] is True
    assert cluster.run()["changed"] is False


def test_what_breaks_later_is_noticed_by_the_next_run(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        charts_helm, "Workloads", lambda kubectl: Workloads(kubectl, patience=Patience(running_seconds=5))
    )
    cluster.run()
    requests = Requests(cluster.control_plane.audit_log)
    assert cluster.run()["changed"] is False
    assert sorted(request.resource for request in requests.of("kubectl") if request.verb == "list") == [
        "daemonsets",
        "deployments",
        "statefulsets",
    ]
    behaviour = cluster.stand_in.behaviour(cluster.chart)
    behaviour.pods, behaviour.pod_lines = "crash", ["panic: the disk is gone"]
    wait_until(lambda: not cluster.deployment()["status"].get("availableReplicas"), seconds=120, what="it breaks")
    with pytest.raises(PlatformError) as caught:
        cluster.run()
    assert "was installed before and does not run" in caught.value.cause
    assert "panic: the disk is gone" in caught.value.cause
    behaviour.pods = "ready"
    assert cluster.run()["changed"] is False


def test_a_chart_that_is_not_to_be_had(cluster: Cluster) -> None:
    with pytest.raises(PlatformError) as caught:
        cluster.run(sources={cluster.chart: {"repository": "oci://127.0.0.1:1/charts/web", "version": "1.0.0"}})
    assert "connection refused" in caught.value.cause
    assert "platform_charts" in caught.value.next_step


@pytest.mark.parametrize("installed", [False, True])
def test_an_operation_that_was_cut_off_is_taken_up(cluster: Cluster, installed: bool, tmp_path: Path) -> None:
    """SIGKILL of helm while it waits leaves a release that helm itself would not touch again."""
    if installed:
        cluster.run()
    cluster.stand_in.behaviour(cluster.chart).pods = "starting"
    chart = tmp_path / "web.tgz"
    chart.write_bytes(base64.b64decode(archive("1.1.0")))
    command = [
        str(cluster.helm),
        f"--kubeconfig={cluster.control_plane.kubeconfig}",
        "upgrade",
        "--install",
        cluster.chart,
        str(chart),
        "-n",
        cluster.namespace,
    ]
    process = subprocess.Popen(
        [*command, "--create-namespace", "--wait", "--timeout=300s"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    path = f"/apis/apps/v1/namespaces/{cluster.namespace}/deployments/{cluster.chart}"

    def begun() -> bool:
        found = cluster.api.get(path)
        return bool(found and found["spec"]["template"]["spec"]["containers"][0]["image"].endswith("1.1.0"))

    wait_until(begun, seconds=120, what="helm has applied the chart")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert cluster.release()["info"]["status"] == ("pending-upgrade" if installed else "pending-install")
    cluster.stand_in.behaviour(cluster.chart).pods = "ready"
    cluster.run(version="1.2.0", timeout=20)
    assert cluster.release()["info"]["status"] == "deployed"
    assert cluster.deployment()["spec"]["template"]["spec"]["containers"][0]["image"] == "example.com/web:1.2.0"
    assert cluster.run(version="1.2.0")["changed"] is False
