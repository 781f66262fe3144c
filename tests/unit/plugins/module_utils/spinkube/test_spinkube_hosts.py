# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host belongs to one function. The API server is a stand-in here."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.stages import Stages
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube import answers
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import Forbidden
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.cluster_function import ClusterFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import GATEWAY, HTTP_ROUTE
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import ClusterSettings
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.target import ClusterTarget

SETTINGS = ClusterSettings(wait_timeout=1, hostname="www.example.com")
MANAGED = {"app.kubernetes.io/managed-by": "wasmfaas"}


@pytest.fixture(autouse=True)
def probed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each probe would have waited; only the patient ones get an answer."""
    calls: list[float] = []

    def probe(url: str, *, timeout_seconds: float, **_options: t.Any) -> None:
        calls.append(timeout_seconds)
        if not timeout_seconds:
            raise PlatformError(f"{url} cannot be reached.", next_step="x")

    monkeypatch.setattr(answers, "probe", probe)
    return calls


@pytest.fixture
def api(fake_api: t.Any) -> t.Any:
    made = fake_api(runs=True)
    for name in ("wasmfaas", "other"):
        made.put(
            GATEWAY,
            {
                "metadata": {"name": name, "namespace": "wasmfaas-system"},
                "spec": {"listeners": [{"protocol": "HTTP", "port": 80}]},
            },
        )
    return made


def route(
    namespace: str, *hosts: str, name: str = "shop", labels: dict[str, str] | None = None, gateway: str = "wasmfaas"
) -> dict[str, t.Any]:
    spec: dict[str, t.Any] = {"parentRefs": [{"namespace": "wasmfaas-system", "name": gateway}], "rules": []}
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "spec": {**spec, **({"hostnames": list(hosts)} if hosts else {})},
    }


def target(api: t.Any, settings: ClusterSettings = SETTINGS) -> ClusterTarget:
    return ClusterTarget(ClusterFunction(api, "user1", "hello", settings, Stages()))


@pytest.mark.parametrize(
    "taken",
    [
        route("user2", "www.example.com"),
        route("user2", "a.example.com", "WWW.example.com"),
        route("user1", "www.example.com", labels=MANAGED),
    ],
)
def test_host_that_somebody_has_is_refused_before_anything_changes(
    api: t.Any, desired: t.Any, taken: dict[str, t.Any]
) -> None:
    api.put(HTTP_ROUTE, taken)
    for act in (lambda: target(api).check(desired()), lambda: target(api).deploy(desired())):
        with pytest.raises(
            PlatformError, match=r"The host www\.example\.com is taken by the HTTPRoute user\d/shop\."
        ) as caught:
            act()
    assert "-e hostname=" in caught.value.next_step
    assert api.calls == []


@pytest.mark.parametrize(
    "other",
    [
        route("user2", "example.com"),
        route("user2", "*.example.com"),
        route("user2"),
        route("user2", "www.example.com", gateway="other"),
        route("user1", "www.example.com"),
    ],
    ids=["another host", "a wildcard, which gives way", "all hosts", "another gateway", "a route of the owner"],
)
def test_host_that_is_free(api: t.Any, desired: t.Any, other: dict[str, t.Any]) -> None:
    api.put(HTTP_ROUTE, other)
    assert target(api).deploy(desired()).status == "ready"


def test_function_that_has_its_host_asks_nobody(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    api.put(HTTP_ROUTE, route("user2", "www.example.com"))
    original = api.list

    def listed(kind: t.Any, namespace: str | None = None, **more: t.Any) -> t.Any:
        assert (kind, namespace) != (HTTP_ROUTE, None)
        return original(kind, namespace, **more)

    api.list = listed
    assert target(api, dataclasses.replace(SETTINGS, replicas=2)).deploy(desired()).status == "ready"


def test_host_that_was_taken_over_is_refused_when_it_changes(api: t.Any, desired: t.Any) -> None:
    target(api, dataclasses.replace(SETTINGS, hostname="a.example.com")).deploy(desired())
    api.put(HTTP_ROUTE, route("user2", "www.example.com"))
    with pytest.raises(PlatformError, match="is taken"):
        target(api).deploy(desired())


# Without the right to see all


@pytest.fixture
def tenant(api: t.Any) -> t.Any:
    original = api.list

    def listed(kind: t.Any, namespace: str | None = None, **more: t.Any) -> t.Any:
        if kind is HTTP_ROUTE and namespace is None:
            raise Forbidden("list HTTPRoute: forbidden.", next_step="ask")
        return original(kind, namespace, **more)

    api.list = listed
    return api


def test_tenant_sees_his_own_routes_and_calls_the_host_once(tenant: t.Any, desired: t.Any, probed: list[float]) -> None:
    assert target(tenant).deploy(desired()).status == "ready"
    assert probed == [0, 1]
    tenant.put(HTTP_ROUTE, route("user1", "b.example.com", labels=MANAGED))
    with pytest.raises(PlatformError, match="taken by the HTTPRoute user1/shop"):
        target(tenant, dataclasses.replace(SETTINGS, hostname="b.example.com")).deploy(desired())


def test_host_that_answers_a_tenant_is_refused(tenant: t.Any, desired: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "probe", lambda _url, **_options: None)
    with pytest.raises(
        PlatformError, match=r"is taken \(it answers already, and no HTTPRoute of this namespace has it\)"
    ):
        target(tenant).deploy(desired())
    assert tenant.calls == []
