# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the platform that the inventory names are on the cluster, and were waited for."""

from __future__ import annotations

import lightkube
import pytest
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.apps_v1 import Deployment

from .conftest import Scenario

HelmChart = create_namespaced_resource("helm.cattle.io", "v1", "HelmChart", "helmcharts")
CHARTS = {
    "cert_manager": {"cert-manager"},
    "spin_operator": {"spin-operator"},
    "ingress": {"traefik"},
    "keda": {"keda", "keda-add-ons-http"},
    "observability": {"kube-prometheus-stack", "loki", "tempo", "opentelemetry-collector"},
}


def test_charts_are_those_of_the_parts_and_installed(scenario: Scenario, api: lightkube.Client) -> None:
    parts = scenario.variables[scenario.servers[0]].get("platform_components", [])
    if not parts:
        pytest.skip("the scenario's inventory has no parts of the platform")
    found = {chart.metadata.name: chart for chart in api.list(HelmChart, namespace="*") if chart.metadata}
    assert set(found) == set().union(*(CHARTS[part] for part in parts))
    for name, chart in found.items():
        assert name
        assert chart.metadata
        mark = (chart.metadata.annotations or {}).get("wasmfaas.dev/installed", "")
        assert mark.endswith(f"/{chart.metadata.generation}"), name
        deployment = api.get(Deployment, name, namespace=chart.spec["targetNamespace"])
        assert deployment.status
        assert deployment.status.availableReplicas == 1, name
