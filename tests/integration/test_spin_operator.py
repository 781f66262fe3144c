# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the real SpinKube operator and its webhooks make of the objects of this collection."""

from __future__ import annotations

import base64
import tomllib
import typing as t
import uuid

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import (
    DEPLOYMENT,
    SECRET,
    SPIN_APP,
)
from lightkube import ApiError

from .support.control_plane import EXECUTOR, RUNTIME_CLASS, ControlPlane, SpinApp, SpinAppExecutor
from .support.deployment import Deployment
from .support.function_project import FunctionProject
from .support.real_parts import SpinOperator
from .support.servers import wait_until
from .support.spinkube import SPIN_APP_EXECUTOR

IMAGE = "registry.invalid/functions/none@sha256:" + "0" * 64


@pytest.fixture
def operator(spin_operator: SpinOperator) -> SpinOperator:
    assert spin_operator.server.process.poll() is None
    return spin_operator


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"f-{uuid.uuid4().hex[:8]}"


def found(item: dict[str, t.Any] | None) -> dict[str, t.Any]:
    assert item is not None
    return item


ALL_OPTIONS: dict[str, t.Any] = {
    "replicas": 2,
    "service_account": "default",
    "image_pull_secrets": ["none"],
    "resources": {"limits": {"cpu": "0.5", "memory": "1024Mi"}, "requests": {"cpu": "0.1", "memory": "0.5Gi"}},
    "invocation_limits": {"memory": "64Mi"},
    "components": ["main"],
    "probe_path": "/ready",
    "variables": {"token": "hunter2"},
    "runtime_config": {
        "keyValueStores": [
            {
                "name": "default",
                "type": "redis",
                "options": [{"name": "url", "value": "redis://r"}, {"name": "empty", "value": ""}],
            }
        ],
        "sqliteDatabases": [{"name": "default", "type": "spin", "options": []}],
        "llmCompute": {"type": "spin"},
    },
}


def test_a_function_with_all_options_is_accepted_and_then_unchanged(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    """The operator writes each SpinApp back from its Go types: quantities are respelled, and a missing list would
    become null."""
    project.manifest(
        variables='token = { required = true, secret = true }\nnothing = { default = "x" }',
        component_variables='variables = { t = "{{ token }}" }',
    )
    options = {**ALL_OPTIONS, "variables": {"token": "hunter2", "nothing": ""}}
    assert deployment.deploy(project, **options)["changed"] is True
    spec = found(api.get(SPIN_APP, "default", project.name))["spec"]
    assert spec["checks"]["readiness"]["httpGet"] == {"path": "/ready", "httpHeaders": []}
    assert spec["resources"] == {
        "limits": {"cpu": "500m", "memory": "1Gi"},
        "requests": {"cpu": "100m", "memory": "512Mi"},
    }, "as the webhook writes them"
    assert {"name": "nothing", "value": ""} in spec["variables"]
    version = found(api.get(SPIN_APP, "default", project.name))["metadata"]["resourceVersion"]
    for check_mode in (True, False):
        again = deployment.deploy(project, check_mode=check_mode, **options)
        assert again["changed"] is False, again
    changed = deployment.deploy(project, check_mode=True, **{**options, "resources": {"limits": {"memory": "1025Mi"}}})
    assert changed["changed"] is True
    assert found(api.get(SPIN_APP, "default", project.name))["metadata"]["resourceVersion"] == version


def test_what_the_pods_get_is_what_was_asked_for(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    project.manifest(
        variables="token = { required = true, secret = true }", component_variables='variables = { t = "{{ token }}" }'
    )
    deployment.deploy(project, **ALL_OPTIONS)
    made = found(api.get(DEPLOYMENT, "default", project.name))["spec"]
    assert made["replicas"] == 2
    pod = made["template"]["spec"]
    assert (pod["runtimeClassName"], pod["serviceAccountName"], pod["imagePullSecrets"]) == (
        RUNTIME_CLASS,
        "default",
        [{"name": "none"}],
    )
    (container,) = pod["containers"]
    assert (container["command"], container["ports"][0]["containerPort"]) == (["/"], 80)
    assert container["resources"]["limits"] == {"cpu": "500m", "memory": "1Gi"}
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert (container["readinessProbe"]["initialDelaySeconds"], container["readinessProbe"]["periodSeconds"]) == (1, 1)
    environment = {one["name"]: one.get("value") or one["valueFrom"]["secretKeyRef"]["key"] for one in container["env"]}
    assert environment == {
        "SPIN_VARIABLE_TOKEN": "token",
        "SPIN_HTTP_LISTEN_ADDR": "0.0.0.0:80",
        "SPIN_MAX_INSTANCE_MEMORY": str(64 * 1024 * 1024),
        "SPIN_COMPONENTS_TO_RETAIN": "main",
    }
    configuration = next(
        volume["secret"]["secretName"] for volume in pod["volumes"] if volume["name"] == "spin-runtime-config"
    )
    assert "runtime-config.toml" in found(api.get(SECRET, "default", configuration))["data"]


def test_stores_reach_spin_as_they_are_declared(
    deployment: Deployment, project: FunctionProject, api: KubernetesApi
) -> None:
    """What the operator makes of the example in docs/functions.md; the tables and types are those that Spin reads."""
    url = {"name": f"{project.name}-redis", "namespace": "default"}
    api.apply(SECRET, {"apiVersion": "v1", "kind": "Secret", "metadata": url, "stringData": {"url": "redis://:s@r/1"}})
    project.manifest(component_variables='key_value_stores = ["default", "other"]\nsqlite_databases = ["orders"]')
    with pytest.raises(PlatformError, match="'other': this key-value store is configured nowhere"):
        deployment.deploy(project)
    assert api.get(SPIN_APP, "default", project.name) is None, "before anything is written"
    reference = {"secretKeyRef": {"name": url["name"], "key": "url"}}
    result = deployment.deploy(
        project,
        runtime_config={
            "keyValueStores": [
                {"name": "default", "type": "redis", "options": [{"name": "url", "valueFrom": reference}]},
                {"name": "other", "type": "spin", "options": [{"name": "path", "value": "other.db"}]},
            ],
            "sqliteDatabases": [{"name": "orders", "type": "spin", "options": [{"name": "path", "value": "o.db"}]}],
        },
    )
    assert ["'other'" in warning for warning in result["warnings"]] == [True, False], result["warnings"]
    pod = found(api.get(DEPLOYMENT, "default", project.name))["spec"]["template"]["spec"]
    (name,) = [entry["secret"]["secretName"] for entry in pod["volumes"] if entry["name"] == "spin-runtime-config"]
    written = found(api.get(SECRET, "default", name))["data"]["runtime-config.toml"]
    configuration = tomllib.loads(base64.b64decode(written).decode())
    assert configuration["key_value_store"] == {
        "default": {"type": "redis", "url": "redis://:s@r/1"},
        "other": {"type": "spin", "path": "other.db"},
    }
    assert configuration["sqlite_database"] == {"orders": {"type": "spin", "path": "o.db"}}


@pytest.mark.usefixtures("operator")
def test_a_probe_without_a_list_of_headers_is_refused(control_plane: ControlPlane, name: str) -> None:
    """Why the collection sends an empty one. If this fails, a newer operator no longer needs it."""
    spec = {"image": IMAGE, "executor": EXECUTOR, "replicas": 1, "checks": {"readiness": {"httpGet": {"path": "/"}}}}
    metadata = {"name": name, "namespace": "default"}
    with pytest.raises(ApiError, match=r'httpHeaders.*must be of type array: "null"'):
        control_plane.client().apply(
            SpinApp({"apiVersion": SPIN_APP.api_version, "kind": "SpinApp", "metadata": metadata, "spec": spec}),
            dry_run=True,
        )


REFUSED: list[tuple[dict[str, t.Any], str]] = [
    ({"replicas": 0}, "replicas must be > 0"),
    ({"enableAutoscaling": True}, "replicas cannot be set when autoscaling is enabled"),
    ({"executor": "none"}, "executor does not exist in namespace"),
    (
        {"invocationLimits": {"memory": "1Gi"}, "resources": {"limits": {"memory": "64Mi"}}},
        "invocation limit quantity cannot be greater",
    ),
]


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(("change", "reason"), REFUSED)
def test_what_the_validating_webhook_refuses(
    control_plane: ControlPlane, name: str, change: dict[str, t.Any], reason: str
) -> None:
    """The rules that the module checks, or whose refusal it passes on."""
    spec = {"image": IMAGE, "executor": EXECUTOR, "replicas": 1, **change}
    metadata = {"name": name, "namespace": "default"}
    with pytest.raises(ApiError, match=reason):
        control_plane.client().apply(
            SpinApp({"apiVersion": SPIN_APP.api_version, "kind": "SpinApp", "metadata": metadata, "spec": spec}),
            dry_run=True,
        )


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("authorities", [True, False])
def test_an_executor_as_the_roles_write_it_stays_as_it_is(
    control_plane: ControlPlane, api: KubernetesApi, name: str, authorities: bool
) -> None:
    """The executors of roles spin_operator and tenant: applied again they change nothing, and they go once no SpinApp
    names them."""
    specification = {
        "createDeployment": True,
        "deploymentConfig": {
            "runtimeClassName": RUNTIME_CLASS,
            **({"installDefaultCACerts": True} if authorities else {}),
            "otel": {"exporter_otlp_traces_endpoint": "http://collector.example:4318/v1/traces"},
        },
    }
    metadata = {"name": name, "namespace": "default"}
    executor = {
        "apiVersion": SPIN_APP_EXECUTOR.api_version,
        "kind": "SpinAppExecutor",
        "metadata": metadata,
        "spec": specification,
    }
    control_plane.apply(executor)

    def held() -> dict[str, t.Any]:
        entry = found(api.get(SPIN_APP_EXECUTOR, "default", name))
        return entry if entry["metadata"].get("finalizers") else {}

    before = wait_until(held, seconds=60, what="the operator has put its finalizer on the executor")
    control_plane.apply(executor)
    # The finalizer is written with the whole object, and drops what is empty or false.
    assert held()["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    control_plane.client().delete(SpinAppExecutor, name, namespace="default")
    wait_until(lambda: api.get(SPIN_APP_EXECUTOR, "default", name) is None, seconds=60, what="the executor is gone")
