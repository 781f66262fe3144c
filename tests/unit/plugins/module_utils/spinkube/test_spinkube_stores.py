# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores that a function uses, against the runtime configuration that it gets on a cluster."""

from __future__ import annotations

import base64
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Component,
    LocalSource,
    Manifest,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import Forbidden
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import SECRET
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.stores import check_stores

REDIS = {"type": "redis", "options": [{"name": "url", "value": "redis://store:6379"}]}
LIBSQL = {"type": "libsql", "options": [{"name": "url", "value": "https://d"}, {"name": "token", "value": "t"}]}


def manifest(**stores: tuple[str, ...]) -> Manifest:
    """A component `main` with these stores, and one `other` without any."""
    components = {
        "main": Component(id="main", source=LocalSource("a.wasm"), **stores),
        "other": Component(id="other", source=LocalSource("b.wasm")),
    }
    return Manifest(Path("/p/spin.toml"), "hello", (), components)


def check(api: t.Any, found: Manifest, config: dict[str, t.Any] | None, components: tuple[str, ...] = ()) -> list[str]:
    return check_stores(api, "user1", found, components, config)


def secret(api: t.Any, text: str, key: str = "runtime-config.toml") -> dict[str, t.Any]:
    """Puts a configuration file into a Secret, and gives the option that names it."""
    data = {key: base64.b64encode(text.encode()).decode()}
    api.put(SECRET, {"metadata": {"name": "mine", "namespace": "user1"}, "data": data})
    return {"loadFromSecret": "mine"}


@pytest.mark.parametrize(
    ("stores", "option", "config"),
    [
        (
            {"key_value_stores": ("default", "other")},
            "keyValueStores",
            {"keyValueStores": [{"name": "other", **REDIS}]},
        ),
        ({"sqlite_databases": ("other",)}, "sqliteDatabases", {"sqliteDatabases": [{"name": "other", **LIBSQL}]}),
    ],
)
def test_a_store_that_is_configured_nowhere_is_refused(
    api: t.Any, stores: dict[str, t.Any], option: str, config: dict[str, t.Any]
) -> None:
    """Spin: `unknown key_value_stores label`, `use SQLite databases which are not defined`, and exit code 137."""
    (key,) = stores
    other_kind = {"keyValueStores": "sqliteDatabases", "sqliteDatabases": "keyValueStores"}[option]
    for given in (None, {option: []}, {option: [{**config[option][0], "name": "else"}]}, {other_kind: []}):
        with pytest.raises(PlatformError, match=rf"component\.main\.{key}: 'other': .* configured nowhere") as caught:
            check(api, manifest(**stores), given)
        assert f"runtime_config: {{{option}: [{{name: other" in caught.value.next_step
    check(api, manifest(**stores), config)


def test_only_components_that_run_count(api: t.Any) -> None:
    assert check(api, manifest(key_value_stores=("lost",)), None, ("other",)) == []


@pytest.mark.parametrize(
    ("stores", "config", "warned"),
    [
        ({"key_value_stores": ("default",)}, None, ["default"]),
        ({"sqlite_databases": ("default",)}, {}, ["default"]),
        ({"key_value_stores": ("default",)}, {"keyValueStores": [{"name": "default", **REDIS}]}, []),
        ({"sqlite_databases": ("default",)}, {"sqliteDatabases": [{"name": "default", **LIBSQL}]}, []),
        (
            {"key_value_stores": ("a", "b"), "sqlite_databases": ("c",)},
            {
                "keyValueStores": [{"name": "a", **REDIS}, {"name": "b", "type": "spin"}],
                "sqliteDatabases": [{"name": "c", "type": "spin", "options": [{"name": "path", "value": "c.db"}]}],
            },
            ["b", "c"],
        ),
    ],
)
def test_data_in_the_pod_is_warned_about(
    api: t.Any, stores: dict[str, t.Any], config: dict[str, t.Any] | None, warned: list[str]
) -> None:
    warnings = check(api, manifest(**stores), config)
    assert len(warnings) == len(warned)
    for warning, label in zip(warnings, warned, strict=True):
        assert f"'{label}'" in warning and "is lost with the pod" in warning and "Next: " in warning


@pytest.mark.parametrize(
    ("config", "refused"),
    [
        ({"keyValueStores": {"default": {}}}, "must be a list"),
        ({"keyValueStores": ["default"]}, "must be a list"),
        ({"keyValueStores": [{"name": "default", "type": "sqlite"}]}, "no key-value store of type 'sqlite'"),
        ({"keyValueStores": [{"name": "default"}]}, "of type ''"),
        ({"keyValueStores": [{"name": "default", "type": "redis"}]}, "of type redis needs url"),
        ({"keyValueStores": [{"name": "default", "type": "redis", "options": {"url": "x"}}]}, "needs url"),
        ({"keyValueStores": [{"name": "a", **REDIS}, {"name": "a", **REDIS}]}, "configured twice"),
        ({"sqliteDatabases": [{"name": "default", "type": "redis"}]}, "no SQLite database of type 'redis'"),
        ({"sqliteDatabases": [{"name": "default", "type": "libsql", "options": []}]}, "needs url and token"),
        ({"keyValueStores": [{"name": "d", "type": "aws_dynamo"}]}, "needs region and table"),
        ({"keyValueStores": [{"name": "d", "type": "azure_cosmos"}]}, "needs account and database and container"),
    ],
)
def test_a_configuration_that_spin_would_not_start_with_is_refused(
    api: t.Any, config: dict[str, t.Any], refused: str
) -> None:
    with pytest.raises(PlatformError, match=refused) as caught:
        check(api, manifest(key_value_stores=("default",)), config)
    assert caught.value.cause.startswith("runtime_config.")


def test_a_configuration_file_in_a_secret_is_looked_at(api: t.Any) -> None:
    found = manifest(key_value_stores=("other",), sqlite_databases=("default",))
    whole = '[key_value_store.other]\ntype = "redis"\nurl = "redis://r"\n[sqlite_database.default]\ntype = "libsql"\n'
    assert check(api, found, secret(api, whole)) == []
    (warning,) = check(api, found, secret(api, '[key_value_store.other]\ntype = "redis"\nurl = "redis://r"\n'))
    assert "sqlite_databases: 'default'" in warning
    with pytest.raises(PlatformError, match=r"'other': .* configured nowhere"):
        check(api, found, secret(api, ""))
    with pytest.raises(PlatformError, match=r"has no key runtime-config\.toml"):
        check(api, found, secret(api, "", "config.toml"))
    with pytest.raises(PlatformError, match="is no TOML") as caught:
        check(api, found, secret(api, 'url = "redis://:hunter2@r'))
    assert "hunter2" not in str(caught.value)
    with pytest.raises(PlatformError, match="user1/none does not exist"):
        check(api, found, {"loadFromSecret": "none"})


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ('key_value_store = "hunter2"', "key_value_store of its"),
        ("key_value_store = 1", "key_value_store of its"),
        ("key_value_store = []", "key_value_store of its"),
        ("[[key_value_store]]\ntype = 'redis'", "key_value_store of its"),
        ('sqlite_database = "hunter2"', "sqlite_database of its"),
        ('[key_value_store]\nother = "hunter2"', r"key_value_store\.other of its"),
        ('[key_value_store]\nother = ["hunter2"]', r"key_value_store\.other of its"),
    ],
)
def test_a_store_that_is_no_table_is_refused(api: t.Any, text: str, refused: str) -> None:
    with pytest.raises(PlatformError, match=f"user1/mine: {refused} .* is no TOML table") as caught:
        check(api, manifest(key_value_stores=("other",)), secret(api, text))
    assert "hunter2" not in str(caught.value)


def test_a_deeply_nested_configuration_file_is_refused(api: t.Any) -> None:
    with pytest.raises(PlatformError, match="nested too deeply"):
        check(api, manifest(), secret(api, f"a = {'[' * 100_000}"))


def test_the_secret_is_read_once(api: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = secret(api, '[key_value_store.other]\ntype = "redis"\n[sqlite_database.other]\ntype = "libsql"\n')
    reads: list[tuple[t.Any, ...]] = []
    get = api.get
    monkeypatch.setattr(api, "get", lambda *where: reads.append(where) or get(*where))
    assert check(api, manifest(key_value_stores=("other",), sqlite_databases=("other",)), config) == []
    assert reads == [(SECRET, "user1", "mine")]


def test_a_secret_that_may_not_be_read_is_left_to_its_owner(api: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_arguments: t.Any) -> t.NoReturn:
        raise Forbidden("get Secret: forbidden.", next_step="Ask.")

    monkeypatch.setattr(api, "get", forbidden)
    assert check(api, manifest(key_value_stores=("other",)), {"loadFromSecret": "mine"}) == []
