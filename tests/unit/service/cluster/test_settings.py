# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the service in a cluster, and the parameters that functions get from them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.service.cluster.parameters import cluster_parameters
from ansible_collections.wasmfaas.platform.service.cluster.settings import ClusterSettings, read_settings


def test_what_is_not_given_has_a_default(tmp_path: Path) -> None:
    file = tmp_path / "service.yml"
    file.write_text("service_url: https://api.example.com\nlimits: {running: 8}\nbuilds: {memory: 4Gi}\n")
    settings = read_settings(file)
    assert (settings.limits.running, settings.limits.running_per_tenant) == (8, 2)
    assert (settings.builds.memory, settings.builds.namespace) == ("4Gi", "wasmfaas-builds")
    assert settings.lease_seconds == 15


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("service_url: x\nlimit: {}\n", "unknown field `limit`"),
        ("service_url: x\nbuilds: {host_user: true}\n", "unknown field `host_user`"),
        ("service_url: x\nlease_seconds: 1\n", "lease_seconds"),
        (
            "service_url: x\noidc: {issuer: 'http://id.example.com', client_id: c, rules: []}\n",
            "oidc.issuer: must be an https URL",
        ),
        (
            "service_url: x\noidc: {issuer: 'https://x', client_id: '', rules: []}\n",
            "oidc.client_id: must not be empty",
        ),
        (
            (
                "service_url: x\noidc: {issuer: 'https://x', client_id: c, rules: "
                "[{claim: a, value: b, tenant: '*', role: deploy}]}\n"
            ),
            "the role deploy cannot be for the tenant '*'",
        ),
        ("{}\n", "missing required field `service_url`"),
        ("a: [\n", "while parsing"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, content: str, cause: str) -> None:
    file = tmp_path / "service.yml"
    file.write_text(content)
    with pytest.raises(PlatformError, match=re.escape(cause)):
        read_settings(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="No such file"):
        read_settings(tmp_path / "service.yml")


def test_a_function_is_deployed_with_the_rights_and_in_the_place_of_its_tenant(tmp_path: Path) -> None:
    (tmp_path / "username").write_text("pusher\n")
    (tmp_path / "password").write_text("abracadabra\n")
    settings = ClusterSettings(
        service_url="https://api.example.com",
        registry="registry.example.com/functions/{tenant}",
        registry_credential_directory=str(tmp_path),
        domain="example.com",
        options={"tls": True},
    )
    parameters = cluster_parameters(settings, "user1", "shop", state="absent", timeout=5)
    expected = {
        "name": "shop",
        "namespace": "user1",
        "target": "cluster",
        "impersonate_user": "system:serviceaccount:user1:deployer",
        "registry": "registry.example.com/functions/user1",
        "registry_username": "pusher",
        "registry_password": "abracadabra",
        "state_directory": "/var/lib/wasmfaas/tenants/user1",
        "domain": "example.com",
        "gateway": "wasmfaas-system/wasmfaas",
        "tls": True,
        "timeout": 5,
        "kubeconfig": None,
        "record_key_file": None,
    }
    assert {name: parameters[name] for name in expected} == expected


def test_missing_credentials_and_wrong_options_are_named(tmp_path: Path) -> None:
    settings = ClusterSettings(service_url="x", registry_credential_directory=str(tmp_path))
    with pytest.raises(PlatformError, match=r"registry_credential_directory: .*username"):
        cluster_parameters(settings, "user1", "shop", state="absent")
    settings = ClusterSettings(service_url="x", options={"timeout": "soon"})
    with pytest.raises(PlatformError, match=r"settings of user1/shop are invalid: .*timeout"):
        cluster_parameters(settings, "user1", "shop", state="absent")
