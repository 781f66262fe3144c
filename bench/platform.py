# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The platform's part of a second `site.yml`: `platform.yml` against the real API server, with and without functions.
k3s' Helm controller is played."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
import typing as t
from pathlib import Path

from tests.integration.support import platform_stand_in
from tests.integration.support.audit import Requests
from tests.integration.support.control_plane import ControlPlane
from tests.integration.support.helm_controller_stand_in import HelmControllerStandIn
from tests.integration.support.playbooks import Playbooks, extra
from tests.integration.support.servers import build, write_json

from .measure import Entry, NotMeasuredError, Row

COMPONENTS = ["cert_manager", "spin_operator", "ingress", "keda", "observability"]
FUNCTIONS = 500
ROUNDS = 5
GOAL_SECONDS = 30.0
WITHIN = 1.05


def measure() -> list[Entry]:
    if shutil.which("kubectl") is None:
        raise NotMeasuredError("kubectl, which stands for `k3s kubectl`, is not installed")
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        definition = write_json(directory / "helm_chart.yaml", platform_stand_in.helm_chart_definition())
        plane = ControlPlane(build(), directory / "plane", definitions=[definition], audit=True)
        try:
            played = HelmControllerStandIn(
                plane.directory / "data" / "controller-manager.kubeconfig",
                directory / "helm",
                platform_stand_in.charts(),
            )
            try:
                return _second_runs(plane, Playbooks(directory / "home"))
            finally:
                played.stop()
        finally:
            plane.stop()


def _second_runs(plane: ControlPlane, playbooks: Playbooks) -> list[Entry]:
    where = {
        "platform_hosts": "localhost",
        "platform_host": "localhost",
        "platform_kubectl": ["kubectl", f"--kubeconfig={plane.kubeconfig}"],
    }
    # No Traefik runs here that would serve the Gateway.
    own = {"platform_components": COMPONENTS, "platform_chart_installer": "controller", "ingress_ready_timeout": 0}
    arguments = ["wasmfaas.platform.platform", *extra(**where, **own, **platform_stand_in.variables())]

    def run(changed: bool) -> float:
        begun = time.monotonic()
        ran = playbooks.run(*arguments)
        if ran.exit_code != 0 or (ran.changed > 0) != changed:
            raise NotMeasuredError(
                f"wasmfaas.platform.platform ended with {ran.exit_code} and changed={ran.changed}:\n{ran.output}"
            )
        return time.monotonic() - begun

    first = run(changed=True)
    requests = Requests(plane.audit_log)
    run(changed=False)
    made = requests.of("kubectl")
    alone = [run(changed=False) for _round in range(ROUNDS)]
    _make_functions(plane)
    among = [run(changed=False) for _round in range(ROUNDS)]
    second, ratio = statistics.median(alone), statistics.median(among) / statistics.median(alone)
    writes = sum(request.writes for request in made)
    read = [(request.resource, request.namespace, request.name) for request in made if request.verb == "get"]
    most = max(read.count(one) for one in set(read))
    return [
        Row(
            f"`wasmfaas.platform.platform`, {len(COMPONENTS)} parts, second run",
            f"{second:.1f} s (first {first:.0f} s)",
            f"≤ {GOAL_SECONDS:g} s",
            second <= GOAL_SECONDS,
        ),
        Row(
            f"The same among {FUNCTIONS} functions to none",
            f"{ratio:.2f} ×",
            f"≤ 1.0 × within {WITHIN - 1:.0%}",
            ratio <= WITHIN,
        ),
        Row(f"Reads of one of its {len(set(read))} objects, of the audit log", str(most), "≤ 1", most <= 1),
        Row("Writes, of the audit log", str(writes), "0", writes == 0),
    ]


def _make_functions(plane: ControlPlane) -> None:
    """SpinApps with routes: what is there of functions for whoever reads the cluster."""
    for number in range(FUNCTIONS):
        name = f"function-{number}"
        named: dict[str, t.Any] = {"name": name, "namespace": "default"}
        image = f"registry.example.com/functions/{name}@sha256:{number:064x}"
        application = {"image": image, "executor": "containerd-shim-spin", "replicas": 1}
        route = {"hostnames": [f"{name}.example.com"], "rules": [{"backendRefs": [{"name": name, "port": 80}]}]}
        plane.apply(
            {"apiVersion": "core.spinkube.dev/v1alpha1", "kind": "SpinApp", "metadata": named, "spec": application},
            {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": named, "spec": route},
        )
