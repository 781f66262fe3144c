# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names of variables the environment of a pod takes."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import Manifest, Variable
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.stages import Stages
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.canary_target import CanaryTarget
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.cluster_function import ClusterFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import ClusterSettings
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.target import ClusterTarget
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.variable_names import check_variable_names
from hypothesis import given
from hypothesis import strategies as st


def manifest(*names: str) -> Manifest:
    return Manifest(Path("/p/spin.toml"), "hello", (), {}, variables={name: Variable(default="x") for name in names})


# What the kubelet, the container runtime and the operator put into a container, in lower case: a container of
# spin-operator 0.6.1 on containerd 2.2.9, and pkg/kubelet/envvars/envvars.go of Kubernetes v1.34 for a Service `db-1`
# with the port `web`.
IN_A_POD = [
    "path", "hostname", "home",
    "kubernetes_service_host", "kubernetes_service_port", "kubernetes_service_port_https", "kubernetes_port",
    "kubernetes_port_443_tcp", "kubernetes_port_443_tcp_proto", "kubernetes_port_443_tcp_addr",
    "db_1_service_host", "db_1_service_port", "db_1_service_port_web", "db_1_port", "db_1_port_80_tcp",
    "db_1_port_80_tcp_proto", "db_1_port_80_tcp_port", "db_1_port_80_tcp_addr", "dns_port_53_udp",
    "spin_http_listen_addr", "spin_max_instance_memory", "spin_components_to_retain", "spin_variable_token",
    "otel_exporter_otlp_endpoint", "otel_service_name",
]  # fmt: skip

FREE = [
    "token", "paths", "path_prefix", "my_path", "home_page", "port", "host", "db_host", "service_url", "port_80",
    "report", "export", "transport_port_name", "support_mail", "spin", "otel", "kubernetes", "a_service_hostname",
    "tcp_port_value",
]  # fmt: skip


@pytest.mark.parametrize("name", IN_A_POD)
def test_a_name_of_the_environment_is_refused_with_another_name(name: str) -> None:
    with pytest.raises(PlatformError, match=rf"^spin\.toml: \[variables\]: {name}: .*\({name.upper()}\)") as caught:
        check_variable_names(manifest("token", name))
    other = caught.value.next_step.rpartition(" ")[2].rstrip(".")
    check_variable_names(manifest("token", other))


@given(
    st.from_regex(
        r"([a-z]{1,3}|port|service|spin|path)(_([a-z]{1,3}|[0-9]|port|service|host|tcp)){0,5}", fullmatch=True
    )
)
def test_every_suggested_name_is_free(name: str) -> None:
    try:
        check_variable_names(manifest(name))
    except PlatformError as error:
        check_variable_names(manifest(error.next_step.rpartition(" ")[2].rstrip(".")))


@pytest.mark.parametrize("name", FREE)
def test_other_names_are_taken(name: str) -> None:
    check_variable_names(manifest(name))


def test_all_such_names_are_told_at_once() -> None:
    with pytest.raises(PlatformError, match=r"home, path: .*\(HOME, PATH\)") as caught:
        check_variable_names(manifest("path", "home"))
    assert "app_home, app_path." in caught.value.next_step


def test_it_is_refused_before_anything_is_written(api: t.Any, desired: t.Any) -> None:
    """A default as well as a given value, of a function and of a canary."""
    function = ClusterFunction(api, "user1", "hello", ClusterSettings(wait_timeout=1), Stages())
    bad = dataclasses.replace(
        desired(), manifest=dataclasses.replace(desired().manifest, variables={"path": Variable(default="x")})
    )
    for target in (ClusterTarget(function), CanaryTarget(function, 10)):
        with pytest.raises(PlatformError, match=r"\[variables\]: path"):
            target.check(bad)
    assert api.calls == []
