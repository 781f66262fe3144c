# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second version beside the first: its share, its end, and what it must never touch. The API server is a stand-in
here."""

from __future__ import annotations

import copy
import dataclasses
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.stages import Stages
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube import (
    answers,
    canary_change,
    removal,
    route_status,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.canary import CANARY_OF
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.canary_target import CanaryTarget
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.cluster_function import ClusterFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import (
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_ROUTE,
    LEASE,
    SECRET,
    SPIN_APP,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.live import list_functions
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import Autoscale, ClusterSettings
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.target import ClusterTarget
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.version_target import VersionTarget

NEW_IMAGE = "registry.example/functions/hello@sha256:" + "2" * 64
THIRD_IMAGE = "registry.example/functions/hello@sha256:" + "3" * 64
SETTINGS = ClusterSettings(wait_timeout=1)
NEW: dict[str, t.Any] = {"image": NEW_IMAGE, "source_digest": "sha256:" + "b" * 64}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No function answers in a stand-in, and no controller takes routes."""
    monkeypatch.setattr(answers, "probe", lambda _url, **_options: None)
    monkeypatch.setattr(route_status, "_ROUTE_TIMEOUT_SECONDS", 0.0)
    monkeypatch.setattr(route_status, "_LAST_REQUESTS_SECONDS", 0.0)


def target(
    api: t.Any, settings: ClusterSettings = SETTINGS, *, namespace: str = "user1", name: str = "hello"
) -> ClusterTarget:
    return ClusterTarget(ClusterFunction(api, namespace, name, settings, Stages()))


def canary(api: t.Any, weight: int = 10, settings: ClusterSettings = SETTINGS) -> CanaryTarget:
    return CanaryTarget(ClusterFunction(api, "user1", "hello", settings, Stages()), weight)


def versions(api: t.Any) -> VersionTarget:
    return VersionTarget(ClusterFunction(api, "user1", "hello", SETTINGS, Stages()))


def spec(api: t.Any, name: str = "hello") -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", api.get(SPIN_APP, "user1", name)["spec"])


def backends(api: t.Any) -> list[tuple[str, int | None]]:
    (rule,) = api.get(HTTP_ROUTE, "user1", "hello")["spec"]["rules"]
    return [(backend["name"], backend.get("weight")) for backend in rule["backendRefs"]]


def all_but_locks(api: t.Any) -> dict[t.Any, t.Any]:
    return {key: copy.deepcopy(item) for key, item in api.objects.items() if key[0] != LEASE.kind}


# Its making


def test_canary_runs_beside_the_function_and_gets_its_share(api: t.Any, desired: t.Any) -> None:
    target(api, dataclasses.replace(SETTINGS, replicas=5)).deploy(desired())
    stable = api.get(SPIN_APP, "user1", "hello")
    api.calls.clear()
    live = canary(api, 30, dataclasses.replace(SETTINGS, replicas=5)).deploy(desired(**NEW))
    assert api.get(SPIN_APP, "user1", "hello") == stable, "the function itself is not touched"
    assert [call[1:] for call in api.calls] == [
        ("SpinApp", "hello-canary"),
        ("HTTPRoute", "hello"),  # no request yet
        ("HTTPRoute", "hello"),
        ("SpinApp", "hello-canary"),
    ]
    assert (spec(api, "hello-canary")["image"], spec(api, "hello-canary")["replicas"]) == (NEW_IMAGE, 2)
    assert api.get(SPIN_APP, "user1", "hello-canary")["metadata"]["labels"][CANARY_OF] == "hello"
    assert backends(api) == [("hello", 70), ("hello-canary", 30)]
    assert (live.name, live.image, live.url, live.details["canary_weight"]) == (
        "hello",
        NEW_IMAGE,
        "http://hello.user1.203.0.113.7.nip.io",
        30,
    )


def test_same_canary_again_and_the_same_function_again_differ_in_nothing(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(secret={"token": "1"}))
    for _time in range(2):
        assert canary(api).difference(desired(**NEW, secret={"token": "2"})) or _time
        if not _time:
            canary(api).deploy(desired(**NEW, secret={"token": "2"}))
    api.calls.clear()
    assert not canary(api).difference(desired(**NEW, secret={"token": "2"}))
    assert canary(api).ensure_answers(desired(**NEW, secret={"token": "2"})).image == NEW_IMAGE
    assert not target(api).difference(desired(secret={"token": "1"})), "the route with two backends is as it must be"
    assert api.calls == []
    assert len(api.names(SECRET)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"weight": 20},
        {"settings": dataclasses.replace(SETTINGS, replicas=9)},
        {"function": {**NEW, "image": THIRD_IMAGE}},
        {"function": {**NEW, "plain": {"a": "1"}}},
    ],
)
def test_every_change_of_a_canary_is_a_difference(api: t.Any, desired: t.Any, change: dict[str, t.Any]) -> None:
    target(api).deploy(desired())
    canary(api).deploy(desired(**NEW))
    function = desired(**change.get("function", NEW))
    changed = canary(api, change.get("weight", 10), change.get("settings", SETTINGS))
    assert changed.difference(function)
    changed.deploy(function)
    assert not canary(api, change.get("weight", 10), change.get("settings", SETTINGS)).difference(function)


def test_difference_before_the_build_shows_the_shares(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    before = all_but_locks(api)
    difference = canary(api).difference(desired(**{**NEW, "image": ""}))
    assert difference.after["SpinApp"]["spec"]["image"] == "<known after the build>"
    assert [backend["weight"] for backend in difference.after["HTTPRoute"]["spec"]["rules"][0]["backendRefs"]] == [
        90,
        10,
    ]
    assert "SpinApp" not in difference.before
    assert all_but_locks(api) == before


def test_fewer_requests_before_fewer_replicas(api: t.Any, desired: t.Any) -> None:
    settings = dataclasses.replace(SETTINGS, replicas=10)
    target(api, settings).deploy(desired())
    canary(api, 50, settings).deploy(desired(**NEW))
    api.calls.clear()
    canary(api, 10, settings).deploy(desired(**NEW))
    assert [kind for _verb, kind, _name in api.calls][:2] == ["HTTPRoute", "SpinApp"]
    assert (backends(api), spec(api, "hello-canary")["replicas"]) == ([("hello", 90), ("hello-canary", 10)], 1)


def test_canary_of_a_function_that_scales_by_its_processor_has_a_scaler_of_its_own(api: t.Any, desired: t.Any) -> None:
    settings = dataclasses.replace(
        SETTINGS, autoscale=Autoscale(2, 10, target_cpu_percent=60), resources={"requests": {"cpu": "100m"}}
    )
    target(api, settings).deploy(desired())
    canary(api, 25, settings).deploy(desired(**NEW))
    scaler = api.get(HORIZONTAL_POD_AUTOSCALER, "user1", "hello-canary")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"], scaler["spec"]["scaleTargetRef"]["name"]) == (
        1,
        3,
        "hello-canary",
    )
    assert not canary(api, 25, settings).difference(desired(**NEW))
    fixed = dataclasses.replace(SETTINGS, replicas=2)
    canary(api, 25, fixed).deploy(desired(**NEW))
    assert api.names(HORIZONTAL_POD_AUTOSCALER) == ["hello"], "the canary's goes with its cause, the function's stays"
    versions(api).move("promoted", None)
    assert api.names(HORIZONTAL_POD_AUTOSCALER) == []
    assert spec(api)["replicas"] == 2


def test_what_the_function_runs_already_needs_no_canary(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    again = canary(api)
    live = again.live()
    assert live is not None and live.source_digest == desired().source_digest
    assert not again.difference(desired())
    assert again.ensure_answers(desired()).image == desired().image
    assert api.get(SPIN_APP, "user1", "hello-canary") is None


# What cannot be


def refusal(api: t.Any, function: t.Any, settings: ClusterSettings = SETTINGS, weight: int = 10) -> PlatformError:
    before = all_but_locks(api)
    with pytest.raises(PlatformError) as caught:
        canary(api, weight, settings).check(function)
    with pytest.raises(PlatformError):
        canary(api, weight, settings).deploy(function)
    assert all_but_locks(api) == before
    assert caught.value.next_step
    return caught.value


def test_canary_needs_a_function(api: t.Any) -> None:
    with pytest.raises(PlatformError, match="there is no function user1/hello yet"):
        canary(api).live()


@pytest.mark.parametrize("weight", [0, -1, 101])
def test_share_out_of_range_is_refused(api: t.Any, weight: int) -> None:
    with pytest.raises(PlatformError, match=r"is no weight in percent, 1 to 100"):
        canary(api, weight)


def test_canary_must_be_waited_for(api: t.Any) -> None:
    with pytest.raises(PlatformError, match="`wait: false`"):
        canary(api, settings=dataclasses.replace(SETTINGS, wait=False))


def test_name_without_room_for_its_canary_is_refused(api: t.Any) -> None:
    with pytest.raises(PlatformError, match="only 45 fit"):
        CanaryTarget(ClusterFunction(api, "user1", "h" * 46, SETTINGS, Stages()), 10)


@pytest.mark.parametrize("function_scales", [True, False])
def test_canary_can_not_go_with_scaling_by_requests(api: t.Any, desired: t.Any, function_scales: bool) -> None:
    by_requests = dataclasses.replace(SETTINGS, autoscale=Autoscale(0, 5, target_concurrency=5))
    target(api, by_requests if function_scales else SETTINGS).deploy(desired())
    error = refusal(api, desired(**NEW), SETTINGS if function_scales else by_requests)
    assert "scales by requests" in error.cause


def test_canary_needs_requests(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(trigger="redis"))
    assert "no http trigger" in refusal(api, desired(**NEW, trigger="redis")).cause


@pytest.mark.parametrize("change", [{"hostname": "other.example.com"}, {"domain": "example.com"}])
def test_canary_has_the_host_of_its_function(api: t.Any, desired: t.Any, change: dict[str, t.Any]) -> None:
    target(api).deploy(desired())
    error = refusal(api, desired(**NEW), dataclasses.replace(SETTINGS, **change))
    assert "hello.user1.203.0.113.7.nip.io at wasmfaas-system/wasmfaas to " in error.cause
    canary(api).deploy(desired(**NEW))
    with pytest.raises(PlatformError, match="both versions share one route"):
        target(api, dataclasses.replace(SETTINGS, **change)).deploy(desired())


def test_function_that_somebody_else_deployed_has_no_canary(api: t.Any, desired: t.Any) -> None:
    api.put(
        SPIN_APP,
        {
            "metadata": {"name": "hello", "namespace": "user1"},
            "spec": {"image": "x:latest", "executor": "e", "replicas": 1},
        },
    )
    assert "was not deployed by this collection" in refusal(api, desired(**NEW)).cause


def test_another_function_with_the_name_of_the_canary(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    target(api, name="hello-canary").deploy(desired(name="hello-canary"))
    assert "another function user1/hello-canary" in refusal(api, desired(**NEW)).cause
    assert [function.name for function in list_functions(api, None)] == ["hello", "hello-canary"]
    target(api).deploy(desired(**NEW))
    target(api).delete()
    assert api.names(SPIN_APP) == ["hello-canary"], "it is nobody's canary"


def test_canary_is_no_function_to_deploy_or_delete(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    canary(api).deploy(desired(**NEW))
    other = target(api, name="hello-canary")
    for act in (
        lambda: other.check(desired(name="hello-canary")),
        lambda: other.deploy(desired(name="hello-canary")),
        other.delete,
    ):
        with pytest.raises(PlatformError, match="user1/hello-canary is the canary of the function hello"):
            act()
    assert api.names(SPIN_APP) == ["hello", "hello-canary"]


# What does not come up


def test_canary_that_crashes_leaves_the_function_as_it_was(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(secret={"token": "1"}))
    before = all_but_locks(api)
    api.calls.clear()
    api.crashing = {NEW_IMAGE}
    with pytest.raises(
        PlatformError,
        match=r"CrashLoopBackOff.*; the function itself was not touched, and nothing of its canary was left",
    ) as caught:
        canary(api).deploy(desired(**NEW, secret={"token": "2"}))
    assert caught.value.stage == "rollout"
    assert all_but_locks(api) == before
    assert not [call for call in api.calls if call[1] == "HTTPRoute"], "no request went to it"


def test_canary_that_crashes_puts_the_earlier_canary_back(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    canary(api, 10).deploy(desired(**NEW, secret={"token": "1"}))
    before = all_but_locks(api)
    api.crashing = {THIRD_IMAGE}
    with pytest.raises(PlatformError, match="its earlier canary was put back"):
        canary(api, 50).deploy(desired(**{**NEW, "image": THIRD_IMAGE}, secret={"token": "2"}))
    assert all_but_locks(api) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), PlatformError("refused.", next_step="x")])
@pytest.mark.parametrize("kind", ["SpinApp", "HTTPRoute", "Secret"])
def test_interrupt_or_refusal_at_any_object_is_undone(
    api: t.Any, desired: t.Any, kind: str, error: BaseException
) -> None:
    target(api).deploy(desired())
    before = all_but_locks(api)
    api.fail_on["apply", kind] = error
    with pytest.raises(type(error)):
        canary(api).deploy(desired(**NEW, secret={"token": "2"}))
    assert all_but_locks(api) == before


def test_canary_whose_function_does_not_answer_with_it_is_undone(
    api: t.Any, desired: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    target(api).deploy(desired())
    before = all_but_locks(api)

    def no_answer(url: str, **_options: t.Any) -> None:
        raise PlatformError(f"{url} answers 500.", next_step="look")

    monkeypatch.setattr(answers, "probe", no_answer)
    with pytest.raises(PlatformError, match=r"answers 500; .*the function itself was not touched"):
        canary(api).deploy(desired(**NEW))
    assert all_but_locks(api) == before


def test_canary_that_was_cut_off_gets_no_requests_until_it_is_deployed_again(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    canary(api).deploy(desired(**NEW))
    cut = api.get(SPIN_APP, "user1", "hello-canary")
    del cut["metadata"]["annotations"]["wasmfaas.dev/last-good"]
    api.put(SPIN_APP, cut)
    target(api, dataclasses.replace(SETTINGS, replicas=2)).deploy(desired())
    assert backends(api) == [("hello", None)]
    with pytest.raises(PlatformError, match="never came up"):
        versions(api).plan("promoted", None)
    assert canary(api).difference(desired(**NEW))
    canary(api).deploy(desired(**NEW))
    assert backends(api) == [("hello", 90), ("hello-canary", 10)]


# Its end


def test_promotion_makes_the_function_what_its_canary_is(api: t.Any, desired: t.Any) -> None:
    settings = dataclasses.replace(SETTINGS, replicas=4, resources={"limits": {"memory": "64Mi"}})
    target(api, dataclasses.replace(SETTINGS, replicas=4)).deploy(desired(secret={"token": "1"}))
    canary(api, 10, settings).deploy(desired(**NEW, secret={"token": "2"}))
    api.calls.clear()
    move = versions(api).plan("promoted", None)
    assert move.difference.before["canary"] == {"image": NEW_IMAGE, "weight": 10}
    assert move.difference.after["SpinApp"]["spec"]["image"] == NEW_IMAGE
    shown = [
        difference["HTTPRoute"]["spec"]["rules"][0]["backendRefs"]
        for difference in (move.difference.before, move.difference.after)
    ]
    assert [len(route) for route in shown] == [2, 1]
    assert api.calls == []

    live = versions(api).move("promoted", None)
    assert (live.image, live.details["replicas"]) == (NEW_IMAGE, 4)
    assert backends(api) == [("hello", None)]
    assert api.names(SPIN_APP) == ["hello"]
    assert len(api.names(SECRET)) == 1
    assert not target(api, settings).difference(desired(**NEW, secret={"token": "2"})), "as if it had been deployed so"
    ends = [("HTTPRoute", "hello"), ("SpinApp", "hello-canary")]
    assert [call[1:] for call in api.calls if call[1:] in ends][-2:] == ends, "no requests, then no pods"

    api.calls.clear()
    again = versions(api).plan("promoted", None)
    assert again.unchanged == "it has no canary"
    assert versions(api).move("promoted", None).details["earlier"] != []
    assert api.calls == []


def test_promotion_that_does_not_come_up_keeps_both(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    canary(api).deploy(desired(**NEW))
    before = all_but_locks(api)
    api.crashing = {NEW_IMAGE}
    with pytest.raises(PlatformError, match="the previous version was put back"):
        versions(api).move("promoted", None)
    assert all_but_locks(api) == before


def test_canary_is_undone(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(secret={"token": "1"}))
    before = all_but_locks(api)
    canary(api).deploy(desired(**NEW, secret={"token": "2"}))
    live = versions(api).move("undone", None)
    assert live.image == desired().image
    assert all_but_locks(api) == before
    assert versions(api).plan("undone", None).unchanged == "it has no canary"


def test_backend_of_a_canary_gets_requests_only_once_the_route_has_it(
    api: t.Any, desired: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that learns of the route before the backend that it names would answer 503."""
    target(api).deploy(desired())
    waited: list[list[tuple[str, int | None]]] = []
    monkeypatch.setattr(canary_change, "wait_until_requests_follow", lambda _function: waited.append(backends(api)))
    canary(api).deploy(desired(**NEW))
    assert waited == [[("hello", 100), ("hello-canary", 0)]]
    assert backends(api) == [("hello", 90), ("hello-canary", 10)]
    canary(api, 50).deploy(desired(**NEW))
    assert len(waited) == 1, "it is in the route already"


@pytest.mark.parametrize("state", ["undone", "promoted"])
def test_backend_of_a_canary_leaves_the_route_only_after_its_last_request(
    api: t.Any, desired: t.Any, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """A proxy that loses a backend before the route that names it would answer 503."""
    target(api).deploy(desired())
    canary(api).deploy(desired(**NEW))
    waited: list[list[tuple[str, int | None]]] = []
    monkeypatch.setattr(removal, "wait_until_requests_follow", lambda _function: waited.append(backends(api)))
    versions(api).move(state, None)
    assert waited == [[("hello", 100), ("hello-canary", 0)]]
    assert backends(api) == [("hello", None)]


def test_function_that_is_deployed_meanwhile_keeps_its_canary(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    canary(api).deploy(desired(**NEW, secret={"token": "2"}))
    target(api).deploy(desired(image=THIRD_IMAGE))
    assert backends(api) == [("hello", 90), ("hello-canary", 10)]
    assert len(api.names(SECRET)) == 1
    versions(api).move("promoted", None)
    assert spec(api)["image"] == NEW_IMAGE


def test_failed_deployment_of_the_function_keeps_the_share_of_its_canary(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    canary(api).deploy(desired(**NEW))
    before = all_but_locks(api)
    api.crashing = {THIRD_IMAGE}
    with pytest.raises(PlatformError, match="the previous version was put back"):
        target(api).deploy(desired(image=THIRD_IMAGE))
    assert all_but_locks(api) == before


def test_delete_takes_the_canary_with_it(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    canary(api).deploy(desired(**NEW, secret={"token": "2"}))
    target(api).delete()
    assert [kind for kind, _namespace, _name in api.objects if kind != "Gateway"] == []


def test_canary_that_a_deletion_left_is_found(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    canary(api).deploy(desired(**NEW))
    for kind in (SPIN_APP, HTTP_ROUTE):
        api.objects.pop((kind.kind, "user1", "hello"))
    assert target(api).exists()
    target(api).delete()
    assert not target(api).exists()


def test_canary_is_listed_as_part_of_its_function(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    canary(api, 25).deploy(desired(**NEW))
    (function,) = list_functions(api, None)
    assert function.image == desired().image
    assert function.details["canary"] == {
        "weight": 25,
        "image": NEW_IMAGE,
        "digest": "sha256:" + "2" * 64,
        "status": "ready",
        "replicas": 1,
        "ready_replicas": 1,
    }
