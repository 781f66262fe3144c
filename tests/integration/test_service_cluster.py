# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replicas of the hosted service at a real API server, with the real SpinKube operator, a played kubelet, a real
registry and real kills."""

from __future__ import annotations

import collections.abc
import itertools
import threading
import time
import typing as t
from pathlib import Path

import httpx2
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import Refused
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import JOB, LEASE, SECRET, SPIN_APP
from ansible_collections.wasmfaas.platform.service.cluster.api import FUNCTION_DEPLOYMENT
from ansible_collections.wasmfaas.platform.service.cluster.deployments import as_object
from ansible_collections.wasmfaas.platform.service.deployments.model import Deployment, Phase, Settings, now
from ansible_collections.wasmfaas.platform.service.deployments.store import Changed, Exists
from ansible_collections.wasmfaas.platform.service.problem import ServiceProblem
from ansible_collections.wasmfaas.platform.service.tokens import Role
from ansible_collections.wasmfaas.platform.service.variables import Variable

from ..extent import FULL
from .support.control_plane import ControlPlane
from .support.deployment import Deployment as Playbook
from .support.function_project import FunctionProject
from .support.hosted_service import SECONDS, finished, path_of, put, wait_for
from .support.played_kubelet import PlayedKubelet
from .support.registries import Registry
from .support.relay import relayed
from .support.service_replica import BUILDS, NAMESPACE, Replica, ServiceCluster, archive_of
from .support.spinkube import SpinkubeStandIn

TENANT, OTHER = "hosted1", "hosted2"
KILLS = 50 if FULL else 3

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def cluster(
    control_plane: ControlPlane,
    spinkube_stand_in: SpinkubeStandIn,
    registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> ServiceCluster:
    directory = tmp_path_factory.mktemp("service_cluster")
    return ServiceCluster(control_plane, registry, spinkube_stand_in.front, directory, (TENANT, OTHER))


@pytest.fixture(scope="module")
def replicas(cluster: ServiceCluster) -> collections.abc.Iterator[tuple[Replica, Replica]]:
    first, second = Replica(cluster, "replica-a", "127.0.0.2"), Replica(cluster, "replica-b", "127.0.0.3")
    relay = relayed(cluster.relay_port, [(one.host, cluster.builds_port) for one in (first, second)])
    kubelet = PlayedKubelet(cluster.control_plane, BUILDS, cluster.directory / "pods")
    with kubelet, relay, first, second:
        yield first, second


@pytest.fixture
def hosted(tmp_path: Path) -> FunctionProject:
    return FunctionProject(tmp_path / "hosted", f"hosted-{next(_numbers)}")


def deployment(**fields: t.Any) -> Deployment:
    given = {
        "number": 1,
        "tenant": TENANT,
        "function": f"kept-{next(_numbers)}",
        "source": f"sha256:{'0' * 64}",
        "settings": Settings(timeout=5),
        "settings_digest": "hmac-sha256:0",
        "requested_by": "alice",
        "created": now(),
        **fields,
    }
    return Deployment(**given)


# What is kept


def test_deployments_are_kept_as_objects(cluster: ServiceCluster) -> None:
    store = cluster.adapters.deployments
    made = store.create(deployment())
    with pytest.raises(Exists):
        store.create(deployment(function=made.function))
    assert made == store.read(*made.key) and made.phase is Phase.QUEUED and made.settings.timeout == 5
    assert made in store.unfinished()
    working = store.update(
        made, phase=Phase.BUILDING, attempt=1, stages={"queue": 0.25}, warnings=["slow"], changed=True,
        facts={"stage": "build", "exit_code": 3}, reason="x" * 9000, cancelling=True, artifact="sha256:1",
    )  # fmt: skip
    read = store.read(*made.key)
    assert read == working and read is not None
    assert (read.stages, read.facts, read.changed, len(read.reason)) == (
        {"queue": 0.25}, {"stage": "build", "exit_code": 3}, True, 4096,
    )  # fmt: skip
    with pytest.raises(Changed):
        store.update(made, phase=Phase.FAILED)
    ended = store.update(working, phase=Phase.READY, finished=now(), cancelling=False)
    assert ended.key not in [one.key for one in store.unfinished()]
    second = store.create(deployment(function=made.function, number=2))
    assert [one.number for one in store.of_function(TENANT, made.function)] == [2, 1]
    assert {TENANT, OTHER} <= set(store.tenants())
    store.remove(second)
    store.remove(ended)
    assert store.of_function(TENANT, made.function) == []
    with pytest.raises(Changed):
        store.update(ended, phase=Phase.FAILED)


def test_the_definition_refuses_what_no_deployment_is(cluster: ServiceCluster) -> None:
    api, good = cluster.api, as_object(deployment())
    for path, value in (("source", "sha256:0"), ("number", 0), ("function", "Shop"), ("settings", {"timeout": 0})):
        with pytest.raises(Refused):
            api.create(FUNCTION_DEPLOYMENT, {**good, "spec": {**good["spec"], path: value}}, dry_run=True)
    made = api.create(FUNCTION_DEPLOYMENT, good)
    with pytest.raises(PlatformError, match="does not change"):
        api.replace(FUNCTION_DEPLOYMENT, {**made, "spec": {**made["spec"], "requestedBy": "mallory"}})
    with pytest.raises(Refused):
        api.replace_status(FUNCTION_DEPLOYMENT, {**made, "status": {"phase": "Done"}})
    api.delete(FUNCTION_DEPLOYMENT, TENANT, made["metadata"]["name"])
    tenant = cluster.adapters.apis.of_tenant(TENANT)
    with pytest.raises(PlatformError, match="forbidden"):
        tenant.list(FUNCTION_DEPLOYMENT, TENANT)


def test_variables_are_a_secret_of_the_tenant(cluster: ServiceCluster) -> None:
    store = cluster.adapters.variables
    values = {"greeting": Variable("hi"), "password": Variable("s3cr3t", secret=True)}
    store.write(TENANT, "shop", values)
    assert store.read(TENANT, "shop") == values and store.read(OTHER, "shop") == {}
    digest = store.settings_digest(TENANT, Settings(), values)
    assert digest == store.settings_digest(TENANT, Settings(), values)
    assert digest != store.settings_digest(OTHER, Settings(), values)
    assert digest != store.settings_digest(TENANT, Settings(timeout=1), values)
    with pytest.raises(PlatformError, match="forbidden"):
        cluster.api.list(SECRET, TENANT)
    store.write(TENANT, "shop", {})
    assert store.read(TENANT, "shop") == {}


def test_a_token_ends_with_its_secret(cluster: ServiceCluster) -> None:
    tokens = cluster.tokens
    secret = tokens.create("alice-laptop", TENANT, Role.DEPLOY)
    found = tokens.find(secret)
    assert found is not None and (found.name, found.tenant, found.role) == ("alice-laptop", TENANT, Role.DEPLOY)
    with pytest.raises(ServiceProblem):
        tokens.create("alice-laptop", TENANT, Role.READ)
    assert "alice-laptop" in [one.name for one in tokens.all()]
    header, payload, signature = secret.split(".")
    others = [f"{header}.{payload}.{signature[:-4]}AAAA", f"{header}.{payload}", "", "wfs_1", "ä.b.c"]
    assert [tokens.find(one) for one in others] == [None] * 5
    # A token of another account, and one for another audience.
    kubernetes = cluster.kubeconfig.read_text().split('"token": "')[1].split('"')[0]
    assert tokens.find(kubernetes) is None
    assert tokens.delete("alice-laptop") and not tokens.delete("alice-laptop")
    assert tokens.find(secret) is None


def test_a_revoked_token_works_elsewhere_for_no_longer_than_it_is_remembered(cluster: ServiceCluster) -> None:
    seconds = [0.0]
    here = cluster.tokens
    there = type(here)(lambda: cluster.api, NAMESPACE, lambda: seconds[0])
    secret = here.create("bob", TENANT, Role.READ)
    assert there.find(secret) is not None
    assert here.delete("bob")
    seconds[0] = 29.0
    assert there.find(secret) is not None
    seconds[0] = 31.0
    assert there.find(secret) is None


# Deployments


def test_both_replicas_serve_and_one_works(
    cluster: ServiceCluster, replicas: tuple[Replica, Replica], hosted: FunctionProject
) -> None:
    source = archive_of(hosted)
    with replicas[0].client() as first, replicas[1].client() as second:
        made = put(first, source, hosted.name, TENANT)
        done = finished(second, made)
        assert done["phase"] == "Ready", done
        assert done["url"] == f"http://{hosted.name}.{TENANT}.127.0.0.1.nip.io"
        logs = [client.get(f"{path_of(made)}/log").text for client in (first, second)]
        assert logs[0] == logs[1] and "$ python3 build.py" in logs[0] and f"ready {done['url']}" in logs[0]
        again = put(second, source, hosted.name, TENANT)
        assert (again["number"], again["phase"]) == (1, "Ready")
        for client in (first, second):
            (shown,) = client.get(f"/v1/tenants/{TENANT}/functions").json()["functions"]
            assert (shown["name"], shown["status"], shown["digest"]) == (hosted.name, "ready", done["artifact"])
        variable = {"value": "hello"}
        assert second.put(f"/v1/tenants/{TENANT}/functions/{hosted.name}/variables/x", json=variable).status_code < 300
        ended = finished(first, {**made, "number": 2})
        assert ended["phase"] == "Failed" and "x" in ended["reason"], ended
        assert first.delete(f"/v1/tenants/{TENANT}/functions/{hosted.name}").status_code in (200, 204)
        assert second.get(f"/v1/tenants/{TENANT}/functions").json()["functions"] == []
    assert cluster.administrator().get(SPIN_APP, TENANT, hosted.name) is None


def test_the_playbook_and_the_service_deploy_the_same_function(
    cluster: ServiceCluster,
    replicas: tuple[Replica, Replica],
    deployment: Playbook,
    tmp_path: Path,
) -> None:
    deployer = cluster.control_plane.kubeconfig_of("deployer", TENANT)
    given = {
        "namespace": TENANT,
        "kubeconfig": str(deployer),
        "registry": f"{deployment.registry.host}/functions/{TENANT}",
    }
    with replicas[0].client() as client:
        # First by the service.
        project = FunctionProject(tmp_path / "one", "by-service")
        done = finished(client, put(client, archive_of(project), project.name, TENANT))
        result = deployment.deploy(project, **given)
        assert (result["changed"], result["digest"], result["source_digest"]) == (
            False, done["artifact"], done["source_digest"],
        )  # fmt: skip
        # First by the playbook.
        other = FunctionProject(tmp_path / "two", "by-playbook")
        source = archive_of(other)
        first = deployment.deploy(other, **given)
        same = finished(client, put(client, source, other.name, TENANT))
        assert (same["phase"], same["changed"]) == ("Ready", False), same
        assert (same["artifact"], same["source_digest"]) == (first["digest"], first["source_digest"])
        names = [one["name"] for one in client.get(f"/v1/tenants/{TENANT}/functions").json()["functions"]]
        assert {project.name, other.name} <= set(names)
        # A canary that the playbook made is promoted by the service.
        function = f"/v1/tenants/{TENANT}/functions/{other.name}"
        refused = client.post(f"{function}/promote")
        assert (refused.status_code, refused.json()["code"]) == (409, "no_canary")
        other.write("second")
        canary = deployment.deploy(other, canary=20, **given)
        assert client.get(function).json()["details"]["canary"]["digest"] == canary["digest"]
        assert client.post(f"{function}/promote").status_code in (200, 204)
        assert client.get(function).json()["digest"] == canary["digest"]


def test_what_was_built_for_another_function_is_not_built_again(
    replicas: tuple[Replica, Replica], hosted: FunctionProject
) -> None:
    source = archive_of(hosted)
    with replicas[0].client() as client:
        first = finished(client, put(client, source, hosted.name, TENANT))
        second = finished(client, put(client, source, f"{hosted.name}-again", TENANT))
        assert (second["phase"], second["artifact"]) == ("Ready", first["artifact"]), second
        # Not by their stages: an attempt that was cut off after its build leaves none.
        assert "$ python3 build.py" in client.get(f"{path_of(first)}/log").text
        again = client.get(f"{path_of(second)}/log").text
        assert f"Built before, as {TENANT}/{hosted.name}." in again and "$ python3 build.py" not in again
        # Never across tenants.
        other = finished(client, put(client, source, hosted.name, OTHER))
        assert "$ python3 build.py" in client.get(f"{path_of(other)}/log").text


def test_a_deployment_is_cancelled_through_either_replica(
    cluster: ServiceCluster, replicas: tuple[Replica, Replica], hosted: FunctionProject
) -> None:
    for number, replica in enumerate(replicas, 1):
        hosted.manifest(command="sh -c 'echo it begins; sleep 600'")
        hosted.write(str(number))
        with replica.client() as client:
            made = put(client, archive_of(hosted), hosted.name, OTHER)
            # The log grows at the replica that works, and is read through each.
            wait_for(lambda: "it begins" in client.get(f"{path_of(made)}/log").text, "the build runs")  # noqa: B023 (called in its round)
            assert client.delete(path_of(made)).status_code == 202
            ended = finished(client, made)
            assert (ended["phase"], ended["number"]) == ("Cancelled", number), ended
            wait_for(lambda: not cluster.administrator().list(JOB, BUILDS), "the build's Job goes")
            wait_for(lambda: "it begins" in client.get(f"{path_of(made)}/log").text, "its log is kept")  # noqa: B023 (called in its round)


# Kills


def holder_of(cluster: ServiceCluster) -> str:
    lease = cluster.api.get(LEASE, NAMESPACE, "function-service")
    return str(lease["spec"]["holderIdentity"]) if lease else ""


def test_another_replica_takes_over_at_once_from_one_that_ends(
    cluster: ServiceCluster, replicas: tuple[Replica, Replica]
) -> None:
    wait_for(lambda: holder_of(cluster) in [one.holder for one in replicas], "a replica works")
    working, waiting = sorted(replicas, key=lambda one: one.holder != holder_of(cluster))
    working.stop()
    assert holder_of(cluster) != working.holder
    wait_for(lambda: holder_of(cluster) == waiting.holder, "the other one works")
    working.start()


def test_kills_of_the_working_replica_lose_nothing_and_do_nothing_twice(
    cluster: ServiceCluster, replicas: tuple[Replica, Replica], tmp_path: Path
) -> None:
    """Kills the replica that works in each phase in turn, while the other one serves."""
    phases = itertools.cycle([Phase.BUILDING, Phase.ROLLING_OUT, Phase.QUEUED, Phase.PUBLISHING])
    for number, phase in zip(range(KILLS), phases, strict=False):
        wait_for(lambda: holder_of(cluster) in [one.holder for one in replicas], "a replica works")
        working, waiting = sorted(replicas, key=lambda one: one.holder != holder_of(cluster))
        project = FunctionProject(tmp_path / str(number), f"killed-{number}")
        project.manifest(
            command="sh -c 'sleep 1; python3 build.py'",
            behaviour="slow_start" if phase is Phase.ROLLING_OUT else "",
        )
        seen: list[str] = []
        with waiting.client() as client:
            made = put(client, archive_of(project), project.name, OTHER)
            _wait_for_phase(client, made, phase, seen)
            working.kill()
            done = finished(client, made)
            assert done["phase"] == "Ready", (phase, seen, done)
            assert 1 <= done["attempt"] <= 2
            kept = client.get(f"/v1/tenants/{OTHER}/functions/{project.name}/deployments").json()["deployments"]
            assert [one["number"] for one in kept] == [1]
            function = client.get(f"/v1/tenants/{OTHER}/functions/{project.name}").json()
            assert (function["digest"], function["details"]["earlier"]) == (done["artifact"], [])
            unchanged = put(client, archive_of(project), project.name, OTHER)
            assert (unchanged["number"], unchanged["phase"]) == (1, "Ready")
            assert client.delete(f"/v1/tenants/{OTHER}/functions/{project.name}").status_code in (200, 204)
        working.start()
    assert cluster.adapters.deployments.unfinished() == []


def _wait_for_phase(client: httpx2.Client, made: dict[str, t.Any], phase: Phase, seen: list[str]) -> None:
    """Wait until the deployment is in a phase or has passed it."""
    order = [one.value for one in Phase]
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        live = client.get(path_of(made)).json()
        seen.append(live["phase"])
        if order.index(live["phase"]) >= order.index(phase.value):
            return
        time.sleep(0.02)
    raise AssertionError(seen)


def test_a_deployment_outlives_a_restart_of_the_api_server(
    cluster: ServiceCluster, replicas: tuple[Replica, Replica], hosted: FunctionProject
) -> None:
    hosted.manifest(command="sh -c 'echo it begins; sleep 3; python3 build.py'")
    with replicas[0].client() as first, replicas[1].client() as second:
        made = put(first, archive_of(hosted), hosted.name, TENANT)
        wait_for(lambda: "it begins" in second.get(f"{path_of(made)}/log").text, "the build runs")
        cluster.control_plane.restart()
        wait_for(lambda: second.get("/readyz").status_code == 200, "the service is ready")
        done = finished(second, made)
        assert (done["phase"], done["number"]) == ("Ready", 1), done
        assert first.delete(f"/v1/tenants/{TENANT}/functions/{hosted.name}").status_code in (200, 204)


def test_deployments_at_once_through_both_replicas_are_all_done_once(
    replicas: tuple[Replica, Replica], tmp_path: Path
) -> None:
    projects = [FunctionProject(tmp_path / str(number), f"many-{number}") for number in range(4)]
    made: list[dict[str, t.Any]] = []

    def deploy(number: int, project: FunctionProject) -> None:
        with replicas[number % 2].client() as client:
            made.extend(put(client, archive_of(project), project.name, tenant) for tenant in (TENANT, OTHER))

    threads = [threading.Thread(target=deploy, args=item) for item in enumerate(projects)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with replicas[0].client() as client:
        done = [finished(client, one) for one in made]
        assert len(done) == 8
        assert [(one["phase"], one["number"], one["attempt"]) for one in done] == [("Ready", 1, 1)] * 8
        for one in done:
            assert client.delete(f"/v1/tenants/{one['tenant']}/functions/{one['function']}").status_code in (200, 204)
