# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role key_value_store: what keeps tenants apart, and what functions expect of it."""

from __future__ import annotations

import base64
import hashlib
import typing as t

from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.shared_stores import (
    ACCESS_SECRET,
    DATABASE_LABEL,
    DATABASE_VALUE,
)

from .role_rendering import RenderedRole

PASSWORDS = {"default": "one", "shop": "two"}
TENANTS = [{"name": "shop"}, {"name": "gone", "state": "absent"}, {"name": "here", "state": "present"}]


def role(**variables: t.Any) -> RenderedRole:
    return RenderedRole("key_value_store", **{"key_value_store_namespaces": ["default", "shop"], **variables})


def objects(**variables: t.Any) -> dict[tuple[str, str, str], dict[str, t.Any]]:
    """By kind, namespace and name."""
    listed = role(**variables).template("objects.yml.j2", __key_value_store_passwords=PASSWORDS)
    return {(item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]): item for item in listed}


def decoded(secret: dict[str, t.Any], key: str) -> str:
    return base64.b64decode(secret["data"][key]).decode()


def test_the_default_is_the_namespace_default_and_those_of_tenants() -> None:
    assert RenderedRole("key_value_store").value("key_value_store_namespaces") == ["default"]
    tenants = RenderedRole("key_value_store", tenants=TENANTS)
    assert tenants.value("key_value_store_namespaces") == ["default", "shop", "here"]
    assert tenants.problems() == []


def test_functions_find_each_database_by_the_secret_that_they_name() -> None:
    secret = objects(key_value_store_databases="3")["Secret", "shop", ACCESS_SECRET]
    assert sorted(secret["data"]) == ["database-0", "database-1", "database-2"]
    assert decoded(secret, "database-2") == "redis://functions:two@shop.key-value-store.svc:6379/2"
    assert secret["metadata"]["labels"][DATABASE_LABEL] != DATABASE_VALUE


def test_each_namespace_has_a_server_with_an_account_of_its_own() -> None:
    found = objects()
    users = {name: decoded(found["Secret", "key-value-store", name], "users.acl") for name in PASSWORDS}
    for name, password in PASSWORDS.items():
        first, second = users[name].splitlines()
        assert first == "user default off"
        assert second.startswith(f"user functions on #{hashlib.sha256(password.encode()).hexdigest()} ~* ")
        allowed = second.split(" -@all ")[1].split()
        assert not {"+config", "+eval", "+module", "+shutdown", "+replicaof", "+acl", "+debug"} & set(allowed)
        assert decoded(found["Secret", "key-value-store", name], "password") == password
    pods = found["StatefulSet", "key-value-store", "shop"]["spec"]["template"]
    other = objects(key_value_store_memory=64)["StatefulSet", "key-value-store", "shop"]["spec"]["template"]
    assert pods["metadata"]["annotations"] != other["metadata"]["annotations"], "another configuration: another pod"
    assert "two" not in str(pods), "no password in a pod's arguments or environment"


def test_only_functions_of_the_namespace_reach_its_server() -> None:
    found = objects()
    server = found["NetworkPolicy", "key-value-store", "shop"]["spec"]
    (rule,) = server["ingress"]
    (peer,) = rule["from"]
    assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}
    assert peer["podSelector"]["matchExpressions"][0]["key"] == "core.spinkube.dev/app-name"
    assert server["policyTypes"] == ["Ingress", "Egress"] and "egress" not in server
    labels = found["StatefulSet", "key-value-store", "shop"]["spec"]["template"]["metadata"]["labels"]
    assert server["podSelector"]["matchLabels"].items() <= labels.items()
    assert (
        not server["podSelector"]["matchLabels"].items()
        <= found["StatefulSet", "key-value-store", "default"]["spec"]["template"]["metadata"]["labels"].items()
    )
    everybody = found["NetworkPolicy", "key-value-store", "deny-all"]["spec"]
    assert everybody == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_functions_of_a_namespace_may_call_its_server_alone() -> None:
    found = objects()
    policy = found["NetworkPolicy", "shop", "key-value-store"]["spec"]
    assert policy["policyTypes"] == ["Egress"]
    (rule,) = policy["egress"]
    assert rule["ports"] == [{"port": 6379, "protocol": "TCP"}]
    (peer,) = rule["to"]
    assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "key-value-store"}}
    labels = {name: found["StatefulSet", "key-value-store", name]["spec"]["template"]["metadata"] for name in PASSWORDS}
    wanted = peer["podSelector"]["matchLabels"].items()
    assert [name for name in labels if wanted <= labels[name]["labels"].items()] == ["shop"]
    assert policy["podSelector"] == {"matchExpressions": [{"key": "core.spinkube.dev/app-name", "operator": "Exists"}]}


def test_the_data_outlives_the_pod_and_goes_with_the_store() -> None:
    found = objects(key_value_store_storage_class="fast")["StatefulSet", "key-value-store", "shop"]["spec"]
    assert found["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Delete", "whenScaled": "Retain"}
    (claim,) = found["volumeClaimTemplates"]
    assert (claim["metadata"]["name"], claim["spec"]["storageClassName"]) == ("data", "fast")
    (container,) = found["template"]["spec"]["containers"]
    assert {"name": "data", "mountPath": "/data"} in container["volumeMounts"]
    assert "appendonly yes" in decoded(objects()["Secret", "key-value-store", "shop"], "valkey.conf")


def test_the_image_comes_from_the_mirror() -> None:
    found = objects(platform_image_registries={"docker.io": "m.example/hub"})
    (container,) = found["StatefulSet", "key-value-store", "shop"]["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("m.example/hub/valkey/valkey:")
