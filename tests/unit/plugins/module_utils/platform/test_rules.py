# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the platform's roles, each with the variables that it reads; tests/unit/roles has them with the roles'
defaults."""

from __future__ import annotations

import re
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform import (
    cert_manager,
    components,
    function_registry,
    ingress,
    keda,
    observability,
    spin_operator,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.checks import (
    chart_problems,
    namespace_problems,
    network_problems,
    range_problems,
    resources_problems,
    whole,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.rules import RULES
from ansible_collections.wasmfaas.platform.plugins.module_utils.problems import Problem

Variables = dict[str, t.Any]

SIZES: Variables = {"requests": {}, "limits": {}}
GOOD: dict[str, Variables] = {
    "cert_manager": {
        "cert_manager_startup_check_timeout": "300",
        "cert_manager_acme_email": "",
        "cert_manager_acme_region": "",
        "cert_manager_dns_servers": [],
        "cert_manager_resources": dict.fromkeys(cert_manager.PODS, SIZES),
    },
    "function_builds": {
        "function_builds_limits": {"max": {"cpu": "4"}},
        "function_builds_blocked_networks": ["10.0.0.0/8"],
        "function_builds_egress_networks": [],
        "function_builds_priority": "-5",
        "function_builds_runtime_handler": "runsc",
    },
    "function_service": {
        "function_service_images": "registry.example.com/functions/wasmfaas",
        "function_service_image_overrides": {},
        "function_service_image_credentials": [],
        "function_service_host": "",
        "function_service_registry_username": "",
        "function_service_registry_password": "",
        "function_service_registry_ca_file": "",
        "function_service_record_key_file": "",
        "function_service_oidc": {
            "issuer": "https://id.example.com",
            "client_id": "faas",
            "name_claim": "email",
            "rules": [
                {"claim": "groups", "value": "shop", "tenant": "user1", "role": "deploy"},
                {"claim": "groups", "value": "platform", "tenant": "*", "role": "admin"},
            ],
        },
        "function_service_running": 3,
        "function_service_running_per_tenant": "2",
        "function_service_queued": 1000,
        "function_service_queued_per_tenant": 50,
        "function_service_build_seconds": 1800,
        "function_service_replicas": 2,
        "function_service_ready_timeout": 0,
        "__platform_installed": ["function_builds", "function_service"],
    },
    "function_registry": {
        "function_registry_host": "",
        "function_registry_port": "30500",
        "function_registry_path": "functions",
        "function_registry_storage": "disk",
        "function_registry_size": "20Gi",
        "function_registry_s3": {},
        "function_registry_keep_images": 50,
        "function_registry_keep_days": 90,
        "function_registry_certificate_days": 1825,
    },
    "ingress": {
        "ingress_addresses": ["192.0.2.1"],
        "ingress_http_port": 80,
        "ingress_https_port": 443,
        "ingress_proxy_protocol_networks": [],
        "ingress_trusted_networks": ["10.0.0.0/8"],
        "ingress_traces_share": "0.5",
        "ingress_connect_timeout": "2",
        "ingress_drain_seconds": 30,
        "ingress_drain_delay_seconds": "0",
        "ingress_ready_timeout": 0,
        "ingress_tls": "none",
    },
    "keda": {
        "keda_interceptor_replicas": {"min": 2, "max": "6"},
        "keda_interceptor_pending_requests": 200,
        "keda_cold_start_timeout": 180,
        "keda_response_timeout": "300",
        "keda_connect_timeout": 500,
        "keda_queue_interval": 100,
        "keda_stream_interval": 200,
        "keda_route_namespaces": ["default"],
        "keda_resources": dict.fromkeys(keda.PODS, SIZES),
    },
    "key_value_store": {
        "key_value_store_namespaces": ["default", "user1"],
        "key_value_store_databases": "64",
        "key_value_store_memory": 128,
        "key_value_store_size": "1Gi",
        "key_value_store_resources": {"limits": {"memory": "256Mi"}},
    },
    "observability": {
        "observability_scrape_interval": 30,
        "observability_storage": "disk",
        "observability_trace_percent": 100,
        "observability_alertmanager_configuration": {
            "route": {"receiver": "nobody"},
            "receivers": [{"name": "nobody"}],
        },
        "observability_values": {},
        "observability_resources": dict.fromkeys(observability.PODS, SIZES),
    },
    "platform": {
        "__platform_roles": ["cert_manager", "spin_operator", "keda"],
        "__platform_installed": ["cert_manager", "spin_operator"],
        "__platform_removed": [],
        "platform_components": ["cert_manager", "spin_operator"],
        "platform_components_removed": [],
        "platform_only": [],
        "platform_charts": {"keda": {}},
        "platform_chart_overrides": {},
    },
    "spin_operator": {
        "spin_operator_executor_namespaces": ["default"],
        "spin_operator_otlp_endpoints": {},
        "spin_operator_drain_seconds": "0",
        "spin_operator_warm_nodes": True,
        "__spin_operator_node_warmer_possible": True,
        "platform_blocked_networks": ["10.0.0.0/8"],
        "platform_node_networks": [],
        "platform_cluster_networks": ["10.42.0.0/16"],
        "spin_operator_egress_networks": [],
    },
}


def one(problems: t.Iterable[Problem]) -> str:
    """The text of the only problem."""
    (problem,) = problems
    return str(problem)


OIDC_RULE = {"claim": "groups", "value": "shop", "tenant": "user1", "role": "deploy"}


def oidc(**changes: t.Any) -> Variables:
    """The setting of a provider with something changed."""
    return {"function_service_oidc": {**GOOD["function_service"]["function_service_oidc"], **changes}}


@pytest.mark.parametrize("role", GOOD)
def test_good_variables_have_no_problem(role: str) -> None:
    assert list(RULES[role](GOOD[role])) == []


@pytest.mark.parametrize(
    ("role", "variables", "named"),
    [
        (
            "cert_manager",
            {"cert_manager_acme_email": "nobody", "cert_manager_acme_region": "r"},
            "nobody is no mail address",
        ),
        ("cert_manager", {"cert_manager_dns_servers": ["192.0.2.53"]}, "192.0.2.53 lacks a port"),
        ("cert_manager", {"cert_manager_resources": {}}, "holds nothing"),
        ("function_builds", {"function_builds_limits": {"most": {}}}, "a LimitRange has no most"),
        ("function_builds", {"function_builds_priority": -11}, "function_builds_priority: -11 is out of range"),
        ("function_builds", {"function_builds_runtime_handler": "Runsc"}, "Runsc is no handler"),
        ("function_builds", {"function_builds_egress_networks": ["10.0.0.1"]}, "10.0.0.1 is no network"),
        ("function_service", {"function_service_images": ""}, "Next: Add function_registry"),
        ("function_service", {"function_service_image_overrides": {"builder": "i"}}, "there is no image builder"),
        ("function_service", {"function_service_image_credentials": [{"server": "r"}]}, "lacks server, username"),
        ("function_service", {"function_service_host": "https://api.example.com"}, "without a scheme"),
        ("function_service", {"function_service_registry_username": "u"}, "belong together"),
        ("function_service", {"function_service_record_key_file": "/nowhere"}, "there is no file /nowhere"),
        ("function_service", {"function_service_replicas": 0}, "function_service_replicas: 0 is out of range"),
        ("function_service", {"function_service_running": 1}, "2 is more than function_service_running, 1"),
        ("function_service", {"__platform_installed": ["function_service"]}, "Next: Add function_builds"),
        ("function_service", {"function_service_oidc": {"issuer": "https://x"}}, "lacks issuer, client_id or rules"),
        ("function_service", oidc(issuer="http://id.example.com"), "is no https URL"),
        ("function_service", oidc(client_id=""), "function_service_oidc.client_id: is empty"),
        ("function_service", oidc(audience="x"), "there is no audience"),
        ("function_service", oidc(rules="x"), "function_service_oidc.rules[0]: is no rule"),
        ("function_service", oidc(rules=[{**OIDC_RULE, "role": "owner"}]), "the role is read, deploy, admin"),
        ("function_service", oidc(rules=[{**OIDC_RULE, "tenant": "*"}]), "the role deploy cannot be for the tenant *"),
        (
            "platform",
            {"__platform_removed": ["function_builds"], "__platform_installed": ["function_service"]},
            "Next: Remove function_service too",
        ),
        ("function_registry", {"function_registry_port": 5000}, "function_registry_port: is 5000"),
        ("function_registry", {"function_registry_s3": {"access_key": "a"}}, "both keys or neither"),
        ("function_registry", {"function_registry_storage": "s3"}, "must hold bucket and region"),
        ("function_registry", {"function_registry_keep_images": "1"}, "Give 2 or more, as a rollback needs"),
        ("ingress", {"ingress_addresses": ["127.0.0.2"]}, "from this machine only"),
        ("ingress", {"ingress_addresses": ["::"]}, "from this machine only"),
        ("ingress", {"ingress_http_port": 9100}, "Traefik's own"),
        ("ingress", {"ingress_https_port": "80"}, "are the same"),
        ("ingress", {"ingress_traces_share": 1.1}, "1.1 is no share"),
        ("keda", {"keda_interceptor_replicas": {"min": "one", "max": 3}}, "is no range"),
        ("keda", {"keda_interceptor_replicas": {"min": 3, "max": 2}}, "is no range"),
        ("keda", {"keda_connect_timeout": 0}, "keda_connect_timeout: 0 is out of range"),
        ("keda", {"keda_response_timeout": 0}, "keda_response_timeout: 0 is out of range"),
        ("keda", {"keda_response_timeout": -1}, "keda_response_timeout: -1 is out of range"),
        ("keda", {"keda_response_timeout": 86401}, "keda_response_timeout: 86401 is out of range"),
        ("keda", {"keda_cold_start_timeout": 86401}, "keda_cold_start_timeout: 86401 is out of range"),
        ("keda", {"keda_queue_interval": 0}, "keda_queue_interval: 0 is out of range"),
        ("keda", {"keda_stream_interval": 0}, "keda_stream_interval: 0 is out of range"),
        ("keda", {"keda_interceptor_pending_requests": 0}, "keda_interceptor_pending_requests: 0 is out of range"),
        ("ingress", {"ingress_connect_timeout": 0}, "ingress_connect_timeout: 0 is out of range"),
        ("ingress", {"ingress_drain_seconds": -1}, "ingress_drain_seconds: -1 is out of range. Next: Give 1 to 3600"),
        ("ingress", {"ingress_drain_delay_seconds": "-1"}, "ingress_drain_delay_seconds: -1 is out of range"),
        ("ingress", {"ingress_drain_delay_seconds": 301}, "Next: Give 0 to 300, or leave it out"),
        ("ingress", {"ingress_ready_timeout": -1}, "ingress_ready_timeout: -1 is out of range"),
        ("cert_manager", {"cert_manager_startup_check_timeout": 0}, "startup_check_timeout: 0 is out of range"),
        ("observability", {"observability_scrape_interval": 0}, "scrape_interval: 0 is out of range"),
        ("spin_operator", {"spin_operator_drain_seconds": -1}, "spin_operator_drain_seconds: -1 is out of range"),
        ("spin_operator", {"spin_operator_drain_seconds": 30}, "Next: Give 0 to 25, or leave it out"),
        ("observability", {"observability_storage": "tape"}, "tape is neither disk nor s3"),
        ("observability", {"observability_alertmanager_configuration": {}}, "a receiver that is not among"),
        ("observability", {"observability_trace_percent": "-1"}, "-1 is no percentage"),
        ("key_value_store", {"key_value_store_namespaces": ["1st"]}, "1st cannot have a store"),
        ("key_value_store", {"key_value_store_namespaces": ["a" * 53]}, "at most 52"),
        ("key_value_store", {"key_value_store_namespaces": ["a", "a"]}, "lists a namespace twice"),
        ("key_value_store", {"key_value_store_databases": 1001}, "1001 is out of range"),
        ("key_value_store", {"key_value_store_size": "383Mi"}, "Give 384Mi or more"),
        ("key_value_store", {"key_value_store_size": "big"}, "Write it as 320Mi"),
        ("key_value_store", {"key_value_store_resources": {"limits": {"memory": "255Mi"}}}, "Give 256Mi or more"),
        ("key_value_store", {"key_value_store_resources": {}}, "is not set"),
        ("platform", {"platform_only": ["keda"]}, "keda is neither to be installed nor to be removed"),
        ("platform", {"platform_components": ["kedda"]}, "there is no component kedda"),
        ("platform", {"__platform_removed": ["cert_manager"]}, "Next: Remove spin_operator too"),
        ("platform", {"platform_chart_overrides": {"kedda": {}}}, "there is no chart kedda. Next: Use keda."),
        ("spin_operator", {"spin_operator_otlp_endpoints": {"traces": "http://collector:4318"}}, "add the path"),
        ("spin_operator", {"spin_operator_otlp_endpoints": {"trace": "http://a/v1"}}, "for trace"),
        ("spin_operator", {"__spin_operator_node_warmer_possible": False}, "spin_operator_warm_nodes: a timer on"),
        ("spin_operator", {"platform_node_networks": ["192.0.2.1"]}, "192.0.2.1 is no network"),
    ],
)
def test_what_is_wrong_is_named_with_the_next_step(role: str, variables: Variables, named: str) -> None:
    problem = one(RULES[role]({**GOOD[role], **variables}))
    assert named in problem
    assert re.search(r"[.] Next: .+[.]$", problem)


def test_https_needs_a_domain_namespaces_and_somebody_who_makes_the_certificate() -> None:
    https = {"ingress_tls": "issuer", "ingress_domain": "*.example.com", "ingress_domain_namespaces": []}
    found = list(map(str, ingress.problems({**GOOD["ingress"], **https, "__platform_installed": []})))
    assert ["is no domain" in found[0], "for no namespace" in found[1], "needs cert-manager" in found[2]] == [True] * 3


def test_s3_of_observability_needs_buckets_and_a_region() -> None:
    buckets = dict.fromkeys(observability.BUCKETS, "")
    problem = one(observability.problems({**GOOD["observability"], "observability_storage": "s3", **buckets}))
    assert "s3 needs observability_logs_bucket" in problem


def test_each_component_is_looked_at_with_its_own_rule() -> None:
    assert RULES["platform"] is components.problems
    assert RULES["function_registry"] is function_registry.problems
    assert RULES["spin_operator"] is spin_operator.problems


def test_shared_checks() -> None:
    assert list(namespace_problems("names", ["a", "shop-1", "a" * 63])) == []
    assert len(list(namespace_problems("names", ["Shop", "-a", "a" * 64, ""]))) == 4
    assert list(network_problems("nets", ["10.0.0.0/8", "fc00::/7"], "10.1.2.0/24")) == []
    assert list(network_problems("nets", ["10.0.0.1"], "10.1.2.0/24")) == [
        Problem("nets", "10.0.0.1 is no network", "write it as in 10.1.2.0/24")
    ]
    assert list(resources_problems("keda", {"a": {}, "b": {}}, ["b", "a"])) == []
    assert list(chart_problems("values", ["loki"], ["loki"])) == []
    assert list(range_problems({"a": "1", "b": 3}, {"a": (1, 1), "b": (0, 3)})) == []
    assert [problem.where for problem in range_problems({"a": 2, "b": None}, {"a": (0, 1), "b": (1, 3)})] == ["a", "b"]
    assert [whole(value) for value in (5, "5", "5.0", "five", None)] == [5, 5, 5, 0, 0]
