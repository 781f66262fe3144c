# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the manifest that are not the same in every version of Spin."""

from __future__ import annotations

import collections.abc
import json
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.compatibility.manifest_rules import (
    check_manifest,
)

CheckHosts = collections.abc.Callable[..., None]
SHIM_WITH_SPIN_4_1 = "0.26.0"  # none is known; a later one is taken to have the newest rules


@pytest.fixture
def check_hosts(make_project: t.Any) -> CheckHosts:
    """Checks a manifest with these hosts and variables."""

    def check(shim: str, *hosts: str, variables: str = "", values: dict[str, str] | None = None) -> None:
        extra = f"allowed_outbound_hosts = {json.dumps(hosts)}\n[variables]\n{variables}"
        check_manifest(make_project(extra=extra), values or {}, shim_version=shim)

    return check


@pytest.mark.parametrize(
    "host",
    [
        "http://[::1]",
        "https://[2001:db8::1]",
        "http://[::1]/",
        "http://ff00::/8",
        "http://::1/128",
        "https://*.Example.com",
        "*://*.EXAMPLE.com:443",
    ],
)
def test_host_that_only_newer_versions_take_as_it_is_meant(check_hosts: CheckHosts, host: str) -> None:
    check_hosts(SHIM_WITH_SPIN_4_1, host)
    for shim, spin in (("0.25.1", "4.0.1"), ("0.24.0", "3.6.3"), ("0.16.0", "2.6.0")):
        with pytest.raises(PlatformError, match=f"is no allowed host for Spin {spin} ") as caught:
            check_hosts(shim, "https://example.com", host)
        assert "spin.toml:14: component.hello.allowed_outbound_hosts[1]" in caught.value.cause
        assert f'"{host}"' in caught.value.cause


@pytest.mark.parametrize(
    "host",
    [
        "http://[::1]:80",
        "http://[::1]:8000..9000",
        "http://[::1]:*",
        "http://[::1]:",
        "http://[::1]:8080/",
        "*://[::1]:80",
        "http://2001:db8::/32:443",
        "http://10.0.0.0/8",
        "https://example.com",
        "https://Example.com:8443/",
        "*://*:*",
        "http://self",
        "http://*.spin.internal",
    ],
)
@pytest.mark.parametrize("shim", ["0.14.0", "0.24.0", "0.25.1", SHIM_WITH_SPIN_4_1])
def test_host_that_every_version_takes(check_hosts: CheckHosts, host: str, shim: str) -> None:
    check_hosts(shim, host)


@pytest.mark.parametrize("host", ["{{ url }}", "http://{{ url }}", "https://{{ url }}"])
def test_endpoint_without_a_value_is_passed_over_from_4_1_on(check_hosts: CheckHosts, host: str) -> None:
    variables = 'url = { default = "" }\n'
    check_hosts(SHIM_WITH_SPIN_4_1, host, variables=variables)
    with pytest.raises(
        PlatformError, match=r"it is empty, and Spin passes over an empty entry only from 4\.1 on"
    ) as caught:
        check_hosts("0.25.1", host, variables=variables)
    assert "unused.invalid" in caught.value.next_step
    full = "https://example.com" if host.startswith("{") else "example.com"
    check_hosts("0.25.1", host, variables=variables, values={"url": full})


def test_value_decides_and_not_the_default(check_hosts: CheckHosts) -> None:
    variables = 'host = { default = "example.com" }\n'
    check_hosts("0.25.1", "https://{{ host }}", variables=variables)
    with pytest.raises(PlatformError, match=r'it becomes "https://\[::1\]": an IPv6 host needs a port'):
        check_hosts("0.25.1", "https://{{ host }}", variables=variables, values={"host": "[::1]"})
    for shim in ("0.25.1", SHIM_WITH_SPIN_4_1):
        with pytest.raises(PlatformError, match='it becomes "https://a b"'):
            check_hosts(shim, "https://{{ host }}", variables=variables, values={"host": "a b"})


def test_value_that_is_not_known_yet_is_not_checked(check_hosts: CheckHosts) -> None:
    check_hosts("0.25.1", "https://{{ host }}", variables="host = { required = true }\n")


def test_secret_value_is_not_shown(check_hosts: CheckHosts) -> None:
    variables = "host = { required = true, secret = true }\n"
    with pytest.raises(PlatformError, match="of which one is secret") as caught:
        check_hosts("0.25.1", "https://{{ host }}", variables=variables, values={"host": "not so good"})
    assert "not so good" not in str(caught.value)


def test_variables_in_hosts_came_with_spin_2_4(check_hosts: CheckHosts) -> None:
    variables = 'host = { default = "example.com" }\n'
    check_hosts("0.14.0", "https://{{ host }}", variables=variables)
    with pytest.raises(PlatformError, match=r"for Spin 2\.3\.1 .*: variables are filled in from Spin 2\.4\.0 on"):
        check_hosts("0.13.0", "https://{{ host }}", variables=variables)


def test_trigger_that_the_shim_lacks_is_known_before_the_build(make_project: t.Any) -> None:
    manifest = make_project(extra='[[trigger.http]]\nroute = "/x"\nstatic_response = { body = "x" }\n')
    check_manifest(manifest, {}, shim_version="0.22.0")
    with pytest.raises(PlatformError, match=r"gives a static response, which Spin has from 3\.5\.0 on"):
        check_manifest(manifest, {}, shim_version="0.21.0")


def test_profile_is_applied_here_so_older_shims_run_it(make_project: t.Any) -> None:
    extra = '[component.hello.profile.debug]\nsource = "debug.wasm"\n'
    check_manifest(make_project(extra=extra, profile="debug"), {}, shim_version="0.24.0")
