# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds as Jobs at a real API server with its Job controller: hostile ones too. A played kubelet runs the pods as
processes."""

from __future__ import annotations

import collections.abc
import contextlib
import http.client
import io
import itertools
import json
import tarfile
import threading
import typing as t
from pathlib import Path

import httpx2
import pytest
import uvicorn
from ansible_collections.wasmfaas.platform.plugins.module_utils import progress
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.builder import Builder
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function import run
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.distribution import DistributionStore
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.reference import DistributionLocation
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.connection import ConnectionOptions
from ansible_collections.wasmfaas.platform.service.api.problems import HANDLERS
from ansible_collections.wasmfaas.platform.service.builds import dependency_caches
from ansible_collections.wasmfaas.platform.service.builds.builder import MOST_PROCESSES
from ansible_collections.wasmfaas.platform.service.builds.dependency_caches import DependencyCaches
from ansible_collections.wasmfaas.platform.service.builds.endpoint import BuildEndpoint
from ansible_collections.wasmfaas.platform.service.builds.job import USER, build_path, job, job_name
from ansible_collections.wasmfaas.platform.service.builds.job_builder import JobBuilder
from ansible_collections.wasmfaas.platform.service.cluster.settings import BuildSettings
from ansible_collections.wasmfaas.platform.service.deployments.model import Deployment, Settings, now
from ansible_collections.wasmfaas.platform.service.parameters import validated
from ansible_collections.wasmfaas.platform.service.registry_files import RegistryFiles
from ansible_collections.wasmfaas.platform.service.sources.store import FileSourceStore
from lightkube import ApiError
from lightkube.codecs import from_dict
from lightkube.models.core_v1 import ResourceQuotaStatus
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import ResourceQuota, Secret
from lightkube.types import CascadeType
from starlette.applications import Starlette

from ..extent import only_in_full
from .support import contained_kubelet
from .support.control_plane import ControlPlane
from .support.function_project import FunctionProject, component
from .support.played_kubelet import PlayedKubelet
from .support.registries import Registry
from .support.servers import free_port, wait_until
from .support.spinkube import SpinkubeStandIn

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/functions"
NAMESPACE = "wasmfaas-builds"
SECONDS = 120.0
RIGHTS = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "create", "delete"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "delete"]},
    {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list"]},
]
"""All that the service needs in the namespace of builds."""

_numbers = itertools.count(1)


class Lines:
    """What was told, as the log of a deployment has it."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def stage(self, _name: str) -> None:
        pass

    def line(self, text: str) -> None:
        self.all.append(text)


class Place:
    """A replica of the service with a namespace for its builds."""

    def __init__(self, control_plane: ControlPlane, kubelet: PlayedKubelet, directory: Path) -> None:
        self.control_plane, self.kubelet, self.directory = control_plane, kubelet, directory
        self.client: t.Any = control_plane.client()
        kubeconfig = control_plane.kubeconfig_for("function-service", namespace=NAMESPACE, rules=RIGHTS)
        self.api = KubernetesApi(ConnectionOptions(kubeconfig=str(kubeconfig)))
        self.sources = FileSourceStore(directory / "sources")
        self.exchanges = directory / "builds"
        self.port = free_port()
        self.waited: list[str] = []
        self.is_cancelled = threading.Event()
        application = Starlette(routes=BuildEndpoint(self.exchanges).routes(), exception_handlers=HANDLERS)
        config = uvicorn.Config(application, host="127.0.0.1", port=self.port, log_config=None)
        self.server = uvicorn.Server(config)
        threading.Thread(target=self.server.run, name="endpoint", daemon=True).start()

    def settings(self, **more: t.Any) -> BuildSettings:
        given = {"deadline_seconds": 90, "images": {"python": "registry.invalid/wasmfaas/builder-python:1"}, **more}
        return BuildSettings(namespace=NAMESPACE, service_url=f"http://127.0.0.1:{self.port}", **given)

    def deployment(self, archive: bytes) -> Deployment:
        with self.sources.upload("user1") as upload:
            upload.write(archive)
            source, _new = self.sources.keep("user1", upload)
        return Deployment(
            number=next(_numbers),
            tenant="user1",
            function="hello",
            source=source.source,
            settings=Settings(),
            settings_digest="",
            requested_by="test",
            created=now(),
        )

    def builder(self, deployment: Deployment, caches: DependencyCaches | None = None, **settings: t.Any) -> JobBuilder:
        work_directory = self.directory / f"work-{next(_numbers)}"
        work_directory.mkdir()
        return JobBuilder(
            self.api,
            self.settings(**settings),
            deployment,
            exchanges=self.exchanges,
            source=self.sources.archive("user1", deployment.source),
            work_directory=work_directory,
            waits=self.waited.append,
            is_cancelled=self.is_cancelled.is_set,
            caches=caches,
        )

    def push(self, deployment: Deployment, builder: Builder | None) -> dict[str, t.Any]:
        """Do all steps but the last ones; gives what the module returns."""
        directory = self.directory / f"run-{next(_numbers)}"
        self.sources.unpack("user1", deployment.source, directory / "source")
        parameters = {
            "source": str(directory / "source"),
            "source_root": str(directory / "source"),
            "name": "hello",
            "namespace": "user1",
            "state": "pushed",
            "registry": f"oci:{directory / 'registry'}",
            "state_directory": str(directory / "state"),
            "cache_directory": str(self.directory / "cache"),
        }
        return run(validated(parameters), False, set(), builder=builder)

    def failure(self, archive: bytes, **settings: t.Any) -> PlatformError:
        """Why the build of a source fails; nothing of it may be left."""
        deployment = self.deployment(archive)
        with pytest.raises(PlatformError) as caught:
            self.push(deployment, self.builder(deployment, **settings))
        self.nothing_is_left(deployment)
        return caught.value

    def nothing_is_left(self, deployment: Deployment) -> None:
        name = job_name(deployment)
        wait_until(lambda: self.job(deployment) is None, seconds=SECONDS, what=f"the Job {name} stays")
        wait_until(lambda: not self.kubelet.pods(), seconds=SECONDS, what="a pod stays")
        assert list(self.exchanges.iterdir()) == []

    def job(self, deployment: Deployment) -> dict[str, t.Any] | None:
        try:
            found: dict[str, t.Any] = self.client.get(Job, job_name(deployment), namespace=NAMESPACE).to_dict()
        except ApiError:
            return None
        return found

    def delete(self, name: str) -> None:
        """Delete a Job with its pods, which the API does not do by itself."""
        self.client.delete(Job, name, namespace=NAMESPACE, cascade=CascadeType.BACKGROUND)

    def in_background(self, deployment: Deployment, **settings: t.Any) -> tuple[threading.Thread, list[t.Any]]:
        results: list[t.Any] = []

        def work() -> None:
            try:
                results.append(self.push(deployment, self.builder(deployment, **settings)))
            except PlatformError as error:
                results.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread, results


@pytest.fixture(scope="module")
def place(
    control_plane: ControlPlane, spinkube_stand_in: SpinkubeStandIn, tmp_path_factory: pytest.TempPathFactory
) -> collections.abc.Iterator[Place]:
    assert spinkube_stand_in.server.process.poll() is None  # a cluster has it beside the builds
    control_plane.create_namespace(NAMESPACE)
    control_plane.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        }
    )
    directory = tmp_path_factory.mktemp("builds")
    with PlayedKubelet(control_plane, NAMESPACE, directory / "pods") as kubelet:
        made = Place(control_plane, kubelet, directory)
        yield made
        made.server.should_exit = True
    control_plane.delete_namespace(NAMESPACE)


@pytest.fixture
def contained(place: Place, tmp_path: Path) -> collections.abc.Iterator[Place]:
    """The same with real containers."""
    played = place.kubelet
    played.hold.set()
    with contained_kubelet.ContainedKubelet(place.control_plane, NAMESPACE, tmp_path / "pods") as place.kubelet:
        yield place
    place.kubelet = played


@pytest.fixture(autouse=True)
def fresh(place: Place) -> collections.abc.Iterator[None]:
    """Each test has a namespace without Jobs, and a kubelet that starts pods."""
    place.waited.clear()
    place.is_cancelled.clear()
    place.kubelet.hold.clear()
    place.kubelet.keep_running.clear()
    yield
    for found in place.client.list(Job, namespace=NAMESPACE):
        place.delete(found.metadata.name)
    wait_until(lambda: not place.kubelet.pods(), seconds=SECONDS, what="pods stay")


@pytest.fixture
def lines() -> collections.abc.Iterator[list[str]]:
    told = Lines()
    with progress.listening(told):
        yield told.all


def archive(directory: Path) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        tar.add(directory, ".")
    return stream.getvalue()


@pytest.fixture
def project(tmp_path: Path) -> FunctionProject:
    """One whose source no other test has."""
    made = FunctionProject(tmp_path / "hello", "hello")
    made.write(f"n{next(_numbers)}")
    return made


def built_by(project: FunctionProject, commands: str) -> bytes:
    """A project with a build in shell."""
    (project.directory / "build.sh").write_text(commands)
    project.manifest(command="sh build.sh")
    return archive(project.directory)


def test_a_build_in_a_job_makes_the_same_artifact_as_one_on_this_machine(
    place: Place, project: FunctionProject, lines: list[str]
) -> None:
    deployment = place.deployment(archive(project.directory))
    here = place.push(deployment, None)
    there = place.push(deployment, place.builder(deployment))
    assert {key: there[key] for key in ("digest", "source_digest")} == {
        key: here[key] for key in ("digest", "source_digest")
    }
    assert lines.count("$ python3 build.py") == 2
    finished = wait_until(
        lambda: ((place.job(deployment) or {}).get("status") or {}).get("succeeded"), seconds=SECONDS, what="no end"
    )
    assert finished == 1
    assert list(place.exchanges.iterdir()) == []


def test_files_lock_files_and_deletions_come_back(place: Place, project: FunctionProject) -> None:
    (project.directory / "assets").mkdir()
    (project.directory / "assets" / "old.txt").write_text("old")
    (project.directory / "build.sh").write_text(
        "python3 build.py && rm assets/old.txt && echo new > assets/new.txt && echo '{}' > package-lock.json"
        " && echo x > other.txt && mkdir -p made && echo y > made/file.txt"
    )
    project.manifest(command="sh build.sh", more='files = ["assets/*", "made/*"]')
    deployment = place.deployment(archive(project.directory))
    here = place.push(deployment, None)
    there = place.push(deployment, place.builder(deployment))
    assert (there["digest"], there["source_digest"]) == (here["digest"], here["source_digest"])


def test_dependencies_of_a_build_are_there_for_the_next_one_with_the_same_lock_file(
    place: Place, project: FunctionProject, registry: Registry, lines: list[str]
) -> None:
    location = DistributionLocation(registry.host, "caches/user1")
    store = DistributionStore(location, credentials_for=lambda _repository: None, plain_http=True)
    caches = DependencyCaches(
        RegistryFiles(lambda _tenant: store, dependency_caches.REPOSITORY, dependency_caches.KIND)
    )
    download = "cd ~/.npm/_cacache && cat package || (mkdir -p ~/.npm/_cacache && echo got > ~/.npm/_cacache/package)"
    (project.directory / "package-lock.json").write_text("{}")
    with contextlib.closing(store):
        for more in ("", "true; "):
            deployment = place.deployment(built_by(project, f"{more}({download})\npython3 build.py"))
            assert place.push(deployment, place.builder(deployment, caches))["digest"]
    assert lines.count("got") == 1  # in the second build alone
    assert list(place.exchanges.iterdir()) == []


@only_in_full("test_a_build_in_a_job_makes_the_same_artifact_as_one_on_this_machine")
def test_a_build_of_python_fetches_its_packages(place: Place, lines: list[str]) -> None:
    """Two builds by componentize-py 0.17.2 gave other bytes, so no digest is compared."""
    deployment = place.deployment(archive(EXAMPLES / "hello-python"))
    assert place.push(deployment, place.builder(deployment, deadline_seconds=900))["digest"]
    assert any("componentize-py" in line for line in lines)


def test_what_needs_no_build_makes_no_job(place: Place, project: FunctionProject) -> None:
    (project.directory / "app.wasm").write_bytes(component())
    manifest = project.directory / "spin.toml"
    manifest.write_text(manifest.read_text().partition("[component.main.build]")[0])
    deployment = place.deployment(archive(project.directory))
    assert place.push(deployment, place.builder(deployment))["digest"]
    assert place.job(deployment) is None


def test_the_pod_has_no_credential_but_the_bearer_of_its_build(place: Place, project: FunctionProject) -> None:
    deployment = place.deployment(archive(project.directory))
    place.push(deployment, place.builder(deployment))
    spec = place.kubelet.started[-1]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert [volume["name"] for volume in spec["volumes"]] == ["bearer", "work", "temporary"]
    assert "imagePullSecrets" not in spec
    (container,) = spec["containers"]
    assert container["resources"]["requests"] == container["resources"]["limits"]
    secret = place.client.get(Secret, job_name(deployment), namespace=NAMESPACE)
    assert [owner.kind for owner in secret.metadata.ownerReferences] == ["Job"]


def test_pod_security_refuses_a_weaker_pod_than_ours(place: Place, project: FunctionProject) -> None:
    """So the namespace of these tests does judge."""
    weaker = job(place.deployment(archive(project.directory)), "example.com/image", place.settings())
    pod = weaker["spec"]["template"]
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    pod["metadata"] |= {"name": "weaker", "namespace": NAMESPACE}
    with pytest.raises(ApiError, match="restricted"):
        place.client.create(from_dict({"apiVersion": "v1", "kind": "Pod", **pod}))


def test_options_of_the_nodes_are_taken_by_the_api_server(place: Place, project: FunctionProject) -> None:
    settings = place.settings(
        host_users=False,
        runtime_class="gvisor",
        priority_class="builds",
        node_selector={"wasmfaas.dev/group": "worker-build"},
        tolerations=[{"key": "wasmfaas.dev/build", "operator": "Exists", "effect": "NoSchedule"}],
        image_pull_secret="pull",
    )
    made = job(place.deployment(archive(project.directory)), "example.com/image", settings)
    spec = place.client.create(from_dict(made), dry_run=True).to_dict()["spec"]["template"]["spec"]
    assert (spec["hostUsers"], spec["runtimeClassName"], spec["priorityClassName"]) == (False, "gvisor", "builds")
    assert spec["imagePullSecrets"] == [{"name": "pull"}]


def test_a_build_that_fails_says_why(place: Place, project: FunctionProject, lines: list[str]) -> None:
    error = place.failure(built_by(project, "echo here it comes; grep processes /proc/self/limits; exit 3"))
    assert "`sh build.sh` failed with exit code 3" in error.cause
    assert "/project" not in error.cause + error.next_step
    assert error.facts["exit_code"] == 3
    assert "here it comes" in lines
    assert any(line.split()[:4] == ["Max", "processes", str(MOST_PROCESSES), str(MOST_PROCESSES)] for line in lines)


def test_a_build_that_hangs_is_stopped_at_the_deadline_of_its_pod(place: Place, project: FunctionProject) -> None:
    error = place.failure(built_by(project, "sleep 600"), deadline_seconds=5)
    assert "did not end within 5 s" in error.cause


def test_a_build_that_prints_for_ever_is_slowed_down_and_then_left_unheard(
    place: Place, project: FunctionProject, lines: list[str]
) -> None:
    error = place.failure(built_by(project, 'yes "$(head -c 1000 /dev/zero | tr "\\0" x)" | head -c 30000000; exit 4'))
    assert error.facts["exit_code"] == 4
    assert sum(map(len, lines)) < 16 << 20


def forged(result: t.Callable[[tarfile.TarFile], None]) -> str:
    """Shell that hands over a result of its own, as a build can that reads its bearer."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        result(tar)
    (code,) = [
        f"""
import os, time, urllib.request
content = bytes.fromhex({stream.getvalue().hex()!r})
bearer = open(os.environ["WASMFAAS_BUILD_BEARER_FILE"]).read()
url = os.environ["WASMFAAS_BUILD_URL"] + "/result"
urllib.request.urlopen(urllib.request.Request(
    url, content, {{"Authorization": "Bearer " + bearer}}, method="PUT"))
time.sleep(600)
"""
    ]
    return f"exec python3 - <<'END'\n{code}\nEND\n"


def _file(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size = len(content)
    tar.addfile(about, io.BytesIO(content))


def _about(tar: tarfile.TarFile) -> None:
    _file(tar, "result.json", json.dumps({"warnings": [], "removed": [], "guest_files": ""}).encode())


def _link(tar: tarfile.TarFile) -> None:
    about = tarfile.TarInfo("project/app.wasm")
    about.type, about.linkname = tarfile.SYMTYPE, "/etc/passwd"
    tar.addfile(about)


def test_a_forged_result_is_refused(place: Place, project: FunctionProject) -> None:
    """Other forgeries: tests/unit/service/builds/test_result.py."""

    def result(tar: tarfile.TarFile) -> None:
        _about(tar)
        _link(tar)

    error = place.failure(built_by(project, forged(result)))
    assert "What the build handed back is not taken" in error.cause
    assert "link" in error.cause


def test_the_endpoint_takes_no_bearer_but_that_of_the_build_and_none_after_it(
    place: Place, project: FunctionProject
) -> None:
    deployment = place.deployment(built_by(project, "sleep 600"))
    thread, results = place.in_background(deployment)
    wait_until(place.kubelet.pods, seconds=SECONDS, what="no pod")
    other = place.deployment(archive(project.directory))
    url = f"http://127.0.0.1:{place.port}"

    def status(bearer: str, of: Deployment, **more: t.Any) -> int:
        headers = {"Authorization": f"Bearer {bearer}"}
        return httpx2.get(f"{url}{build_path(of)}/source", headers=headers, **more).status_code

    wait_until(lambda: status("wrong", deployment) == 401, seconds=SECONDS, what="the exchange does not open")
    bearer = place.builder(deployment)._bearer()
    assert status(bearer, deployment) == 200
    assert status(bearer, other) == 404
    log = f"{url}{build_path(deployment)}/log"
    headers = {"Authorization": f"Bearer {bearer}", "Batch": "900"}
    assert httpx2.post(log, headers=headers, content=b"x" * (300 << 10)).status_code == 413
    assert _sent_too_much(place, f"{build_path(deployment)}/result", bearer) == 413
    place.delete(job_name(deployment))
    thread.join(SECONDS)
    assert "was deleted" in results[0].cause
    assert status(bearer, deployment) == 404


def _sent_too_much(place: Place, path: str, bearer: str) -> int:
    """The status for a body that says to be 1 GiB, of which nothing is sent."""
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=SECONDS)
    with contextlib.closing(connection):
        connection.putrequest("PUT", path)
        connection.putheader("Authorization", f"Bearer {bearer}")
        connection.putheader("Content-Length", str(1 << 30))
        connection.endheaders()
        return connection.getresponse().status


def test_a_machine_that_goes_away_is_tried_again_twice(place: Place, project: FunctionProject, tmp_path: Path) -> None:
    go = tmp_path / "go"
    deployment = place.deployment(
        built_by(project, f"echo begun; while ! [ -e {go} ]; do sleep 0.1; done; python3 build.py")
    )
    thread, results = place.in_background(deployment)
    seen: set[str] = set()
    for _time in range(2):
        name = wait_until(lambda: _running(place, seen), seconds=SECONDS, what="no pod runs")
        seen.add(name)
        place.kubelet.disrupt(name)
    wait_until(lambda: _running(place, seen), seconds=SECONDS, what="no third pod")
    go.touch()
    thread.join(SECONDS)
    assert results and isinstance(results[0], dict), results


@only_in_full("test_a_pod_that_its_machine_took_along_is_no_failure_until_the_third of the unit tests")
def test_a_machine_that_goes_away_a_third_time_ends_the_build(place: Place, project: FunctionProject) -> None:
    deployment = place.deployment(built_by(project, "sleep 600"))
    thread, results = place.in_background(deployment)
    seen: set[str] = set()
    for _time in range(3):
        name = wait_until(lambda: _running(place, seen), seconds=SECONDS, what="no pod runs")
        seen.add(name)
        place.kubelet.disrupt(name)
    thread.join(SECONDS)
    assert "begun 3 times" in results[0].cause
    place.nothing_is_left(deployment)


def _running(place: Place, but: set[str]) -> str:
    for pod in place.kubelet.pods():
        if pod["metadata"]["name"] not in but and (pod.get("status") or {}).get("phase") == "Running":
            return str(pod["metadata"]["name"])
    return ""


def test_waiting_for_a_machine_is_told_and_ends(place: Place, project: FunctionProject, lines: list[str]) -> None:
    place.kubelet.hold.set()
    deployment = place.deployment(archive(project.directory))
    thread, results = place.in_background(deployment)
    (pod,) = wait_until(place.kubelet.pods, seconds=SECONDS, what="no pod")
    message = "0/3 nodes are available: 3 Insufficient cpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    place.kubelet.set_status(pod["metadata"]["name"], conditions=[condition])
    # It may have been looked at before it had this condition.
    wanted = [f"waiting for a machine: {message}"]
    wait_until(lambda: place.waited[-1:] == wanted, seconds=SECONDS, what="the reason is not told")
    place.kubelet.hold.clear()
    thread.join(SECONDS)
    assert isinstance(results[0], dict), results
    assert place.waited[-1] == ""
    assert f"waiting for a machine: {message}" in lines


@contextlib.contextmanager
def quota(place: Place, **hard: str) -> collections.abc.Iterator[None]:
    """A ResourceQuota that leaves no room; inside of the context it counts."""
    metadata = {"name": "builds", "namespace": NAMESPACE}
    made = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}
    place.control_plane.apply(made)
    wait_until(
        lambda: (place.client.get(ResourceQuota, "builds", namespace=NAMESPACE).status or ResourceQuotaStatus()).hard,
        seconds=SECONDS,
        what="the quota does not count",
    )
    try:
        yield
    finally:
        place.client.delete(ResourceQuota, "builds", namespace=NAMESPACE)


def test_a_full_quota_of_builds_is_waited_for(place: Place, project: FunctionProject) -> None:
    deployment = place.deployment(archive(project.directory))
    with quota(place, **{"limits.memory": "1Mi"}):
        thread, results = place.in_background(deployment)
        wait_until(lambda: "waiting for other builds to end" in place.waited, seconds=SECONDS, what="nothing is told")
    thread.join(SECONDS)
    assert isinstance(results[0], dict), results


def test_a_full_quota_of_jobs_is_told(place: Place, project: FunctionProject) -> None:
    with quota(place, **{"count/jobs.batch": "0"}):
        error = place.failure(archive(project.directory))
    assert "exceeded quota" in error.cause
    assert "whoever runs the service" in error.next_step


def test_a_worker_that_takes_over_waits_for_the_build_at_work(
    place: Place, project: FunctionProject, tmp_path: Path, lines: list[str]
) -> None:
    go = tmp_path / "go"
    deployment = place.deployment(
        built_by(project, f"echo begun; while ! [ -e {go} ]; do sleep 0.1; done; python3 build.py; echo done")
    )
    before = len(place.kubelet.started)

    class Killed(BaseException):
        pass

    killed = place.builder(deployment)

    def until_it_runs(*, is_new: bool) -> t.NoReturn:
        assert is_new
        wait_until(lambda: "begun" in lines, seconds=SECONDS, what="the build does not begin")
        raise Killed

    killed._wait = until_it_runs  # type: ignore[method-assign]  # a worker that is killed there
    with pytest.raises(Killed):
        place.push(deployment, killed)
    thread, results = place.in_background(deployment)
    wait_until(lambda: "The build that was begun before goes on." in lines, seconds=SECONDS, what="made anew")
    go.touch()
    thread.join(SECONDS)
    assert isinstance(results[0], dict), results
    assert len(place.kubelet.started) == before + 1
    assert "done" in lines


def test_a_result_that_went_to_a_worker_that_was_killed_is_built_again(
    place: Place, project: FunctionProject, tmp_path: Path, lines: list[str]
) -> None:
    """The next worker finds the Job at work, whose build has handed its result over already."""
    deployment = place.deployment(archive(project.directory))
    place.kubelet.keep_running.set()

    class Killed(BaseException):
        pass

    killed = place.builder(deployment)

    def until_it_hands_over(*, is_new: bool) -> t.NoReturn:
        assert is_new
        wait_until(killed._exchange.result.exists, seconds=SECONDS, what="no result")
        raise Killed

    killed._wait = until_it_hands_over  # type: ignore[method-assign]  # a worker that is killed there
    with pytest.raises(Killed):
        place.push(deployment, killed)
    thread, results = place.in_background(deployment)
    wait_until(lambda: "The build that was begun before goes on." in lines, seconds=SECONDS, what="made anew")
    place.kubelet.keep_running.clear()
    thread.join(SECONDS)
    assert isinstance(results[0], dict), results
    assert any("built again" in line for line in lines)


def test_a_cancelled_build_leaves_nothing(place: Place, project: FunctionProject, lines: list[str]) -> None:
    deployment = place.deployment(built_by(project, "echo begun; sleep 600"))
    builder = place.builder(deployment)

    def cancelled(*, is_new: bool) -> t.NoReturn:
        assert is_new
        wait_until(lambda: "begun" in lines, seconds=SECONDS, what="the build does not begin")
        place.is_cancelled.set()
        raise KeyboardInterrupt

    builder._wait = cancelled  # type: ignore[method-assign]  # a worker that is told to end there
    with pytest.raises(KeyboardInterrupt):
        place.push(deployment, builder)
    place.nothing_is_left(deployment)


def test_a_job_that_ended_without_a_word_is_built_anew_by_the_next_worker(
    place: Place, project: FunctionProject
) -> None:
    """The worker was killed between the result's coming and its use."""
    deployment = place.deployment(archive(project.directory))
    place.push(deployment, place.builder(deployment))
    wait_until(
        lambda: ((place.job(deployment) or {}).get("status") or {}).get("succeeded"), seconds=SECONDS, what="no end"
    )
    first = (place.job(deployment) or {})["metadata"]["uid"]
    assert place.push(deployment, place.builder(deployment))["digest"]
    assert (place.job(deployment) or {})["metadata"]["uid"] != first


def test_what_a_kubelet_says_of_a_pod_becomes_the_cause(place: Place, project: FunctionProject) -> None:
    deployment = place.deployment(built_by(project, "sleep 600"))
    thread, results = place.in_background(deployment)
    name = wait_until(lambda: _running(place, set()), seconds=SECONDS, what="no pod runs")
    place.kubelet.fail(name, reason="Evicted", message="Usage of EmptyDir volume exceeds the limit.")
    thread.join(SECONDS)
    assert "exceeds the limit" in results[0].cause
    assert "8Gi" in results[0].next_step
    place.nothing_is_left(deployment)


in_containers = pytest.mark.skipif(bool(contained_kubelet.why_not()), reason=contained_kubelet.why_not())


@in_containers
def test_a_build_works_in_a_container_without_rights(
    contained: Place, project: FunctionProject, lines: list[str]
) -> None:
    commands = (
        "id -u; ! touch /usr/x; ! touch $WASMFAAS_BUILD_BEARER_FILE; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status;"
        " touch /tmp/x; python3 build.py"
    )
    deployment = contained.deployment(built_by(project, commands))
    there = contained.push(deployment, contained.builder(deployment))
    assert there["digest"]
    assert str(USER) in lines
    assert [line.split() for line in lines if line.startswith(("CapEff", "NoNew"))] == [
        ["CapEff:", "0000000000000000"], ["NoNewPrivs:", "1"],
    ]  # fmt: skip
    assert [line.partition("touch '")[2].partition("'")[0] for line in lines if line.startswith("touch: ")] == [
        "/usr/x", "/var/run/wasmfaas/bearer",
    ]  # fmt: skip


@in_containers
def test_builds_that_fork_or_take_memory_without_end_are_stopped(contained: Place, project: FunctionProject) -> None:
    fork = contained.failure(built_by(project, "while sleep 300 & do :; done"))
    assert "ork" in fork.cause and fork.facts["exit_code"] == 2
    memory = contained.failure(built_by(project, "python3 -c 'len(b\"x\" * (1 << 30))'"), memory="200Mi")
    assert "more memory" in memory.cause
