# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cluster's servers make warm: which functions, in which order, how often, and what they write.
tests/integration/test_warm_nodes.py runs the program at a real API server."""

from __future__ import annotations

import datetime
import itertools
import json
import subprocess
import sys
import types
import typing as t
import urllib.parse
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import Kubectl, Unreachable
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube import node_warmer, warm_pods
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.labels import WARM_NODES
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.node_warmer import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    SERVER_LABEL,
    Failures,
    HostApi,
    acts_here,
    run,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.warm_record import WARM, WarmRecord

Object = dict[str, t.Any]
DIGEST = "sha256:1"
IMAGE = f"registry.example/hello@{DIGEST}"
PROJECT = Path(__file__).resolve().parents[5]
READY = [{"type": "Ready", "status": "True"}]
APPS = "/apis/core.spinkube.dev/v1alpha1"


def node(name: str, *, server: bool = False, ready: bool = True, address: str = "") -> Object:
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "labels": {"spin": "true", **({SERVER_LABEL: ""} if server else {})},
        },
        "status": {
            "conditions": READY if ready else [],
            "addresses": [{"type": "InternalIP", "address": address}] if address else [],
        },
    }


class Cluster:
    """A cluster's objects by their API path, behind kubectl. A pod runs as soon as it is looked at, but on `bad` nodes
    it crashes."""

    def __init__(self, *nodes: str, bad: t.Collection[str] = ()) -> None:
        self.bad = set(bad)
        self.made: list[tuple[str, str]] = []
        self.away = False
        self.objects: dict[str, Object] = {
            "/apis/node.k8s.io/v1/runtimeclasses/wasmtime-spin-v2": {"scheduling": {"nodeSelector": {"spin": "true"}}}
        }
        for name in nodes:
            self.objects[f"/api/v1/nodes/{name}"] = node(name)

    def add(self, name: str, namespace: str = "default", *, asked: bool = True, settled: bool = True) -> None:
        """A function, whose executor is there as well."""
        metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": "1"}
        annotations = {WARM_NODES: "all"} if asked else {}
        self.objects[f"{APPS}/namespaces/{namespace}/spinapps/{name}"] = {
            "apiVersion": "core.spinkube.dev/v1alpha1",
            "kind": "SpinApp",
            "metadata": {**metadata, "annotations": annotations},
            "spec": {"image": IMAGE, "executor": "e"},
        }
        self.objects[f"{APPS}/namespaces/{namespace}/spinappexecutors/e"] = {
            "spec": {"deploymentConfig": {"runtimeClassName": "wasmtime-spin-v2"}}
        }
        replicas = 1 if settled else 0
        self.objects[f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"] = {
            "kind": "Deployment",
            "metadata": {"name": name, "generation": 1, "ownerReferences": [{"uid": f"uid-{name}"}]},
            "spec": {
                "replicas": 1,
                "template": {"metadata": {}, "spec": {"containers": [{"name": name, "image": IMAGE}]}},
            },
            "status": {"observedGeneration": 1, "updatedReplicas": 1, "replicas": 1, "availableReplicas": replicas},
        }

    def app(self, name: str, namespace: str = "default") -> Object:
        return self.objects[f"{APPS}/namespaces/{namespace}/spinapps/{name}"]

    def warm(self, name: str, namespace: str = "default") -> set[str]:
        return set(WarmRecord.of(self.app(name, namespace)).artifacts.get(DIGEST, {}))

    def run(self, arguments: list[str], standard_input: str | None) -> Completed:
        if self.away:
            return Completed(
                1, "", "The connection to the server was refused - did you specify the right host or port?"
            )
        verb, _raw, url = arguments[:3]
        path, _question, query = url.partition("?")
        given = json.loads(standard_input) if standard_input else {}
        if verb == "get":
            found = self._get(path, dict(urllib.parse.parse_qsl(query)))
            return Completed(0, json.dumps(found), "") if found else Completed(1, "", "(NotFound)")
        if verb == "create":
            return self._create(f"{path}/{given['metadata']['name']}", given)
        if verb == "replace":
            if given["metadata"]["resourceVersion"] != self.objects[path]["metadata"]["resourceVersion"]:
                return Completed(1, "", "Error from server (Conflict)")
            self.objects[path] = given
            return Completed(0, standard_input or "", "")
        assert verb == "delete" and query == "gracePeriodSeconds=1"
        return Completed(0 if self.objects.pop(path, None) else 1, "{}", "(NotFound)")

    def _get(self, path: str, query: dict[str, str]) -> Object | None:
        if path in self.objects:
            return self.objects[path]
        parts = path.split("/")
        everywhere = [one for one in self.objects if one.split("/")[-2] == parts[-1]]
        inside = [one for one in everywhere if one.startswith(path) or "namespaces" not in parts]
        label, _sign, value = query.get("labelSelector", "").partition("=")
        items = [self.objects[one] for one in inside]
        return {"items": [one for one in items if not label or one["metadata"]["labels"].get(label) == value]}

    def _create(self, path: str, pod: Object) -> Completed:
        if path in self.objects:
            return Completed(1, "", "Error from server (AlreadyExists)")
        affinity = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        (name,) = affinity["nodeSelectorTerms"][0]["matchFields"][0]["values"]
        self.made.append((pod["metadata"]["labels"][warm_pods.WARMS], name))
        state = {"terminated": {"exitCode": 137}} if name in self.bad else {"running": {}}
        made = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.objects[path] = {
            **pod,
            "metadata": {**pod["metadata"], "creationTimestamp": made},
            "status": {
                "phase": "Failed" if name in self.bad else "Running",
                "containerStatuses": [{"name": "c", "state": state}],
            },
        }
        return Completed(0, json.dumps(pod), "")

    def pods(self) -> list[str]:
        return [path for path in self.objects if "/pods/" in path]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that pass by sleeping alone."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    stands = types.SimpleNamespace(sleep=sleep, monotonic=lambda: now[0], time=lambda: now[0])
    monkeypatch.setattr(warm_pods, "time", stands)
    monkeypatch.setattr(node_warmer, "time", stands)
    return now


def warm(cluster: Cluster, failures: Failures, **options: float) -> None:
    run(HostApi(Kubectl(cluster.run)), failures, **options)


@pytest.fixture
def failures(tmp_path: Path, clock: list[float]) -> t.Callable[[], Failures]:
    """Reads what the last run left, as the next run does."""
    return lambda: Failures(str(tmp_path / "run" / "failures.json"), now=lambda: clock[0])


def test_a_node_that_joins_later_is_made_warm_once(
    failures: t.Callable[[], Failures], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster("n1")
    cluster.add("hello")
    cluster.add("other", asked=False)
    warm(cluster, failures())
    cluster.objects["/api/v1/nodes/n2"] = node("n2")
    cluster.objects["/api/v1/nodes/n3"] = node("n3", ready=False)
    warm(cluster, failures())
    warm(cluster, failures())
    assert cluster.made == [("hello", "n1"), ("hello", "n2")] and cluster.pods() == []
    assert cluster.warm("hello") == {"n1", "n2"} and WARM not in cluster.app("other")["metadata"]["annotations"]
    assert capsys.readouterr().out == "default/hello: warm on n1\ndefault/hello: warm on n2\n"


def test_functions_that_are_being_deployed_or_are_not_the_operators_wait(failures: t.Callable[[], Failures]) -> None:
    cluster = Cluster("n1")
    for name in ("starts", "older", "foreign", "ends"):
        cluster.add(name, settled=name != "starts")
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    cluster.objects[f"{deployments}/older"]["spec"]["template"]["spec"]["containers"][0]["image"] = "x@sha256:0"
    cluster.objects[f"{deployments}/foreign"]["metadata"]["ownerReferences"] = [{"uid": "somebody"}]
    cluster.app("ends")["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    warm(cluster, failures())
    assert cluster.made == []


def test_a_node_where_it_fails_gets_a_longer_pause_each_time(
    failures: t.Callable[[], Failures], clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster("bad", "good", bad={"bad"})
    cluster.add("hello")
    tries = []
    while clock[0] < 5 * LONGEST_PAUSE_SECONDS:
        before = len(cluster.made)
        warm(cluster, failures())
        if len(cluster.made) > before:
            tries.append(clock[0])
        clock[0] += 30
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert FIRST_PAUSE_SECONDS <= pauses[0] < FIRST_PAUSE_SECONDS + 60
    assert pauses[:-1] == sorted(pauses[:-1]) and max(pauses) < LONGEST_PAUSE_SECONDS + 60 and len(tries) < 15
    assert cluster.made.count(("hello", "good")) == 1 and cluster.warm("hello") == {"good"}
    assert "default/hello: cold on bad: its container c crashed, exit code 137" in capsys.readouterr().out
    cluster.bad.clear()
    clock[0] += LONGEST_PAUSE_SECONDS
    warm(cluster, failures())
    assert cluster.warm("hello") == {"bad", "good"}
    assert json.loads(Path(failures()._path).read_text(encoding="utf-8")) == {}


def test_no_namespace_waits_for_all_functions_of_another(failures: t.Callable[[], Failures]) -> None:
    cluster = Cluster("n1")
    for name in ("a1", "a2", "a3"):
        cluster.add(name, "tenant-a")
    cluster.add("b1", "tenant-b")
    warm(cluster, failures())
    assert [name for name, _node in cluster.made] == ["a1", "b1", "a2", "a3"]


def test_a_run_ends_in_time_and_the_next_goes_on(failures: t.Callable[[], Failures]) -> None:
    cluster = Cluster("n1")
    for number in range(4):
        cluster.add(f"f{number}")
    warm(cluster, failures(), seconds=1)
    assert 0 < len(cluster.made) < 4 and cluster.pods() == []
    warm(cluster, failures())
    assert len(cluster.made) == 4


def test_what_a_deployment_writes_meanwhile_stays(failures: t.Callable[[], Failures]) -> None:
    cluster = Cluster("n1", "n2")
    cluster.add("hello")
    made, written = cluster._create, WarmRecord().with_artifact("wasmtime-spin-v2", "sha256:0", {"n9": "x"}).written()

    def create(path: str, pod: Object) -> Completed:
        app = cluster.app("hello")["metadata"]
        app["annotations"], app["resourceVersion"] = {**app["annotations"], WARM: written}, "2"
        return made(path, pod)

    cluster._create = create  # type: ignore[method-assign]
    warm(cluster, failures())
    assert cluster.warm("hello") == {"n1", "n2"}
    assert WarmRecord.of(cluster.app("hello")).artifacts["sha256:0"] == {"n9": "x"}


def test_an_api_server_that_is_away_ends_the_run_without_blame(failures: t.Callable[[], Failures]) -> None:
    cluster = Cluster("n1")
    cluster.add("hello")
    made = cluster._create

    def create(path: str, pod: Object) -> Completed:
        cluster.away = True
        return made(path, pod)

    cluster._create = create  # type: ignore[method-assign]
    with pytest.raises(Unreachable):
        warm(cluster, failures())
    assert json.loads(Path(failures()._path).read_text(encoding="utf-8")) == {}


def test_a_cluster_without_the_operator_has_nothing_to_do(failures: t.Callable[[], Failures]) -> None:
    answers = Kubectl(lambda _arguments, _input: Completed(1, "", "the server could not find the requested resource"))
    run(HostApi(answers), failures())


def test_what_a_tenant_writes_leads_nowhere_else_and_stops_nobody(
    failures: t.Callable[[], Failures], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster("n1", bad={"n1"})
    for name in ("deep", "elsewhere", "terminal"):
        cluster.add(name, "tenant-a")
    cluster.add("hello", "tenant-b")
    cluster.app("deep", "tenant-a")["metadata"]["annotations"][WARM] = 100_000 * "["
    cluster.app("elsewhere", "tenant-a")["spec"]["executor"] = "../../tenant-b/spinappexecutors/e"
    asked: list[str] = []

    def run_kubectl(arguments: list[str], standard_input: str | None) -> Completed:
        asked.append(arguments[2])
        return cluster.run(arguments, standard_input)

    run(HostApi(Kubectl(run_kubectl)), failures())
    assert not [path for path in asked if ".." in path and "%2F" not in path]
    assert sorted(name for name, _node in cluster.made) == ["deep", "hello", "terminal"]
    node_warmer._say(cluster.app("terminal", "tenant-a"), "cold\n\x1b[31mred")
    assert capsys.readouterr().out.endswith("tenant-a/terminal: cold red\n")


@pytest.mark.parametrize("text", ["", "[]", "3", '{"a": 1}', '{"a": ["x", "y"]}', "null"])
def test_a_damaged_file_of_failures_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "failures.json").write_text(text, encoding="utf-8")
    found = Failures(str(tmp_path / "failures.json"))
    assert found.count("a") == 0 and not found.pauses("a")
    found.add("a")
    found.write()
    assert Failures(str(tmp_path / "failures.json")).count("a") == 1


def test_one_server_acts() -> None:
    nodes = [
        node("a", server=True, ready=False, address="10.0.0.1"),
        node("c", server=True, address="10.0.0.3"),
        node("b", server=True, address="10.0.0.2"),
        node("0", address="10.0.0.9"),
    ]
    acting = [
        address for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3") if acts_here(nodes, lambda x, a=address: x == a)
    ]
    assert acting == ["10.0.0.2"]
    assert acts_here([node("0")], lambda _address: False), "servers that are no nodes"
    assert not acts_here([node("a", server=True, ready=False)], lambda _address: True), "the API is stale or a is away"


def test_an_address_of_this_host() -> None:
    assert node_warmer.is_address_of_this_host("127.0.0.1")
    assert not node_warmer.is_address_of_this_host("192.0.2.1") and not node_warmer.is_address_of_this_host("x")


def test_the_program_runs_from_the_files_that_it_lists_alone(tmp_path: Path) -> None:
    role = yaml.safe_load((PROJECT / "roles/spin_operator/vars/main.yml").read_text(encoding="utf-8"))
    for name in role["__spin_operator_node_warmer_modules"]:
        target = tmp_path / "wasmfaas" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((PROJECT / "plugins/module_utils" / name).read_bytes())
    program = "\n".join(
        [
            f"import sys; sys.path.insert(0, {str(tmp_path)!r})",
            "from wasmfaas.host.commands import Completed",
            "from wasmfaas.spinkube import node_warmer",
            "others = [name for name in sys.modules if name.split('.')[0] in ('ansible', 'lightkube', 'yaml')]",
            "assert not others, others",
            "away = node_warmer.Kubectl(lambda *_call: Completed(1, '', 'connection refused'))",
            "node_warmer.host_kubectl = lambda **_options: away",
            "sys.exit(node_warmer.main())",
        ]
    )
    command = [sys.executable, "-I", "-B", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Ended until the next run: ") and done.stdout.count("\n") == 1
