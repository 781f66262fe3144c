# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The product's own gateway: Traefik, built from its Go module, with the flags that its chart makes of the values of
role ingress."""

from __future__ import annotations

import typing as t
from pathlib import Path

from . import platform_parts
from .control_plane import GATEWAY_CONTROLLER, ControlPlane
from .gateway import GatewayProgram, RunningGateway
from .module_files import GATEWAY_API
from .real_parts import RealPart
from .servers import Server, answers, free_port

_MODULE = "github.com/traefik/traefik/v3"
TRAEFIK = RealPart("traefik", _MODULE, {f"{_MODULE}/cmd/traefik": "traefik"}, {}, minutes=10)

# The rules of the chart's ClusterRole (chart traefik 41.3.0, templates/rbac/clusterrole.yaml) for the Gateway API.
_LISTED = ["list", "watch"]
_READ = ["get", *_LISTED]
_KINDS = ["gatewayclasses", "gateways", "grpcroutes", "httproutes", "tcproutes", "tlsroutes", "backendtlspolicies"]
_GROUP = "gateway.networking.k8s.io"
_RULES: list[dict[str, t.Any]] = [
    {"apiGroups": [""], "resources": ["configmaps", "nodes", "services", "secrets"], "verbs": _READ},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _LISTED},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": _LISTED},
    {"apiGroups": [_GROUP], "resources": [*_KINDS, "referencegrants"], "verbs": _READ},
    {"apiGroups": [_GROUP], "resources": [f"{kind}/status" for kind in _KINDS], "verbs": ["update"]},
]


class TraefikProgram(GatewayProgram):
    """Traefik from the cache."""

    gateway_class = "wasmfaas"  # as role ingress; the stand-in plays the Gateways of the class `traefik`
    controller = GATEWAY_CONTROLLER

    def __init__(self) -> None:
        """Build it if it is missing.

        Raises:
            PartMissingError, ServerError: as `RealPart.build`.
            ModuleMissingError: the definitions of the Gateway API are not available.
        """
        self.program = TRAEFIK.build() / "traefik"
        # Those that role platform installs. Its provider serves nothing before it has listed every kind of them.
        found = GATEWAY_API.directory("config", "crd", "standard").glob("gateway.networking.k8s.io_*.yaml")
        self.definitions = tuple(sorted(found))

    def start(self, control_plane: ControlPlane, directory: Path, address: str) -> TraefikGateway:
        return TraefikGateway(self.program, control_plane, directory, address)


class TraefikGateway(RunningGateway):
    """Traefik, which is controller and proxy in one. Start-up: about 2 s."""

    port = 80  # that of the Gateway's listener, which Traefik takes by the port
    tls_port = 443
    health_port = 8080

    def __init__(self, program: Path, control_plane: ControlPlane, directory: Path, address: str, *flags: str) -> None:
        """Start it; `flags` are more flags, which win over those of the chart."""
        super().__init__(address)
        directory.mkdir(parents=True)
        kubeconfig = control_plane.kubeconfig_with_role("traefik", _RULES)
        self.server = Server(
            # Ends with this thread, however it ends.
            ["setpriv", "--pdeathsig", "KILL", str(program), *self._flags(), *flags],
            log=directory / "traefik.log",
            environment={"KUBECONFIG": str(kubeconfig)},
        )
        self.server.wait_ready(lambda: answers(f"http://{address}:{self.health_port}/ping"), seconds=60)

    def _flags(self) -> list[str]:
        """What `helm template` makes of chart traefik 41.3.0 with the role's values (docs/verified.md), with addresses
        of this machine and without traces."""
        values = ingress_values()
        entry_points = []
        for name, port in (("web", self.port), ("websecure", self.tls_port)):
            ends = values["ports"][name]["transport"]["lifeCycle"]
            transport = f"--entryPoints.{name}.transport.lifeCycle"
            entry_points += [
                f"--entryPoints.{name}.address={self.address}:{port}/tcp",
                f"{transport}.requestAcceptGraceTimeout={ends['requestAcceptGraceTimeout']}",
                f"{transport}.graceTimeOut={ends['graceTimeOut']}",
            ]
        return [
            "--global.checkNewVersion=false",
            f"--entryPoints.metrics.address=127.0.0.1:{free_port()}/tcp",
            f"--entryPoints.traefik.address={self.address}:{self.health_port}/tcp",
            *entry_points,
            "--entryPoints.websecure.http.tls=true",
            "--api.dashboard=false",
            "--ping=true",
            "--metrics.prometheus=true",
            "--metrics.prometheus.entrypoint=metrics",
            "--metrics.prometheus.addRoutersLabels=true",
            "--metrics.prometheus.addEntryPointsLabels=true",
            "--metrics.prometheus.addServicesLabels=false",
            "--providers.kubernetesgateway",
            f"--providers.kubernetesgateway.statusaddress.ip={self.address}",
            "--log.format=json",
            "--log.level=INFO",
            "--accesslog=true",
            "--accesslog.format=json",
            "--accesslog.fields.defaultmode=keep",
            "--accesslog.fields.headers.defaultmode=drop",
            *values["additionalArguments"],
        ]

    def stop(self) -> None:
        """Kill it: an orderly end waits as long as the role says."""
        self.server.kill()


def ingress_values() -> dict[str, t.Any]:
    """The values that role ingress gives the chart by default."""
    (call,) = platform_parts.calls("ingress", "defaults")
    (chart,) = call.charts
    return dict(chart["values"])
