# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for kubelet, containerd, Spin shim and Gateway (tests/servers/cmd/spinkube_stand_in)."""

from __future__ import annotations

import collections.abc
from pathlib import Path

import httpx2
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import Kind

from .control_plane import GATEWAY_CLASS, ControlPlane
from .servers import Programs, Server, answers, free_port

NODE = "wasm-node"
SPIN_APP_EXECUTOR = Kind("core.spinkube.dev", "v1alpha1", "SpinAppExecutor", "spinappexecutors")
SHIM_VERSION_LABEL = "wasmfaas.dev/containerd-shim-spin"


class SpinkubeStandIn:
    """Running beside a control plane; `front_url` is where its Gateway answers, by Host header; `front` without the
    scheme. Start-up: about 1 s."""

    def __init__(
        self,
        programs: Programs,
        control_plane: ControlPlane,
        directory: Path,
        *,
        authorities: collections.abc.Iterable[Path] = (),
        shim_version: str = "0.25.1",
        container_runtime: Path | None = None,
    ) -> None:
        """Start it.

        Args:
            container_runtime: socket of a `ContainerRuntime`: pods are then processes, not played.
        """
        self.front_port = free_port()
        self.front = f"127.0.0.1:{self.front_port}"
        self.front_url = f"http://{self.front}"
        arguments = [
            "--kubeconfig",
            str(control_plane.kubeconfig),
            "--front-port",
            str(self.front_port),
            "--gateway-class",
            GATEWAY_CLASS,
        ]
        arguments += ["--shim-version", shim_version, "--shim-version-key", SHIM_VERSION_LABEL, "--node-name", NODE]
        arguments += ["--container-runtime", str(container_runtime or "")]
        for file in authorities:
            arguments += ["--registry-authority", str(file)]
        self.server = Server(
            [str(programs.path("spinkube_stand_in")), *arguments], log=directory / "spinkube_stand_in.log"
        )
        self._http = httpx2.Client(base_url=self.front_url, trust_env=False)
        self.server.wait_ready(lambda: answers(self.front_url, statuses=(404,)), seconds=30)

    def get(self, host: str, path: str = "/", *, timeout: float = 30) -> httpx2.Response:
        """GET `path` of the function that is routed to by `host`."""
        return self._http.get(path, headers={"Host": host}, timeout=timeout)

    def stop(self) -> None:
        self._http.close()
        self.server.stop()
