# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles function_builds and function_service: when they are there, and what the service is told. What the API server
says: tests/integration/test_function_service_role.py."""

from __future__ import annotations

import base64
import json
import typing as t
from pathlib import Path

import msgspec
import pytest
import yaml
from ansible_collections.wasmfaas.platform.service.cluster.settings import ClusterSettings

from .role_rendering import PROJECT, RenderedRole

GIVEN: dict[str, t.Any] = {
    "registry": "registry.example.com/functions",
    "function_service_host": "api.example.com",
    "platform_components": ["ingress", "function_builds", "function_service"],
}
VERSION = yaml.safe_load((PROJECT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
AWS = {"node_groups": {"worker-backend": {}, "worker-build": {}}, "registry": {"functions": "1.ecr/shop/functions"}}


def role(**variables: t.Any) -> RenderedRole:
    return RenderedRole("function_service", **{**GIVEN, **variables})


def settings(**variables: t.Any) -> dict[str, t.Any]:
    (text,) = role(**variables).objects()["ConfigMap", "function-service"]["data"].values()
    return dict(json.loads(text))


def pod(**variables: t.Any) -> dict[str, t.Any]:
    return dict(role(**variables).objects()["Deployment", "function-service"]["spec"]["template"])


@pytest.mark.parametrize(
    ("variables", "there"),
    [
        ({}, False),
        ({"groups": {"worker_backend": ["a"]}}, False),
        ({"registry": "r.example.com/functions"}, False),
        ({"groups": {"worker_backend": ["a"]}, "registry": "r.example.com/functions"}, True),
    ],
)
def test_they_are_there_where_they_have_hosts_and_a_registry(variables: dict[str, t.Any], there: bool) -> None:
    installed = RenderedRole("platform", **variables).value("__platform_installed")
    assert ("function_service" in installed, "function_builds" in installed) == (there, there)


def test_the_inventory_of_aws_has_them_where_there_is_their_group() -> None:
    given = yaml.safe_load((PROJECT / "inventories/aws/group_vars/all.yml").read_text(encoding="utf-8"))
    assert "'worker-backend' in aws_cluster.node_groups" in given["platform_components"]
    assert "'function_builds', 'function_service'" in given["platform_components"]


def test_a_provider_of_tokens_is_one_only_where_it_is_set() -> None:
    assert msgspec.convert(settings(), ClusterSettings).oidc is None
    rule = {"claim": "groups", "value": "shop", "tenant": "user1", "role": "deploy"}
    given = {"issuer": "https://id.example.com", "client_id": "faas", "rules": [rule]}
    found = msgspec.convert(settings(function_service_oidc=given), ClusterSettings).oidc
    assert found is not None and (found.issuer, found.rules[0].tenant) == ("https://id.example.com", "user1")


def test_images_are_those_of_the_collections_version_unless_said_otherwise() -> None:
    assert settings()["builds"]["images"] == {
        language: f"registry.example.com/functions/wasmfaas/builder-{image}:{VERSION}"
        for language, image in {
            "python": "python", "static": "python", "javascript": "javascript", "go": "go", "rust": "rust"
        }.items()
    }  # fmt: skip
    (container,) = pod(
        function_service_version="2.0.0", function_service_image_overrides={"builder-go": "r.example/go:1"}
    )["spec"]["containers"]
    assert container["image"] == "registry.example.com/functions/wasmfaas/function-service:2.0.0"
    assert settings(function_service_image_overrides={"builder-go": "g:1"})["builds"]["images"]["go"] == "g:1"
    (on_aws,) = pod(aws_cluster=AWS)["spec"]["containers"]
    assert on_aws["image"].startswith("1.ecr/shop/functions/wasmfaas/function-service:")


def test_the_cluster_s_own_registry_is_used_with_the_accounts_of_tenants(tmp_path: Path) -> None:
    (tmp_path / "function-registry.json").write_text(json.dumps({"registry": "192.0.2.1:30500/functions"}))
    known = {"platform_components": [*GIVEN["platform_components"], "function_registry"], "registry": ""}
    own = {**known, "function_registry_directory": str(tmp_path)}
    assert settings(**own)["registry"] == "" and settings(**own)["registry_credential_directory"] == ""
    assert settings(**own)["builds"]["images"]["go"].startswith("192.0.2.1:30500/functions/wasmfaas/builder-go:")
    assert role(**own).problems() == []
    assert settings()["registry"] == "registry.example.com/functions/{tenant}"
    assert settings(aws_cluster=AWS)["registry"] == "1.ecr/shop/functions/{tenant}"


def test_its_address_is_that_of_the_domain_or_of_the_ingress() -> None:
    assert settings()["service_url"] == "http://api.example.com"
    by_address = {"function_service_host": "", "__function_service_address": "192.0.2.11"}
    assert role(**by_address).value("__function_service_url", **by_address) == "http://api.192.0.2.11.nip.io"
    https = {"function_service_host": "", "ingress_tls": "issuer", "ingress_domain": "example.org"}
    assert settings(**https)["service_url"] == "https://api.example.org"
    assert (settings(**https)["domain"], settings(**https)["options"]) == ("example.org", {"tls": True})
    route = role(**https).objects()["HTTPRoute", "function-service"]["spec"]
    assert (route["hostnames"], route["parentRefs"][0]["sectionName"]) == (["api.example.org"], "https")
    assert settings(ingress_http_port=8080)["service_url"] == "http://api.example.com:8080"


def test_the_certificate_of_the_ingress_is_for_the_service_too() -> None:
    given = {"ingress_tls": "issuer", "ingress_domain": "example.org"}
    names = RenderedRole("ingress", **given, platform_components=["function_service"]).value(
        "__ingress_certificate_names"
    )
    assert names[-1] == "api.example.org"
    assert "api.example.org" not in RenderedRole("ingress", **given).value("__ingress_certificate_names")


def test_secrets_are_files_and_in_no_setting_and_another_one_gives_other_pods(tmp_path: Path) -> None:
    key = tmp_path / "record.key"
    key.write_text("s3cret-key")
    given = {
        "function_service_registry_username": "pusher",
        "function_service_registry_password": "s3cret",
        "function_service_record_key_file": str(key),
    }
    secret = role(**given).objects()["Secret", "function-service"]["data"]
    assert base64.b64decode(secret["registry.password"]) == b"s3cret"
    assert base64.b64decode(secret["record.key"]) == b"s3cret-key"
    template = pod(**given)
    assert "s3cret" not in json.dumps([settings(**given), template])
    sources = template["spec"]["volumes"][0]["projected"]["sources"]
    assert [item["path"] for item in sources[1]["secret"]["items"]] == [
        "registry/username", "registry/password", "record.key"
    ]  # fmt: skip
    assert settings(**given)["record_key_file"] == "/etc/wasmfaas/record.key"
    other = pod(**{**given, "function_service_registry_password": "another"})
    assert other["metadata"]["annotations"] != template["metadata"]["annotations"]


def test_pods_are_restricted_and_survive_each_other() -> None:
    spec = pod()["spec"]
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip
    assert container["resources"]["requests"]["memory"] == "96Mi"
    assert container["resources"]["limits"]["memory"] == "256Mi"
    assert all("sizeLimit" in volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume)
    objects = role().objects()
    deployment = objects["Deployment", "function-service"]["spec"]
    assert deployment["replicas"] == 2 and deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    labels = deployment["template"]["metadata"]["labels"].items()
    for kind in ("PodDisruptionBudget", "Service"):
        selector = objects[kind, "function-service"]["spec"]["selector"]
        assert selector.get("matchLabels", selector).items() <= labels
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] < spec["terminationGracePeriodSeconds"]


@pytest.mark.parametrize(
    ("variables", "service", "builds"),
    [
        ({}, {}, {}),
        (
            {"groups": {"worker_backend": ["a"], "worker_build": ["b"]}},
            {"wasmfaas.dev/group": "worker-backend"},
            {"wasmfaas.dev/group": "worker-build"},
        ),
        (
            {"aws_cluster": AWS},
            {"wasmfaas.dev/group": "worker-backend"},
            {"wasmfaas.dev/group": "worker-build"},
        ),
    ],
)
def test_they_run_on_the_machines_that_are_meant_for_them(
    variables: dict[str, t.Any], service: dict[str, str], builds: dict[str, str]
) -> None:
    assert pod(**variables)["spec"]["nodeSelector"] == service
    assert settings(**variables)["builds"]["node_selector"] == builds


def waited(*items: dict[str, t.Any]) -> tuple[bool, bool, str]:
    """Whether the service is ready, whether it is stuck, and what role says where it is not ready."""
    seen = {"rc": 0, "stdout": json.dumps({"items": list(items)}), "stderr": ""}
    known = role()
    found = [known.value(f"__function_service_{name}", __function_service_seen=seen) for name in ("ready", "stuck")]
    task = "wait | Refuse to continue if they do not run"
    return found[0], found[1], known.refusal(task, "wait.yml", __function_service_seen=seen)


def played(available: int) -> dict[str, t.Any]:
    status = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": available}
    return {"kind": "Deployment", "metadata": {"generation": 3}, "spec": {"replicas": 2}, "status": status}


def test_it_waits_for_the_pods_but_not_for_an_image_that_is_not_there() -> None:
    assert waited(played(2)) == (True, False, "")
    assert waited(played(1))[:2] == (False, False)
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image r/wasmfaas/function-service:1.0.0"}
    stuck = {"kind": "Pod", "status": {"containerStatuses": [{"state": {"waiting": waiting}}]}}
    ready, is_stuck, said = waited(played(0), stuck, {"kind": "Pod", "status": {}})
    assert (ready, is_stuck) == (False, True)
    assert "Back-off pulling image" in said and "wasmfaas.platform.publish_images" in said


def test_site_waits_for_the_service_when_its_nodes_can_join() -> None:
    """On AWS they join by their node bundle, which site.yml publishes when the cluster is there."""
    plays = yaml.safe_load((PROJECT / "playbooks/site.yml").read_text(encoding="utf-8"))
    names = [play["name"] for play in plays]
    install, publish, wait = (
        names.index(name)
        for name in (
            "Install the platform",
            "Publish the node bundles of autoscaled nodes",
            "Wait for what runs on autoscaled nodes too",
        )
    )
    assert install < publish < wait
    (called,) = plays[install]["tasks"]
    assert called["vars"] == {"__platform_waits_later": True}
    later = {"__platform_waits_later": True}
    (task,) = [task for task in role().tasks() if task["name"] == "Wait until it serves"]
    assert (role().value(task["when"], **later), role().value(task["when"])) == (False, True)
    assert "function_service" in RenderedRole("platform").value("__platform_on_autoscaled_nodes")


def test_the_sandbox_of_builds_is_used_where_there_is_one() -> None:
    builds = RenderedRole("function_builds", function_builds_runtime_handler="runsc")
    assert builds.objects()["RuntimeClass", "function-builds"]["handler"] == "runsc"
    assert settings(function_builds_runtime_handler="runsc")["builds"]["runtime_class"] == "function-builds"
    assert settings()["builds"]["runtime_class"] == ""
    assert settings()["builds"]["priority_class"] == "function-builds"


def test_a_build_of_the_service_fits_into_the_fence() -> None:
    most = RenderedRole("function_builds").value("function_builds_limits")["max"]
    builds = settings()["builds"]
    assert float(builds["cpu"]) <= float(most["cpu"])
    for name, key in (("memory", "memory"), ("ephemeral_storage", "ephemeral-storage")):
        assert float(builds[name].removesuffix("Gi")) <= float(most[key].removesuffix("Gi"))
