# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for source records: files and Secrets, who may read them, and two runs that make one at once."""

from __future__ import annotations

import base64
import concurrent.futures
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.source_record import (
    KeyFile,
    SourceRecords,
    new_key,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import Conflict, Forbidden
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.record_key import SECRET_NAME, NamespaceKey

SOURCE, ARTIFACT = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


class StoreStub:
    """Knows the tags that were pushed."""

    def __init__(self) -> None:
        self.tags: set[tuple[str, str]] = set()

    def push(self, name: str, _artifact: t.Any, *, tag: str) -> None:
        self.tags.add((name, tag))

    def manifest(self, name: str, reference: str) -> bytes | None:
        return b"{}" if (name, reference) in self.tags else None


class ArtifactStub:
    digest = ARTIFACT


def records(*keys: t.Any, namespace: str = "user1") -> SourceRecords:
    return SourceRecords(namespace, keys)


def written(key: t.Any, **options: t.Any) -> t.Any:
    store = StoreStub()
    records(key, **options).write(t.cast(t.Any, store), "shop", SOURCE, t.cast(t.Any, ArtifactStub()))
    return store


def test_a_record_is_for_one_namespace_function_source_artifact_and_key(tmp_path: Path) -> None:
    key = KeyFile(tmp_path / "key")
    store = written(key)
    ((name, tag),) = store.tags
    assert name == "shop" and len(tag) <= 128 and tag.startswith("record-")
    assert records(key).vouch_for(store, "shop", SOURCE, ARTIFACT)
    assert records(KeyFile(tmp_path / "other"), key).vouch_for(store, "shop", SOURCE, ARTIFACT), "one of several keys"
    assert not records(key).vouch_for(store, "shop", SOURCE, SOURCE)
    assert not records(key).vouch_for(store, "shop", ARTIFACT, ARTIFACT)
    assert not records(key, namespace="user2").vouch_for(store, "shop", SOURCE, ARTIFACT)
    store.tags = {("other", tag)}
    assert not records(key).vouch_for(store, "other", SOURCE, ARTIFACT)
    assert not records(KeyFile(tmp_path / "other")).vouch_for(store, "shop", SOURCE, ARTIFACT), "no key, no trust"


def test_a_key_file_is_made_once_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "state" / "key"
    assert KeyFile(path).find() is None and not path.parent.exists()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _run: KeyFile(path).ensure(), range(8)))
    assert len(keys) == 1 and path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["key"]


def test_a_key_file_that_is_no_good(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(PlatformError, match="does not exist") as missing:
        KeyFile(path, given=True).find()
    assert "umask 077" in missing.value.next_step
    path.write_text(new_key())
    path.chmod(0o644)
    with pytest.raises(PlatformError, match="others may read"):
        KeyFile(path).find()
    path.chmod(0o600)
    for content in (b"", b"secret", b"\xff"):
        path.write_bytes(content)
        with pytest.raises(PlatformError, match="holds no key") as damaged:
            KeyFile(path).find()
        assert "secret" not in damaged.value.cause.removeprefix(str(path)), "what a file holds is never shown"
    with pytest.raises(PlatformError, match="Is a directory"):
        KeyFile(tmp_path).find()


class ApiStub:
    """One namespace with its Secret, and what the API server refuses."""

    def __init__(self, *, get: Exception | None = None, create: Exception | None = None) -> None:
        self.secret: t.Any = None
        self.meanwhile: t.Any = None
        self.refusals = {"get": get, "create": create}

    def get(self, *_where: t.Any) -> t.Any:
        if error := self.refusals["get"]:
            raise error
        return self.secret

    def create(self, _kind: t.Any, desired: t.Any) -> t.Any:
        if error := self.refusals["create"]:
            self.secret = self.meanwhile
            raise error
        data = {name: base64.b64encode(value.encode()).decode() for name, value in desired["stringData"].items()}
        self.secret = {**desired, "data": data}
        return self.secret


def namespace_key(api: ApiStub) -> NamespaceKey:
    return NamespaceKey(lambda: t.cast(t.Any, api), "user1")


def test_the_key_of_a_namespace_is_made_by_the_first_deployment() -> None:
    api = ApiStub()
    assert namespace_key(api).find() is None
    key = namespace_key(api).ensure()
    assert key is not None and len(key) == 32
    assert (api.secret["metadata"]["name"], api.secret["type"]) == (SECRET_NAME, "Opaque")
    assert namespace_key(api).find() == namespace_key(api).ensure() == key


def test_another_deployment_makes_the_key_meanwhile() -> None:
    other = ApiStub()
    key = namespace_key(other).ensure()
    api = ApiStub(create=Conflict("exists", next_step=""))
    api.meanwhile = other.secret
    assert namespace_key(api).ensure() == key


def test_who_may_not_read_or_make_the_secret_deploys_without_records() -> None:
    forbidden = Forbidden("forbidden", next_step="")
    assert namespace_key(ApiStub(get=forbidden)).find() is None
    assert namespace_key(ApiStub(get=forbidden, create=forbidden)).ensure() is None
    assert written(namespace_key(ApiStub(create=PlatformError("exceeded quota", next_step="")))).tags == set()


@pytest.mark.parametrize("data", [None, {}, {"key": "!"}, {"key": base64.b64encode(b"short").decode()}])
def test_a_damaged_secret_is_an_error(data: t.Any) -> None:
    api = ApiStub()
    api.secret = {"data": data}
    with pytest.raises(PlatformError, match="Secret user1/wasmfaas-record-key holds no key"):
        namespace_key(api).find()
