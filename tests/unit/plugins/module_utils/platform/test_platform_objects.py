# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What filters compute for objects and files of the platform's roles."""

from __future__ import annotations

import base64
import json
import re

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.function_registry import configuration
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.ingress import host_addresses
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.registries import Own, registries
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.spin_operator import executor_spec
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.tenant import (
    docker_configuration,
    host_pattern,
    route_rule,
)

OWN = Own(["192.0.2.1", "2001:db8::1", "127.0.0.1"], 30500, "secret", "/authority.pem")


def test_nodes_reach_the_own_registry_by_their_own_port_first() -> None:
    found = registries({}, {}, authorities={}, own=OWN, embedded_mirror=False)
    addresses = ["127.0.0.1:30500", "192.0.2.1:30500", "[2001:db8::1]:30500"]
    endpoints = [f"https://{address}" for address in addresses]
    assert found["mirrors"] == {address: {"endpoint": endpoints} for address in addresses[1:]}
    login = {"auth": {"username": "nodes", "password": "secret"}, "tls": {"ca_file": "/authority.pem"}}
    assert found["configs"] == dict.fromkeys(addresses, login)


def test_what_the_inventory_says_counts_over_what_is_added() -> None:
    given = {"192.0.2.1:30500": {"endpoint": ["https://other"]}}
    configs = {"192.0.2.1:30500": {"auth": {"password": "other"}}, "mirror": {"auth": {"token": "t"}}}
    found = registries(given, configs, authorities={"mirror": "/own.pem"}, own=OWN, embedded_mirror=True)
    assert found["mirrors"]["192.0.2.1:30500"] == {"endpoint": ["https://other"]}
    assert found["mirrors"]["*"] == {}
    assert found["configs"]["192.0.2.1:30500"]["auth"] == {"username": "nodes", "password": "other"}
    assert found["configs"]["mirror"] == {"auth": {"token": "t"}, "tls": {"ca_file": "/own.pem"}}
    assert configs["mirror"] == {"auth": {"token": "t"}}, "the inventory's variable is left as it is"


def test_without_settings_there_is_nothing() -> None:
    assert registries({}, {}, authorities={}, own=None, embedded_mirror=False) == {"mirrors": {}, "configs": {}}


def test_an_executor_has_nothing_that_is_empty_or_false() -> None:
    assert executor_spec("wasmtime", {}, default_authorities=False) == {
        "createDeployment": True,
        "deploymentConfig": {"runtimeClassName": "wasmtime"},
    }
    assert executor_spec("wasmtime", {"traces": "http://c/v1/traces"}, default_authorities=True) == {
        "createDeployment": True,
        "deploymentConfig": {
            "runtimeClassName": "wasmtime",
            "installDefaultCACerts": True,
            "otel": {"exporter_otlp_traces_endpoint": "http://c/v1/traces"},
        },
    }


def test_hosts_are_called_by_the_first_address_that_others_reach() -> None:
    known = {
        "public": {"public_ip": "198.51.100.1", "ansible_host": "10.0.0.1"},
        "named": {"ansible_host": "one.example.com", "k3s_node": {"node": {"default_address": "192.0.2.9"}}},
        "planned": {"ansible_host": "127.0.0.1"},
        "unknown": {"ansible_host": "0.0.0.0"},
    }
    planned = {"planned": {"address": "192.0.2.5"}, "public": {"address": "192.0.2.6"}}
    assert host_addresses([*known, "missing"], known, planned) == ["198.51.100.1", "192.0.2.9", "192.0.2.5"]


def test_docker_reads_the_credentials() -> None:
    (login,) = json.loads(docker_configuration([{"server": "r.example.com", "username": "u", "password": "p:w"}]))[
        "auths"
    ].items()
    assert login[0] == "r.example.com" and base64.b64decode(login[1]["auth"]) == b"u:p:w"
    assert json.loads(docker_configuration([])) == {"auths": {}}


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("shop.user1.example.com", True),
        ("*.user1.a-b.example.org", True),
        ("shop.user2.example.com", False),
        ("shop.user1.exampleXcom", False),
        ("shop.user1.example.com.evil.org", False),
        ("a.shop.user1.example.com", False),
    ],
)
def test_functions_have_hosts_of_their_tenant_below_the_named_domains(host: str, own: bool) -> None:
    assert bool(re.search(host_pattern("user1", ["example.com", "a-b.example.org"]), host)) is own


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("shop.user1.192.0.2.1.nip.io", True),
        ("shop.user1.192-0-2-1.nip.io", True),
        ("shop.user1.nip.io", False),
        ("shop.user1.user2.192.0.2.1.nip.io", False),
        ("shop.user1.any.org", False),
    ],
)
def test_nip_io_stands_for_the_addresses_below_it(host: str, own: bool) -> None:
    assert bool(re.search(host_pattern("user1", ["nip.io"]), host)) is own


def test_a_refused_route_is_told_which_hosts_it_may_have() -> None:
    rule = route_rule("user1", ["example.com"], ["shop.example.org"])
    assert rule["message"] == (
        "a route of tenant user1 must name hosts of its own: as in <function>.user1.example.com or shop.example.org. "
        "More are listed in `tenant_domains`, for all tenants, and `hosts` of the tenant. No new function is called "
        "admin, api, auth, login, mail, static, status, www"
    )
    assert 'host in ["shop.example.org"] || host.matches(' in rule["expression"]
    assert "<function>.user1.<address>.nip.io" in route_rule("user1", ["nip.io"], [])["message"]
    none = route_rule("user1", [], [])
    assert "it has none" in none["message"] and "matches" not in none["expression"]


def test_the_registry_keeps_tags_on_disk_by_number_and_age_and_all_in_a_bucket() -> None:
    (policy,) = configuration("disk", {}, keep_images=50, keep_days=90)["storage"]["retention"]["policies"]
    signatures, *others = policy["keepTags"]
    assert signatures == {"patterns": [r"sha256-[0-9a-f]{64}\.sig"]}
    assert [kept["patterns"] for kept in others] == [["record-.*"], [".*"]]
    for kept in others:
        assert (kept["mostRecentlyPushedCount"], kept["pulledWithin"], kept["pushedWithin"]) == (50, "2160h", "2160h")
    in_bucket = configuration("s3", {"bucket": "b", "region": "r"}, keep_images=50, keep_days=90)["storage"]
    assert "keepTags" not in in_bucket["retention"]["policies"][0]
    assert in_bucket["storageDriver"]["secure"] is True and "regionendpoint" not in in_bucket["storageDriver"]


@pytest.mark.parametrize(("endpoint", "secure"), [("https://store.example.com", True), ("http://store:9000", False)])
def test_another_store_than_amazon_s_is_named(endpoint: str, secure: bool) -> None:
    bucket = {"bucket": "b", "region": "r", "endpoint": endpoint, "prefix": "p"}
    driver = configuration("s3", bucket, keep_images=2, keep_days=1)["storage"]["storageDriver"]
    assert (driver["regionendpoint"], driver["forcepathstyle"], driver["secure"]) == (endpoint, True, secure)
    assert driver["rootdirectory"] == "/p"
