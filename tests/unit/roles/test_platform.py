# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role platform: which parts a run has, takes away and touches, in which order, and what it refuses. All parts' checks
at once: test_role_plays.py."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible.template import trust_as_template
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.rules import RULES

from .role_rendering import PROJECT, ROLES, RenderedRole

PARTS = [
    "aws_integration", "cert_manager", "spin_operator", "ingress", "keda", "observability", "function_registry",
    "function_builds", "key_value_store", "function_service",
]  # fmt: skip


def platform(**variables: t.Any) -> RenderedRole:
    return RenderedRole("platform", **variables)


def loops(**variables: t.Any) -> list[list[str]]:
    """The parts that tasks/install.yml removes, then those that it has."""
    role = platform(**variables)
    tasks = [task for task in role.tasks("install.yml") if "loop" in task]
    return [role.value(task["loop"].strip().removeprefix("{{").removesuffix("}}")) for task in tasks]


def test_each_part_is_a_role_that_can_be_asked_installed_and_removed() -> None:
    assert platform().value("__platform_roles") == PARTS
    for part in PARTS:
        for file in ("tasks/main.yml", "tasks/remove.yml"):
            assert (ROLES / part / file).is_file(), f"{part}/{file}"
        assert part in RULES


def test_parts_come_after_what_they_need_in_whichever_order_they_are_listed() -> None:
    for listed in (PARTS, PARTS[::-1], sorted(PARTS)):
        assert loops(platform_components=listed) == [[], PARTS]
        assert loops(platform_components=[], platform_components_removed=listed) == [PARTS[::-1], []]


@pytest.mark.parametrize(
    ("playbook", "before", "after"),
    [
        ("site", "Plan", None),  # the address of the ingress comes from the plan
        ("platform", "Use it", "Install the components"),
        ("bundle", "Refuse to begin without a directory", "Look at the hosts for their architectures"),
    ],
)
def test_playbooks_check_before_they_touch_anything(playbook: str, before: str, after: str | None) -> None:
    plays = yaml.safe_load((PROJECT / f"playbooks/{playbook}.yml").read_text(encoding="utf-8"))
    tasks = next(play["tasks"] for play in plays if "tasks" in play)
    (check,) = [
        number
        for number, task in enumerate(tasks)
        if task.get("ansible.builtin.include_role", {}).get("tasks_from", "").startswith("check")
    ]
    names = [*(task["name"] for task in tasks), None]
    assert [names[check - 1], names[check + 1]] == [before, after]


def test_parts_are_asked_once() -> None:
    """By role platform, all at once: each role asks itself only where it is used alone."""
    for task in platform().tasks("install.yml")[1:]:
        assert task["vars"] == {"__platform_checked": True}
    (check,) = platform().tasks("component_check.yml")
    assert check["when"] == "not __platform_checked | default(false)"
    for part in (*PARTS, "tenant"):
        first = RenderedRole(part).tasks()[0]
        assert first["ansible.builtin.include_role"]["tasks_from"] == "component_check"
        assert first["vars"] == {"__platform_role": part}


def test_what_is_to_be_removed_is_not_had() -> None:
    assert loops(platform_components_removed=["keda"]) == [
        ["keda"],
        ["cert_manager", "spin_operator", "ingress", "observability"],
    ]
    assert platform(platform_components_removed=["keda"]).problems() == []


def test_one_part_can_be_touched_alone_and_the_others_stay_known() -> None:
    role = platform(platform_only=["keda"], platform_components_removed=["cert_manager", "spin_operator"])
    assert loops(platform_only=["keda"], platform_components_removed=["observability"]) == [[], ["keda"]]
    assert role.value("platform_otlp_address") == "http://opentelemetry-collector.observability:4318"
    assert role.value("__platform_asked") == ["platform", "keda"]


def test_tenants_are_had_where_there_are_some() -> None:
    for none in (None, []):
        assert platform(tenants=none).value("__platform_with_tenants") is False
    assert platform(tenants=[{"name": "user1"}]).value("__platform_asked")[-1] == "tenant"
    assert platform(tenants=[{"name": "user1"}], platform_only=["keda"]).value("__platform_with_tenants") is False


def test_what_lies_in_the_namespaces_of_tenants_comes_after_them() -> None:
    both = loops(platform_components=["key_value_store", "cert_manager"], tenants=[{"name": "user1"}])
    assert both == [[], ["cert_manager", "tenant", "key_value_store"]]


def test_images_without_a_chart_come_from_the_mirror_and_are_in_the_air_gap_bundle() -> None:
    role = platform(platform_components=["key_value_store"], platform_image_registries={"docker.io": "m.example/hub"})
    (image,) = role.value("__platform_bundle_images")
    assert image.startswith("m.example/hub/valkey/valkey:")
    assert platform(platform_components=["keda"]).value("__platform_bundle_images") == []


def test_without_observability_nothing_is_sent_to_its_collector() -> None:
    for variables in (
        {"platform_components": ["cert_manager", "keda"]},
        {"platform_components_removed": ["observability"]},
    ):
        assert platform(**variables).value("platform_otlp_address") == ""
        assert RenderedRole("spin_operator", **variables).value("spin_operator_otlp_endpoints") == {}
        assert RenderedRole("tenant", **variables).value("tenant_otlp_endpoints") == {}
        assert RenderedRole("ingress", **variables).value("ingress_traces_endpoint") == ""
        assert (
            "extraEnvs"
            not in RenderedRole("keda", **variables).template("values_keda-add-ons-http.yml.j2")["interceptor"]
        )


def test_all_parts_send_to_another_collector_where_there_is_one() -> None:
    own = "http://collector.example.com:4318"
    assert set(
        RenderedRole("spin_operator", platform_otlp_address=own).value("spin_operator_otlp_endpoints").values()
    ) == {
        f"{own}/v1/traces",
        f"{own}/v1/metrics",
    }
    assert RenderedRole("ingress", platform_otlp_address=own).value("ingress_traces_endpoint") == f"{own}/v1/traces"
    environment = RenderedRole("keda", platform_otlp_address=own).template("values_keda-add-ons-http.yml.j2")[
        "interceptor"
    ]["extraEnvs"]
    assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == own


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        (
            {"platform_components": ["kedda"]},
            "platform_components: there is no component kedda. Next: Use aws_integration, cert_manager",
        ),
        ({"platform_components_removed": ["kedda"]}, "platform_components_removed: there is no component kedda"),
        ({"platform_only": ["kedda"]}, "platform_only: there is no component kedda"),
        (
            {"platform_only": ["function_registry"]},
            "platform_only: function_registry is neither to be installed nor to be removed",
        ),
        ({"platform_components_removed": ["cert_manager"]}, "would end with it. Next: Remove spin_operator too"),
        (
            {"platform_chart_overrides": {"cert_manager": {}}},
            "there is no chart cert_manager. Next: Use cert-manager, ",
        ),
        ({"platform_components": "keda"}, "platform_components: 'keda' is text, and a list is needed"),
        ({"platform_components": None}, "platform_components: is written without a value"),
        ({"platform_timeout": "10m"}, "platform_timeout: '10m' is no whole number"),
        (
            {"platform_chart_installer": "flux"},
            "platform_chart_installer: 'flux' is not known. Next: Write auto, controller or helm.",
        ),
    ],
)
def test_bad_input_is_named_with_the_next_step(variables: dict[str, t.Any], named: str) -> None:
    # As bundle.yml asks: no cluster was looked at.
    (problem,) = platform(**variables).problems()
    assert named in problem and "Next: " in problem


def test_numbers_and_truth_values_may_come_from_the_command_line() -> None:
    assert platform(platform_timeout="900").problems() == []
    assert (
        RenderedRole(
            "cert_manager", cert_manager_self_signed_issuer="yes", cert_manager_startup_check_timeout="60"
        ).problems()
        == []
    )


def test_what_is_wrong_with_one_variable_does_not_hide_the_others() -> None:
    role = RenderedRole(
        "ingress", ingress_addresses="192.0.2.1", ingress_http_port=0, ingress_traces_share=2, k3s_plan={}
    )
    assert [problem.partition(":")[0] for problem in role.problems()] == [
        "ingress_addresses",
        "ingress_addresses",
        "ingress_http_port",
        "ingress_traces_share",
    ]


def test_what_can_not_be_filled_in_is_named() -> None:
    (problem,) = RenderedRole(
        "cert_manager", cert_manager_acme_domains=trust_as_template("{{ no_such_variable }}")
    ).problems()
    assert problem.startswith("cert_manager_acme_domains: cannot be filled in: ") and "no_such_variable" in problem
