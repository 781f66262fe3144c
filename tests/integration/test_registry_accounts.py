# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts of tenants at the cluster's own registry, on a real zot: what each may push, pull and list, and that a
deployment uses the account of the namespace."""

from __future__ import annotations

import base64
import collections.abc
import ssl
import typing as t
from pathlib import Path

import httpx2
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.model import Artifact
from ansible_collections.wasmfaas.platform.plugins.module_utils.program.artifact import pack_program
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.model import CredentialOptions
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.reference import parse_registry
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.store import open_store
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import SECRET
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.registry_account import SECRET_NAME

from .support import zot
from .support.deployment import Deployment
from .support.function_project import FunctionProject, component

pytestmark = pytest.mark.skipif(bool(zot.MISSING), reason=zot.MISSING)

TAG = "source-1"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[zot.Zot]:
    server = zot.Zot(tmp_path_factory.mktemp("zot") / "registry", tenants=["user1", "user2", "default"])
    yield server
    server.stop()


def artifact(path: Path, content: str) -> Artifact:
    """An artifact of its own for each content."""
    section = bytes([4]) + b"text" + content.encode()
    path.write_bytes(component() + bytes([0, len(section)]) + section)
    return pack_program(path, "shop", key="source")


def store_of(registry: zot.Zot, user: str, path: str) -> t.Any:
    name, password = registry.login(user)
    return open_store(
        parse_registry(f"{registry.host}/{path}"),
        credentials=CredentialOptions(name, password),
        ca_file=registry.authority_file,
    )


def get(registry: zot.Zot, user: str, path: str, method: str = "GET") -> httpx2.Response:
    verify = ssl.create_default_context(cafile=registry.authority_file)
    with httpx2.Client(verify=verify, trust_env=False, timeout=30) as client:
        return client.request(method, f"https://{registry.host}/v2/{path}", auth=registry.login(user))


def test_a_tenant_reads_and_writes_its_own_repositories_alone(registry: zot.Zot, tmp_path: Path) -> None:
    own, foreign = artifact(tmp_path / "own.wasm", "own"), artifact(tmp_path / "foreign.wasm", "foreign")
    for user, pushed in (("user1", own), ("user2", foreign)):
        store = store_of(registry, f"tenant-{user}", f"functions/{user}")
        assert store.push("shop", pushed, tag=TAG).changed
        assert not store.push("shop", pushed, tag=TAG).changed
        assert store.has("shop", pushed.digest)
    # Another tenant's, the operator's, one that is called like the tenant, and one further down.
    attacker = "tenant-user1"
    for path, name in (
        ("functions/user2", "shop"),
        ("functions/user2", "other"),
        ("functions", "shop"),
        ("functions", "user1"),
        ("functions/user1/deep", "shop"),
        ("elsewhere", "shop"),
    ):
        store = store_of(registry, attacker, path)
        for attempt in (
            lambda store=store, name=name: store.push(name, own, tag=TAG),
            lambda store=store, name=name: store.manifest(name, TAG),
            lambda store=store, name=name: store.has(name, foreign.digest),
        ):
            with pytest.raises(PlatformError):
                attempt()
    victim = "functions/user2/shop"
    layer = foreign.layers[0].digest
    for path in (f"{victim}/tags/list", f"{victim}/manifests/{foreign.digest}", f"{victim}/blobs/{layer}"):
        assert get(registry, attacker, path).status_code in (401, 403), path
    assert get(registry, attacker, f"{victim}/manifests/{foreign.digest}", "DELETE").status_code in (401, 403)
    # Not by the way of taking a blob from its repository either.
    taken = get(registry, attacker, f"functions/user1/shop/blobs/uploads/?mount={layer}&from={victim}", "POST")
    assert taken.status_code != 201
    assert get(registry, attacker, f"functions/user1/shop/blobs/{layer}").status_code == 404
    assert get(registry, attacker, "_catalog").json() == {"repositories": ["functions/user1/shop"]}


def test_nodes_read_all_and_write_nothing(registry: zot.Zot, tmp_path: Path) -> None:
    pushed = artifact(tmp_path / "read.wasm", "read")
    store_of(registry, "tenant-user2", "functions/user2").push("read", pushed, tag=TAG)
    nodes = store_of(registry, "nodes", "functions/user2")
    assert nodes.has("read", pushed.digest)
    with pytest.raises(PlatformError):
        nodes.push("read", artifact(tmp_path / "written.wasm", "written"), tag=TAG)


def test_a_deployment_uses_the_account_of_the_namespace(
    registry: zot.Zot, deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    """Without any option about the registry. The function is not waited for: its node trusts another authority."""
    user, password = registry.login("tenant-default")
    data = {
        "registry": f"{registry.host}/functions/default",
        "username": user,
        "password": password,
        "ca.crt": registry.authority_file.read_text(),
    }
    api.apply(
        SECRET,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET_NAME, "namespace": "default"},
            "data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()},
        },
    )
    try:
        options = {"registry": None, "registry_plain_http": False, "wait": False}
        result = deployment.deploy(project, **options)
        assert result["image"].startswith(f"{registry.host}/functions/default/{project.name}@sha256:")
        assert password not in str(result)
        assert deployment.deploy(project, **options)["changed"] is False
        tags = get(registry, user, f"functions/default/{project.name}/tags/list").json()["tags"]
        assert sorted(tag.partition("-")[0] for tag in tags) == ["record", "source"]
        given = {
            "registry": f"{registry.host}/functions/user2",
            "registry_username": user,
            "registry_password": password,
            "registry_ca_file": str(registry.authority_file),
        }
        with pytest.raises(PlatformError, match="functions/user2"):
            deployment.deploy(project, **options | given)
    finally:
        api.delete(SECRET, "default", SECRET_NAME)
