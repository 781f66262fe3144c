# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option `warm`: nodes start a function once before a request needs it there. API server, controllers and operator
are real, the nodes are played."""

from __future__ import annotations

import collections.abc
import threading
import typing as t
import uuid
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function_info import run as run_info
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import host_kubectl
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube import node_warmer
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.arguments import kubernetes_auth_arguments
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import DEPLOYMENT, POD, SPIN_APP
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.node_warmer import Failures, HostApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.warm_pods import AT_ONCE, WARMS
from lightkube.resources.apps_v1 import Deployment as KubernetesDeployment
from lightkube.resources.core_v1 import Node, NodeStatus
from lightkube.types import PatchType

from tests.k3s_double import build

from .support.control_plane import ControlPlane
from .support.deployment import Deployment, Result
from .support.function_project import FunctionProject, component
from .support.servers import REPOSITORY, wait_until
from .support.spinkube import NODE, SHIM_VERSION_LABEL

pytestmark = pytest.mark.usefixtures("reference_grant")

Object = dict[str, t.Any]
WASI_0_3 = "wasi:http/handler@0.3.0-rc-2026-03-15"
SLEEPS = {"min": 0, "max": 2, "target_concurrency": 5}
OLD_SHIM, NEW_SHIM = "0.24.0", "0.25.1"


class Nodes:
    """Nodes of the test's own beside the one that is always there."""

    def __init__(self, plane: ControlPlane) -> None:
        self._client: t.Any = plane.client()
        self._names: list[str] = []

    def join(self, *, labels: dict[str, str] | None = None, ready: bool = True, **spec: t.Any) -> str:
        """A node that takes functions unless `labels` or `spec` (taints, unschedulable) or `ready` prevent it."""
        name = f"node-{uuid.uuid4().hex[:8]}"
        own = {"spin": "true", SHIM_VERSION_LABEL: NEW_SHIM, **(labels or {})}
        self._client.create(Node.from_dict({"metadata": {"name": name, "labels": own}, "spec": spec}))
        self._names.append(name)
        # Admission taints each new node as not ready.
        self._client.patch(Node, name, {"spec": {"taints": spec.get("taints"), **spec}}, patch_type=PatchType.MERGE)
        condition = {"type": "Ready", "status": "True" if ready else "Unknown", "reason": "Test"}
        self._client.patch(NodeStatus, name, {"status": {"conditions": [condition]}}, patch_type=PatchType.MERGE)
        return name

    def shim(self, name: str, version: str) -> None:
        """Give a node another version of the shim."""
        self._client.patch(Node, name, {"metadata": {"labels": {SHIM_VERSION_LABEL: version}}})

    def leave(self) -> None:
        for name in self._names:
            self._client.delete(Node, name)


@pytest.fixture
def nodes(control_plane: ControlPlane) -> collections.abc.Iterator[Nodes]:
    made = Nodes(control_plane)
    yield made
    made.leave()


class WarmPodsSeen:
    """The short pods of a function, seen while the context is open."""

    def __init__(self, api: KubernetesApi, name: str) -> None:
        self._api, self._name = api, name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.pods: dict[str, Object] = {}
        self.most = 0

    def __enter__(self) -> t.Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            found = self._api.list(POD, "default", labels={WARMS: self._name})
            self.pods |= {pod["metadata"]["name"]: pod for pod in found}
            self.most = max(self.most, sum("deletionTimestamp" not in pod["metadata"] for pod in found))

    @property
    def nodes(self) -> set[str]:
        return {
            term["matchFields"][0]["values"][0]
            for pod in self.pods.values()
            for term in pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
                "nodeSelectorTerms"
            ]
        }


def no_pod_is_left(api: KubernetesApi, name: str) -> bool:
    return api.list(POD, "default", labels={WARMS: name}) == []


def listed(deployment: Deployment, name: str) -> Result:
    parameters = {
        "name": name,
        "namespace": "default",
        "target": "cluster",
        "state_directory": None,
        **dict.fromkeys(kubernetes_auth_arguments()),
        "kubeconfig": str(deployment.control_plane.kubeconfig),
    }
    return run_info(parameters, False, set())


def is_asleep(api: KubernetesApi, name: str) -> bool:
    found = api.get(DEPLOYMENT, "default", name)
    assert found is not None
    return not (found.get("status") or {}).get("replicas") and found["spec"]["replicas"] == 0


def generation(api: KubernetesApi, name: str) -> int:
    found = api.get(DEPLOYMENT, "default", name)
    assert found is not None
    return int(found["metadata"]["generation"])


def test_every_node_that_takes_functions_starts_it_once(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, nodes: Nodes
) -> None:
    ready = {nodes.join() for _number in range(AT_ONCE + 1)}
    nodes.join(unschedulable=True)
    nodes.join(taints=[{"key": "other", "value": "only", "effect": "NoSchedule"}])
    nodes.join(ready=False)
    nodes.join(labels={"spin": "false"})
    with WarmPodsSeen(api, project.name) as seen:
        first = deployment.deploy(project, warm="all")
    everywhere = len(ready) + 1  # the replica of the function runs on the other
    assert first["details"]["warm"] == {"nodes": everywhere, "of": everywhere}, first
    assert first["summary"].endswith(f", warm on {everywhere}/{everywhere} nodes")
    assert "warnings" not in first
    assert seen.nodes == ready and NODE not in seen.nodes
    assert 0 < seen.most <= AT_ONCE
    wait_until(lambda: no_pod_is_left(api, project.name), seconds=120, what="the short pods are gone")

    deployed = api.get(DEPLOYMENT, "default", project.name)
    assert deployed is not None
    template = deployed["spec"]["template"]
    for pod in seen.pods.values():
        selector = deployed["spec"]["selector"]["matchLabels"]
        assert not selector.items() <= pod["metadata"]["labels"].items(), "neither Service nor scaler may count it"
        assert not any(key.startswith("core.spinkube.dev/") for key in pod["metadata"]["labels"])
        (own,), (operators,) = pod["spec"]["containers"], template["spec"]["containers"]
        for key in ("image", "command", "env"):
            assert own.get(key) == operators.get(key), key
        assert "readinessProbe" not in own
        assert pod["spec"]["runtimeClassName"] == template["spec"]["runtimeClassName"]
        assert (pod["spec"]["restartPolicy"], pod["spec"]["activeDeadlineSeconds"]) == ("Never", 180)
        assert pod["metadata"]["ownerReferences"][0]["name"] == project.name

    with WarmPodsSeen(api, project.name) as none:
        second = deployment.deploy(project, warm="all")
    assert second["changed"] is False and none.pods == {}
    assert second["details"]["warm"] == first["details"]["warm"]
    (function,) = listed(deployment, project.name)["functions"]
    assert function["details"]["warm"] == first["details"]["warm"]
    assert f"{everywhere}/{everywhere}" in listed(deployment, project.name)["table"][1].split()


def test_a_new_node_and_a_new_shim_are_warmed_by_the_next_run_alone(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, nodes: Nodes
) -> None:
    old = nodes.join()
    options: dict[str, t.Any] = {"autoscale": SLEEPS}  # the default of `warm` is `all` then
    assert deployment.deploy(project, **options)["details"]["warm"] == {"nodes": 2, "of": 2}
    assert deployment.deploy(project, **options)["changed"] is False
    client: t.Any = deployment.control_plane.client()
    client.patch(KubernetesDeployment, project.name, {"spec": {"replicas": 0}}, namespace="default")
    before = generation(api, project.name)

    new = nodes.join()
    (function,) = listed(deployment, project.name)["functions"]
    assert function["details"]["warm"] == {"nodes": 2, "of": 3}
    planned = deployment.deploy(project, check_mode=True, **options)
    assert planned["changed"] is True
    assert planned["diff"]["before"]["warm_nodes"] == sorted([NODE, old])
    assert planned["diff"]["after"]["warm_nodes"] == sorted([NODE, old, new])
    assert no_pod_is_left(api, project.name), "check mode makes none"
    with WarmPodsSeen(api, project.name) as seen:
        result = deployment.deploy(project, **options)
    assert result["changed"] is True and result["details"]["warm"] == {"nodes": 3, "of": 3}
    assert seen.nodes == {new}
    assert generation(api, project.name) == before, "the function is left asleep"
    assert result["details"]["status"] == "sleeping"
    assert deployment.deploy(project, **options)["changed"] is False

    nodes.shim(old, "0.26.0")  # compiles anew
    with WarmPodsSeen(api, project.name) as seen:
        assert deployment.deploy(project, **options)["changed"] is True
    assert seen.nodes == {old}
    assert deployment.deploy(project, **options)["changed"] is False


def program(plane: ControlPlane, failures: Path) -> None:
    """What the timer of the servers starts, with their kubectl."""
    kubectl = host_kubectl(command=[str(build.binary()), "kubectl"], kubeconfig=str(plane.kubeconfig))
    node_warmer.run(HostApi(kubectl), Failures(str(failures)))


def test_the_servers_warm_nodes_that_join_later_while_the_function_sleeps(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, nodes: Nodes, tmp_path: Path
) -> None:
    options: dict[str, t.Any] = {"autoscale": SLEEPS}
    assert deployment.deploy(project, **options)["details"]["warm"] == {"nodes": 1, "of": 1}
    client: t.Any = deployment.control_plane.client()
    client.patch(KubernetesDeployment, project.name, {"spec": {"replicas": 0}}, namespace="default")
    wait_until(lambda: is_asleep(api, project.name), seconds=60, what="the function sleeps")
    before = generation(api, project.name)
    joined = {nodes.join() for _number in range(AT_ONCE + 1)}
    with WarmPodsSeen(api, project.name) as seen:
        program(deployment.control_plane, tmp_path / "failures.json")
    assert seen.nodes == joined and seen.most <= AT_ONCE
    (function,) = listed(deployment, project.name)["functions"]
    assert function["details"]["warm"] == {"nodes": 1 + len(joined), "of": 1 + len(joined)}
    assert generation(api, project.name) == before and function["details"]["replicas"] == 0
    wait_until(lambda: no_pod_is_left(api, project.name), seconds=120, what="the short pods are gone")
    with WarmPodsSeen(api, project.name) as seen:
        program(deployment.control_plane, tmp_path / "failures.json")
        assert deployment.deploy(project, **options)["changed"] is False
    assert seen.pods == {}


def test_the_servers_leave_a_node_alone_where_it_failed(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, nodes: Nodes, tmp_path: Path
) -> None:
    (project.directory / "base.bin").write_bytes(component(WASI_0_3))
    deployment.deploy(project, warm="all", shim_version=NEW_SHIM)
    bad = nodes.join(labels={SHIM_VERSION_LABEL: OLD_SHIM})
    for expected in ({bad}, set[str]()):
        with WarmPodsSeen(api, project.name) as seen:
            program(deployment.control_plane, tmp_path / "failures.json")
        assert seen.nodes == expected
    wait_until(lambda: no_pod_is_left(api, project.name), seconds=120, what="the pod that failed is gone")
    (function,) = listed(deployment, project.name)["functions"]
    assert function["details"]["warm"] == {"nodes": 1, "of": 2}


def test_servers_and_a_deployment_at_the_same_time_make_each_node_warm_once(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, nodes: Nodes, tmp_path: Path
) -> None:
    deployment.deploy(project, warm="all")
    joined = {nodes.join() for _number in range(3)}
    with WarmPodsSeen(api, project.name) as seen:
        servers = [
            threading.Thread(target=program, args=(deployment.control_plane, tmp_path / f"failures{number}.json"))
            for number in range(2)
        ]
        for server in servers:
            server.start()
        result = deployment.deploy(project, warm="all")
        for server in servers:
            server.join(300)
    assert result["details"]["warm"] == {"nodes": 4, "of": 4} and "warnings" not in result
    assert seen.nodes == joined and len(seen.pods) == len(joined), "the names are the same"
    (function,) = listed(deployment, project.name)["functions"]
    assert function["details"]["warm"] == {"nodes": 4, "of": 4}
    wait_until(lambda: no_pod_is_left(api, project.name), seconds=120, what="the short pods are gone")


def test_another_version_is_cold_and_the_one_before_stays_warm(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, nodes: Nodes
) -> None:
    node = nodes.join()
    first = deployment.deploy(project, warm="all")
    project.write("second")
    with WarmPodsSeen(api, project.name) as seen:
        second = deployment.deploy(project, warm="all")
    assert second["digest"] != first["digest"] and seen.nodes == {node}
    project.write("first")
    with WarmPodsSeen(api, project.name) as seen:
        back = deployment.deploy(project, warm="all")
    assert back["digest"] == first["digest"] and seen.pods == {}
    assert back["details"]["warm"] == {"nodes": 2, "of": 2}


def test_a_node_where_it_fails_is_a_warning_and_tried_again(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, nodes: Nodes
) -> None:
    (project.directory / "base.bin").write_bytes(component(WASI_0_3))
    good, bad = nodes.join(), nodes.join(labels={SHIM_VERSION_LABEL: OLD_SHIM})
    options: dict[str, t.Any] = {"warm": "all", "shim_version": NEW_SHIM}
    result = deployment.deploy(project, **options)
    assert result["changed"] is True and deployment.call(result).status_code == 200
    assert (result["details"]["warm"]["nodes"], result["details"]["warm"]["of"]) == (2, 3)
    (warning,) = result["warnings"]
    assert bad in warning and good not in warning and "exit code 137" in warning
    wait_until(lambda: no_pod_is_left(api, project.name), seconds=120, what="the pod that failed is gone")
    nodes.shim(bad, NEW_SHIM)
    result = deployment.deploy(project, **options)
    assert result["details"]["warm"] == {"nodes": 3, "of": 3} and "warnings" not in result
    assert deployment.deploy(project, **options)["changed"] is False


def test_running_counts_the_nodes_of_replicas_and_starts_nothing(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi, nodes: Nodes
) -> None:
    nodes.join()
    with WarmPodsSeen(api, project.name) as seen:
        result = deployment.deploy(project, warm="running")
    assert result["details"]["warm"] == {"nodes": 1, "of": 2} and seen.pods == {}
    assert deployment.deploy(project, warm="running")["changed"] is False
    assert "warm" not in deployment.deploy(project)["details"], "none is the default of a function that never sleeps"


def test_a_tenant_deploys_without_it(
    deployment: Deployment, project: FunctionProject, control_plane: ControlPlane, api: KubernetesApi
) -> None:
    """A right to make pods would be one to run any container."""
    role = yaml.safe_load((REPOSITORY / "roles/tenant/vars/main.yml").read_text(encoding="utf-8"))
    rules = [*role["__tenant_rules"], *role["__tenant_outside_rules"]]
    kubeconfig = control_plane.kubeconfig_with_role(f"deployer-{uuid.uuid4().hex[:8]}", rules)
    tenant: dict[str, t.Any] = {"kubeconfig": str(kubeconfig)}
    with pytest.raises(PlatformError, match="warm: takes the permission to create pods in namespace default"):
        deployment.deploy(project, warm="all", **tenant)
    assert api.get(SPIN_APP, "default", project.name) is None, "before anything is written"
    result = deployment.deploy(project, autoscale=SLEEPS, **tenant)
    assert result["changed"] is True and "warnings" not in result
    assert result["details"]["warm"] == {"nodes": 1, "of": 1}, "where its replica ran"
    assert deployment.deploy(project, autoscale=SLEEPS, **tenant)["changed"] is False
