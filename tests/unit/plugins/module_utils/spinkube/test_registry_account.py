# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which registry and account a deployment uses where it names none."""

from __future__ import annotations

import base64
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function import spin_function
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import Forbidden
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.registry_account import registry_account
from ansible_collections.wasmfaas.platform.plugins.modules.spin_function import argument_spec

ACCOUNT = {
    "registry": "192.0.2.11:30500/functions/user1",
    "username": "tenant-user1",
    "password": "hidden",
    "ca.crt": "-----BEGIN CERTIFICATE-----\n",
}


class ApiStub:
    def __init__(self, answer: t.Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    def get(self, _kind: t.Any, namespace: str, name: str) -> t.Any:
        self.asked.append((namespace, name))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def secret(**data: str) -> dict[str, t.Any]:
    return {"data": {name: base64.b64encode(value.encode()).decode() for name, value in (ACCOUNT | data).items()}}


def parameters(tmp_path: Path, **options: t.Any) -> dict[str, t.Any]:
    defaults = {name: option.get("default") for name, option in argument_spec().items()}
    given = {"namespace": "user1", "cache_directory": str(tmp_path / "cache"), **options}
    return {**defaults, **given}


def used(tmp_path: Path, api: ApiStub, **options: t.Any) -> dict[str, t.Any]:
    found = spin_function._with_account(parameters(tmp_path, **options), lambda: t.cast(t.Any, api))
    return {name: value for name, value in found.items() if name.startswith("registry") and value}


def test_the_account_of_the_namespace(tmp_path: Path) -> None:
    api = ApiStub(secret())
    found = used(tmp_path, api)
    authority = found.pop("registry_ca_file")
    assert authority.read_text() == ACCOUNT["ca.crt"] and authority.is_relative_to(tmp_path / "cache")
    assert found == {
        "registry": ACCOUNT["registry"],
        "registry_username": "tenant-user1",
        "registry_password": "hidden",
    }
    assert api.asked == [("user1", "wasmfaas-registry")]
    before = authority.stat().st_mtime_ns
    assert used(tmp_path, api)["registry_ca_file"].stat().st_mtime_ns == before
    assert "hidden" not in repr(registry_account(t.cast(t.Any, api), "user1"))


@pytest.mark.parametrize(
    "options", [{"registry": "registry.example.com/functions"}, {"target": "local"}, {"state": "pushed"}]
)
def test_who_needs_no_account_asks_for_none(tmp_path: Path, options: dict[str, t.Any]) -> None:
    api = ApiStub(secret())
    assert set(used(tmp_path, api, **options)) <= {"registry"} and api.asked == []


@pytest.mark.parametrize("answer", [None, Forbidden("forbidden", next_step="")])
def test_a_namespace_without_an_account_needs_a_registry(tmp_path: Path, answer: t.Any) -> None:
    assert used(tmp_path, ApiStub(answer)) == {}
    with pytest.raises(PlatformError, match="a cluster pulls the artifact from a registry, and none is given"):
        spin_function.registry_of(parameters(tmp_path), tmp_path, lambda: t.cast(t.Any, ApiStub(answer)))


@pytest.mark.parametrize("data", [None, {}, {"registry": "!"}, {**secret()["data"], "password": None}])
def test_a_damaged_account_is_an_error(data: t.Any) -> None:
    with pytest.raises(PlatformError, match="user1/wasmfaas-registry is damaged") as caught:
        registry_account(t.cast(t.Any, ApiStub({"data": data})), "user1")
    assert "wasmfaas.platform.tenant -e tenant=user1" in caught.value.next_step


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(PlatformError, match="Cannot write"):
        used(tmp_path, ApiStub(secret()))
