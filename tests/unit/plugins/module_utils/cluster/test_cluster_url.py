# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The URL of a function, from the Gateway's listeners and address."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.cluster.kinds import GATEWAY
from ansible_collections.wasmfaas.platform.plugins.module_utils.cluster.settings import ClusterSettings
from ansible_collections.wasmfaas.platform.plugins.module_utils.cluster.url import function_url
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError

HTTP, HTTPS = {"protocol": "HTTP", "port": 80}, {"protocol": "HTTPS", "port": 443}


@pytest.fixture
def url(fake_api: t.Any) -> t.Callable[..., str]:
    def of(listeners: list[dict[str, t.Any]], *addresses: str, **settings: t.Any) -> str:
        api = fake_api()
        gateway = {"metadata": {"name": "wasmfaas", "namespace": "wasmfaas-system"}, "spec": {"listeners": listeners}}
        if addresses:
            gateway["status"] = {"addresses": [{"type": "IPAddress", "value": address} for address in addresses]}
        api.put(GATEWAY, gateway)
        return function_url(api, "user1", "hello", ClusterSettings(**settings))

    return of


def test_address_becomes_a_nip_io_name(url: t.Any) -> None:
    assert url([HTTP], "203.0.113.7") == "http://hello.user1.203.0.113.7.nip.io"


def test_domain_and_hostname_win(url: t.Any) -> None:
    assert url([HTTP], "203.0.113.7", domain="f.example.com") == "http://hello.user1.f.example.com"
    assert url([HTTP], hostname="www.example.com", domain="f.example.com") == "http://www.example.com"


@pytest.mark.parametrize(
    ("listeners", "expected"),
    [
        ([HTTP, HTTPS], "http://h"),
        ([HTTPS, HTTP], "http://h"),
        ([HTTPS], "https://h"),
        ([{"protocol": "HTTPS", "port": 8443}], "https://h:8443"),
        ([{"protocol": "HTTP", "port": 8080}, {"protocol": "HTTP", "port": 9090}], "http://h:8080"),
        ([{"protocol": "HTTP", "port": 443}], "http://h:443"),
        ([], "http://h"),
        ([{"protocol": "TCP", "port": 1}], "http://h"),
    ],
)
def test_scheme_and_port_are_those_of_the_listener(url: t.Any, listeners: list[dict[str, t.Any]], expected: str) -> None:
    assert url(listeners, hostname="h") == expected


def test_address_that_is_no_ipv4_is_passed_over(url: t.Any) -> None:
    assert url([HTTP], "lb.example.com", "2001:db8::1", "203.0.113.7") == "http://hello.user1.203.0.113.7.nip.io"


@pytest.mark.parametrize("address", ["lb.example.com", "2001:db8::1"])
def test_without_an_ipv4_address_a_domain_is_asked_for(url: t.Any, address: str) -> None:
    with pytest.raises(PlatformError, match=f"only the address {address}") as caught:
        url([HTTP], address)
    assert "-e domain=" in caught.value.next_step and address in caught.value.next_step


def test_gateway_without_an_address_is_told(url: t.Any) -> None:
    with pytest.raises(PlatformError, match="has no address yet"):
        url([HTTP])


def test_missing_gateway_is_told(fake_api: t.Any) -> None:
    with pytest.raises(PlatformError, match="the Gateway edge/public does not exist") as caught:
        function_url(fake_api(), "user1", "hello", ClusterSettings(gateway_namespace="edge", gateway_name="public"))
    assert "gateway=" in caught.value.next_step
