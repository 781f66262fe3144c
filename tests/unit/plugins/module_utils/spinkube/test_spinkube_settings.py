# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options for a cluster: which contradict each other, and what follows from `load`."""

from __future__ import annotations

import math
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import (
    Autoscale,
    autoscale,
    cluster_settings,
    resources,
    scaling_warnings,
    warm_mode,
)
from hypothesis import given
from hypothesis import strategies as st

LOAD = {"requests_per_second": 200.0, "service_time_seconds": 0.05, "concurrency": 4.0}


def scale(
    options: dict[str, t.Any] | None = None,
    load: dict[str, t.Any] | None = None,
    replicas: int | None = None,
    resources: dict[str, t.Any] | None = None,
) -> Autoscale:
    found = autoscale(options, load, replicas, resources)
    assert found is not None
    return found


def test_nothing_given_is_no_scaling() -> None:
    assert autoscale(None, None, None, None) is None
    assert autoscale(None, None, 3, None) is None


def test_defaults() -> None:
    assert scale({}) == Autoscale(min=1, max=10, target_concurrency=10, cooldown_seconds=300)
    assert scale({"min": None, "max": None, "target_concurrency": None}) == scale({})
    assert scale({}).by_requests


def test_load_gives_room_for_twice_itself() -> None:
    """200/s of 50 ms are 10 at once; 4 in a replica makes 3 replicas."""
    assert scale(load=LOAD) == Autoscale(min=1, max=6, target_concurrency=4)


def test_options_win_over_load() -> None:
    assert scale({"max": 20}, LOAD) == Autoscale(min=1, max=20, target_concurrency=4)
    assert scale({"min": 0, "target_requests_per_second": 50}, LOAD) == Autoscale(
        min=0, max=6, target_requests_per_second=50
    )
    assert scale({"min": 8}, LOAD) == Autoscale(min=8, max=8, target_concurrency=4)


def test_no_load_and_part_of_a_request_at_once_still_scale() -> None:
    assert scale(load={**LOAD, "requests_per_second": 0}).max == 1
    assert scale(load={**LOAD, "concurrency": 1.9}).target_concurrency == 1


@given(rate=st.floats(0, 1e5), service_time=st.floats(0.001, 100), concurrency=st.floats(1, 1000))
def test_any_load_gives_a_range_that_carries_it(rate: float, service_time: float, concurrency: float) -> None:
    found = scale(load={"requests_per_second": rate, "service_time_seconds": service_time, "concurrency": concurrency})
    assert 1 == found.min <= found.max
    assert found.max >= math.floor(2 * rate * service_time / concurrency)
    assert found.target_concurrency is not None
    assert 1 <= found.target_concurrency <= concurrency


def test_minimum_above_the_usual_maximum_raises_it() -> None:
    assert scale({"min": 25}).max == 25


@pytest.mark.parametrize("given_with", [{"options": {}}, {"load": LOAD}])
def test_fixed_number_of_replicas_contradicts_scaling(given_with: dict[str, t.Any]) -> None:
    with pytest.raises(PlatformError, match="replicas: a fixed number contradicts"):
        scale(**given_with, replicas=2)


def test_two_targets_contradict_each_other() -> None:
    with pytest.raises(PlatformError, match="target_concurrency and target_requests_per_second contradict"):
        scale({"target_concurrency": 1, "target_requests_per_second": 1})


@pytest.mark.parametrize("options", [{"min": 5, "max": 4}, {"min": -1}, {"max": 0}, {"min": 0, "max": 0}, {"max": -3}])
def test_what_is_no_range_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(PlatformError, match="are no range"):
        scale(options)


@pytest.mark.parametrize("target", ["target_concurrency", "target_requests_per_second"])
def test_target_below_1_is_refused(target: str) -> None:
    with pytest.raises(PlatformError, match=f"autoscale.{target}: must be 1 or more"):
        scale({target: 0})


def test_cpu_target_needs_a_cpu_request_and_a_replica() -> None:
    resources = {"requests": {"cpu": "100m"}}
    assert scale({"target_cpu_percent": 60}, resources=resources) == Autoscale(min=1, max=10, target_cpu_percent=60)
    assert not scale({"target_cpu_percent": 60}, resources=resources).by_requests
    with pytest.raises(PlatformError, match="cannot start from 0 replicas"):
        scale({"target_cpu_percent": 60, "min": 0}, resources=resources)
    for missing in (None, {}, {"requests": None}, {"requests": {"memory": "1Mi"}}, {"limits": {"cpu": "1"}}):
        with pytest.raises(PlatformError, match=r"needs `cpu` \(or `resources\.requests\.cpu`\)"):
            scale({"target_cpu_percent": 60}, resources=missing)


def test_scaling_by_processor_time_that_nobody_sees_is_warned_about() -> None:
    (warning,) = scaling_warnings(Autoscale(min=2, max=10, target_cpu_percent=60))
    assert "cgroup v1" in warning and "stay at 2 replicas. Next: Scale by requests" in warning
    for other in (None, Autoscale(min=0, max=1, target_concurrency=1)):
        assert scaling_warnings(other) == []


@pytest.mark.parametrize("seconds", [0, -1, 86401])
def test_time_limits_are_seconds_from_1_to_a_day(seconds: int) -> None:
    with pytest.raises(PlatformError, match=f"timeout: {seconds} is out of range"):
        cluster_settings({**PARAMETERS, "timeout": seconds})
    with pytest.raises(PlatformError, match=f"autoscale.cold_start_timeout: {seconds} is out of range"):
        scale({"cold_start_timeout": seconds})
    assert cluster_settings({**PARAMETERS, "timeout": 86400}).timeout == 86400
    assert scale({"cold_start_timeout": 300}) == Autoscale(min=1, max=10, target_concurrency=10, cold_start_timeout=300)


def test_a_cold_start_has_a_limit_only_where_requests_wait_for_it() -> None:
    resources = {"requests": {"cpu": "100m"}}
    with pytest.raises(PlatformError, match="cold_start_timeout: has no effect with target_cpu_percent"):
        scale({"target_cpu_percent": 60, "cold_start_timeout": 60}, resources=resources)


def test_a_function_that_sleeps_is_warm_on_all_nodes_unless_told_otherwise() -> None:
    sleeps, stays = Autoscale(0, 5, target_concurrency=5), Autoscale(1, 5, target_concurrency=5)
    assert [warm_mode(None, one, wait=True) for one in (sleeps, stays, None)] == ["all", "none", "none"]
    assert warm_mode(None, sleeps, wait=False) == "none", "nobody saw that it runs"
    assert [warm_mode(given, stays, wait=True) for given in ("all", "running", "none")] == ["all", "running", "none"]
    assert warm_mode("none", sleeps, wait=False) == "none"
    with pytest.raises(PlatformError, match="warm: comes after the function was seen to run"):
        warm_mode("all", stays, wait=False)


def test_load_that_is_no_number_is_refused() -> None:
    with pytest.raises(PlatformError, match="service_time_seconds must be a number, more than 0"):
        scale(load={**LOAD, "service_time_seconds": 0.0})


PARAMETERS: dict[str, t.Any] = {
    "replicas": None,
    "autoscale": None,
    "load": None,
    "hostname": None,
    "domain": None,
    "gateway": "wasmfaas-system/wasmfaas",
    "executor": "containerd-shim-spin",
    "image_pull_secrets": [],
    "service_account": None,
    "resources": None,
    "invocation_limits": None,
    "runtime_config": None,
    "key_value_store": None,
    "components": [],
    "probe_path": "",
    "probe_address": None,
    "probe_ca_file": None,
    "tls": None,
    "memory": None,
    "cpu": None,
    "timeout": 30,
    "shim_version": None,
    "warm": None,
    "wait": True,
    "wait_timeout": 120,
}


def test_parameters_become_settings() -> None:
    settings = cluster_settings(
        {
            **PARAMETERS,
            "gateway": "edge/public",
            "replicas": 3,
            "image_pull_secrets": ["a"],
            "components": ["c"],
            "load": None,
        }
    )
    assert (settings.gateway_namespace, settings.gateway_name, settings.replicas) == ("edge", "public", 3)
    assert (settings.image_pull_secrets, settings.components) == (("a",), ("c",))
    assert cluster_settings({**PARAMETERS, "load": LOAD}).autoscale == scale(load=LOAD)


@pytest.mark.parametrize("replicas", [0, -1])
def test_replicas_below_1_are_refused_with_the_way_to_sleep(replicas: int) -> None:
    with pytest.raises(PlatformError, match="replicas: must be 1 or more") as caught:
        cluster_settings({**PARAMETERS, "replicas": replicas})
    assert "min: 0" in caught.value.next_step


@pytest.mark.parametrize("gateway", ["", "wasmfaas", "/wasmfaas", "wasmfaas-system/"])
def test_gateway_needs_namespace_and_name(gateway: str) -> None:
    with pytest.raises(PlatformError, match="gateway: "):
        cluster_settings({**PARAMETERS, "gateway": gateway})


@pytest.mark.parametrize(
    ("given_resources", "memory", "cpu", "expected"),
    [
        (None, None, None, None),
        ({}, None, None, None),
        ({"limits": {"cpu": "1"}}, None, None, {"limits": {"cpu": "1"}}),
        (None, "128Mi", None, {"requests": {"memory": "128Mi"}, "limits": {"memory": "128Mi"}}),
        (None, None, "250m", {"requests": {"cpu": "250m"}}),
        (
            {"limits": {"cpu": "1"}},
            "1Gi",
            "250m",
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"memory": "1Gi", "cpu": "250m"}},
        ),
    ],
)
def test_memory_and_cpu_in_short(given_resources: t.Any, memory: str | None, cpu: str | None, expected: t.Any) -> None:
    before = repr(given_resources)
    assert resources(given_resources, memory, cpu) == expected
    assert repr(given_resources) == before


def test_the_same_limit_said_twice_is_refused() -> None:
    with pytest.raises(PlatformError, match=r"memory: contradicts `resources\.limits\.memory`"):
        cluster_settings({**PARAMETERS, "resources": {"limits": {"memory": "1Gi"}}, "memory": "1Gi"})


def test_cpu_in_short_is_enough_to_scale_by_it() -> None:
    settings = cluster_settings({**PARAMETERS, "autoscale": {"target_cpu_percent": 60}, "cpu": "100m"})
    assert settings.autoscale == Autoscale(min=1, max=10, target_cpu_percent=60)
    assert settings.resources == {"requests": {"cpu": "100m"}}
