# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the module's parameters to its result, with a stand-in for the target."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.model import Difference, LiveFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function_version import run
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube import version_target
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.arguments import kubernetes_auth_arguments
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.cluster_function import ClusterFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.objects import FunctionObjects
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.version_target import Move
from ansible_collections.wasmfaas.platform.plugins.modules import spin_function_version as documented

OLD, NEW = "r/shop@sha256:" + "1" * 64, "r/shop@sha256:" + "2" * 64


def live(image: str) -> LiveFunction:
    return LiveFunction("shop", "user1", "sha256:s", image, "http://shop", "ready", "", {"replicas": 1})


class TargetStub:
    """Would make what runs OLD into NEW."""

    move_to_make = Move(Difference({"image": OLD}, {"image": NEW}), FunctionObjects({"spec": {"image": NEW}}))
    moved: t.ClassVar[list[tuple[str, str | None]]] = []

    def __init__(self, function: ClusterFunction) -> None:
        assert (function.namespace, function.name) == ("user1", "shop")
        assert (function.settings.wait, function.settings.wait_timeout) == (True, 7)

    def plan(self, _state: str, _to: str | None) -> Move:
        return self.move_to_make

    def now(self) -> LiveFunction:
        return live(OLD)

    def move(self, state: str, to: str | None) -> LiveFunction:
        self.moved.append((state, to))
        return live(NEW)


@pytest.fixture(autouse=True)
def target(monkeypatch: pytest.MonkeyPatch) -> type[TargetStub]:
    stub = type("Stub", (TargetStub,), {"moved": []})
    monkeypatch.setattr(version_target, "VersionTarget", stub)
    return stub


def parameters(**changes: t.Any) -> dict[str, t.Any]:
    ours = {
        "name": "shop",
        "namespace": "user1",
        "state": "rolled_back",
        "to": None,
        "target": "cluster",
        "probe_address": None,
        "probe_ca_file": None,
        "wait_timeout": 7,
    }
    return {**dict.fromkeys(kubernetes_auth_arguments()), **ours, **changes}


@pytest.mark.parametrize(
    ("state", "what"), [("rolled_back", "earlier versions"), ("promoted", "canaries"), ("undone", "canaries")]
)
def test_local_functions_have_no_versions(target: type[TargetStub], state: str, what: str) -> None:
    with pytest.raises(PlatformError, match=rf"user1/shop: local functions have no {what}\. Next: Deploy the source"):
        run(parameters(state=state, target="local"), False, set())
    assert target.moved == []


@pytest.mark.parametrize(
    ("state", "verb"),
    [("promoted", "promoted"), ("undone", "canary ended, unchanged is"), ("rolled_back", "rolled back")],
)
def test_change_is_made_and_told(target: type[TargetStub], state: str, verb: str) -> None:
    result = run(parameters(state=state, to="sha256:2"), False, set())
    assert target.moved == [(state, "sha256:2")]
    assert result["changed"] and result["image"] == NEW
    assert result["summary"].startswith(f"{verb} http://shop sha256:222222222222 (")
    assert result["diff"] == {"before": {"image": OLD}, "after": {"image": NEW}}


def test_check_mode_tells_what_would_run_and_does_nothing(target: type[TargetStub]) -> None:
    result = run(parameters(), True, set())
    assert target.moved == []
    assert result["changed"] and result["image"] == NEW
    assert result["summary"].startswith("would be rolled back http://shop sha256:222222222222")


def test_what_is_so_already_is_no_change(target: type[TargetStub], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "move_to_make", Move(Difference(), unchanged="it has no canary"))
    result = run(parameters(state="promoted"), False, set())
    assert target.moved == []
    assert not result["changed"] and result["image"] == OLD
    assert result["summary"].startswith("unchanged, it has no canary: http://shop sha256:111111111111")


def test_result_is_the_documented_one() -> None:
    described = yaml.safe_load(documented.RETURN)
    failure = {"stage", "cause", "next_step", "facts"}
    assert set(run(parameters(), False, set())) - {"changed", "diff"} == set(described) - failure


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"namespace": "../x"}, "The namespace"),
        ({"probe_ca_file": "/missing.pem"}, "probe_ca_file: /missing.pem cannot be read"),
    ],
)
def test_wrong_parameters_are_told_before_the_cluster_is_called(
    target: type[TargetStub], change: dict[str, str], said: str
) -> None:
    with pytest.raises(PlatformError, match=said):
        run(parameters(**change), False, set())
    assert target.moved == []
