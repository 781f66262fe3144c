# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role tenant: what a tenant may do and reach, its credentials, and what is refused. With the real API:
tests/integration/test_tenants.py."""

from __future__ import annotations

import base64
import ipaddress
import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry import registry_access
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube import kinds
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.objects import PROGRAM

from .role_rendering import PROJECT, RenderedRole

PLAN = {"cluster": {"api_host": "server-1"}, "hosts": {"server-1": {"address": "192.0.2.1", "role": "server"}}}


def tenants(*entries: dict[str, t.Any], **variables: t.Any) -> RenderedRole:
    return RenderedRole("tenant", k3s_plan=PLAN, inventory_dir="/inventory", tenants=list(entries), **variables)


def objects(entry: dict[str, t.Any], **variables: t.Any) -> dict[tuple[str, str], dict[str, t.Any]]:
    return tenants(entry, **variables).objects(__tenant_selected=[entry])


# what it may reach


def egress(entry: dict[str, t.Any], **variables: t.Any) -> list[dict[str, t.Any]]:
    policy = objects(entry, **variables)["NetworkPolicy", "functions"]
    return [peer["ipBlock"] for rule in policy["spec"]["egress"] for peer in rule["to"] if "ipBlock" in peer]


def reaches(blocks: list[dict[str, t.Any]], address: str) -> bool:
    """As NetworkPolicy says: in the block of one peer, and in none of its exceptions."""
    wanted = ipaddress.ip_address(address)
    return any(
        wanted in ipaddress.ip_network(block["cidr"])
        and not any(wanted in ipaddress.ip_network(inner) for inner in block.get("except", []))
        for block in blocks
    )


@pytest.mark.parametrize(
    ("address", "reached"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("169.254.169.254", False),
        ("fd00:ec2::254", False),  # the same service by IPv6
        ("10.42.3.7", False),
        ("10.43.0.1", False),
        ("192.168.1.10", False),
        ("172.31.4.4", False),
    ],
)
def test_functions_reach_the_world_and_nothing_private(address: str, reached: bool) -> None:
    blocks = egress({"name": "user1"})
    assert reaches(blocks, address) is reached
    for block in blocks:
        for inner in block["except"]:
            assert ipaddress.ip_network(inner).subnet_of(t.cast(t.Any, ipaddress.ip_network(block["cidr"]))), (
                "the API refuses others"
            )


def test_networks_of_the_cluster_are_blocked_wherever_they_are() -> None:
    config = {"cluster-cidr": "203.0.112.0/20,fd42::/56", "service-cidr": ["203.0.128.0/20"]}
    blocks = egress({"name": "user1"}, k3s_server_config=config)
    assert not reaches(blocks, "203.0.113.1") and not reaches(blocks, "203.0.129.1")


def test_public_addresses_of_nodes_are_blocked() -> None:
    known = {"server-1": {"public_ip": "93.184.216.34"}, "worker-1": {"ansible_host": "93.184.216.35"}}
    groups = {"all": [*known], "k3s_server": ["server-1"], "k3s_agent": ["worker-1"]}
    blocks = egress({"name": "user1"}, groups=groups, hostvars=known)
    assert not reaches(blocks, "93.184.216.34") and not reaches(blocks, "93.184.216.35")
    assert reaches(blocks, "93.184.216.36")


@pytest.mark.parametrize(
    "address", ["64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "168.63.129.16", "192.0.0.192", "100.100.100.200"]
)
def test_detours_and_other_clouds_are_blocked(address: str) -> None:
    assert not reaches(egress({"name": "user1"}), address)


def test_a_network_can_be_opened_for_one_tenant() -> None:
    assert reaches(egress({"name": "user1", "egress_networks": ["10.1.2.0/24"]}), "10.1.2.9")
    assert not reaches(egress({"name": "user2"}), "10.1.2.9")


def test_all_else_is_denied_both_ways() -> None:
    policy = objects({"name": "user1"})["NetworkPolicy", "deny-all"]
    assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_only_the_ingress_the_interceptor_and_its_own_functions_call_it() -> None:
    ingress = objects({"name": "user1"})["NetworkPolicy", "functions"]["spec"]["ingress"]
    namespaces = [
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in ingress[0]["from"]
    ]
    assert namespaces == ["wasmfaas-system", "keda"] and ingress[0]["ports"] == [{"port": 80, "protocol": "TCP"}]
    assert ingress[1:] == [{"from": [{"podSelector": {}}]}]


# what it may do


def allowed(entry: dict[str, t.Any], kind: str, name: str, **variables: t.Any) -> set[tuple[str, str, str]]:
    rules = objects(entry, **variables)[kind, name]["rules"]
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_every_kind_that_a_deployment_writes_is_allowed() -> None:
    rights = allowed({"name": "user1"}, "Role", "functions")
    for kind in kinds.BY_NAME.values():
        assert {(kind.group, kind.plural, verb) for verb in ("get", "list", "create", "patch", "delete")} <= rights, (
            kind.kind
        )


def test_nothing_is_allowed_that_leads_out() -> None:
    rights = allowed({"name": "user1"}, "Role", "functions")
    assert not {right for right in rights if "*" in right}
    written = {(group, resource) for group, resource, verb in rights if verb not in ("get", "list", "watch")}
    assert not written & {
        ("", "pods"),
        ("", "serviceaccounts"),
        ("apps", "deployments"),
        ("core.spinkube.dev", "spinappexecutors"),
        ("", "services"),
    }
    assert not {right for right in rights if right[0] == "rbac.authorization.k8s.io"}
    assert allowed({"name": "user1"}, "ClusterRole", "wasmfaas-tenant-user1") == {
        ("gateway.networking.k8s.io", "gateways", "get"),
        ("", "nodes", "list"),
        ("node.k8s.io", "runtimeclasses", "get"),
    }


def test_programs_need_a_switch_and_bring_no_other_rights() -> None:
    tenant = {"name": "user1", "users": ["alice"], "groups": ["team"]}
    assert not {key for key in objects(tenant) if "programs" in key[1]}
    more = allowed(tenant, "Role", "functions", tenant_programs=True) - allowed(tenant, "Role", "functions")
    writes = ("create", "patch", "delete")
    assert more == {
        *(("batch", "jobs", verb) for verb in ("get", "list", *writes)),
        *(("apps", "deployments", verb) for verb in writes),
        *(("", "services", verb) for verb in ("get", *writes)),
    }
    found = objects(tenant, tenant_programs=True)
    assert found["NetworkPolicy", "programs"]["spec"]["podSelector"] == {
        "matchExpressions": [{"key": PROGRAM, "operator": "Exists"}]
    }


def test_users_and_groups_get_the_same_rights() -> None:
    found = objects({"name": "user1", "users": ["alice"], "groups": ["team"]})
    for kind, name in (("RoleBinding", "functions"), ("ClusterRoleBinding", "wasmfaas-tenant-user1")):
        assert [(subject["kind"], subject["name"]) for subject in found[kind, name]["subjects"]] == [
            ("ServiceAccount", "deployer"),
            ("User", "alice"),
            ("Group", "team"),
        ]


def test_pods_get_no_token() -> None:
    accounts = [item for (kind, _name), item in objects({"name": "user1"}).items() if kind == "ServiceAccount"]
    assert [account["automountServiceAccountToken"] for account in accounts] == [False, False]


def test_pod_security_level_is_the_strictest_that_spin_apps_pass() -> None:
    labels = objects({"name": "user1", "labels": {"team": "one"}})["Namespace", "user1"]["metadata"]["labels"]
    assert (
        labels["pod-security.kubernetes.io/enforce"] == "baseline"
        and labels["pod-security.kubernetes.io/warn"] == "restricted"
    )
    assert labels["team"] == "one" and labels["wasmfaas.dev/tenant"] == "user1"


def test_quota_and_limits_of_one_tenant_go_over_the_defaults() -> None:
    entry = {"name": "user1", "quota": {"pods": "5", "count/secrets": None}, "limits": {"max": {"memory": "4Gi"}}}
    found = objects(entry)
    hard = found["ResourceQuota", "tenant"]["spec"]["hard"]
    assert hard["pods"] == "5" and hard["requests.cpu"] == "2" and "count/secrets" not in hard
    (limits,) = found["LimitRange", "tenant"]["spec"]["limits"]
    assert limits["max"]["memory"] == "4Gi" and limits["max"]["cpu"] == "2" and limits["default"]["memory"] == "256Mi"


def test_account_at_the_cluster_s_own_registry(tmp_path: Path) -> None:
    """Given to those who deploy; pods are pulled with the nodes' account."""
    wanted = registry_access.DesiredAccess(
        "registry.example.com", ("192.0.2.11",), 30500, "functions", 1825, tenants=("user1",)
    )
    access = registry_access.ensure(tmp_path / "function-registry.json", "", wanted, check_mode=False)[1]
    known = {"platform_components": ["function_registry"], "function_registry_directory": str(tmp_path)}
    found = objects({"name": "user1"}, **known)
    account = found["Secret", "wasmfaas-registry"]
    assert (account["type"], account["metadata"]["namespace"]) == ("Opaque", "user1")
    assert {name: base64.b64decode(value).decode() for name, value in account["data"].items()} == {
        "registry": "registry.example.com:30500/functions/user1",
        "username": "tenant-user1",
        "password": access["users"]["tenant-user1"],
        "ca.crt": access["authority"]["certificate"],
    }
    assert "imagePullSecrets" not in found["ServiceAccount", "default"]
    assert ("Secret", "wasmfaas-registry") not in objects({"name": "user2"}, **known)
    absent = tenants({"name": "user1"}, {"name": "user2"}, **known).value("__tenant_secrets_absent")
    assert [
        (secret["metadata"]["namespace"], secret["metadata"]["name"])
        for secret in absent
        if secret["metadata"]["name"] == "wasmfaas-registry"
    ] == [("user2", "wasmfaas-registry")]


def test_images_come_from_the_tenant_s_own_path_of_the_cluster_s_registry(tmp_path: Path) -> None:
    for host in ("192.0.2.11", "registry.example.com"):
        wanted = registry_access.DesiredAccess(host, ("192.0.2.11",), 30500, "functions", 1825)
        registry_access.ensure(tmp_path / "function-registry.json", "", wanted, check_mode=False)
    known = {"platform_components": ["function_registry"], "function_registry_directory": str(tmp_path)}
    assert tenants({"name": "user1"}, **known).value("tenant_image_prefixes") == [
        "192.0.2.11:30500/functions/{tenant}",
        "registry.example.com:30500/functions/{tenant}",
    ]
    known["platform_components"] = []
    assert tenants({"name": "user1"}, **known).value("tenant_image_prefixes") == []


@pytest.mark.parametrize(
    ("given", "pushed_to"), [({"namespace": "user1"}, "/user1"), ({"namespace": "default"}, ""), ({}, "")]
)
def test_on_aws_a_tenant_s_images_have_its_own_path_in_ecr(given: dict[str, str], pushed_to: str) -> None:
    variables = DataLoader().load_from_file(
        str(PROJECT / "inventories/aws/group_vars/all.yml"), trusted_as_template=True
    )
    functions = "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop/functions"
    on_aws = tenants({"name": "user1"}, **variables, aws_cluster={"registry": {"functions": functions}})
    assert on_aws.value("tenant_image_prefixes") == [functions + "/{tenant}"]
    assert on_aws.value("registry", **given) == functions + pushed_to


def test_the_policies_name_the_tenant_that_is_refused() -> None:
    known = {"tenant_image_prefixes": ["registry.example.com/{tenant}"], "tenant_program_runtime_class": "wasmtime-x"}
    policies = [
        item for item in tenants(**known).value("__tenant_policies") if item["kind"] == "ValidatingAdmissionPolicy"
    ]
    found = {item["metadata"]["name"]: item for item in policies}
    rules = found["wasmfaas-tenants-workloads"]["spec"]["validations"]
    assert "variables.runtimeClass == 'wasmtime-x'" in rules[0]["expression"]
    assert rules[1]["messageExpression"] == (
        '"an image of a tenant is named by its digest, as in shop@sha256:…, and begins with registry.example.com/"'
        ' + request.namespace + "/"'
    )
    texts = [rule.get("message", "") for policy in found.values() for rule in policy["spec"]["validations"]]
    assert texts and not [text for text in texts if "{" in text]


def test_registry_credentials_are_used_by_all_pods() -> None:
    logins = [
        {"server": "r1.example.com", "username": "a", "password": "b:c"},
        {"server": "r2.example.com", "username": "d", "password": "e"},
    ]
    found = objects({"name": "user1"}, tenant_registry_credentials={"user1": logins})
    secret = found["Secret", "registries"]
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    auths = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
    assert auths["r1.example.com"] == {"username": "a", "password": "b:c", "auth": base64.b64encode(b"a:b:c").decode()}
    assert list(auths) == ["r1.example.com", "r2.example.com"]
    assert found["ServiceAccount", "default"]["imagePullSecrets"] == [{"name": "registries"}]
    assert ("Secret", "registries") not in objects({"name": "user2"}, tenant_registry_credentials={"user1": logins})


def test_without_keda_there_is_no_grant() -> None:
    assert ("ReferenceGrant", "functions-user1") in objects({"name": "user1"})
    assert ("ReferenceGrant", "functions-user1") not in objects({"name": "user1"}, platform_components=["ingress"])


def test_a_tenant_leaves_nothing_outside_of_what_is_labelled_its_own() -> None:
    for (kind, name), item in objects({"name": "user1"}).items():
        assert (
            item["metadata"].get("namespace") == "user1" or item["metadata"]["labels"]["wasmfaas.dev/tenant"] == "user1"
        ), (kind, name)


# tenant.yml


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"tenant": "user1"}, {"name": "user1", "hosts": ["a.example.com"]}),
        ({"tenant": "user1", "state": "absent"}, {"name": "user1", "hosts": ["a.example.com"], "state": "absent"}),
        ({"tenant": "user2"}, {"name": "user2"}),
    ],
)
def test_playbook_keeps_one_tenant_as_the_inventory_describes_it(
    given: dict[str, str], wanted: dict[str, t.Any]
) -> None:
    play = yaml.safe_load((PROJECT / "playbooks/tenant.yml").read_text(encoding="utf-8"))[-1]
    expression = (
        next(task for task in play["tasks"] if task["name"] == "Keep or remove it")["vars"]["tenant_list"]
        .strip()
        .removeprefix("{{")
        .removesuffix("}}")
    )
    for listed in (
        [{"name": "user1", "hosts": ["a.example.com"]}, {"name": "user10"}],
        [{"name": "user1", "hosts": ["a.example.com"]}],
    ):
        assert tenants(*listed).value(expression, **given) == [wanted]


# refusals


@pytest.mark.parametrize(
    ("entries", "variables", "named"),
    [
        ([{"name": "User1"}], {}, "tenant 'User1': that cannot be a namespace"),
        ([{"state": "present"}], {}, "tenants, entry 1: lacks name"),
        ([{"name": "kube-system"}], {}, "the system's own"),
        ([{"name": "keda"}], {}, "the system's own"),
        ([{"name": "default"}], {}, "the system's own"),
        ([{"name": "billing"}], {"tenant_reserved_namespaces": ["billing"]}, "the system's own"),
        ([{"name": "a"}, {"name": "a"}], {}, "tenant a: is listed twice"),
        ([{"name": "a", "quotas": {}}], {}, "tenants, a: there is no quotas"),
        ([{"name": "a", "state": "gone"}], {}, "tenants, a, state: 'gone' is not known"),
        ([{"name": "a", "hosts": ["https://a.example.com"]}], {}, "https://a.example.com is no host"),
        (
            [{"name": "a", "hosts": ["x.example.com"]}, {"name": "b", "hosts": ["x.example.com"]}],
            {},
            "x.example.com is another tenant's as well",
        ),
        (
            [{"name": "a", "hosts": ["x.b.example.com"]}, {"name": "b"}],
            {"tenant_domains": ["example.com"]},
            "x.b.example.com is of the form of tenant b's functions",
        ),
        (
            [{"name": "a", "hosts": ["*.example.com"]}],
            {"tenant_domains": ["fn.example.com"]},
            "*.example.com covers all tenants' hosts below fn.example.com",
        ),
        ([{"name": "a", "hosts": ["*.nip.io"]}], {}, "*.nip.io covers all tenants' hosts below nip.io"),
        (
            [{"name": "a", "hosts": "a.example.com"}],
            {},
            "tenants, a, hosts: 'a.example.com' is text, and a list is needed",
        ),
        ([{"name": "a", "users": "alice"}], {}, 'Write users: ["alice"]'),
        ([{"name": "a", "groups": 5}], {}, "tenants, a, groups: is no list"),
        (["user1"], {}, "tenants, entry 1: 'user1' is no dictionary"),
        (
            [{"name": "a"}],
            {"tenant_domains": "example.com"},
            "tenant_domains: 'example.com' is text, and a list is needed",
        ),
        ([{"name": "a", "quota": {"limits.memory": "4 GB"}}], {}, "4 GB is no quantity"),
        ([{"name": "a", "egress_networks": ["10.0.0.1"]}], {}, "10.0.0.1 is no network"),
        ([{"name": "a"}], {"tenant_registry_credentials": {"b": []}}, "there is no tenant b"),
        (
            [{"name": "a"}],
            {"tenant_registry_credentials": {"a": [{"server": "x"}]}},
            "lacks server, username or password",
        ),
        (
            [{"name": "a"}],
            {"tenant_registry_credentials": {"a": ["server username password"]}},
            "lacks server, username or password",
        ),
        ([{"name": "a"}], {"tenant_token_days": 0}, "tenant_token_days"),
        (
            [{"name": "a"}],
            {"platform_host": "elsewhere", "hostvars": {"elsewhere": {}}},
            "tenant_api_url: 'https://:6443'",
        ),
    ],
)
def test_bad_input_is_named_with_the_next_step(
    entries: list[dict[str, t.Any]], variables: dict[str, t.Any], named: str
) -> None:
    problems = tenants(*entries, **variables).problems()
    assert any(named in problem and "Next: " in problem for problem in problems), problems


def test_one_tenant_alone_needs_no_credentials_of_the_others() -> None:
    """tenant.yml keeps one of several; the variables of all are there."""
    logins = {"user2": [{"server": "r", "username": "u", "password": "p"}]}
    assert tenants({"name": "user1"}, tenant="user1", tenant_registry_credentials=logins).problems() == []


@pytest.mark.parametrize("others_hosts", [["shop.example.com"], "shop.example.com"])
def test_a_host_of_another_tenant_is_refused_also_where_one_alone_is_kept(others_hosts: t.Any) -> None:
    """tenant.yml hands on the one tenant that it is about; the others are not checked for their types."""
    both = [{"name": "user1", "hosts": others_hosts}, {"name": "user2", "hosts": ["shop.example.com"]}]
    role = tenants(*both, tenant="user2", tenant_list=both[1:])
    assert ["shop.example.com is another tenant's as well" in problem for problem in role.problems()] == [True]


def test_an_inventory_with_an_empty_list_has_no_tenants() -> None:
    assert RenderedRole("tenant", k3s_plan=PLAN, inventory_dir="/inventory", tenants=None).problems() == []


def test_days_of_a_token_may_be_given_on_the_command_line() -> None:
    (task,) = [
        task for task in tenants().tasks("kubeconfigs.yml") if "create" in str(task.get("ansible.builtin.command"))
    ]
    expression = task["ansible.builtin.command"]["argv"].strip().removeprefix("{{").removesuffix("}}")
    assert tenants().value(expression, tenant_token_days="30", __tenant={"name": "user1"})[-2:] == [
        "--duration",
        "720h",
    ]


def test_defaults_pass_the_check() -> None:
    assert tenants().problems() == []
    assert tenants({"name": "user1"}).problems() == []
    assert tenants({"name": "user1"}).value("tenant_api_url") == "https://192.0.2.1:6443"
    assert (
        tenants({"name": "user1"}, k3s_api_address="api.example.com").value("tenant_api_url")
        == "https://api.example.com:6443"
    )


def test_a_namespace_that_somebody_else_made_is_not_taken() -> None:
    task = "Refuse namespaces that are no tenant's"
    role = tenants({"name": "user1"}, {"name": "user2", "state": "absent"})
    message = role.refusal(task, __tenant_namespaces={"stdout": "default user1 user2"})
    assert (
        message.startswith("tenant user1: there is a namespace of this name already") and "tenant_adopt=true" in message
    )
    assert role.refusal(task, __tenant_namespaces={"stdout": "default"}) == ""
    assert role.refusal(task, __tenant_namespaces={"stdout": "user1"}, tenant_adopt=True) == ""


def test_removal_names_functions_and_spares_namespaces_that_are_no_tenants() -> None:
    role = tenants({"name": "user1", "state": "absent"})
    entry = {"name": "user1"}
    refuse = "remove_one | Refuse while there are functions or programs"

    def refused(functions: str, programs: str) -> str:
        return role.refusal(
            refuse,
            "remove_one.yml",
            __tenant=entry,
            __tenant_functions={"stdout": functions},
            __tenant_found_programs={"stdout": programs},
        )

    message = refused("cart hello", "")
    assert "2 functions or programs that would end: cart, hello" in message
    assert "tenant_remove_functions=true" in message
    assert "1 functions or programs that would end: job" in refused("", "job")
    assert refused("", "") == ""
    foreign = "remove_one | Refuse a namespace that is no tenant's"
    assert "it is not deleted" in role.refusal(
        foreign, "remove_one.yml", __tenant=entry, __tenant_namespaces={"stdout": "default user1"}
    )
    assert (
        role.refusal(foreign, "remove_one.yml", __tenant=entry, __tenant_namespaces={"stdout": "default user10"}) == ""
    )


def pull_secrets(secrets: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    return [secret for secret in secrets if secret["metadata"]["name"] == "registries"]


def test_credentials_that_are_taken_out_of_the_inventory_go() -> None:
    logins = {"user1": [{"server": "registry.example.com", "username": "a", "password": "b"}], "user2": []}
    role = tenants(
        {"name": "user1"},
        {"name": "user2"},
        {"name": "user3"},
        {"name": "user4", "state": "absent"},
        tenant_registry_credentials=logins,
    )
    made = [
        entry
        for entry in role.template("objects.yml.j2", __tenant_selected=role.value("__tenant_present"))
        if entry["kind"] == "Secret"
    ]
    absent = pull_secrets(role.value("__tenant_secrets_absent"))
    assert [entry["metadata"]["namespace"] for entry in made] == ["user1"]
    assert [entry["metadata"]["namespace"] for entry in absent] == ["user2", "user3"]
    assert {entry["metadata"]["name"] for entry in absent} == {made[0]["metadata"]["name"]}
    only = tenants({"name": "user1"}, tenant_registry_credentials=logins)
    assert pull_secrets(only.value("__tenant_secrets_absent")) == []
