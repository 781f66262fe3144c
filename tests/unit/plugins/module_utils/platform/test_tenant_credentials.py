# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a tenant's kubeconfig stays. With tokens of a real API server: tests/integration/test_tenants.py."""

from __future__ import annotations

import base64
import json
import typing as t

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.tenant_credentials import token_claims, usable

SERVER, AUTHORITY, ACCOUNT = "https://192.0.2.1:6443", "-----BEGIN CERTIFICATE-----\n", "7f9c"


def token(**claims: t.Any) -> str:
    content = {
        "iat": 1000,
        "exp": 2000,
        "kubernetes.io": {"serviceaccount": {"name": "deployer", "uid": ACCOUNT}},
        **claims,
    }
    return ".".join(
        base64.urlsafe_b64encode(part).decode().rstrip("=")
        for part in (b"{}", json.dumps(content).encode(), b"signature")
    )


def kubeconfig(**changes: t.Any) -> str:
    parts = {"server": SERVER, "authority": base64.b64encode(AUTHORITY.encode()).decode(), "token": token(), **changes}
    cluster = {"server": parts["server"], "certificate-authority-data": parts["authority"]}
    return yaml.safe_dump(
        {
            "clusters": [{"name": "wasmfaas", "cluster": cluster}],
            "users": [{"name": "user1", "user": {"token": parts["token"]}}],
        }
    )


def kept(content: str, *, now: float = 1100) -> bool:
    return usable(content, account=ACCOUNT, server=SERVER, authority=AUTHORITY, now=now)


@pytest.mark.parametrize(("now", "stays"), [(1000, True), (1499, True), (1500, False), (2500, False)])
def test_it_stays_for_half_of_its_life(now: float, stays: bool) -> None:
    assert kept(kubeconfig(), now=now) is stays


@pytest.mark.parametrize(
    "content",
    [
        kubeconfig(server="https://192.0.2.2:6443"),
        kubeconfig(authority=base64.b64encode(b"another").decode()),
        kubeconfig(token=token(**{"kubernetes.io": {"serviceaccount": {"uid": "that of an account before"}}})),
        kubeconfig(token=token(exp="never")),
        kubeconfig(token="a.b"),
        kubeconfig(token="a.!.c"),
        kubeconfig(authority="!"),
        "",
        "{",
        "[]",
        "clusters: []",
    ],
)
def test_anything_else_is_made_anew(content: str) -> None:
    assert not kept(content)


def test_claims_need_no_padding() -> None:
    assert token_claims(token(iat=5))["iat"] == 5
    with pytest.raises(ValueError, match="not a token"):
        token_claims("a.WzFd.c")
