# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs WASI programs on a real Kubernetes API server with its controllers, from a real registry; their node is
played."""

from __future__ import annotations

import collections.abc
import itertools
import json
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function import spin_function
from ansible_collections.wasmfaas.platform.plugins.module_utils.program import wasi_program_info, wasi_program_logs
from ansible_collections.wasmfaas.platform.plugins.module_utils.program.kinds import BY_NAME
from ansible_collections.wasmfaas.platform.plugins.module_utils.program.wasi_program import run
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import JOB, LEASE, SERVICE, SPIN_APP
from ansible_collections.wasmfaas.platform.plugins.modules.spin_function import argument_spec as function_arguments
from ansible_collections.wasmfaas.platform.plugins.modules.wasi_program import argument_spec

from .support.control_plane import ControlPlane
from .support.examples import built_echo_wasi, copy_of_echo_wasi
from .support.function_project import FunctionProject, component
from .support.marks import needs_skopeo
from .support.playbooks import Playbooks, extra
from .support.program_node import BROKEN_IMAGE, EXIT_CODE, ProgramNode
from .support.registries import Registry, skopeo
from .support.servers import REPOSITORY

NAMESPACE = "user1"
RUN = "wasi:cli/run@0.2.0"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def node(control_plane: ControlPlane) -> collections.abc.Iterator[ProgramNode]:
    made = ProgramNode(control_plane)
    yield made
    made.stop()


class Programs:
    """Deploys programs as the module does, each test's under a name of its own."""

    def __init__(self, control_plane: ControlPlane, node: ProgramNode, registry: Registry, home: Path) -> None:
        self.name = f"program-{next(_numbers)}"
        self.file = home / "app.wasm"
        self.registry = registry
        self._given: dict[str, t.Any] = {
            "name": self.name,
            "namespace": NAMESPACE,
            "registry": f"{registry.host}/programs",
            "registry_plain_http": True,
            "domain": None,
            "probe_address": node.address,
            "kubeconfig": str(control_plane.kubeconfig),
            "state_directory": str(home / "state"),
            "wait_timeout": 60,
        }

    def parameters(self, **options: t.Any) -> dict[str, t.Any]:
        defaults = {name: option.get("default") for name, option in argument_spec().items()}
        return {**defaults, **self._given, "source": str(self.file), **options}

    def command(self, more: bytes = b"") -> None:
        """Make the program a command; `more` (below 120 bytes) makes it another one."""
        self.file.write_bytes(component(RUN) + b"\0" + bytes([len(more) + 2]) + b"\x01x" + more)

    def server(self, more: bytes = b"") -> None:
        self.file.write_bytes(component() + b"\0" + bytes([len(more) + 2]) + b"\x01x" + more)

    def deploy(self, *, check_mode: bool = False, **options: t.Any) -> dict[str, t.Any]:
        return run(self.parameters(**options), check_mode, set())

    def serve(self, *, check_mode: bool = False, **options: t.Any) -> dict[str, t.Any]:
        return self.deploy(check_mode=check_mode, domain="127.0.0.1.nip.io", **options)

    def delete(self, *, check_mode: bool = False) -> dict[str, t.Any]:
        return run(self.parameters(state="absent", source=None), check_mode, set())

    def listed(self) -> dict[str, t.Any]:
        parameters = {**self.parameters(), "name": self.name}
        return wasi_program_info.run(parameters, False, set())


@pytest.fixture
def programs(
    control_plane: ControlPlane, node: ProgramNode, registry: Registry, tmp_path: Path
) -> collections.abc.Iterator[Programs]:
    made = Programs(control_plane, node, registry, tmp_path)
    yield made
    made.delete()


def versions(api: KubernetesApi, name: str) -> dict[str, tuple[str, int]]:
    """Identity and generation of each object of the program: a status that a controller writes changes neither."""
    return {
        kind.kind: (found["metadata"]["uid"], found["metadata"].get("generation", 0))
        for kind in (*BY_NAME.values(), LEASE)
        if (found := api.get(kind, NAMESPACE, name)) is not None
    }


def test_a_command_runs_once_and_a_second_run_changes_nothing(programs: Programs, api: KubernetesApi) -> None:
    programs.command()
    options: dict[str, t.Any] = {"args": ["--to", "$(X)"], "env": {"TARGET": "world"}}
    planned = programs.deploy(check_mode=True, **options)
    assert planned["changed"] is True and planned["diff"]["after"]["Job"]["spec"]["backoffLimit"] == 2
    assert versions(api, programs.name) == {}

    first = programs.deploy(**options)
    assert (first["changed"], first["url"], first["summary"].split()[0]) == (True, "", "ran")
    assert first["details"]["status"] == "succeeded" and first["details"]["workload"] == "Job"
    assert first["image"] == f"{programs.registry.host}/programs/{programs.name}@{first['digest']}"
    before = versions(api, programs.name)
    assert set(before) == {"Job"}

    for check_mode in (True, False):
        second = programs.deploy(check_mode=check_mode, **options)
        assert second["changed"] is False and "registry" not in second["stages"]
        assert second["diff"] == {"before": {}, "after": {}}
    assert versions(api, programs.name) == before

    third = programs.deploy(args=["--to", "moon"], env={"TARGET": "world"})
    assert third["changed"] is True and third["digest"] == first["digest"]
    assert third["diff"]["after"]["Job"]["spec"]["template"]["spec"]["containers"][0]["args"] == ["--to", "moon"]
    assert versions(api, programs.name)["Job"][0] != before["Job"][0]

    programs.command(b"another")
    assert programs.deploy(args=["--to", "moon"])["digest"] != first["digest"]


def test_a_command_that_fails_is_told_with_its_exit_code_and_run_again(programs: Programs, api: KubernetesApi) -> None:
    programs.command()
    with pytest.raises(PlatformError, match="ended with exit code 3") as caught:
        programs.deploy(env={EXIT_CODE: 3})
    assert caught.value.stage == "run" and caught.value.facts["exit_code"] == 3
    assert "program_logs -e name=" in caught.value.next_step
    job = api.get(JOB, NAMESPACE, programs.name)
    assert job is not None, "its log can still be read"
    assert job["status"]["failed"] == 1, "a program that failed by itself is not tried again"
    assert programs.listed()["programs"][0]["status"] == "failed"

    planned = programs.deploy(check_mode=True, env={EXIT_CODE: 3})
    assert planned["changed"] is True and planned["diff"]["after"]["Job"]["state"] == "run again"
    assert programs.deploy()["details"]["status"] == "succeeded"


def test_a_command_that_cannot_start_leaves_nothing(programs: Programs, api: KubernetesApi) -> None:
    programs.command()
    with pytest.raises(PlatformError, match=r"cannot pull the image .*nothing of it was left on the cluster"):
        programs.deploy(env={BROKEN_IMAGE: "yes"})
    assert versions(api, programs.name) == {}


def test_a_server_answers_at_its_url_and_a_second_run_changes_nothing(programs: Programs, api: KubernetesApi) -> None:
    programs.server()
    first = programs.serve(replicas=2, memory="64Mi", cpu="1000m")
    assert first["changed"] is True
    assert first["url"] == f"http://{programs.name}.{NAMESPACE}.127.0.0.1.nip.io"
    assert first["details"] == {
        "kind": "server",
        "workload": "Deployment",
        "status": "ready",
        "replicas": 2,
        "ready_replicas": 2,
    }
    before = versions(api, programs.name)
    assert set(before) == {"Deployment", "Service", "HTTPRoute"}
    for check_mode in (True, False):
        assert programs.serve(check_mode=check_mode, replicas=2, memory="64Mi", cpu="1000m")["changed"] is False
    assert versions(api, programs.name) == before

    scaled = programs.serve(replicas=1, memory="64Mi", cpu="1000m")
    assert set(scaled["diff"]["after"]) == {"Deployment"}
    assert (scaled["diff"]["before"]["Deployment"]["spec"]["replicas"], scaled["details"]["replicas"]) == (2, 1)


def test_what_others_changed_is_put_right(programs: Programs, api: KubernetesApi) -> None:
    programs.server()
    programs.serve()
    service = api.get(SERVICE, NAMESPACE, programs.name)
    assert service is not None
    service["spec"]["ports"][0]["targetPort"] = 1
    api.replace(SERVICE, service)
    repaired = programs.serve()
    assert set(repaired["diff"]["after"]) == {"Service"}
    live = api.get(SERVICE, NAMESPACE, programs.name)
    assert live is not None and live["spec"]["ports"][0]["targetPort"] == 80
    assert programs.serve()["changed"] is False


def test_a_server_that_does_not_come_up_leaves_the_earlier_version(programs: Programs, api: KubernetesApi) -> None:
    programs.server()
    first = programs.serve()
    programs.server(b"another")
    with pytest.raises(PlatformError, match=r"cannot pull the image .*the previous version was put back"):
        programs.serve(env={BROKEN_IMAGE: "yes"})
    live = programs.listed()["programs"][0]
    assert (live["image"], live["status"]) == (first["image"], "ready")
    programs.server()
    assert programs.serve()["changed"] is False


def test_a_command_can_be_kept_running_and_made_a_job_again(programs: Programs, api: KubernetesApi) -> None:
    programs.command()
    programs.deploy()
    kept = programs.deploy(run="always")
    assert kept["details"]["workload"] == "Deployment" and kept["diff"]["after"]["Job"] == "deleted"
    assert set(versions(api, programs.name)) == {"Deployment"}
    with_port = programs.serve(port=7000)
    assert with_port["url"] and set(versions(api, programs.name)) == {"Deployment", "Service", "HTTPRoute"}
    again = programs.deploy()
    assert again["details"]["workload"] == "Job" and set(versions(api, programs.name)) == {"Job"}
    assert programs.deploy()["changed"] is False


def test_a_built_program_is_not_built_again(programs: Programs, tmp_path: Path) -> None:
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "app.bin").write_bytes(component(RUN))
    source = {"source": str(directory), "build": "cp app.bin out.wasm", "wasm": "out.wasm"}
    planned = programs.deploy(check_mode=True, **source)
    assert planned["diff"]["after"]["build"] == ["cp app.bin out.wasm"] and planned["image"] == ""
    assert not (directory / "out.wasm").exists()
    first = programs.deploy(**source)
    assert first["changed"] is True and "build" in first["stages"]
    assert programs.deploy(**source)["changed"] is False
    other = programs.deploy(**source, args=["x"])
    assert other["changed"] is True and "build" not in other["stages"] and other["digest"] == first["digest"]
    programs.delete()
    again = programs.deploy(**source)
    assert "build" not in again["stages"] and again["digest"] == first["digest"], "it was pushed earlier"


def test_only_pushed(programs: Programs, api: KubernetesApi, tmp_path: Path) -> None:
    programs.command()
    planned = programs.deploy(check_mode=True, state="pushed")
    assert planned["changed"] is True and planned["digest"] == ""
    pushed = programs.deploy(state="pushed", kubeconfig=None)
    assert pushed["changed"] is True and pushed["digest"]
    assert programs.deploy(state="pushed")["changed"] is False
    assert versions(api, programs.name) == {}
    there = programs.deploy(state="pushed", registry=f"oci:{tmp_path / 'images'}")
    assert there["digest"] == pushed["digest"], "the same bytes everywhere"


@needs_skopeo
def test_others_read_the_artifact(programs: Programs, tmp_path: Path) -> None:
    programs.command()
    image = programs.deploy(state="pushed")["image"]
    manifest = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{image}"))
    assert manifest["config"]["mediaType"] == "application/vnd.wasm.config.v0+json"
    copy = tmp_path / "copy"
    skopeo("copy", "--src-tls-verify=false", f"docker://{image}", f"dir:{copy}")
    layer = manifest["layers"][0]["digest"].removeprefix("sha256:")
    assert (copy / layer).read_bytes() == programs.file.read_bytes()


def test_deletion(programs: Programs, api: KubernetesApi) -> None:
    assert programs.delete()["changed"] is False
    programs.server()
    programs.serve()
    assert programs.delete(check_mode=True)["changed"] is True
    assert set(versions(api, programs.name)) == {"Deployment", "Service", "HTTPRoute"}
    removed = programs.delete()
    assert removed["changed"] is True and versions(api, programs.name) == {}
    assert programs.listed()["table"] == ["no programs"]
    with pytest.raises(PlatformError, match=f"There is no program {NAMESPACE}/{programs.name}"):
        wasi_program_logs.run({**programs.parameters(), "lines": 1, "since": None}, False, set())


def test_what_is_no_program_is_not_touched(programs: Programs, api: KubernetesApi) -> None:
    metadata = {"name": programs.name, "namespace": NAMESPACE}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}]}}
    api.create(SERVICE, service)
    try:
        programs.server()
        with pytest.raises(PlatformError, match=f"a Service {NAMESPACE}/{programs.name} that belongs to no program"):
            programs.serve()
        assert programs.delete()["changed"] is False
        assert set(versions(api, programs.name)) == {"Service"}
    finally:
        api.delete(SERVICE, NAMESPACE, programs.name)


def test_a_function_and_a_program_never_share_a_name(
    programs: Programs, control_plane: ControlPlane, registry: Registry, api: KubernetesApi, tmp_path: Path
) -> None:
    project = FunctionProject(tmp_path / "function", programs.name)

    def function(**options: t.Any) -> dict[str, t.Any]:
        defaults = {name: option.get("default") for name, option in function_arguments().items()}
        given = {
            "source": str(project.directory),
            "name": programs.name,
            "namespace": NAMESPACE,
            "registry": f"{registry.host}/functions",
            "registry_plain_http": True,
            "domain": "127.0.0.1.nip.io",
            "kubeconfig": str(control_plane.kubeconfig),
            "state_directory": str(tmp_path / "functions"),
            "wait": False,
        }
        return spin_function.run({**defaults, **given, **options}, False, set())

    programs.command()
    programs.deploy()
    before = versions(api, programs.name)
    for _kind in ("a Job", "a Deployment with a route"):
        with pytest.raises(PlatformError, match=f"{NAMESPACE}/{programs.name} is a WASI program") as caught:
            function()
        assert f"delete_program -e name={programs.name} -e namespace={NAMESPACE}" in caught.value.next_step
        # Its route has the labels that a function's has.
        assert function(state="absent", source=None)["changed"] is False
        assert versions(api, programs.name) == before
        assert api.get(SPIN_APP, NAMESPACE, programs.name) is None
        programs.server()
        programs.serve()
        before = versions(api, programs.name)
        assert set(before) == {"Deployment", "Service", "HTTPRoute"}
    programs.delete()

    function()
    try:
        app = api.get(SPIN_APP, NAMESPACE, programs.name)
        with pytest.raises(PlatformError, match=f"{NAMESPACE}/{programs.name} is a function") as caught:
            programs.serve()
        assert f"delete_function -e name={programs.name} -e namespace={NAMESPACE}" in caught.value.next_step
        assert programs.delete()["changed"] is False
        now = api.get(SPIN_APP, NAMESPACE, programs.name)
        assert now is not None and app is not None
        for part in ("uid", "generation", "labels"):  # the operator writes its status meanwhile
            assert now["metadata"][part] == app["metadata"][part]
    finally:
        assert function(state="absent", source=None)["changed"] is True


def test_a_taken_host_is_refused_before_anything_is_written(
    programs: Programs,
    control_plane: ControlPlane,
    node: ProgramNode,
    registry: Registry,
    api: KubernetesApi,
    tmp_path: Path,
) -> None:
    programs.server()
    url = programs.serve()["url"]
    (tmp_path / "other").mkdir()
    other = Programs(control_plane, node, registry, tmp_path / "other")
    other.server()
    with pytest.raises(PlatformError, match="is taken by the HTTPRoute"):
        other.deploy(hostname=url.removeprefix("http://"))
    assert versions(api, other.name) == {}


def test_a_cluster_without_the_shim_is_told(programs: Programs, api: KubernetesApi) -> None:
    programs.command()
    with pytest.raises(PlatformError, match="no RuntimeClass wasmtime-elsewhere") as caught:
        programs.deploy(runtime_class="wasmtime-elsewhere")
    assert "wasm_shims_installed: [spin, wasmtime]" in caught.value.next_step
    assert versions(api, programs.name) == {}


def test_a_secret_of_the_environment_must_exist(programs: Programs) -> None:
    programs.command()
    with pytest.raises(PlatformError, match="there is no Secret user1/nowhere"):
        programs.deploy(env_secrets=["nowhere"])


def test_the_plays(programs: Programs, tmp_path: Path) -> None:
    playbooks = Playbooks(tmp_path / "home")
    programs.command()
    parameters = programs.parameters()
    where = extra(namespace=NAMESPACE, name=programs.name, kubeconfig=parameters["kubeconfig"])
    file = tmp_path / "result.json"
    deploy = [
        "wasmfaas.platform.deploy_program",
        *extra(src=programs.file, registry=parameters["registry"], registry_plain_http=True, result_file=file),
        *extra(arguments=["--loud"], env={"TARGET": "world"}),
        *where,
    ]
    assert playbooks.run(*deploy).changed == 1
    first = json.loads(file.read_text())
    assert first["changed"] is True and first["name"] == programs.name
    second = playbooks.run(*deploy)
    assert second.changed == 0 and second.result_line.startswith("unchanged ")
    assert playbooks.run(*deploy, "--check", "--diff").changed == 0
    listed = playbooks.run("wasmfaas.platform.list_programs", *where).output
    assert programs.name in listed and "succeeded" in listed
    assert f"==> {programs.name}-" in playbooks.run("wasmfaas.platform.program_logs", *where).output
    assert playbooks.run("wasmfaas.platform.delete_program", *where).changed == 1
    assert playbooks.run("wasmfaas.platform.delete_program", *where).changed == 0


# ---- the examples


def example(directory: Path) -> Path:
    source = REPOSITORY / "examples" / "programs" / "hello-wasi"
    return Path(shutil.copytree(source, directory / "hello-wasi", ignore=shutil.ignore_patterns("target")))


def test_echo_wasi_is_a_server_that_the_shim_can_run(programs: Programs, api: KubernetesApi) -> None:
    programs.file.write_bytes(built_echo_wasi().read_bytes())
    first = programs.serve()
    assert (first["changed"], first["details"]["kind"], first["details"]["status"]) == (True, "server", "ready")
    assert set(versions(api, programs.name)) == {"Deployment", "Service", "HTTPRoute"}
    assert programs.serve()["changed"] is False


def test_echo_wasis_own_tests(tmp_path: Path) -> None:
    command = ["go", "test", "./echo"]
    result = subprocess.run(
        command, cwd=copy_of_echo_wasi(tmp_path), capture_output=True, text=True, check=False, timeout=600
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_examples_own_tests(tmp_path: Path) -> None:
    if shutil.which("cargo") is None:
        pytest.skip("cargo, which the tests of hello-wasi need, is not installed")
    command = ["cargo", "test", "--locked", "--offline"]
    result = subprocess.run(command, cwd=example(tmp_path), capture_output=True, text=True, check=False, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"test result: ok\. [1-9]", result.stdout), result.stdout


def test_the_example_is_built_and_packed(tmp_path: Path) -> None:
    targets = ["rustc", "--print", "target-libdir", "--target", "wasm32-wasip1"]
    found = subprocess.run(targets, capture_output=True, text=True, check=False) if shutil.which("rustc") else None
    if found is None or not Path(found.stdout.strip() or "/nowhere").is_dir():
        pytest.skip("Rust's target wasm32-wasip1 is not installed: rustup target add wasm32-wasip1")
    defaults = {name: option.get("default") for name, option in argument_spec().items()}
    given = {
        "source": str(example(tmp_path)),
        "wasm": "target/wasm32-wasip1/release/hello-wasi.wasm",
        "build": "cargo build --target wasm32-wasip1 --release --locked",
        "state": "pushed",
        "registry": f"oci:{tmp_path / 'images'}",
        "state_directory": str(tmp_path / "state"),
    }
    first = run({**defaults, **given}, False, set())
    assert first["changed"] is True and first["name"] == "hello-wasi"
    assert run({**defaults, **given}, False, set())["changed"] is False
