# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of the platform's key-value store: which function gets which. The API server is a stand-in."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import Component, LocalSource
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.model import DesiredFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.stages import Stages
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube import answers, route_status
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import Conflict
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.canary_target import CanaryTarget
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.cluster_function import ClusterFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import SECRET, SPIN_APP
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import ClusterSettings
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.target import ClusterTarget

SHARED = ClusterSettings(wait_timeout=1, key_value_store="shared")
OTHER_IMAGE = "registry.example/functions/hello@sha256:" + "2" * 64


@pytest.fixture(autouse=True)
def probed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No function answers in a stand-in, and no controller takes routes."""
    monkeypatch.setattr(answers, "probe", lambda _url, **_options: None)
    monkeypatch.setattr(route_status, "_ROUTE_TIMEOUT_SECONDS", 0.0)
    monkeypatch.setattr(route_status, "_LAST_REQUESTS_SECONDS", 0.0)


@pytest.fixture
def store(api: t.Any) -> t.Any:
    """A cluster whose namespace user1 has a store with three databases."""
    data = {f"database-{number}": "cmVkaXM6Ly8=" for number in range(3)}
    api.put(SECRET, {"metadata": {"name": "key-value-store", "namespace": "user1"}, "data": data})
    return api


@pytest.fixture
def using(desired: t.Any) -> t.Callable[..., DesiredFunction]:
    """Makes a function whose component uses these stores."""

    def make(*stores: str, name: str = "hello", **changes: t.Any) -> DesiredFunction:
        function: DesiredFunction = desired(name=name, **changes)
        component = Component(id="c", source=LocalSource("c.wasm"), key_value_stores=stores)
        return dataclasses.replace(
            function, manifest=dataclasses.replace(function.manifest, components={"c": component})
        )

    return make


def target(api: t.Any, name: str = "hello", settings: ClusterSettings = SHARED) -> ClusterTarget:
    return ClusterTarget(ClusterFunction(api, "user1", name, settings, Stages()))


def databases(api: t.Any, name: str = "hello") -> dict[str, str]:
    """The key of the Secret that each store of a function has its URL from."""
    spec = api.get(SPIN_APP, "user1", name)["spec"]
    found = {}
    for entry in spec["runtimeConfig"]["keyValueStores"]:
        assert entry["type"] == "redis"
        (option,) = entry["options"]
        reference = option["valueFrom"]["secretKeyRef"]
        assert (option["name"], reference["name"]) == ("url", "key-value-store")
        found[entry["name"]] = reference["key"]
    return found


def test_each_store_of_each_function_has_a_database_of_its_own(store: t.Any, using: t.Any) -> None:
    """Spin uses keys as a function writes them."""
    assert target(store).check(using("default", "orders")) == [], "the warning about data in the pod is gone"
    target(store).deploy(using("default", "orders"))
    target(store, "other").deploy(using("default", name="other"))
    assert databases(store) == {"default": "database-0", "orders": "database-1"}
    assert databases(store, "other") == {"default": "database-2"}
    assert "redis://" not in str(store.get(SPIN_APP, "user1", "hello")), "the URL holds the password"


def test_second_run_changes_nothing_and_a_new_version_keeps_its_data(store: t.Any, using: t.Any) -> None:
    function = using("default")
    assert target(store).difference(function)
    assert store.names(SECRET) == ["key-value-store"], "a comparison writes nothing"
    target(store).deploy(function)
    assert not target(store).difference(function)
    target(store).deploy(using("default", image=OTHER_IMAGE))
    assert databases(store) == {"default": "database-0"}


def test_a_deleted_function_leaves_its_database_to_no_other(store: t.Any, using: t.Any) -> None:
    target(store).deploy(using("default"))
    target(store).delete()
    target(store, "other").deploy(using("default", name="other"))
    target(store).deploy(using("default"))
    assert (databases(store), databases(store, "other")) == ({"default": "database-0"}, {"default": "database-1"})


def test_two_deployments_at_once_get_different_databases(
    store: t.Any, using: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one finds the number taken when it writes it down."""
    create = store.create

    def taken_meanwhile(kind: t.Any, item: dict[str, t.Any]) -> t.Any:
        if kind is SECRET and store.names(SECRET) == ["key-value-store"]:
            annotations = {"wasmfaas.dev/function": "other", "wasmfaas.dev/store": "default"}
            create(kind, {**item, "metadata": {**item["metadata"], "annotations": annotations}})
            raise Conflict("exists", next_step="again")
        return create(kind, item)

    monkeypatch.setattr(store, "create", taken_meanwhile)
    target(store).deploy(using("default"))
    assert store.names(SECRET) == ["key-value-store", "key-value-store-0", "key-value-store-1"]
    assert databases(store) == {"default": "database-1"}


def test_a_canary_uses_the_data_of_its_function(store: t.Any, using: t.Any) -> None:
    store.runs = True
    target(store).deploy(using("default"))
    function = ClusterFunction(store, "user1", "hello", SHARED, Stages())
    CanaryTarget(function, 20).deploy(using("default", image=OTHER_IMAGE))
    assert databases(store, "hello-canary") == databases(store) == {"default": "database-0"}


def test_what_runtime_config_configures_is_left_alone(store: t.Any, using: t.Any) -> None:
    own = {"name": "orders", "type": "redis", "options": [{"name": "url", "value": "redis://mine"}]}
    settings = dataclasses.replace(SHARED, runtime_config={"keyValueStores": [own], "sqliteDatabases": []})
    target(store, settings=settings).deploy(using("default", "orders"))
    config = store.get(SPIN_APP, "user1", "hello")["spec"]["runtimeConfig"]
    assert config["keyValueStores"][0] == own and config["keyValueStores"][1]["name"] == "default"
    assert config["sqliteDatabases"] == []


def test_without_a_store_in_the_manifest_nothing_is_asked_for(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    assert "runtimeConfig" not in api.get(SPIN_APP, "user1", "hello")["spec"]


def test_a_namespace_without_a_store_is_refused_before_anything_is_written(api: t.Any, using: t.Any) -> None:
    with pytest.raises(PlatformError, match="the namespace user1 has no key-value store") as raised:
        target(api).check(using("default"))
    assert "key_value_store_namespaces" in raised.value.next_step
    assert api.calls == []


def test_no_database_is_left(store: t.Any, using: t.Any) -> None:
    with pytest.raises(PlatformError, match="all 3 databases of the namespace user1 are taken") as raised:
        target(store).check(using("a", "b", "c", "d"))
    assert "key_value_store_databases" in raised.value.next_step


def test_a_whole_configuration_file_contradicts_it(store: t.Any, using: t.Any) -> None:
    settings = dataclasses.replace(SHARED, runtime_config={"loadFromSecret": "mine"})
    with pytest.raises(PlatformError, match="does not go with runtime_config"):
        target(store, settings=settings).check(using("default"))


def test_a_wrong_runtime_config_is_refused_as_without_it(store: t.Any, using: t.Any) -> None:
    settings = dataclasses.replace(SHARED, runtime_config={"keyValueStores": 1})
    with pytest.raises(PlatformError, match="must be a list of dictionaries"):
        target(store, settings=settings).check(using("default"))


def test_the_warning_about_data_in_the_pod_names_the_option(store: t.Any, using: t.Any) -> None:
    (warning,) = target(store, settings=ClusterSettings()).check(using("default"))
    assert "lies in the pod" in warning and "-e key_value_store=shared" in warning
