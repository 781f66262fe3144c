# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels, taints, objects and removal of nodes through kubectl, against a real API server with Nodes that nobody
runs."""

from __future__ import annotations

import collections.abc
import itertools
import json
import threading
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.nodes import labels_and_taints
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.nodes import node as node_module
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes import objects
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import (
    ApiProblem,
    Conflict,
    Kubectl,
    NotFound,
    Unreachable,
    host_kubectl,
)

from .support.control_plane import ControlPlane
from .support.marks import needs_kubectl
from .support.playbooks import PlaybookRun, Playbooks
from .support.servers import wait_until, write_private

pytestmark = needs_kubectl

NODES = "/api/v1/nodes"
MEMBER_FINALIZER = "wrangler.cattle.io/managed-etcd-controller"
SERVER_LABELS = {"node-role.kubernetes.io/control-plane": "true", "node-role.kubernetes.io/etcd": "true"}
_numbers = itertools.count(1)


class Cluster:
    """Nodes and pods that only exist in the API; all are removed at the end."""

    def __init__(self, program: Path) -> None:
        self.program = program
        self.kubectl: Kubectl = host_kubectl(str(program))
        self._made: list[str] = []

    def node(
        self,
        *,
        server: bool = False,
        ready: str = "True",
        voter: str = "True",
        finalizers: collections.abc.Sequence[str] = (),
        **labels: str,
    ) -> str:
        """A new Node with these conditions; its name."""
        name = f"node-{next(_numbers)}"
        metadata = {
            "name": name,
            "labels": {**(SERVER_LABELS if server else {}), **labels},
            "finalizers": list(finalizers),
        }
        self._create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": metadata})
        conditions = [
            {
                "type": "Ready",
                "status": ready,
                "reason": "Tested",
                "message": f"it is {ready}",
                "lastTransitionTime": "2026-11-22T00:00:00Z",
            }
        ]
        if server:
            conditions.append(
                {
                    "type": "EtcdIsVoter",
                    "status": voter,
                    "reason": "MemberNotLearner" if voter == "True" else "MemberIsLearner",
                }
            )
        self._report(f"{NODES}/{name}", {"conditions": conditions})
        return name

    def pod(self, node: str, *, labels: dict[str, str] | None = None, owned: bool = True) -> str:
        """A new ready pod on a node, which disappears at once when it is deleted."""
        name = f"pod-{next(_numbers)}"
        self._create(
            "/api/v1/namespaces/default/pods",
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": name,
                    "namespace": "default",
                    "labels": labels or {},
                    "ownerReferences": [self._owner()] if owned else [],
                },
                "spec": {
                    "nodeName": node,
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "main", "image": "none"}],
                },
            },
        )
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        self._report(f"/api/v1/namespaces/default/pods/{name}", status)
        return name

    def budget(self, labels: dict[str, str], minimum: int) -> str:
        """A PodDisruptionBudget that has been taken up."""
        name = f"budget-{next(_numbers)}"
        spec = {"minAvailable": minimum, "selector": {"matchLabels": labels}}
        path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
        self._create(
            path,
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": name, "namespace": "default"},
                "spec": spec,
            },
        )
        wait_until(
            lambda: (self.kubectl.get(f"{path}/{name}").get("status") or {}).get("currentHealthy"),
            seconds=120,
            what=f"{name} has counted its pods",
        )
        return name

    def exists(self, path: str) -> bool:
        try:
            self.kubectl.get(path)
        except NotFound:
            return False
        return True

    def get(self, name: str) -> dict[str, t.Any]:
        return self.kubectl.get(f"{NODES}/{name}")

    def remove(self, *names: str, check_mode: bool = False, **options: t.Any) -> dict[str, t.Any]:
        defaults = {
            "k3s_binary": str(self.program),
            "state": "absent",
            "reason": "upgrade",
            "drain_timeout": 20,
            "force": False,
            "delete_unmanaged_pods": False,
            "wait": 20,
            "this_node": "",
        }
        return node_module.run({**defaults, "nodes": list(names), **options}, check_mode, set())

    def reconcile(self, *wanted: dict[str, t.Any], check_mode: bool = False, wait_ready: int = 0) -> dict[str, t.Any]:
        return labels_and_taints.run(
            {"k3s_binary": str(self.program), "nodes": list(wanted), "wait_ready": wait_ready}, check_mode, set()
        )

    def apply(
        self,
        *wanted: dict[str, t.Any],
        check_mode: bool = False,
        state: str = "present",
        hidden: set[str] | None = None,
    ) -> dict[str, t.Any]:
        self._made += [entry["__path"] for entry in wanted if "__path" in entry]
        given = [{key: value for key, value in entry.items() if key != "__path"} for entry in wanted]
        parameters = {"k3s_binary": str(self.program), "objects": given, "state": state, "force_conflicts": True}
        return objects.run(parameters, check_mode, hidden if hidden is not None else set())

    def _owner(self) -> dict[str, t.Any]:
        """Something that owns pods and that no controller works for: those of the control plane would delete them."""
        path = "/api/v1/namespaces/default/configmaps"
        if not self.exists(f"{path}/application"):
            self._create(
                path,
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "application", "namespace": "default"}},
            )
        uid = str(self.kubectl.get(f"{path}/application")["metadata"]["uid"])
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": "application", "uid": uid, "controller": True}

    def _report(self, path: str, status: dict[str, t.Any]) -> None:
        """Write a status, as a kubelet does, whatever the controllers write meanwhile."""

        def written() -> bool:
            try:
                self.kubectl.replace(f"{path}/status", {**self.kubectl.get(path), "status": status})
            except Conflict:
                return False
            return True

        wait_until(written, seconds=120, what=f"the status of {path} is written")

    def _create(self, path: str, content: dict[str, t.Any]) -> dict[str, t.Any]:
        self._made.append(f"{path}/{content['metadata']['name']}")
        return self.kubectl.create(path, content)

    def clear(self) -> None:
        for path in reversed(self._made):
            if self.exists(path):
                if path.startswith(NODES):
                    self.kubectl.patch(path, {"metadata": {"finalizers": None}})
                self.kubectl.delete(path)


@pytest.fixture
def cluster(control_plane: ControlPlane, tmp_path: Path) -> collections.abc.Iterator[Cluster]:
    program = tmp_path / "k3s"
    write_private(
        program,
        f'#!/bin/sh\n[ "$1" = kubectl ] || exit 64\nshift\nexec kubectl --kubeconfig={control_plane.kubeconfig} "$@"\n',
    )
    program.chmod(0o700)
    made = Cluster(program)
    yield made
    made.clear()


# Labels and taints


def test_labels_and_taints_come_stay_and_go(cluster: Cluster) -> None:
    name = cluster.node(theirs="kept")
    taint = {"key": "dedicated", "value": "wasm", "effect": "NoSchedule"}
    wanted = {"name": name, "labels": {"wasmfaas.dev/wasm": True, "count": 3}, "taints": [taint]}

    foretold = cluster.reconcile(wanted, check_mode=True)
    assert foretold["changed_nodes"] == [name]
    assert "wasmfaas.dev/wasm" not in cluster.get(name)["metadata"]["labels"]
    first = cluster.reconcile(wanted)
    assert first["changed_nodes"] == [name]
    assert '"wasmfaas.dev/wasm": "true"' in first["diff"][0]["after"]
    labels = cluster.get(name)["metadata"]["labels"]
    assert (labels["wasmfaas.dev/wasm"], labels["count"], labels["theirs"]) == ("true", "3", "kept")
    assert taint in cluster.get(name)["spec"]["taints"]
    assert cluster.reconcile(wanted) == {"changed": False, "changed_nodes": [], "ready": [name], "diff": []}

    cluster.reconcile({"name": name, "labels": {"count": 4}})
    after = cluster.get(name)
    assert after["metadata"]["labels"]["count"] == "4"
    assert "wasmfaas.dev/wasm" not in after["metadata"]["labels"]
    assert after["metadata"]["labels"]["theirs"] == "kept"
    assert taint not in after["spec"].get("taints", [])
    assert labels_and_taints.MANAGED_TAINTS not in after["metadata"]["annotations"]


def test_taints_of_others_stay(cluster: Cluster) -> None:
    name = cluster.node()
    theirs = {"key": "theirs", "effect": "NoSchedule"}
    cluster.kubectl.patch(f"{NODES}/{name}", {"spec": {"taints": [theirs]}})
    cluster.reconcile({"name": name, "taints": [{"key": "ours", "value": None, "effect": "NoSchedule"}]})
    cluster.reconcile({"name": name})
    assert theirs in cluster.get(name)["spec"]["taints"]
    assert "ours" not in {taint["key"] for taint in cluster.get(name)["spec"]["taints"]}


def test_changes_of_others_in_the_meantime_are_not_lost(cluster: Cluster) -> None:
    """While one writer adds labels of its own again and again, ours arrive and none of its is lost."""
    name = cluster.node()
    running, written = threading.Event(), []

    def other_writer() -> None:
        for number in itertools.count():
            cluster.kubectl.patch(f"{NODES}/{name}", {"metadata": {"labels": {f"theirs-{number}": "set"}}})
            written.append(f"theirs-{number}")
            if running.is_set():
                return

    writer = threading.Thread(target=other_writer)
    writer.start()
    try:
        wait_until(lambda: len(written) > 1, seconds=120, what="the other writer has begun")
        for number in range(3):
            cluster.reconcile(
                {
                    "name": name,
                    "labels": {f"ours-{number}": "set"},
                    "taints": [{"key": f"ours-{number}", "effect": "NoSchedule"}],
                }
            )
    finally:
        running.set()
        writer.join(30)
    labels = cluster.get(name)["metadata"]["labels"]
    assert {*written, "ours-2"} <= set(labels)
    assert "ours-1" not in labels
    assert [taint["key"] for taint in cluster.get(name)["spec"]["taints"] if taint["key"].startswith("ours")] == [
        "ours-2"
    ]


def test_a_change_of_what_we_change_is_seen(cluster: Cluster) -> None:
    """Somebody adds a taint between our reading and our writing: it is a Conflict, read again, and both are there."""
    name = cluster.node()
    theirs, ours = {"key": "theirs", "effect": "NoSchedule"}, {"key": "ours", "effect": "NoSchedule"}

    class Overtaken(Kubectl):
        def __init__(self) -> None:
            super().__init__(cluster.kubectl._run)
            self.patches = 0

        def patch(self, path: str, patch: t.Any, *, kind: str = "merge") -> dict[str, t.Any]:
            self.patches += 1
            if self.patches == 1:
                super().patch(path, {"spec": {"taints": [theirs]}})
            return super().patch(path, patch, kind=kind)

    kubectl = Overtaken()
    labels_and_taints.Nodes(kubectl).reconcile([{"name": name, "taints": [ours]}], wait_ready=0, check_mode=False)
    assert kubectl.patches == 2
    assert [taint for taint in cluster.get(name)["spec"]["taints"] if taint["key"] in {"ours", "theirs"}] == [
        theirs,
        ours,
    ]


def test_refuses_what_the_api_refuses(cluster: Cluster) -> None:
    name = cluster.node()
    with pytest.raises(ApiProblem, match=r"metadata\.labels"):
        cluster.reconcile({"name": name, "labels": {"not a label": "x"}})
    with pytest.raises(PlatformError, match="listed twice"):
        cluster.reconcile({"name": name}, {"name": name})


def test_waits_for_nodes_to_register_and_to_be_ready(cluster: Cluster) -> None:
    name = cluster.node(ready="False")
    with pytest.raises(PlatformError, match=f"{name} is not Ready: {name}: Tested: it is False"):
        cluster.reconcile({"name": name}, wait_ready=1)
    with pytest.raises(PlatformError, match="nobody has not registered"):
        cluster.reconcile({"name": "nobody"}, wait_ready=1)
    with pytest.raises(NotFound, match="no node nobody"):
        cluster.reconcile({"name": "nobody"})
    assert cluster.reconcile({"name": "nobody"}, check_mode=True)["changed_nodes"] == ["nobody"]
    assert cluster.reconcile({"name": cluster.node()}, wait_ready=5)["changed"] is False


# Removal


def test_removes_a_node_its_pods_and_its_password(cluster: Cluster) -> None:
    name = cluster.node()
    pod = cluster.pod(name)
    password = f"/api/v1/namespaces/kube-system/secrets/{name}.node-password.k3s"
    metadata = {"name": f"{name}.node-password.k3s", "namespace": "kube-system"}
    cluster.kubectl.create(
        "/api/v1/namespaces/kube-system/secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    )

    assert cluster.remove(name, check_mode=True) == {"changed": True, "removed": [name], "forgotten": [name]}
    assert cluster.exists(f"{NODES}/{name}")
    assert cluster.remove(name) == {"changed": True, "removed": [name], "forgotten": [name]}
    assert not cluster.exists(f"{NODES}/{name}")
    assert not cluster.exists(password)
    assert not cluster.exists(f"/api/v1/namespaces/default/pods/{pod}")
    assert cluster.remove(name) == {"changed": False, "removed": [], "forgotten": []}


def test_a_budget_that_blocks_is_named_and_the_node_takes_pods_again(cluster: Cluster) -> None:
    name = cluster.node()
    labels = {"application": f"shop-{name}"}
    pod = cluster.pod(name, labels=labels)
    budget = cluster.budget(labels, 1)
    with pytest.raises(
        PlatformError,
        match=rf"default/{pod} \(kept by the PodDisruptionBudget default/{budget}, which wants 1 healthy and has 1\)",
    ) as caught:
        cluster.remove(name, drain_timeout=3)
    assert caught.value.facts == {"blocked": [f"default/{pod}"]}
    assert cluster.exists(f"/api/v1/namespaces/default/pods/{pod}")
    assert not cluster.get(name)["spec"].get("unschedulable")


def test_pods_without_a_controller_are_named(cluster: Cluster) -> None:
    name = cluster.node()
    pod = cluster.pod(name, owned=False)
    with pytest.raises(PlatformError, match=rf"no controller would start these pods again elsewhere: default/{pod}"):
        cluster.remove(name)
    assert cluster.exists(f"/api/v1/namespaces/default/pods/{pod}")
    assert cluster.remove(name, delete_unmanaged_pods=True)["removed"] == [name]


def test_dead_node_needs_force(cluster: Cluster) -> None:
    name = cluster.node(ready="Unknown")
    pod = cluster.pod(name, owned=False)
    with pytest.raises(PlatformError, match="not Ready"):
        cluster.remove(name)
    assert cluster.exists(f"{NODES}/{name}")
    assert cluster.remove(name, force=True)["removed"] == [name]
    assert cluster.exists(f"/api/v1/namespaces/default/pods/{pod}"), "a dead node was drained"


def test_removal_that_breaks_the_quorum_is_refused(cluster: Cluster) -> None:
    healthy, other, dead = (
        cluster.node(server=True),
        cluster.node(server=True),
        cluster.node(server=True, ready="Unknown"),
    )
    with pytest.raises(PlatformError, match=f"Without {healthy}, 1 of 2 etcd members would be healthy.*{dead}"):
        cluster.remove(healthy)
    assert not cluster.get(healthy)["spec"].get("unschedulable")
    with pytest.raises(PlatformError, match=f"Without {healthy}, 1 of 2"):
        cluster.remove(healthy, check_mode=True)
    assert cluster.remove(dead, force=True)["removed"] == [dead]
    assert cluster.remove(healthy)["removed"] == [healthy]
    with pytest.raises(PlatformError, match="the last server"):
        cluster.remove(other)
    assert cluster.exists(f"{NODES}/{other}")


def test_dead_servers_go_before_healthy_ones(cluster: Cluster) -> None:
    healthy, _other, dead = (
        cluster.node(server=True),
        cluster.node(server=True),
        cluster.node(server=True, ready="Unknown"),
    )
    assert cluster.remove(healthy, dead, force=True)["removed"] == [dead, healthy]


def test_server_does_not_remove_itself(cluster: Cluster) -> None:
    name, _other = cluster.node(server=True), cluster.node(server=True)
    with pytest.raises(PlatformError, match="its own API server"):
        cluster.remove(name, this_node=name)
    assert cluster.exists(f"{NODES}/{name}")


def test_member_that_is_not_removed_keeps_its_node(cluster: Cluster) -> None:
    name = cluster.node(finalizers=[MEMBER_FINALIZER])
    with pytest.raises(
        PlatformError, match=f"{name} is being deleted, but is still there after 1 s \\(kept by {MEMBER_FINALIZER}\\)"
    ):
        cluster.remove(name, wait=1)


# Objects


def _runtime_class(name: str, **selector: str) -> dict[str, t.Any]:
    entry = {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": name},
        "handler": "spin",
        "scheduling": {"nodeSelector": selector},
    }
    return {**entry, "__path": f"/apis/node.k8s.io/v1/runtimeclasses/{name}"}


def test_objects_are_applied_once(cluster: Cluster) -> None:
    name = f"class-{next(_numbers)}"
    wanted = _runtime_class(name, wasm="true")
    path = wanted["__path"]
    shown = f"RuntimeClass.node.k8s.io {name}"
    assert cluster.apply(wanted, check_mode=True)["changed_objects"] == [shown]
    assert not cluster.exists(path)
    assert cluster.apply(wanted)["changed_objects"] == [shown]
    assert cluster.apply(wanted) == {"changed": False, "changed_objects": [], "diff": []}
    assert cluster.apply(wanted, check_mode=True)["changed"] is False

    cluster.kubectl.patch(path, {"scheduling": {"tolerations": [{"key": "theirs", "operator": "Exists"}]}})
    assert cluster.apply(wanted)["changed"] is False
    changed = cluster.apply(_runtime_class(name, wasm="false"))
    assert '"wasm": "true"' in changed["diff"][0]["before"]
    assert '"wasm": "false"' in changed["diff"][0]["after"]
    assert cluster.kubectl.get(path)["scheduling"]["tolerations"] == [{"key": "theirs", "operator": "Exists"}]

    assert cluster.apply(wanted, state="absent", check_mode=True)["changed"] is True
    assert cluster.exists(path)
    assert cluster.apply(wanted, state="absent")["changed"] is True
    assert not cluster.exists(path)
    assert cluster.apply(wanted, state="absent")["changed"] is False


def test_a_list_may_define_what_it_uses(cluster: Cluster) -> None:
    """Namespace and kind come in the same list as what needs them, in a dry run too."""
    number = next(_numbers)
    namespace, group = f"space-{number}", f"group{number}.example.com"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    definition = {
        "group": group,
        "names": {"kind": "Thing", "plural": "things"},
        "scope": "Namespaced",
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
    }
    wanted = [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace},
            "__path": f"/api/v1/namespaces/{namespace}",
        },
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"things.{group}"},
            "spec": definition,
            "__path": f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.{group}",
        },
        {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "one"}, "spec": {"size": 1}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "key", "namespace": namespace},
            "stringData": {"key": "a-secret-value"},
        },
    ]
    hidden: set[str] = set()
    assert len(cluster.apply(*wanted, check_mode=True)["changed_objects"]) == 4
    first = cluster.apply(*wanted, hidden=hidden)
    assert len(first["changed_objects"]) == 4
    assert hidden == {"a-secret-value"}
    assert "a-secret-value" not in json.dumps(first)
    assert cluster.apply(*wanted)["changed"] is False
    changed = cluster.apply({**wanted[3], "stringData": {"key": "another-value"}})
    assert changed["changed_objects"] == [f"Secret {namespace}/key"]
    assert "value" not in json.dumps(changed["diff"])


def test_refused_objects(cluster: Cluster) -> None:
    wanted = _runtime_class(f"class-{next(_numbers)}")
    with pytest.raises(ApiProblem, match="handler"):
        cluster.apply({**wanted, "handler": "Not A Handler"})
    with pytest.raises(PlatformError, match="listed twice"):
        cluster.apply(wanted, wanted)
    with pytest.raises(PlatformError, match=r"no apiVersion, kind or metadata\.name"):
        cluster.apply({"kind": "RuntimeClass", "metadata": {"name": "x"}})
    with pytest.raises(NotFound):
        cluster.apply({"apiVersion": "nothing.example.com/v1", "kind": "Nothing", "metadata": {"name": "x"}})


# The API's answers, and the modules as Ansible runs them


def test_what_the_api_answers_is_told_apart(cluster: Cluster) -> None:
    name = cluster.node()
    with pytest.raises(NotFound):
        cluster.kubectl.get(f"{NODES}/nobody")
    with pytest.raises(Conflict):
        cluster.kubectl.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    with pytest.raises(Conflict):
        cluster.kubectl.patch(f"{NODES}/{name}", {"metadata": {"resourceVersion": "1", "labels": {"a": "b"}}})
    with pytest.raises(Unreachable):
        cluster.kubectl.call(["--server=https://127.0.0.1:1", "get", "--raw", "/readyz"])
    assert cluster.kubectl.ready()
    assert cluster.kubectl.text("/readyz") == "ok"
    add = {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}
    assert cluster.kubectl.patch(f"{NODES}/{name}", [add], kind="json")["metadata"]["labels"] == {"a": "b"}
    with pytest.raises(Conflict):
        cluster.kubectl.patch(
            f"{NODES}/{name}", [{"op": "test", "path": "/metadata/labels/a", "value": "c"}], kind="json"
        )


def test_modules_in_a_playbook(cluster: Cluster, tmp_path: Path) -> None:
    name = cluster.node()
    wanted = _runtime_class(f"class-{next(_numbers)}", wasm="true")
    cluster._made.append(wanted.pop("__path"))
    program = {"k3s_binary": str(cluster.program)}
    tasks: list[dict[str, t.Any]] = [
        {
            "wasmfaas.platform.k3s_node_labels": {
                "nodes": [{"name": name, "labels": {"ours": "set"}}],
                "wait_ready": 10,
                **program,
            }
        },
        {"wasmfaas.platform.k3s_objects": {"objects": [wanted], **program}},
        {"wasmfaas.platform.k3s_node": {"nodes": ["nobody"], "state": "absent", **program}},
    ]
    playbook = tmp_path / "play.yml"
    playbook.write_text(
        yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]), encoding="utf-8"
    )
    playbooks = Playbooks(tmp_path / "home")

    def run(*arguments: str) -> PlaybookRun:
        finished = playbooks.run(str(playbook), *arguments)
        assert finished.exit_code == 0, finished.output
        return finished

    foretold = run("--check", "--diff")
    assert foretold.changed == 2
    assert '+  "ours": "set"' in foretold.output
    assert run().changed == 2
    assert run().changed == 0
