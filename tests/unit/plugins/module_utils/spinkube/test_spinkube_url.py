# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The URL of a function, from the Gateway's listeners and address."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import GATEWAY
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import ClusterSettings
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.url import FunctionAddress, function_address

HTTP, HTTPS = {"protocol": "HTTP", "port": 80}, {"protocol": "HTTPS", "port": 443}


@pytest.fixture
def address_of(fake_api: t.Any) -> t.Callable[..., FunctionAddress]:
    def of(listeners: list[dict[str, t.Any]], *addresses: str, **settings: t.Any) -> FunctionAddress:
        api = fake_api()
        gateway = {"metadata": {"name": "wasmfaas", "namespace": "wasmfaas-system"}, "spec": {"listeners": listeners}}
        if addresses:
            gateway["status"] = {"addresses": [{"type": "IPAddress", "value": address} for address in addresses]}
        api.put(GATEWAY, gateway)
        return function_address(api, "user1", "hello", ClusterSettings(**settings))

    return of


@pytest.fixture
def url(address_of: t.Callable[..., FunctionAddress]) -> t.Callable[..., str]:
    return lambda *arguments, **settings: address_of(*arguments, **settings).url


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
def test_scheme_and_port_are_those_of_the_listener(
    url: t.Any, listeners: list[dict[str, t.Any]], expected: str
) -> None:
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
    with pytest.raises(PlatformError, match="The Gateway edge/public does not exist") as caught:
        function_address(fake_api(), "user1", "hello", ClusterSettings(gateway_namespace="edge", gateway_name="public"))
    assert "gateway=" in caught.value.next_step


# TLS


def secure(name: str, hostname: str | None = None, port: int = 443) -> dict[str, t.Any]:
    return {"name": name, "protocol": "HTTPS", "port": port, **({"hostname": hostname} if hostname else {})}


@pytest.mark.parametrize(
    ("listeners", "host", "expected"),
    [
        ([HTTP, secure("websecure")], "h.example.com", FunctionAddress("https://h.example.com", "websecure")),
        ([HTTP, secure("https", "*.example.com")], "h.example.com", FunctionAddress("https://h.example.com", "https")),
        (
            [secure("all"), secure("wide", "*.e.com"), secure("narrow", "*.f.e.com")],
            "h.f.e.com",
            FunctionAddress("https://h.f.e.com", "narrow"),
        ),
        (
            [secure("wide", "*.f.example.com"), secure("own", "h.f.example.com")],
            "h.f.example.com",
            FunctionAddress("https://h.f.example.com", "own"),
        ),
        (
            [secure("other", "*.example.org"), secure("odd", port=8443)],
            "h.example.com",
            FunctionAddress("https://h.example.com:8443", "odd"),
        ),
    ],
)
def test_tls_takes_the_listener_that_fits_the_host_best(
    address_of: t.Any, listeners: list[dict[str, t.Any]], host: str, expected: FunctionAddress
) -> None:
    assert address_of(listeners, hostname=host, tls=True) == expected


@pytest.mark.parametrize(
    ("listeners", "said"),
    [
        ([HTTP], "none at all"),
        (
            [secure("s", "*.example.org"), secure("t", "www.example.com")],
            r"only for \*\.example\.org, www\.example\.com",
        ),
        ([secure("s", "*.h.example.com")], r"only for \*\.h\.example\.com"),
    ],
)
def test_certificate_for_another_host_is_told(address_of: t.Any, listeners: list[dict[str, t.Any]], said: str) -> None:
    with pytest.raises(
        PlatformError,
        match=rf"tls: the Gateway wasmfaas-system/wasmfaas has no HTTPS listener for h\.example\.com \({said}\)",
    ) as caught:
        address_of(listeners, hostname="h.example.com", tls=True)
    assert "-e domain=" in caught.value.next_step


def test_without_tls_no_listener_is_chosen(address_of: t.Any) -> None:
    assert address_of([HTTP, secure("s")], hostname="h").listener is None
