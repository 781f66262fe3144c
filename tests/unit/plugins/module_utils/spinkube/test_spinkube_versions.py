# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a function remembers of its earlier versions, and the way back to them. The API server is a stand-in here."""

from __future__ import annotations

import base64
import dataclasses
import json
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.stages import Stages
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube import answers
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.cluster_function import ClusterFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import (
    HTTP_ROUTE,
    SCALED_OBJECT,
    SECRET,
    SPIN_APP,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.live import list_functions
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.objects import LAST_GOOD, REVISION
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import Autoscale, ClusterSettings
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.target import ClusterTarget
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.version_target import VersionTarget

SETTINGS = ClusterSettings(wait_timeout=1)


@pytest.fixture(autouse=True)
def probed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    calls: list[tuple[str, str]] = []
    monkeypatch.setattr(answers, "probe", lambda url, **options: calls.append((url, options["path"])))
    return calls


def digest(number: int) -> str:
    return "sha256:" + f"{number:x}" * 64


def version(number: int) -> dict[str, t.Any]:
    return {
        "image": f"registry.example/functions/hello@{digest(number)}",
        "source_digest": "sha256:" + f"{number:x}" * 64,
    }


def target(api: t.Any, settings: ClusterSettings = SETTINGS) -> ClusterTarget:
    return ClusterTarget(ClusterFunction(api, "user1", "hello", settings, Stages()))


def versions(api: t.Any) -> VersionTarget:
    return VersionTarget(ClusterFunction(api, "user1", "hello", SETTINGS, Stages()))


def app(api: t.Any) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", api.get(SPIN_APP, "user1", "hello"))


def known(api: t.Any) -> list[str]:
    """First digits of the artifacts of the earlier versions."""
    (function,) = list_functions(api, "user1")
    return [entry["digest"][7] for entry in function.details["earlier"]]


def test_the_last_five_versions_are_known_newest_first(api: t.Any, desired: t.Any) -> None:
    for number in range(1, 9):
        target(api).deploy(desired(**version(number)))
    assert known(api) == ["7", "6", "5", "4", "3"]
    (function,) = list_functions(api, "user1")
    newest = function.details["earlier"][0]
    assert (newest["image"], newest["source_digest"]) == (version(7)["image"], version(7)["source_digest"])
    assert newest["deployed"].endswith("Z")


def test_changed_settings_are_a_version_and_the_same_state_again_is_none(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(**version(1)))
    target(api, dataclasses.replace(SETTINGS, replicas=2)).deploy(desired(**version(1)))
    assert known(api) == ["1"]
    target(api).deploy(desired(**version(1)))
    assert known(api) == ["1"]
    target(api).deploy(desired(**version(1)))
    assert known(api) == ["1"], "nothing changed"


def test_version_that_never_answered_is_not_known(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(**version(1)))
    api.crashing = {version(2)["image"]}
    with pytest.raises(PlatformError, match="CrashLoopBackOff"):
        target(api).deploy(desired(**version(2)))
    assert known(api) == []
    target(api).deploy(desired(**version(3)))
    assert known(api) == ["1"]


def test_versions_that_would_not_fit_the_annotation_are_forgotten(api: t.Any, desired: t.Any) -> None:
    for number in range(1, 5):
        target(api).deploy(desired(**version(number), plain={"text": str(number) * 40_000}))
    assert known(api) == ["3", "2"]
    assert len(app(api)["metadata"]["annotations"][LAST_GOOD]) < 200_000


def test_version_before_comes_back_with_its_settings(api: t.Any, desired: t.Any, probed: list[tuple[str, str]]) -> None:
    scaled = dataclasses.replace(
        SETTINGS, autoscale=Autoscale(0, 5, target_concurrency=5), probe_path="/ready", hostname="old.example.com"
    )
    target(api, scaled).deploy(desired(**version(1), plain={"a": "1"}))
    first = app(api)["spec"]
    target(api).deploy(desired(**version(2)))
    assert api.names(SCALED_OBJECT) == []
    api.calls.clear()
    move = versions(api).plan("rolled_back", None)
    assert move.difference.before["SpinApp"]["spec"]["image"] == version(2)["image"]
    assert move.difference.after["SpinApp"]["spec"]["image"] == version(1)["image"]
    assert api.calls == []

    live = versions(api).move("rolled_back", None)
    assert (live.image, live.url) == (version(1)["image"], "http://old.example.com")
    assert app(api)["spec"] == first
    assert api.names(SCALED_OBJECT) == ["hello"]
    assert api.get(HTTP_ROUTE, "user1", "hello")["spec"]["hostnames"] == ["old.example.com"]
    assert probed[-1] == ("http://old.example.com", "/ready")
    assert not target(api, scaled).difference(desired(**version(1), plain={"a": "1"})), (
        "as if it had been deployed again"
    )


def test_twice_is_where_it_began(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(**version(1)))
    target(api).deploy(desired(**version(2)))
    target(api).deploy(desired(**version(3)))
    before = app(api)["spec"]
    assert versions(api).move("rolled_back", None).image == version(2)["image"]
    assert known(api) == ["3", "1"]
    assert versions(api).move("rolled_back", None).image == version(3)["image"]
    assert app(api)["spec"] == before
    assert known(api) == ["2", "1"]


@pytest.mark.parametrize("to", [digest(1), digest(1)[:19], "1" * 12])
def test_version_by_its_digest_and_the_second_time_nothing(api: t.Any, desired: t.Any, to: str) -> None:
    for number in (1, 2, 3):
        target(api).deploy(desired(**version(number)))
    assert versions(api).move("rolled_back", to).image == version(1)["image"]
    api.calls.clear()
    assert versions(api).plan("rolled_back", to).unchanged == "this version runs already"
    assert versions(api).move("rolled_back", to).image == version(1)["image"]
    assert api.calls == []


def test_newest_state_of_a_digest_is_taken(api: t.Any, desired: t.Any) -> None:
    for number, replicas in ((1, 1), (1, 4), (2, 1)):
        target(api, dataclasses.replace(SETTINGS, replicas=replicas)).deploy(desired(**version(number)))
    assert versions(api).move("rolled_back", digest(1)).details["replicas"] == 4


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("latest", "'latest' is no digest"),
        ("sha256:123", "'sha256:123' is no digest"),
        ("A" * 12, "is no digest"),
        (
            digest(9),
            (
                "no version of user1/hello with the digest sha256:9+ is known \\(known: sha256:222222222222, "
                "sha256:111111111111\\)"
            ),
        ),
    ],
)
def test_version_that_is_not_known_is_told(api: t.Any, desired: t.Any, to: str, said: str) -> None:
    for number in (1, 2, 3):
        target(api).deploy(desired(**version(number)))
    api.calls.clear()
    with pytest.raises(PlatformError, match=said):
        versions(api).move("rolled_back", to)
    assert api.calls == []


def test_first_version_has_none_before_it(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    with pytest.raises(PlatformError, match="No earlier version of user1/hello is known") as caught:
        versions(api).plan("rolled_back", None)
    assert "-e src=" in caught.value.next_step


@pytest.mark.parametrize("state", ["promoted", "undone", "rolled_back"])
def test_function_that_is_not_there_is_told(api: t.Any, state: str) -> None:
    with pytest.raises(PlatformError, match="There is no function user1/hello") as caught:
        versions(api).plan(state, None)
    assert "wasmfaas.platform.list_functions" in caught.value.next_step


def test_version_that_does_not_come_up_any_more_is_undone(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(**version(1)))
    target(api).deploy(desired(**version(2)))
    before = app(api)
    api.crashing = {version(1)["image"]}
    with pytest.raises(PlatformError, match="the previous version was put back"):
        versions(api).move("rolled_back", None)
    assert app(api) == before


def test_deployment_that_was_cut_off_is_rolled_back_to_what_answered(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(**version(1)))
    good = app(api)["metadata"]["annotations"][LAST_GOOD]
    target(api).deploy(desired(**version(2)))
    cut = app(api)
    cut["metadata"]["annotations"][LAST_GOOD] = good
    api.put(SPIN_APP, cut)
    assert versions(api).move("rolled_back", None).image == version(1)["image"]


@pytest.mark.parametrize(
    "damaged",
    ["", "no JSON", "null", "[]", "1", '{"objects": 1}', '{"objects": [{}]}', '{"objects": [{"kind": "SpinApp"}]}',
     '{"objects": [1]}', '{"earlier": 5}', '{"weight": []}', "[" * 100_000],
)  # fmt: skip
def test_a_record_that_somebody_damaged_counts_as_empty(api: t.Any, desired: t.Any, damaged: str) -> None:
    target(api).deploy(desired(**version(1)))
    odd = app(api)
    odd["metadata"]["annotations"][LAST_GOOD] = damaged
    api.put(SPIN_APP, odd)
    (listed,) = list_functions(api, None)
    assert listed.details["earlier"] == []
    target(api).deploy(desired(**version(2)))
    assert json.loads(app(api)["metadata"]["annotations"][LAST_GOOD])["objects"]


# Secrets


def test_values_of_secret_variables_are_those_of_now(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(**version(1), secret={"token": "replaced"}))
    first = app(api)["spec"]["podAnnotations"][REVISION]
    target(api).deploy(desired(**version(2), secret={"token": "new", "pin": "1"}))
    (now,) = api.names(SECRET)
    versions(api).move("rolled_back", None)
    assert app(api)["spec"]["variables"] == [
        {"name": "token", "valueFrom": {"secretKeyRef": {"name": now, "key": "token"}}}
    ]
    assert api.names(SECRET) == [now]
    assert app(api)["spec"]["podAnnotations"][REVISION] != first, "other values are other pods"
    assert versions(api).plan("rolled_back", digest(1)).unchanged
    assert base64.b64encode(b"replaced").decode() not in json.dumps(list(api.objects.values()))


def test_version_with_a_secret_that_is_gone_is_refused(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(**version(1), secret={"token": "old", "pin": "1"}))
    for now in ({"secret": {"token": "new"}}, {}):
        target(api).deploy(desired(**version(2), **now))
        api.calls.clear()
        with pytest.raises(PlatformError, match=r"needs the secret variable .*pin.*, whose value is not kept"):
            versions(api).move("rolled_back", digest(1))
        assert api.calls == []
