# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts as they are asked for; tests/integration/test_charts*.py have real API servers and helm."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.charts import (
    component,
    helm,
    helm_controller,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.charts.model import Chart
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import Kubectl

OCI = {"repository": "oci://registry.example.com/charts/web/", "version": "1.0.0"}


def read(source: t.Any, **entry: t.Any) -> Chart:
    (chart,) = component.read_charts([{"name": "web", "namespace": "shop", **entry}], {"web": source}, 600)
    return chart


def spec(chart: Chart, live: t.Any = None) -> dict[str, t.Any]:
    """Of its HelmChart, on a cluster whose controller knows no policy `retry`."""
    kubectl = Kubectl(lambda _arguments, _input: Completed(0, json.dumps({"enum": ["abort", "reinstall"]}), ""))
    return dict(helm_controller.Controller(kubectl)._entry(chart, live, {"shop"})["spec"])


def test_sources_of_charts() -> None:
    assert spec(read(OCI))["chart"] == "oci://registry.example.com/charts/web"
    assert "repo" not in spec(read(OCI))
    by_name = spec(read({"repository": "https://charts.example.com", "version": "2"}))
    assert (by_name["chart"], by_name["repo"], by_name["version"]) == ("web", "https://charts.example.com", "2")
    archive = spec(read({"content": "YQ==", **OCI}))
    assert archive["chartContent"] == "YQ=="
    assert {"chart", "repo", "version"} & set(archive) == set()


def test_a_controller_without_retry_gets_abort_and_keeps_what_it_has() -> None:
    assert spec(read(OCI))["failurePolicy"] == "abort"
    assert spec(read(OCI), {"spec": {"failurePolicy": "retry"}})["failurePolicy"] == "retry"
    assert spec(read(OCI), {"spec": {"failurePolicy": "reinstall"}})["failurePolicy"] == "abort"


def test_values_are_the_same_text_in_any_order() -> None:
    one, other = (
        read(OCI, values={"a": 1, "b": {"c": "ü", "d": [1, 2]}}),
        read(OCI, values={"b": {"d": [1, 2], "c": "ü"}, "a": 1}),
    )
    assert one.values_text == other.values_text
    assert json.loads(one.values_text) == one.values
    assert one.digest == other.digest != read(OCI, values={"a": 2}).digest
    assert one.digest == read(OCI, values=one.values, timeout=5).digest, "a longer time-out is no other release"


def test_a_difference_shows_values_and_no_archive() -> None:
    shown = helm_controller.readable({"spec": {"valuesContent": '{"a": 1}', "chartContent": "YQ=="}})
    assert shown["spec"]["valuesContent"] == {"a": 1}
    assert "YQ==" not in str(shown)
    assert helm_controller.readable({"spec": {"valuesContent": "a: [1"}})["spec"]["valuesContent"] == "a: [1"


@pytest.mark.parametrize("source", [None, {}, {"repository": "oci://x"}, {"version": "1"}, {**OCI, "repo": "typo"}])
def test_a_source_that_says_too_little_or_something_unknown(source: t.Any) -> None:
    with pytest.raises(PlatformError, match=r"platform_charts\.web"):
        read(source)


def test_age_of_an_operation() -> None:
    info = {"last_deployed": "2026-11-22T10:00:00.123456789Z"}
    assert helm._age({"info": info}) == pytest.approx(
        helm._age({"info": {"last_deployed": "2026-11-22T11:00:00+01:00"}}), abs=1
    )
    assert helm._age(None) == float("inf")
