# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which paths of a function are called, on a real server on loopback."""

from __future__ import annotations

import collections.abc
import dataclasses
import http.server
import threading
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import Trigger
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.routes import path_of
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.model import DesiredFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.probe import HEALTH_PATH
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.stages import Stages
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.answers import ensure_function_answers
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.cluster_function import ClusterFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.function_objects import function_objects
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.objects import CALLED_PATH
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import ClusterSettings

LIMITED = ClusterSettings(wait_timeout=2, invocation_limits={"memory": "16Mi"})


class SpinStandIn:
    """Answers as Spin: the health path by itself, and with 500 where the component could not be started (Spin v3.6.3:
    crates/trigger-http/src/server.rs)."""

    def __init__(self) -> None:
        self.statuses: dict[str, list[int]] = {}
        self.paths: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                statuses = outer.statuses.get(self.path, [200])
                self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: t.Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


@pytest.fixture
def spin() -> collections.abc.Iterator[SpinStandIn]:
    made = SpinStandIn()
    yield made
    made.server.shutdown()
    made.server.server_close()


def routed(desired: t.Any, *routes: t.Any, component: str = "c") -> DesiredFunction:
    triggers = tuple(Trigger(str(number), "http", component, {"route": route}) for number, route in enumerate(routes))
    function = t.cast("DesiredFunction", desired())
    return dataclasses.replace(function, manifest=dataclasses.replace(function.manifest, triggers=triggers))


def ensure(api: t.Any, spin: SpinStandIn, function: DesiredFunction, settings: ClusterSettings) -> None:
    objects = function_objects(function, settings, spin.url, None)
    ensure_function_answers(ClusterFunction(api, "user1", "hello", settings, Stages()), objects)


def test_a_function_with_a_limit_is_entered(api: t.Any, desired: t.Any, spin: SpinStandIn) -> None:
    ensure(api, spin, routed(desired, "/shop/:id/..."), LIMITED)
    assert spin.paths == [HEALTH_PATH, "/shop/x"]


def test_a_limit_that_is_too_small_does_not_pass(api: t.Any, desired: t.Any, spin: SpinStandIn) -> None:
    spin.statuses["/"] = [500]
    with pytest.raises(
        PlatformError, match=r"answers 500 .* no more than 16Mi of memory \(invocation_limits"
    ) as caught:
        ensure(api, spin, routed(desired, "/..."), LIMITED)
    assert "invocation_limits" in caught.value.next_step and "probe_path" in caught.value.next_step
    assert caught.value.facts["status"] == 500


@pytest.mark.parametrize("statuses", [[404], [401], [302], [503, 500, 200]])
def test_any_answer_of_the_function_itself_will_do(
    api: t.Any, desired: t.Any, spin: SpinStandIn, statuses: list[int]
) -> None:
    spin.statuses["/"] = statuses
    ensure(api, spin, routed(desired, "/..."), LIMITED)


@pytest.mark.parametrize(
    ("settings", "called"),
    [
        (ClusterSettings(wait_timeout=2), [HEALTH_PATH]),
        (ClusterSettings(wait_timeout=2, invocation_limits={}), [HEALTH_PATH]),
        (dataclasses.replace(LIMITED, probe_path="/ready"), ["/ready"]),
    ],
    ids=["no limit", "empty limits", "a path of the function itself"],
)
def test_otherwise_only_the_path_of_the_probe_is_called(
    api: t.Any, desired: t.Any, spin: SpinStandIn, settings: ClusterSettings, called: list[str]
) -> None:
    ensure(api, spin, routed(desired, "/..."), settings)
    assert spin.paths == called


def test_the_first_route_that_leads_to_a_running_component_is_taken(desired: t.Any) -> None:
    def called(function: DesiredFunction, settings: ClusterSettings = LIMITED) -> str | None:
        annotations = function_objects(function, settings, "http://h", None).app["metadata"]["annotations"]
        return t.cast("str | None", annotations.get(CALLED_PATH))

    assert called(routed(desired, {"private": True}, "/a/...", "/b")) == "/a"
    assert called(routed(desired, {"private": True})) is None
    assert called(routed(desired, "/static", component="")) is None, "answered by Spin itself"
    assert called(routed(desired, "/a"), dataclasses.replace(LIMITED, components=("other",))) is None
    assert called(routed(desired, "/a"), ClusterSettings()) is None


@pytest.mark.parametrize(
    ("route", "path"),
    [("/", "/"), ("/...", "/"), ("", "/"), ("/a/b", "/a/b"), ("a/:id/", "/a/x"), ("/:all/...", "/x"), ("//a", "/a")],
)
def test_a_path_of_a_route(route: str, path: str) -> None:
    assert path_of(route) == path
