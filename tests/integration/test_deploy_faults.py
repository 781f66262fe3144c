# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input and faults on the way to the cluster: one readable error each, the previous version still answers, and the
next run converges."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import functools
import os
import re
import shlex
import signal
import subprocess
import typing as t
from pathlib import Path

import psutil
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry import store
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.connection import ConnectionOptions

from .support.deployment import Deployment, Result
from .support.faulty_proxy import FaultyProxy
from .support.function_project import FunctionProject
from .support.servers import wait_until, write_json
from .support.spinkube import SPIN_APP_EXECUTOR

BLOB_UPLOAD = ".*/blobs/uploads/.*"
WRITES = "(?!GET|HEAD).*"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same patience with registries in a tenth of the time."""
    short = functools.partial(
        store.Timeouts, connect=1, transfer=1, commit=1, attempts=3, first_wait=0.05, total=10, longest_wait=3
    )
    monkeypatch.setattr(store, "Timeouts", short)


@pytest.fixture
def through_proxy(faulty_proxy: FaultyProxy) -> dict[str, t.Any]:
    """Options that lead to the registry through `faulty_proxy`."""
    return {"registry": f"{faulty_proxy.host}/functions"}


@dataclasses.dataclass
class Deployed:
    """A function whose first version answers; `project` holds a second one that was not deployed yet."""

    deployment: Deployment
    project: FunctionProject
    options: dict[str, t.Any]
    first: Result

    def fails(self, **options: t.Any) -> PlatformError:
        """Deploy, expect an error that says all it should, and that the first version answers."""
        with pytest.raises(PlatformError) as raised:
            self.deployment.deploy(self.project, **{**self.options, **options})
        error = raised.value
        assert error.stage and error.cause and error.next_step
        assert str(error) == f"{error.stage}: {error.cause} Next: {error.next_step}"
        assert "Traceback" not in str(error).replace(error.facts.get("output") or "\0", ""), (
            "but for what the build itself wrote"
        )
        self.first_version_answers()
        return error

    def first_version_answers(self) -> None:
        answer = self.deployment.call(self.first)
        assert (answer.status_code, answer.json()["image"]) == (200, self.first["image"])

    def converges(self, **options: t.Any) -> Result:
        """Deploy the second version; once more changes nothing."""
        result = self.deployment.deploy(self.project, **{**self.options, **options})
        assert result["changed"] is True and result["digest"] != self.first["digest"]
        assert self.deployment.call(result).json()["image"] == result["image"]
        assert self.deployment.deploy(self.project, **{**self.options, **options})["changed"] is False
        return result


@pytest.fixture
def deployed(
    deployment: Deployment, project: FunctionProject, through_proxy: dict[str, t.Any], faulty_proxy: FaultyProxy
) -> Deployed:
    """See `Deployed`; the second version has a new layer of 300 kB, and the proxy has counted nothing yet."""
    project.manifest(more='files = ["picture.bin"]')
    (project.directory / "picture.bin").write_bytes(os.urandom(1000))
    first = deployment.deploy(project, **through_proxy)
    project.write("second")
    (project.directory / "picture.bin").write_bytes(os.urandom(300_000))
    faulty_proxy.reset()
    return Deployed(deployment, project, through_proxy, first)


# ---- the registry


def test_what_is_sent_to_the_registry(deployed: Deployed, faulty_proxy: FaultyProxy) -> None:
    """Only what is missing; nothing at all where nothing changed."""
    deployed.deployment.deploy(deployed.project, **deployed.options)
    # The component, its text as a layer of the application, the picture, the image's config.
    assert faulty_proxy.count("POST", BLOB_UPLOAD) == faulty_proxy.count("PUT", BLOB_UPLOAD) == 4
    assert faulty_proxy.count("PUT", ".*/manifests/.*") == 3, "the manifest, its source record and its tag"

    faulty_proxy.reset()
    assert deployed.deployment.deploy(deployed.project, **deployed.options)["changed"] is False
    assert faulty_proxy.requests == [], "the cluster says what is deployed"
    assert deployed.deployment.deploy(deployed.project, state="pushed", **deployed.options)["changed"] is False
    assert [path.partition("/manifests/")[2][:7] for _method, path in faulty_proxy.seen(WRITES)] == ["record-"], (
        "what the cluster's key vouches for, this machine's key does not yet"
    )
    faulty_proxy.reset()
    assert deployed.deployment.deploy(deployed.project, state="pushed", **deployed.options)["changed"] is False
    assert faulty_proxy.count(WRITES) == 0

    (deployed.project.directory / "README.md").write_text("No part of the artifact, but of the source.\n")
    faulty_proxy.reset()
    assert deployed.deployment.deploy(deployed.project, state="pushed", **deployed.options)["changed"] is False
    written = [path.partition("/manifests/")[2][:7] for _method, path in faulty_proxy.seen(WRITES)]
    assert written == ["record-", "source-"], "the new tags and no blob"


@pytest.mark.usefixtures("impatient")
def test_a_registry_that_is_down(deployed: Deployed, faulty_proxy: FaultyProxy) -> None:
    faulty_proxy.refuse_connections()
    error = deployed.fails()
    assert error.stage == "registry"
    assert f"Nothing listens at the registry {faulty_proxy.host}" in error.cause
    assert f"curl -v http://{faulty_proxy.host}/v2/" in error.next_step
    faulty_proxy.accept_connections()
    deployed.converges()


@pytest.mark.usefixtures("impatient")
def test_a_registry_that_is_slow(deployed: Deployed, faulty_proxy: FaultyProxy) -> None:
    faulty_proxy.fail(path=".*/(blobs|manifests)/.*", delay=30, count=1000)
    error = deployed.fails()
    assert error.stage == "registry" and "gave no answer in time (1 s" in error.cause
    faulty_proxy.reset()
    faulty_proxy.fail(path=".*/(blobs|manifests)/.*", delay=0.2, count=1000)
    deployed.converges()


@pytest.mark.parametrize(("status", "next_step"), [(401, "docker login"), (403, "right to push")])
def test_a_registry_that_refuses(deployed: Deployed, faulty_proxy: FaultyProxy, status: int, next_step: str) -> None:
    faulty_proxy.fail(
        WRITES, status=status, headers={"WWW-Authenticate": 'Basic realm="test"'} if status == 401 else {}, count=1000
    )
    error = deployed.fails()
    assert error.stage == "registry"
    assert faulty_proxy.host in error.cause and ("wants credentials" if status == 401 else "HTTP 403") in error.cause
    assert next_step in error.next_step
    assert faulty_proxy.count("PUT") == 0
    faulty_proxy.reset()
    deployed.converges()


def test_a_connection_lost_once_in_the_middle_of_a_blob(deployed: Deployed, faulty_proxy: FaultyProxy) -> None:
    fault = faulty_proxy.fail("PUT", BLOB_UPLOAD, cut_after=100_000)
    faulty_proxy.fail("GET", ".*/manifests/.*", cut_response_after=10)
    deployed.converges()
    assert fault.count == 0


@pytest.mark.usefixtures("impatient")
def test_connections_always_lost_in_the_middle_of_a_blob(deployed: Deployed, faulty_proxy: FaultyProxy) -> None:
    faulty_proxy.fail("PUT", BLOB_UPLOAD, cut_after=100_000, count=1000)
    error = deployed.fails()
    assert error.stage == "registry"
    assert faulty_proxy.host in error.cause and "uploading blob sha256:" in error.cause
    assert "Run again: what arrived whole is not sent again." in error.next_step
    assert faulty_proxy.count("PUT", ".*/manifests/.*") == 0
    faulty_proxy.reset()
    deployed.converges()


def test_a_registry_that_limits_the_rate(deployed: Deployed, faulty_proxy: FaultyProxy) -> None:
    faulty_proxy.fail("POST", status=429, headers={"Retry-After": "3600"}, count=1000)
    error = deployed.fails()
    assert error.stage == "registry" and "429" in error.cause and "Run again after 3600 s" in error.next_step
    assert faulty_proxy.count("POST") <= 4, "no second try of any of the four uploads"
    faulty_proxy.reset()
    faulty_proxy.fail("POST", status=429, headers={"Retry-After": "1"})
    assert deployed.converges()["stages"]["registry"] >= 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("status", [500, 503])
def test_a_registry_with_errors(deployed: Deployed, faulty_proxy: FaultyProxy, status: int) -> None:
    faulty_proxy.fail("PUT", status=status, count=1000)
    error = deployed.fails()
    assert (
        error.stage == "registry"
        and f"HTTP {status} (UNAVAILABLE: made by FaultyProxy)" in error.cause
        and "run again" in error.next_step
    )
    faulty_proxy.reset()
    faulty_proxy.fail("PUT", status=status, count=2)
    deployed.converges()


# ---- the project


def _long_name(project: FunctionProject) -> None:
    project.name = "n" * 53
    project.manifest()


BAD_PROJECTS: dict[str, tuple[t.Callable[[FunctionProject], object], str, str]] = {
    "broken TOML": (
        lambda project: (project.directory / "spin.toml").write_text("[application\n"),
        r"spin\.toml:1: .*broken TOML",
        "Correct the TOML",
    ),
    "no spin.toml": (
        lambda project: (project.directory / "spin.toml").unlink(),
        r"no spin\.toml|spin\.toml.*(not|no such)",
        "spin.toml",
    ),
    "name of 53 characters": (_long_name, "53 characters", "-e name=NAME"),
    "undeclared variable": (
        lambda project: project.manifest(component_variables='variables = { token = "{{ nowhere }}" }'),
        "nowhere",
        "variables",
    ),
    "unknown key": (
        lambda project: project.manifest(more='sorce = "app.wasm"'),
        r"spin\.toml:\d+: component\.main\.sorce: unknown key",
        "source",
    ),
}


@pytest.mark.parametrize("kind", BAD_PROJECTS)
def test_bad_projects(deployed: Deployed, faulty_proxy: FaultyProxy, kind: str) -> None:
    spoil, cause, next_step = BAD_PROJECTS[kind]
    name = deployed.project.name
    spoil(deployed.project)
    error = deployed.fails()
    assert error.stage == "manifest"
    assert re.search(cause, error.cause)
    assert next_step in error.next_step
    assert faulty_proxy.requests == []
    deployed.project.name = name
    deployed.project.manifest(more='files = ["picture.bin"]')
    deployed.converges()


def test_a_value_for_a_variable_that_is_not_declared(deployed: Deployed) -> None:
    error = deployed.fails(variables={"nowhere": "1"})
    assert error.stage == "manifest" and "nowhere" in error.cause
    deployed.converges()


# ---- the build


def test_a_build_that_fails(deployed: Deployed, faulty_proxy: FaultyProxy) -> None:
    deployed.project.manifest(command="echo the reason; exit 3")
    error = deployed.fails()
    assert error.stage == "build"
    assert "`echo the reason; exit 3` failed with exit code 3. Its last lines:\nthe reason" in error.cause
    assert f"cd {deployed.project.directory}" in error.next_step
    assert (error.facts["exit_code"], error.facts["output"]) == (3, "the reason")
    assert Path(error.facts["log_file"]).read_text().splitlines()[-1] == "the reason"
    assert faulty_proxy.count(WRITES) == 0
    deployed.project.manifest()
    deployed.converges()


def test_a_build_that_hangs(deployed: Deployed, tmp_path: Path) -> None:
    process_id = tmp_path / "process"
    deployed.project.manifest(command=f"sleep 600 & echo $! > {shlex.quote(str(process_id))}; wait")
    error = deployed.fails(build_timeout=1)
    assert error.stage == "build"
    assert "did not end within 1 s and was stopped" in error.cause and "build_timeout" in error.next_step
    assert _is_gone(int(process_id.read_text())), "what the command started is stopped with it"
    deployed.project.manifest()
    deployed.converges()


def test_a_build_that_writes_nothing(deployed: Deployed) -> None:
    (deployed.project.directory / "app.wasm").unlink()
    deployed.project.manifest(command="true")
    error = deployed.fails()
    assert error.stage == "build" and "wrote no app.wasm" in error.cause and "component.main.source" in error.next_step
    deployed.project.manifest()
    deployed.converges()


def test_a_build_that_writes_no_wasm(deployed: Deployed) -> None:
    deployed.project.manifest(command="echo oops > app.wasm")
    error = deployed.fails()
    assert error.stage == "build" and "component.main.source" in error.cause
    deployed.project.manifest()
    deployed.converges()


def test_a_result_file_that_cannot_be_written(deployment: Deployment, project: FunctionProject, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "result.json"):
        with pytest.raises(PlatformError, match=f"result_file: {path}: (Is a directory|Not a directory)") as raised:
            deployment.deploy(project, result_file=str(path))
        assert raised.value.stage == "result" and "Name a file that can be written" in raised.value.next_step


# ---- a full disk


class SmallDisk:
    """A file system of 512 KiB."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def fill(self) -> None:
        with contextlib.suppress(OSError), (self.directory / "filler").open("wb", buffering=0) as stream:
            while True:
                stream.write(bytes(4096))

    def make_room(self) -> None:
        (self.directory / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,size=256m", str(self.directory)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> collections.abc.Iterator[SmallDisk]:
    directory = tmp_path / "disk"
    directory.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a small disk can be mounted by root only")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield SmallDisk(directory)
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def _fails_and_converges_with_room(deployed: Deployed, disk: SmallDisk, **options: t.Any) -> PlatformError:
    disk.fill()
    error = deployed.fails(**options)
    text = f"{error.cause} {error.next_step}"
    assert "No space left on device" in text or "is full" in text
    assert "df -h" in error.next_step
    disk.make_room()
    deployed.converges(**options)
    return error


def test_the_disk_of_the_project_is_full(
    deployment: Deployment, small_disk: SmallDisk, through_proxy: dict[str, t.Any]
) -> None:
    project = FunctionProject(small_disk.directory / "project", "function-on-a-small-disk")
    first = deployment.deploy(project, **through_proxy)
    (project.directory / "app.wasm").unlink()
    project.write("second")
    error = _fails_and_converges_with_room(Deployed(deployment, project, through_proxy, first), small_disk)
    assert error.stage == "build" and "The disk is full" in error.next_step


def test_the_disk_of_the_state_is_full(deployed: Deployed, small_disk: SmallDisk) -> None:
    error = _fails_and_converges_with_room(deployed, small_disk, state_directory=str(small_disk.directory / "state"))
    assert error.stage == "build"


def test_the_disk_of_the_cache_is_full(deployed: Deployed, small_disk: SmallDisk) -> None:
    (deployed.project.directory / "requirements.txt").write_text("# nothing\n")
    error = _fails_and_converges_with_room(deployed, small_disk, cache_directory=str(small_disk.directory / "cache"))
    assert error.stage == "build"


def test_the_disk_of_an_image_layout_is_full(deployed: Deployed, small_disk: SmallDisk) -> None:
    small_disk.fill()
    options: dict[str, t.Any] = {"registry": f"oci:{small_disk.directory / 'images'}", "state": "pushed"}
    error = deployed.fails(**options)
    assert error.stage == "registry" and "is full" in error.cause and "df -h" in error.next_step
    small_disk.make_room()
    assert [deployed.deployment.deploy(deployed.project, **options)["changed"] for _time in range(2)] == [True, False]


# ---- SIGINT at each stage


@pytest.fixture
def api_proxy(deployment: Deployment, tmp_path: Path) -> collections.abc.Iterator[FaultyProxy]:
    """A proxy in front of the API server, whose administrator everybody is who comes through it."""
    proxy = FaultyProxy(deployment.control_plane.url, tls=deployment.control_plane.administrator_tls())
    yield proxy
    proxy.stop()


@pytest.fixture
def front_proxy(deployment: Deployment) -> collections.abc.Iterator[FaultyProxy]:
    """A proxy in front of the Gateway."""
    proxy = FaultyProxy(f"http://{deployment.front}")
    yield proxy
    proxy.stop()


Reached = t.Callable[["subprocess.Popen[str]"], object]


class Holds:
    """Each method makes the deployment stay in the stage of its name, and gives how to see from outside that it is
    there."""

    def __init__(
        self, deployed: Deployed, registry: FaultyProxy, api: FaultyProxy, front: FaultyProxy, directory: Path
    ) -> None:
        self.project, self.name = deployed.project, deployed.project.name
        self.registry, self.api, self.front = registry, api, front
        self.large = directory / "large"  # read by the build, outside of the project

    def release(self) -> None:
        self.large.unlink(missing_ok=True)
        (self.project.directory / "dump.bin").unlink(missing_ok=True)
        for proxy in (self.registry, self.api, self.front):
            proxy.reset()

    def _request(self, proxy: FaultyProxy, method: str, path: str) -> Reached:
        fault = proxy.fail(method, path, delay=60)
        return lambda _process: fault.count == 0

    def source_digest(self) -> Reached:
        file = self.project.directory / "dump.bin"
        self.project.manifest()
        with file.open("wb") as stream:
            stream.truncate(3_000_000_000)  # takes no room, but time to read
        return lambda process: _has_open(process, file)

    def live_state(self) -> Reached:
        return self._request(self.api, "GET", f".*/spinapps/{self.name}")

    def build(self) -> Reached:
        self.large.touch()
        self.project.manifest(
            command=f"if test -e {shlex.quote(str(self.large))}; then sleep 600; fi; python3 build.py"
        )
        return lambda process: [
            child for child in psutil.Process(process.pid).children(recursive=True) if child.name() == "sleep"
        ]

    def artifact(self) -> Reached:
        self.large.touch()
        size = f"$(if test -e {shlex.quote(str(self.large))}; then echo 8000000000; else echo 1000; fi)"
        self.project.manifest(
            command=f"mkdir -p dist && truncate -s {size} dist/dump.bin && python3 build.py",
            more='files = ["dist/dump.bin"]',
        )
        return lambda process: _has_open(process, self.project.directory / "dist" / "dump.bin")

    def registry_upload(self) -> Reached:
        return self._request(self.registry, "PUT", BLOB_UPLOAD)

    def lock(self) -> Reached:
        return self._request(self.api, "POST", ".*/leases")

    def apply(self) -> Reached:
        return self._request(self.api, "PATCH", f".*/spinapps/{self.name}")

    def apply_route(self) -> Reached:
        return self._request(self.api, "PATCH", f".*/httproutes/{self.name}")

    def rollout(self) -> Reached:
        self.project.manifest(behaviour="slow_start")
        return lambda _process: (
            self.api.count("PATCH", f".*/httproutes/{self.name}")
            and self.api.seen()[-1][1].endswith(f"/deployments/{self.name}")
        )

    def probe(self) -> Reached:
        return self._request(self.front, "GET", "/.well-known/spin/health")

    def finish(self) -> Reached:
        """After the function answered: nothing is undone any more."""
        self.api.fail("PATCH", f".*/spinapps/{self.name}", delay=0.0)  # takes the place of the first one
        return self._request(self.api, "PATCH", f".*/spinapps/{self.name}")


STAGES = [name for name in vars(Holds) if not name.startswith("_") and name != "release"]


@pytest.mark.parametrize("stage", STAGES)
def test_interrupted(
    deployed: Deployed,
    faulty_proxy: FaultyProxy,
    api_proxy: FaultyProxy,
    front_proxy: FaultyProxy,
    tmp_path: Path,
    stage: str,
) -> None:
    cluster = {"name": "test", "cluster": {"server": api_proxy.url}}
    context = {"name": "test", "context": {"cluster": "test", "user": "test"}}
    kubeconfig = {
        "clusters": [cluster],
        "contexts": [context],
        "users": [{"name": "test", "user": {}}],
        "current-context": "test",
    }
    path = write_json(tmp_path / "proxy.kubeconfig", {"apiVersion": "v1", "kind": "Config", **kubeconfig})
    holds = Holds(deployed, faulty_proxy, api_proxy, front_proxy, tmp_path)
    reached: Reached = getattr(holds, stage)()
    options = {**deployed.options, "kubeconfig": str(path), "probe_address": front_proxy.host}

    process = deployed.deployment.start(deployed.project, **options)
    try:
        wait_until(
            lambda: process.poll() is not None or reached(process),
            seconds=120,
            what=f"the deployment is at {stage}",
            interval=0.01,
        )
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert process.returncode != 0 and not output and "KeyboardInterrupt" in errors, output
    assert all(_is_gone(child.pid) for child in children)
    if stage == "finish":
        assert deployed.deployment.call(deployed.first).status_code == 200
    else:
        deployed.first_version_answers()

    holds.release()
    deployed.converges(kubeconfig=str(path), probe_address=front_proxy.host)


def _has_open(process: subprocess.Popen[str], file: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(opened.path == str(file) for opened in psutil.Process(process.pid).open_files())
    return False


def _is_gone(process_id: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE)
    return True


def test_an_answer_of_the_api_server_that_is_cut_is_asked_for_again(api_proxy: FaultyProxy) -> None:
    """As when it is restarted in the middle of an answer."""
    api = KubernetesApi(ConnectionOptions(host=api_proxy.url, api_key="unused"))
    api_proxy.fail("GET", ".*/spinappexecutors.*", cut_response_after=10, count=2)
    assert [item["metadata"]["name"] for item in api.list(SPIN_APP_EXECUTOR, "default")] == ["containerd-shim-spin"]
    assert api_proxy.count("GET", ".*/spinappexecutors.*") == 3
