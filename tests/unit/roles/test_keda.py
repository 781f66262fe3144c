# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role keda: what functions expect of it, its time-outs, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Component,
    LocalSource,
    Manifest,
    Trigger,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.model import DesiredFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.variables import VariableValues
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.function_objects import function_objects
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import (
    EXTERNAL_SCALER,
    INTERCEPTOR_SERVICE,
    Autoscale,
    ClusterSettings,
)

from .role_rendering import RenderedRole


def test_the_release_makes_the_services_that_functions_name() -> None:
    """The add-on's chart names its Services after itself, whatever the release is called, and their ports are its
    defaults."""
    (chart,) = RenderedRole("keda").value("__keda_http_component.charts")
    namespace, service, port = INTERCEPTOR_SERVICE
    assert (chart["namespace"], f"{chart['name']}-interceptor-proxy", 8080) == (namespace, service, port)
    assert f"{chart['name']}-external-scaler.{chart['namespace']}:9090" == EXTERNAL_SCALER


def test_keda_comes_before_the_add_on_whose_chart_needs_its_kinds() -> None:
    def steps(file: str) -> list[list[str]]:
        tasks = [task for task in RenderedRole("keda").tasks(file) if "__platform_component" in task.get("vars", {})]
        components = [task["vars"]["__platform_component"].strip("{ }") for task in tasks]
        return [[chart["name"] for chart in RenderedRole("keda").value(f"{name}.charts")] for name in components]

    assert steps("main.yml") == [["keda"], ["keda-add-ons-http"]]
    assert steps("remove.yml") == [["keda-add-ons-http"], ["keda"]]


def test_routes_of_every_namespace_may_lead_to_the_interceptor_and_nowhere_else() -> None:
    grants = RenderedRole("keda", keda_route_namespaces=["default", "shop"]).objects("objects_after.yml.j2")
    assert list(grants) == [("ReferenceGrant", "functions-default"), ("ReferenceGrant", "functions-shop")]
    for namespace, grant in zip(("default", "shop"), grants.values(), strict=True):
        assert grant["metadata"]["namespace"] == INTERCEPTOR_SERVICE[0]
        assert grant["spec"]["from"] == [
            {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": namespace}
        ]
        assert grant["spec"]["to"] == [{"group": "", "kind": "Service", "name": INTERCEPTOR_SERVICE[1]}]


def test_without_the_gateway_api_there_are_no_grants() -> None:
    assert RenderedRole("keda", platform_components=["keda"]).template("objects_after.yml.j2") == []


def test_a_request_waits_as_long_as_the_platform_says() -> None:
    """An InterceptorRoute without `readiness` gets the interceptor's own (KEDA HTTP add-on v0.15.0:
    interceptor/middleware/endpoint_resolver.go), so spin_function writes none unless a function asks for it."""
    settings = ClusterSettings(autoscale=Autoscale(min=0, max=2, target_concurrency=1))
    manifest = Manifest(
        Path("/p/spin.toml"),
        "a",
        (Trigger("t", "http", "c", {}),),
        {"c": Component(id="c", source=LocalSource("c.wasm"))},
    )
    desired = DesiredFunction("a", "b", "d", "c", manifest, VariableValues({}, {}))
    (route,) = [
        item
        for item in function_objects(desired, settings, "http://a.b.example.com", None)
        if item["kind"] == "InterceptorRoute"
    ]
    assert "readiness" not in route["spec"]["timeouts"]
    values = RenderedRole("keda", keda_cold_start_timeout=240).template("values_keda-add-ons-http.yml.j2")
    assert values["interceptor"]["readinessTimeout"] == "240s"
    assert values["interceptor"]["responseHeaderTimeout"] == "300s"
    assert values["interceptor"]["tcpConnectTimeout"] == "500ms"


def test_waiting_requests_are_counted_often() -> None:
    """The chart 0.15.0 has no value for the interval (KEDA HTTP add-on v0.15.0: scaler/config.go)."""
    scaler = RenderedRole("keda").template("values_keda-add-ons-http.yml.j2")["scaler"]
    assert (scaler["streamInterval"], scaler["extraEnvs"]) == (200, {"KEDA_HTTP_QUEUE_TICK_DURATION": "100ms"})


def test_interceptors_trace_only_where_there_is_a_collector() -> None:
    traced = RenderedRole("keda").template("values_keda-add-ons-http.yml.j2")["interceptor"]["extraEnvs"]
    assert traced["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://opentelemetry-collector.observability:4318"
    without = RenderedRole("keda", platform_components=["keda", "ingress"]).template("values_keda-add-ons-http.yml.j2")
    assert "extraEnvs" not in without["interceptor"]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"keda_interceptor_replicas": {"min": 0, "max": 3}}, "keda_interceptor_replicas"),
        ({"keda_interceptor_replicas": {"min": 4, "max": 3}}, "is no range"),
        ({"keda_interceptor_replicas": {"min": 1}}, "is no range"),
        ({"keda_cold_start_timeout": 0}, "keda_cold_start_timeout"),
        ({"keda_route_namespaces": "default"}, "keda_route_namespaces: 'default' is text, and a list is needed"),
        (
            {"keda_resources": {"interceptor": {}}},
            "keda_resources: must hold operator, metrics_server, webhooks, http_operator, http_scaler, interceptor",
        ),
    ],
)
def test_bad_input_is_named_with_the_next_step(variables: dict[str, object], named: str) -> None:
    message = " ".join(RenderedRole("keda", **variables).problems())
    assert named in message and "Next: " in message


def test_defaults_pass_the_check() -> None:
    assert RenderedRole("keda").problems() == []


def test_removal_is_refused_while_functions_scale_by_it() -> None:
    task = "remove | Refuse while functions scale by it"
    role = RenderedRole("keda")
    results = [
        {"stdout": "ScaledObject/keda/keda-add-ons-http-interceptor ScaledObject/shop/cart "},
        {"stdout": ""},
        {"stdout": "InterceptorRoute/shop/cart "},
    ]
    message = role.refusal(task, "remove.yml", __keda_found={"results": results})
    assert "1 functions scale by it: shop/cart." in message and "keda_remove_in_use=true" in message
    assert role.refusal(task, "remove.yml", __keda_found={"results": results}, keda_remove_in_use=True) == ""
    assert role.refusal(task, "remove.yml", __keda_found={"results": [{"stdout": "ScaledObject/keda/own "}]}) == "", (
        "the add-on's own goes with it"
    )
