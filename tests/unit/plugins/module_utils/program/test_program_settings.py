# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a program: which contradict each other, and which objects they make."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.program.model import DesiredProgram, Kind
from ansible_collections.wasmfaas.platform.plugins.module_utils.program.objects import literal, program_objects
from ansible_collections.wasmfaas.platform.plugins.module_utils.program.settings import (
    check_kind,
    environment,
    program_settings,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.url import FunctionAddress
from ansible_collections.wasmfaas.platform.plugins.modules.wasi_program import argument_spec

IMAGE = "registry.example/programs/hello@sha256:" + "1" * 64
ADDRESS = FunctionAddress("http://hello.user1.203.0.113.7.nip.io", "web")


def settings(**options: t.Any) -> t.Any:
    defaults = {name: option.get("default") for name, option in argument_spec().items()}
    return program_settings({**defaults, **options})


def objects(kind: Kind, **options: t.Any) -> dict[str, t.Any]:
    made = settings(**options)
    answers = made.listens_at(kind) is not None
    desired = DesiredProgram("hello", "user1", "sha256:" + "a" * 64, IMAGE, kind)
    return {item["kind"]: item for item in program_objects(desired, kind, made, ADDRESS if answers else None)}


def container(item: dict[str, t.Any]) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", item["spec"]["template"]["spec"]["containers"][0])


def test_a_command_is_a_job() -> None:
    made = objects("command", args=["--to", "$(HOME) $5"], env={"TARGET": "world", "LEVEL": 3, "LOUD": True})
    assert list(made) == ["Job"]
    pod = made["Job"]["spec"]["template"]["spec"]
    assert (pod["runtimeClassName"], pod["restartPolicy"]) == ("wasmtime-wasi", "Never")
    assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False
    only = container(made["Job"])
    assert (only["image"], only["command"], only["args"]) == (IMAGE, ["/hello.wasm"], ["--to", "$$(HOME) $$5"])
    assert only["env"] == [
        {"name": "LEVEL", "value": "3"},
        {"name": "LOUD", "value": "true"},
        {"name": "TARGET", "value": "world"},
    ]
    assert "ports" not in only and "readinessProbe" not in only
    rules = made["Job"]["spec"]["podFailurePolicy"]["rules"]
    assert rules[0]["action"] == "FailJob" and rules[0]["onExitCodes"]["values"] == [0, 137]


def test_a_server_is_a_deployment_with_a_service_and_a_route() -> None:
    made = objects("server", replicas=2, timeout=7)
    assert list(made) == ["Deployment", "Service", "HTTPRoute"]
    only = container(made["Deployment"])
    assert made["Deployment"]["spec"]["replicas"] == 2
    assert only["env"] == [{"name": "WASMTIME_HTTP_PROXY_SOCKET_ADDR", "value": "0.0.0.0:80"}]
    assert only["readinessProbe"]["tcpSocket"] == {"port": 80}
    assert made["Service"]["spec"]["ports"][0]["targetPort"] == 80
    labels = made["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in (
        made["Service"]["spec"]["selector"],
        made["Deployment"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    route = made["HTTPRoute"]["spec"]
    assert route["hostnames"] == ["hello.user1.203.0.113.7.nip.io"]
    assert route["rules"] == [{"backendRefs": [{"name": "hello", "port": 80}], "timeouts": {"request": "7s"}}]
    assert route["parentRefs"][0]["sectionName"] == "web"


def test_a_command_with_a_port_is_kept_running_and_gets_a_route() -> None:
    made = objects("command", port=7000, probe_path="/health")
    assert list(made) == ["Deployment", "Service", "HTTPRoute"]
    only = container(made["Deployment"])
    assert only["readinessProbe"]["httpGet"] == {"path": "/health", "port": 7000}
    assert "env" not in only  # the shim's own address is for servers of wasi:http


def test_a_command_that_is_kept_running_answers_nothing() -> None:
    made = objects("command", run="always")
    assert list(made) == ["Deployment"]
    assert made["Deployment"]["spec"]["template"]["spec"]["restartPolicy"] == "Always"


def test_a_service_account_has_its_token_in_the_pod() -> None:
    pod = objects("command", service_account="reader")["Job"]["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("reader", True)


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"port": 0}, "port"),
        ({"replicas": 0}, "replicas"),
        ({"retries": -1}, "retries"),
        ({"run": "once", "port": 80}, "port: contradicts"),
        ({"run": "once", "replicas": 2}, "replicas: contradicts"),
        ({"gateway": "wasmfaas"}, "gateway"),
        ({"memory": "1Gi", "resources": {"limits": {"memory": "2Gi"}}}, "memory: contradicts"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, t.Any], cause: str) -> None:
    with pytest.raises(PlatformError, match=cause):
        settings(**options)


@pytest.mark.parametrize(
    ("kind", "options", "cause"),
    [
        ("server", {"run": "once"}, "never ends"),
        ("command", {"replicas": 2}, "runs once"),
        ("command", {"hostname": "a.example"}, "hostname: has no effect"),
        ("command", {"run": "always", "domain": "example"}, "domain: has no effect"),
        ("command", {"probe_path": "/x"}, "probe_path: has no effect"),
    ],
)
def test_options_without_a_meaning_for_the_kind_are_refused(kind: Kind, options: dict[str, t.Any], cause: str) -> None:
    with pytest.raises(PlatformError, match=cause):
        check_kind(settings(**options), kind)


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"A-B": "x"}, "no name of an environment variable"),
        ({"1A": "x"}, "no name of an environment variable"),
        ({"A": ["x"]}, "is a list"),
        ({"A": None}, "is a NoneType"),
        ({"WASMTIME_HTTP_PROXY_SOCKET_ADDR": "0.0.0.0:1"}, "port"),
    ],
)
def test_an_environment_that_no_program_can_have_is_refused(given: dict[str, t.Any], cause: str) -> None:
    with pytest.raises(PlatformError, match=cause):
        environment(given)


def test_kubernetes_expands_nothing_in_a_text() -> None:
    assert literal("$(A) $$ $") == "$$(A) $$$$ $$"
