# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WASI programs in real pods: real scheduler, kubelet and containerd, and runwasi's own containerd-shim-wasmtime."""

from __future__ import annotations

import collections.abc
import contextlib
import typing as t
from pathlib import Path

import httpx2
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.local.installation import install
from ansible_collections.wasmfaas.platform.plugins.module_utils.program import wasi_program_info, wasi_program_logs
from ansible_collections.wasmfaas.platform.plugins.module_utils.program.wasi_program import run
from ansible_collections.wasmfaas.platform.plugins.modules.wasi_program import argument_spec

from .support import gateway, real_node, wasi_programs
from .support.control_plane import ControlPlane
from .support.examples import built_echo_wasi
from .support.gateway import ContourProgram, RunningGateway
from .support.pod_network import PodNetwork
from .support.program_node import RUNTIME_CLASS, make_runtime_class
from .support.real_node import RealNode
from .support.registries import Registry
from .support.request_path import Cluster, let_pods_be_hardened
from .support.servers import REPOSITORY, build

_REASON = gateway.why_not() or real_node.why_no_programs()
pytestmark = pytest.mark.skipif(bool(_REASON), reason=_REASON)

START_SECONDS = 300


class Programs:
    """Deploys programs to a real node, as the module does."""

    def __init__(self, cluster: Cluster, entrance: RunningGateway, home: Path) -> None:
        self.entrance = entrance
        self._home = home
        self._given: dict[str, t.Any] = {
            "registry": f"{cluster.registry.host}/programs",
            "registry_plain_http": True,
            "probe_address": f"{entrance.address}:{entrance.port}",
            "domain": None,
            "kubeconfig": str(cluster.control_plane.kubeconfig),
            "state_directory": str(home / "state"),
            "wait_timeout": START_SECONDS,
        }

    def parameters(self, name: str, **options: t.Any) -> dict[str, t.Any]:
        defaults = {option: about.get("default") for option, about in argument_spec().items()}
        return {**defaults, **self._given, "name": name, **options}

    def deploy(self, name: str, program: bytes, **options: t.Any) -> dict[str, t.Any]:
        file = self._home / f"{name}.wasm"
        file.write_bytes(program)
        return run(self.parameters(name, source=str(file), **options), False, set())

    def log(self, name: str) -> str:
        spec = {"lines": 100, "since": None}
        return "\n".join(wasi_program_logs.run({**self.parameters(name), **spec}, False, set())["lines"])

    def listed(self, name: str) -> dict[str, t.Any]:
        (found,) = wasi_program_info.run(self.parameters(name), False, set())["programs"]
        return dict(found)

    def delete(self, name: str) -> None:
        run(self.parameters(name, state="absent", source=None), False, set())


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[Programs]:
    directory = tmp_path_factory.mktemp("programs")
    servers, program = build(), ContourProgram()
    with contextlib.ExitStack() as stack:
        plane = ControlPlane(servers, directory / "control_plane", definitions=program.definitions)
        stack.callback(plane.stop)
        plane.prepare(gateway_class=program.gateway_class, gateway_controller=program.controller)
        make_runtime_class(plane)
        let_pods_be_hardened(plane, RUNTIME_CLASS)
        network = PodNetwork()
        stack.callback(network.remove)
        registry = Registry(servers, directory / "registry")
        stack.callback(registry.stop)
        stack.callback(RealNode(plane, registry, network, directory / "node").stop)
        entrance = program.start(plane, directory / "gateway", network.gateway)
        stack.callback(entrance.stop)
        yield Programs(Cluster(servers, plane, registry, network), entrance, directory)


@pytest.fixture(scope="module")
def command() -> bytes:
    return wasi_programs.binary(wasi_programs.MODULE, install(REPOSITORY / "roles" / "local_runtime" / "files"))


def test_a_command_runs_once_with_its_arguments_and_environment(programs: Programs, command: bytes) -> None:
    options: dict[str, t.Any] = {"args": ["one", "two"], "env": {"TARGET": "world"}}
    first = programs.deploy("writes", command, **options)
    assert first["changed"] is True
    log = programs.log("writes").split("\0")
    assert log[1:3] == ["one", "two"]
    assert "TARGET=world" in log
    assert programs.deploy("writes", command, **options)["changed"] is False
    programs.delete("writes")


def test_an_exit_code_is_the_programs_own(programs: Programs, command: bytes) -> None:
    with pytest.raises(PlatformError, match="exit code 3"):
        programs.deploy("fails", command, args=["3"])
    programs.delete("fails")


def test_a_trap_is_137_and_tried_again(programs: Programs, command: bytes) -> None:
    with pytest.raises(PlatformError, match="137"):
        programs.deploy("traps", command, args=["!"], retries=1)
    programs.delete("traps")


def test_a_component_that_fails_has_exit_code_1(programs: Programs) -> None:
    installed = install(REPOSITORY / "roles" / "local_runtime" / "files")
    assert programs.deploy("well", wasi_programs.binary(wasi_programs.ENDS_WELL, installed))["changed"] is True
    with pytest.raises(PlatformError, match="exit code 1"):
        programs.deploy("badly", wasi_programs.binary(wasi_programs.FAILS, installed))
    programs.delete("well")
    programs.delete("badly")


def test_a_server_answers_through_the_gateway(programs: Programs) -> None:
    component = built_echo_wasi().read_bytes()
    first = programs.deploy("echo", component)
    assert first["changed"] is True
    host = str(first["url"]).partition("://")[2].partition(":")[0]
    answer: httpx2.Response = programs.entrance.get(host, "/")
    assert answer.status_code == 200
    assert programs.deploy("echo", component)["changed"] is False
    programs.delete("echo")
