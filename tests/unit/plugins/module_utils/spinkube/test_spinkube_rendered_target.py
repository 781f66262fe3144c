# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that state=rendered writes for a GitOps tool."""

from __future__ import annotations

import dataclasses
import os
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function import run
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.stages import Stages
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.checks import desired_objects
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.cluster_function import ClusterFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import SPIN_APP
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.rendered_target import (
    RenderedTarget,
    check_rendered_options,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import Autoscale, ClusterSettings
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.target import ClusterTarget
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.version_target import VersionTarget
from ansible_collections.wasmfaas.platform.plugins.modules.spin_function import argument_spec

SETTINGS = ClusterSettings(domain="functions.example.com")
SCALED = dataclasses.replace(SETTINGS, autoscale=Autoscale(0, 5, target_concurrency=5), warm="all")


def target(directory: Path, settings: ClusterSettings = SETTINGS, namespace: str = "user1") -> RenderedTarget:
    return RenderedTarget(directory, namespace, "hello", settings)


def kinds(directory: Path) -> list[str]:
    return [item["kind"] for item in yaml.safe_load_all((directory / "hello.yaml").read_text())]


@pytest.mark.parametrize("settings", [SETTINGS, SCALED, dataclasses.replace(SETTINGS, hostname="shop.example.com")])
def test_file_holds_the_objects_that_a_deployment_applies(
    tmp_path: Path, api: t.Any, desired: t.Any, settings: ClusterSettings
) -> None:
    function = desired(plain={"a": "1"})
    live = target(tmp_path, settings).deploy(function)
    on_cluster = ClusterFunction(api, "user1", "hello", settings, Stages())
    text = (tmp_path / "hello.yaml").read_text()
    assert list(yaml.safe_load_all(text)) == list(desired_objects(on_cluster, function, None))
    assert (live.url, live.image) == (on_cluster.address.url, function.image)


def test_second_run_differs_in_nothing_and_gives_the_same_bytes(tmp_path: Path, desired: t.Any) -> None:
    for settings in (SETTINGS, SCALED):
        target(tmp_path, settings).deploy(desired())
        first = (tmp_path / "hello.yaml").read_bytes()
        assert not target(tmp_path, settings).difference(desired())
        live = target(tmp_path, settings).live()
        assert live is not None
        assert (live.image, live.source_digest) == (desired().image, desired().source_digest)
        target(tmp_path, settings).deploy(desired())
        assert (tmp_path / "hello.yaml").read_bytes() == first
        assert b"&id" not in first
    assert os.listdir(tmp_path) == ["hello.yaml"]


def test_scaler_that_is_no_longer_wanted_leaves_the_file_and_others_stay(tmp_path: Path, desired: t.Any) -> None:
    (tmp_path / "README.md").write_text("theirs")
    target(tmp_path, SCALED).deploy(desired())
    assert kinds(tmp_path) == ["SpinApp", "InterceptorRoute", "ScaledObject", "HTTPRoute"]
    difference = target(tmp_path).difference(desired())
    assert "ScaledObject" in difference.before
    assert "ScaledObject" not in difference.after
    target(tmp_path).deploy(desired())
    assert kinds(tmp_path) == ["SpinApp", "HTTPRoute"]
    assert (tmp_path / "README.md").read_text() == "theirs"


def test_edit_by_hand_is_a_difference(tmp_path: Path, desired: t.Any) -> None:
    target(tmp_path).deploy(desired())
    with (tmp_path / "hello.yaml").open("a") as file:
        file.write("# a note\n")
    assert target(tmp_path).difference(desired()).before["file"] == "edited"


def test_image_that_only_a_build_tells_is_shown_as_such(tmp_path: Path, desired: t.Any) -> None:
    after = target(tmp_path).difference(desired(image="")).after
    assert after["SpinApp"]["spec"]["image"] == "<known after the build>"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("text", ["a: 1\n", "", "[", "- x\n", "kind: SpinApp\n"])
def test_file_of_somebody_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "hello.yaml").write_text(text)
    with pytest.raises(PlatformError, match=r"is not the file of the function user1/hello"):
        target(tmp_path).live()


def test_file_of_another_namespace_is_refused(tmp_path: Path, desired: t.Any) -> None:
    target(tmp_path).deploy(desired())
    with pytest.raises(PlatformError, match=r"is not the file of the function user2/hello"):
        target(tmp_path, namespace="user2").live()


def test_secret_values_are_refused_before_the_build(tmp_path: Path, desired: t.Any) -> None:
    function = desired(secret={"token": "s3cret"})
    for call in (target(tmp_path).check, target(tmp_path).difference, target(tmp_path).deploy):
        with pytest.raises(PlatformError, match=r"token: secret values are never written") as error:
            call(function)
        assert "s3cret" not in str(error.value)
    assert os.listdir(tmp_path) == []


def test_unknown_host_is_refused_only_with_an_http_trigger(tmp_path: Path, desired: t.Any) -> None:
    with pytest.raises(PlatformError, match=r"domain: the function's host is unknown"):
        target(tmp_path, ClusterSettings()).check(desired())
    target(tmp_path, ClusterSettings()).deploy(desired(trigger="redis"))
    assert kinds(tmp_path) == ["SpinApp"]


@pytest.fixture
def parameters(tmp_path: Path) -> dict[str, t.Any]:
    defaults = {name: option.get("default") for name, option in argument_spec().items()}
    return {**defaults, "state": "rendered", "directory": str(tmp_path), "source": str(tmp_path)}


STORE = {"name": "cache", "type": "redis", "options": [{"name": "url", "value": "redis://u:secret@host"}]}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("service", "https://api.example.com"),
        ("target", "local"),
        ("canary", 10),
        ("keep_data", True),
        ("sqlite_statements", "/x.sql"),
        ("tls", True),
        ("key_value_store", "shared"),
        ("runtime_config", {"keyValueStores": [STORE]}),
    ],
)
def test_option_without_meaning_is_refused(parameters: dict[str, t.Any], option: str, value: t.Any) -> None:
    check_rendered_options(parameters)
    with pytest.raises(PlatformError, match=option) as error:
        run({**parameters, option: value}, False, set())
    assert "secret@" not in str(error.value)


def test_directory_without_the_state_is_refused(parameters: dict[str, t.Any]) -> None:
    with pytest.raises(PlatformError, match=r"directory: has no effect without state=rendered"):
        run({**parameters, "state": "present"}, False, set())


@pytest.mark.parametrize(
    ("mark", "owner"),
    [
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:core.spinkube.dev/SpinApp:user1/hello"}}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "functions"}}, "Flux"),
    ],
)
def test_function_of_git_is_not_changed_on_the_cluster(
    api: t.Any, desired: t.Any, monkeypatch: pytest.MonkeyPatch, mark: dict[str, dict[str, str]], owner: str
) -> None:
    settings = dataclasses.replace(SETTINGS, wait=False)
    ClusterTarget(ClusterFunction(api, "user1", "hello", settings, Stages())).deploy(desired())
    app = api.get(SPIN_APP, "user1", "hello")
    for part, values in mark.items():
        app["metadata"][part] = {**app["metadata"].get(part, {}), **values}
    get = api.get
    monkeypatch.setattr(
        api, "get", lambda kind, *names: app if kind is SPIN_APP and names[-1] == "hello" else get(kind, *names)
    )
    again = ClusterTarget(ClusterFunction(api, "user1", "hello", settings, Stages()))
    versions = VersionTarget(ClusterFunction(api, "user1", "hello", settings, Stages()))
    for call in (
        lambda: again.check(desired()),
        lambda: again.deploy(desired()),
        again.exists,
        again.delete,
        lambda: versions.plan("rolled_back", None),
    ):
        with pytest.raises(PlatformError, match=rf"user1/hello belongs to the {owner}") as error:
            call()
        assert "state=rendered" in error.value.next_step
