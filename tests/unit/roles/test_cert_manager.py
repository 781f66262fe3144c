# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role cert_manager: which issuers it makes, and what it refuses before anything is touched."""

from __future__ import annotations

import pytest

from .role_rendering import RenderedRole


def test_without_more_there_is_no_issuer() -> None:
    assert RenderedRole("cert_manager").template("objects_after.yml.j2") == []


def test_acme_issuer_proves_by_route_53_with_the_role_of_the_node() -> None:
    cluster = {"region": "eu-central-1", "hosted_zone_ids": ["Z123"]}
    role = RenderedRole(
        "cert_manager",
        cert_manager_acme_email="a@example.com",
        cert_manager_acme_domains=["example.com"],
        aws_cluster=cluster,
    )
    (issuer,) = role.objects("objects_after.yml.j2").values()
    assert issuer["metadata"]["name"] == "letsencrypt"
    (solver,) = issuer["spec"]["acme"]["solvers"]
    assert solver == {
        "dns01": {"route53": {"region": "eu-central-1", "hostedZoneID": "Z123"}},
        "selector": {"dnsZones": ["example.com"]},
    }
    assert role.problems() == []


def test_of_several_zones_cert_manager_finds_the_right_one_itself() -> None:
    cluster = {"region": "eu-central-1", "hosted_zone_ids": ["Z123", "Z456"]}
    role = RenderedRole("cert_manager", cert_manager_acme_email="a@example.com", aws_cluster=cluster)
    (issuer,) = role.objects("objects_after.yml.j2").values()
    assert issuer["spec"]["acme"]["solvers"] == [{"dns01": {"route53": {"region": "eu-central-1"}}}]


def test_both_issuers() -> None:
    role = RenderedRole(
        "cert_manager",
        cert_manager_self_signed_issuer=True,
        cert_manager_acme_email="a@example.com",
        cert_manager_acme_region="us-east-1",
    )
    assert [name for _kind, name in role.objects("objects_after.yml.j2")] == ["self-signed", "letsencrypt"]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"cert_manager_acme_email": "nobody"}, "nobody is no mail address"),
        ({"cert_manager_acme_email": "a@example.com"}, "no region is known"),
        ({"cert_manager_dns_servers": ["1.1.1.1"]}, "1.1.1.1 lacks a port"),
        (
            {"cert_manager_acme_domains": "example.com"},
            "cert_manager_acme_domains: 'example.com' is text, and a list is needed",
        ),
        (
            {"cert_manager_resources": {"webhook": {}}},
            "must hold controller, webhook, injector, startup_check, and holds webhook.",
        ),
        ({"cert_manager_values": None}, "cert_manager_values: is written without a value"),
    ],
)
def test_bad_input_is_named_with_the_next_step(variables: dict[str, object], named: str) -> None:
    message = " ".join(RenderedRole("cert_manager", **variables).problems())
    assert named in message and "Next: " in message


def test_it_stays_while_the_operator_needs_it() -> None:
    task = "remove | Refuse while the SpinKube operator needs it"
    role = RenderedRole("cert_manager")
    assert "Put spin_operator into platform_components_removed too" in role.refusal(task, "remove.yml")
    assert role.refusal(task, "remove.yml", platform_components_removed=["cert_manager", "spin_operator"]) == "", (
        "the operator goes first in any case"
    )
    assert role.refusal(task, "remove.yml", platform_components=["ingress"]) == ""


def test_images_come_from_the_mirror() -> None:
    values = RenderedRole("cert_manager", platform_image_registries={"quay.io": "mirror.example.com/quay"}).template(
        "values_cert-manager.yml.j2"
    )
    assert values["imageRegistry"] == "mirror.example.com/quay"


def test_issuers_that_are_switched_off_go() -> None:
    assert [entry["metadata"]["name"] for entry in RenderedRole("cert_manager").value("__cert_manager_absent")] == [
        "self-signed",
        "letsencrypt",
    ]
    on = RenderedRole(
        "cert_manager", cert_manager_self_signed_issuer=True, cert_manager_acme_email="person@example.com"
    )
    assert on.value("__cert_manager_absent") == []
