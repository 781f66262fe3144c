# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What charts would run in the cluster, as far as others wait for it: k3s's Helm controller
(tests/integration/support/platform_stand_in.py), AWS's cloud controller, which takes the taint of new nodes, and
Traefik's status of the Gateway."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import httpx2
import yaml

from ..integration.support import platform_stand_in
from ..integration.support.helm_controller_stand_in import Api, ApiRefusedError

UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"
"""k8s.io/cloud-provider v0.34.1, api/well_known_taints.go."""
CHARTS = "/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts"
GATEWAYS = "/apis/gateway.networking.k8s.io/v1/namespaces/wasmfaas-system/gateways"
SECONDS = 0.5
"""Between two looks. A watch would end with each server that starts again."""


def play(inventory: Path, directory: Path) -> None:
    """Play all of it for the cluster whose kubeconfig site.yml writes into `inventory`, until that is gone."""
    threading.Thread(target=platform_stand_in.run, args=(inventory,), daemon=True).start()
    kubeconfig = inventory / "kubeconfig.yml"
    while not kubeconfig.exists():
        if not directory.exists():
            return
        time.sleep(SECONDS)  # site.yml writes it some minutes later
    with tempfile.TemporaryDirectory() as temporary:
        own = Path(temporary) / "kubeconfig.yml"
        own.write_bytes(kubeconfig.read_bytes())
        api = Api(own)
        while kubeconfig.exists():
            # A server that starts again breaks connections; a kind that is not there yet has no list.
            with contextlib.suppress(httpx2.TransportError, ApiRefusedError):
                _initialize_nodes(api)
                _accept_gateways(api)
            time.sleep(SECONDS)  # what is new is played at the next look


def _initialize_nodes(api: Api) -> None:
    if not api.get(f"{CHARTS}/aws-cloud-controller-manager"):
        return
    for node in api.list("/api/v1/nodes"):
        taints = node["spec"].get("taints") or []
        if any(taint["key"] == UNINITIALIZED for taint in taints):
            left = [taint for taint in taints if taint["key"] != UNINITIALIZED]
            api.merge(f"/api/v1/nodes/{node['metadata']['name']}", {"spec": {"taints": left or None}})


def _accept_gateways(api: Api) -> None:
    """As Traefik does with the address of the chart's value."""
    chart = api.get(f"{CHARTS}/traefik")
    if not chart:
        return
    values: dict[str, t.Any] = yaml.safe_load(chart["spec"]["valuesContent"])
    address = values["providers"]["kubernetesGateway"]["statusAddress"]
    ((kind, value),) = [
        (kind, address[key]) for key, kind in (("ip", "IPAddress"), ("hostname", "Hostname")) if key in address
    ]
    for gateway in api.list(GATEWAYS):
        if (gateway.get("status") or {}).get("addresses"):
            continue
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        conditions = [
            {
                "type": name,
                "status": "True",
                "reason": name,
                "message": "played",
                "observedGeneration": gateway["metadata"]["generation"],
                "lastTransitionTime": now,
            }
            for name in ("Accepted", "Programmed")
        ]
        status = {"addresses": [{"type": kind, "value": value}], "conditions": conditions}
        api.merge(f"{GATEWAYS}/{gateway['metadata']['name']}/status", {"status": status})
