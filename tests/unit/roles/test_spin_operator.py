# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role spin_operator: its executors, what it refuses, and the order in which it goes away."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s import paths
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.node_warmer import REQUEST_SECONDS, RUN_SECONDS
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import DEFAULT_EXECUTOR

from .role_rendering import ROLES, RenderedRole

OTEL = {
    "exporter_otlp_traces_endpoint": "http://opentelemetry-collector.observability:4318/v1/traces",
    "exporter_otlp_metrics_endpoint": "http://opentelemetry-collector.observability:4318/v1/metrics",
}


def test_every_namespace_gets_the_executor_that_functions_name() -> None:
    objects = RenderedRole("spin_operator", spin_operator_executor_namespaces=["default", "shop"]).template(
        "objects_after.yml.j2"
    )
    assert [(item["kind"], item["metadata"].get("namespace", item["metadata"]["name"])) for item in objects] == [
        ("Namespace", "default"),
        ("SpinAppExecutor", "default"),
        ("Namespace", "shop"),
        ("SpinAppExecutor", "shop"),
    ]
    assert {item["metadata"]["name"] for item in objects if item["kind"] == "SpinAppExecutor"} == {DEFAULT_EXECUTOR}


def test_executor_names_the_runtime_class_of_role_wasm_shims() -> None:
    name = RenderedRole("wasm_shims").value("wasm_shims_catalogue.spin.runtime_class")
    spec = RenderedRole("spin_operator").value("__spin_operator_executor_spec")
    assert spec["deploymentConfig"]["runtimeClassName"] == name
    assert "spinImage" not in spec["deploymentConfig"], "the two exclude each other"


ON_SERVERS: dict[str, object] = {
    "inventory_hostname": "server-1",
    "groups": {"all": ["server-1"], "k3s_server": ["server-1"]},
    "k3s_node": {},
    "k3s_version": "v1.36.4+k3s1",
    "role_path": str(ROLES / "spin_operator"),
    "ansible_managed": "Ansible managed",
}


def test_servers_make_nodes_warm_where_role_k3s_made_them() -> None:
    for variables, expected in ((ON_SERVERS, {"wasmfaas.dev/warmed-by": "servers"}), ({}, None)):
        operator = RenderedRole("spin_operator", **variables).template("objects_after.yml.j2")
        tenants = [{"name": "user1"}]
        tenant = RenderedRole("tenant", tenant_list=tenants, **variables).template("objects_after.yml.j2")
        executors = [item for item in [*operator, *tenant] if item["kind"] == "SpinAppExecutor"]
        assert [item["metadata"].get("annotations") for item in executors] == [expected, expected]
    role = RenderedRole("spin_operator", spin_operator_warm_nodes=True)
    assert "hosts of the group k3s_server" in " ".join(role.problems())
    assert RenderedRole("spin_operator", **ON_SERVERS).problems() == []


def test_the_program_that_makes_nodes_warm_is_whole() -> None:
    files = RenderedRole("spin_operator", **ON_SERVERS).value("__spin_operator_node_warmer_files")
    sources = [Path(file["source"]).resolve() for file in files if "source" in file]
    assert [source for source in sources if not source.is_file()] == [] and len(sources) > 10
    assert {file["path"] for file in files if "content" in file} == {
        "/etc/systemd/system/wasmfaas-node-warmer.service",
        "/etc/systemd/system/wasmfaas-node-warmer.timer",
    }
    (directory,) = {file["path"].partition("/wasmfaas/wasmfaas/")[0] for file in files if "source" in file}
    (service,) = [file["content"] for file in files if file["path"].endswith(".service")]
    assert f"PYTHONPATH={directory}/wasmfaas\n" in service
    seconds = next(line.partition("=")[2] for line in service.splitlines() if line.startswith("TimeoutStartSec="))
    assert int(seconds) > RUN_SECONDS + REQUEST_SECONDS
    assert f"{directory}/wasmfaas" == paths.NODE_WARMER_DIRECTORY, "what k3s_uninstall removes"


def test_functions_send_to_the_collector_only_where_there_is_one() -> None:
    role = RenderedRole("spin_operator")
    assert role.value("__spin_operator_executor_spec")["deploymentConfig"]["otel"] == OTEL
    without = RenderedRole("spin_operator", platform_components=["cert_manager", "spin_operator"])
    assert "otel" not in without.value("__spin_operator_executor_spec")["deploymentConfig"]


def test_tenants_have_the_same_executor() -> None:
    settings = {
        "spin_operator_executor": "mine",
        "spin_operator_runtime_class": "other",
        "spin_operator_default_authorities": False,
        "spin_operator_otlp_endpoints": {"traces": "http://traces.example.com/v1/traces"},
    }
    for variables in ({}, settings):
        operator, tenant = RenderedRole("spin_operator", **variables), RenderedRole("tenant", **variables)
        assert tenant.value("__tenant_executor_spec") == operator.value("__spin_operator_executor_spec")
        assert tenant.value("tenant_executor") == operator.value("spin_operator_executor")
    assert "installDefaultCACerts" not in operator.value("__spin_operator_executor_spec")["deploymentConfig"], (
        "the operator drops false when it writes back"
    )


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"spin_operator_executor_namespaces": ["Shop"]}, "Shop cannot be a namespace"),
        (
            {"spin_operator_executor_namespaces": "default"},
            'Write spin_operator_executor_namespaces: ["default"], or -e',
        ),
        ({"spin_operator_otlp_endpoints": {"traces": "http://collector:4318"}}, "add the path"),
        (
            {"spin_operator_otlp_endpoints": {"profiles": "http://collector:4318/v1/profiles"}},
            "traces, metrics or logs",
        ),
    ],
)
def test_bad_input_is_named_with_the_next_step(variables: dict[str, object], named: str) -> None:
    message = " ".join(RenderedRole("spin_operator", **variables).problems())
    assert named in message and "Next: " in message


def test_defaults_pass_the_check() -> None:
    assert RenderedRole("spin_operator").problems() == []


def test_functions_are_not_removed_by_the_way() -> None:
    task = "remove | Refuse while there are functions"
    role = RenderedRole("spin_operator")
    message = role.refusal(task, "remove.yml", __spin_operator_functions={"stdout": "default/hello shop/cart "})
    assert (
        "2 functions would end with it: default/hello, shop/cart" in message
        and "spin_operator_remove_functions=true" in message
    )
    assert role.refusal(task, "remove.yml", __spin_operator_functions={"stdout": ""}) == ""
    assert (
        role.refusal(
            task, "remove.yml", __spin_operator_functions={"stdout": "a/b"}, spin_operator_remove_functions=True
        )
        == ""
    )


def test_removal_takes_apps_executors_operator_and_definitions_in_this_order() -> None:
    done = []
    for task in RenderedRole("spin_operator").tasks("remove.yml"):
        argv = str((task.get("ansible.builtin.command") or {}).get("argv", ""))
        if "'delete'" in argv:
            done.append("apps" if "spinapps." in argv else "executors")
        if task.get("vars") == {"__platform_component": "{{ __spin_operator_removed }}"}:
            done.append("operator")
    removed = RenderedRole("spin_operator").value("__spin_operator_removed")
    assert removed["remove_definitions"] is True
    assert removed["objects_after"] == [], "namespaces of others would go with their executors"
    assert done == ["apps", "executors", "operator"]


def test_default_namespaces_are_not_the_platforms_own() -> None:
    # What goes with the role is in objects.yml.j2: only its own namespace.
    assert list(RenderedRole("spin_operator").objects()) == [("Namespace", "spin-operator")]
    assert (ROLES / "spin_operator/README.md").exists()


@pytest.mark.parametrize(("version", "seconds"), [("v1.36.4+k3s1", 5), ("v1.35.2+k3s1", 0)])
def test_pods_pause_before_their_end_where_the_cluster_can_make_them(version: str, seconds: int) -> None:
    """tests/integration/test_request_path.py applies the policy to a real API server, and counts the requests that are
    lost without it."""
    assert int(RenderedRole("spin_operator", k3s_version=version).value("spin_operator_drain_seconds")) == 0, (
        "a cluster that is not ours may be older"
    )
    role = RenderedRole("spin_operator", k3s_version=version, k3s_plan={})
    assert int(role.value("spin_operator_drain_seconds")) == seconds
    names = {"wasmfaas-drain-spin-pods", "wasmfaas-probe-spin-pods", "wasmfaas-harden-wasm-pods"}
    assert policies_of(role, "objects_after") == (names if seconds else set())
    assert policies_of(role, "objects_absent") == (set() if seconds else names)


def policies_of(role: RenderedRole, key: str) -> set[str]:
    """Names of the policies that change pods at admission, each of which has a binding of the same name."""
    entries = [entry for entry in role.value(f"__spin_operator_component.{key}") if "Mutating" in entry["kind"]]
    names = {entry["metadata"]["name"] for entry in entries}
    assert len(entries) == 2 * len(names)
    return names


def test_each_policy_can_be_switched_off() -> None:
    role = RenderedRole(
        "spin_operator",
        k3s_version="v1.36.4+k3s1",
        k3s_plan={},
        spin_operator_drain_seconds=0,
        spin_operator_probe_at_once=True,
        spin_operator_hardened_runtime_classes=[],
    )
    assert policies_of(role, "objects_after") == {"wasmfaas-probe-spin-pods"}
    assert policies_of(role, "objects_absent") == {"wasmfaas-drain-spin-pods", "wasmfaas-harden-wasm-pods"}


def test_all_policies_go_with_the_role() -> None:
    assert policies_of(RenderedRole("spin_operator"), "objects_absent") == {
        entry["metadata"]["name"]
        for entry in RenderedRole("spin_operator").value("__spin_operator_removed.objects_absent")
        if entry["kind"] != "NetworkPolicy"
    }


def test_pods_are_hardened_that_a_shim_of_role_wasm_shims_runs() -> None:
    """tests/integration/test_hardened_pods.py applies the policy to a real API server."""
    role = RenderedRole("spin_operator", k3s_version="v1.36.4+k3s1", k3s_plan={}, spin_operator_runtime_class="other")
    catalogue = RenderedRole("wasm_shims").value("wasm_shims_catalogue")
    assert role.value("spin_operator_hardened_runtime_classes") == [
        "other" if name == "spin" else shim["runtime_class"] for name, shim in catalogue.items()
    ]


def test_functions_outside_of_tenants_have_the_network_policy_of_a_tenant() -> None:
    role = RenderedRole("spin_operator", spin_operator_egress_networks=["10.1.2.0/24"])
    [policy] = role.value("__spin_operator_function_policies")
    assert policy["metadata"]["namespace"] == "default" and policy["metadata"]["name"] == "spin-functions"
    assert policy["spec"]["podSelector"] == {
        "matchExpressions": [{"key": "core.spinkube.dev/app-name", "operator": "Exists"}]
    }, "other pods of that namespace are not concerned"
    tenant = RenderedRole("tenant", tenants=[{"name": "default"}], tenant_egress_networks=["10.1.2.0/24"])
    theirs = tenant.objects(__tenant_selected=[{"name": "default"}])["NetworkPolicy", "functions"]["spec"]
    assert {**policy["spec"], "podSelector": {}} == theirs
    off = RenderedRole("spin_operator", platform_network_policies=False)
    assert policy["metadata"]["name"] not in str(off.value("__spin_operator_component.objects_after"))
    assert "spin-functions" in str(off.value("__spin_operator_component.objects_absent"))
