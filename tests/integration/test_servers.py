# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test servers themselves: what the other integration tests take for granted about them."""

from __future__ import annotations

import base64
import collections.abc
import json
import os
import subprocess
import sys
import typing as t
import uuid
from pathlib import Path

import httpx2
import pytest
from ansible_collections.wasmfaas.platform.tests.integration.support.artifacts import (
    LAYER_WASM,
    HandMadeArtifact,
    digest_of,
)
from ansible_collections.wasmfaas.platform.tests.integration.support.control_plane import (
    EXECUTOR,
    GATEWAY_NAME,
    GATEWAY_NAMESPACE,
    RUNTIME_CLASS,
    ControlPlane,
    Gateway,
    HTTPRoute,
    SpinApp,
)
from ansible_collections.wasmfaas.platform.tests.integration.support.faulty_proxy import FaultyProxy
from ansible_collections.wasmfaas.platform.tests.integration.support.registries import Registry
from ansible_collections.wasmfaas.platform.tests.integration.support.servers import Programs, Server, wait_until
from ansible_collections.wasmfaas.platform.tests.integration.support.spinkube import (
    NODE,
    SHIM_VERSION_LABEL,
    SpinkubeStandIn,
)
from ansible_collections.wasmfaas.platform.tests.integration.support.token_server_stand_in import TokenServerStandIn
from lightkube import ApiError, Client
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Event, Node, Pod, Secret, Service


def spin_app(name: str, image: str, namespace: str = "default", **spec: t.Any) -> dict[str, t.Any]:
    return {
        "apiVersion": "core.spinkube.dev/v1alpha1",
        "kind": "SpinApp",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"image": image, "executor": EXECUTOR, "replicas": 1, **spec},
    }


def http_route(name: str, host: str, backends: list[dict[str, t.Any]], namespace: str = "default") -> dict[str, t.Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": GATEWAY_NAME, "namespace": GATEWAY_NAMESPACE}],
            "hostnames": [host],
            "rules": [{"backendRefs": backends}],
        },
    }


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"f-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def cluster(control_plane: ControlPlane, spinkube_stand_in: SpinkubeStandIn) -> Client:
    assert spinkube_stand_in.server.process.poll() is None
    return control_plane.client()


def status_of(found: t.Any) -> dict[str, t.Any]:
    """The status of an object of a generic kind, empty where there is none yet."""
    return dict(found.status or {})


def pods_of(client: Client, name: str, namespace: str = "default") -> list[Pod]:
    return list(client.list(Pod, namespace=namespace, labels={"core.spinkube.dev/app-name": name}))


def wait_available(client: Client, name: str, replicas: int = 1, namespace: str = "default") -> None:
    def available() -> bool:
        try:
            deployment = client.get(Deployment, name, namespace=namespace)
        except ApiError:
            return False
        status = deployment.status
        return bool(
            status
            and deployment.metadata
            and status.observedGeneration == deployment.metadata.generation
            and status.updatedReplicas == status.availableReplicas == replicas
        )

    wait_until(available, seconds=120, what=f"{replicas} pods of {name} are available")


def wait_reason(client: Client, name: str, reason: str, *, restarts: int = 0) -> Pod:
    def waiting() -> Pod | None:
        for pod in pods_of(client, name):
            for status in (pod.status and pod.status.containerStatuses) or []:
                if (
                    status.state
                    and status.state.waiting
                    and status.state.waiting.reason == reason
                    and status.restartCount >= restarts
                ):
                    return pod
        return None

    found = wait_until(waiting, seconds=120, what=f"a pod of {name} waits for {reason}")
    assert found is not None
    return found


def events_of(client: Client, pod: Pod) -> list[tuple[str, str, str]]:
    assert pod.metadata and pod.metadata.namespace
    listed = client.list(
        Event, namespace=pod.metadata.namespace, fields={"involvedObject.name": str(pod.metadata.name)}
    )
    return [(str(event.type), str(event.reason), str(event.message)) for event in listed]


def test_a_valid_artifact_becomes_ready_and_answers(
    control_plane: ControlPlane, cluster: Client, spinkube_stand_in: SpinkubeStandIn, registry: Registry, name: str
) -> None:
    image = HandMadeArtifact(name).push(registry, f"functions/{name}")
    control_plane.apply(spin_app(name, image), http_route(name, f"{name}.test", [{"name": name, "port": 80}]))
    wait_available(cluster, name)
    wait_until(lambda: spinkube_stand_in.get(f"{name}.test").status_code == 200, seconds=120, what="the route answers")
    answer = spinkube_stand_in.get(f"{name}.test", "/hello").json()
    assert (answer["namespace"], answer["function"], answer["image"]) == ("default", name, image)
    assert [answer["pod"]] == [pod.metadata and pod.metadata.name for pod in pods_of(cluster, name)]
    assert spinkube_stand_in.get(f"{name}.test", "/.well-known/spin/health").text == "OK"
    assert spinkube_stand_in.get("unknown.test").status_code == 404
    assert "GET /hello" in "".join(cluster.log(answer["pod"], namespace="default"))
    conditions = {
        condition["type"]: condition["status"]
        for condition in status_of(cluster.get(SpinApp, name, namespace="default"))["conditions"]
    }
    assert conditions == {"Available": "True", "Progressing": "True"}
    route = cluster.get(HTTPRoute, name, namespace="default")
    assert {c["type"]: c["status"] for c in status_of(route)["parents"][0]["conditions"]} == {
        "Accepted": "True",
        "ResolvedRefs": "True",
    }


def test_the_deployment_is_the_operators(
    control_plane: ControlPlane, cluster: Client, registry: Registry, name: str
) -> None:
    image = HandMadeArtifact(name).push(registry, f"functions/{name}")
    control_plane.apply(
        spin_app(name, image, variables=[{"name": "greeting", "value": "hi"}], podAnnotations={"a": "b"})
    )
    wait_available(cluster, name)
    deployment = cluster.get(Deployment, name, namespace="default")
    assert (
        deployment.spec and deployment.spec.template.spec and deployment.spec.template.metadata and deployment.metadata
    )
    container = deployment.spec.template.spec.containers[0]
    environment = {variable.name: variable.value for variable in container.env or []}
    assert environment == {"SPIN_VARIABLE_GREETING": "hi", "SPIN_HTTP_LISTEN_ADDR": "0.0.0.0:80"}
    assert container.command == ["/"]
    assert deployment.spec.selector.matchLabels == {
        "core.spinkube.dev/app-name": name,
        f"core.spinkube.dev/app.{name}.status": "ready",
    }
    assert deployment.spec.template.metadata.annotations == {"a": "b"}
    assert {entry.manager for entry in deployment.metadata.managedFields or [] if entry.operation == "Apply"} == {
        "spin-operator"
    }
    secrets = cluster.list(Secret, namespace="default", labels={"core.spinkube.dev/app-name": name})
    assert [str(secret.metadata and secret.metadata.name).rpartition("-")[0] for secret in secrets] == [name]
    cluster.delete(SpinApp, name, namespace="default")
    wait_until(
        lambda: not pods_of(cluster, name), seconds=120, what="the garbage collector and the kubelet removed the pods"
    )
    with pytest.raises(ApiError, match="not found"):
        cluster.get(Service, name, namespace="default")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"replicas": 0}, "replicas must be > 0"),
        ({"replicas": 2, "enableAutoscaling": True}, "replicas cannot be set when autoscaling is enabled"),
        ({"executor": "absent"}, "executor does not exist in namespace"),
        (
            {"invocationLimits": {"memory": "128Mi"}, "resources": {"limits": {"memory": "64Mi"}}},
            "cannot be greater than the memory limit",
        ),
    ],
)
@pytest.mark.usefixtures("cluster")
def test_the_webhook_refuses(control_plane: ControlPlane, name: str, spec: dict[str, t.Any], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        control_plane.apply(spin_app(name, "127.0.0.1:1/x:y", **spec))


def padded(artifact: HandMadeArtifact) -> None:
    artifact.component["files"][1]["inline"] = "aGk="


def file_source(artifact: HandMadeArtifact) -> None:
    artifact.component["source"] = {"content_type": "application/wasm", "source": "file:///app.wasm"}


def nothing_to_load(artifact: HandMadeArtifact) -> None:
    del artifact.component["source"]["digest"]


def unknown_content(artifact: HandMadeArtifact) -> None:
    artifact.component["files"][0]["digest"] = digest_of(b"nobody has this")


def no_wasm(artifact: HandMadeArtifact) -> None:
    artifact.layers[0] = (LAYER_WASM, b"(module)")
    artifact.component["source"]["digest"] = digest_of(b"(module)")


def lock_version(artifact: HandMadeArtifact) -> None:
    artifact.locked["spin_lock_version"] = 2


def must_understand(artifact: HandMadeArtifact) -> None:
    artifact.component["host_requirements"] = {"local_service_chaining": "required"}


def architecture(artifact: HandMadeArtifact) -> None:
    artifact.config["architecture"] = "amd64"


def no_os(artifact: HandMadeArtifact) -> None:
    del artifact.config["os"]


def data_layer_type(artifact: HandMadeArtifact) -> None:
    artifact.layers[1] = ("application/octet-stream", artifact.layers[1][1])


def absolute_path(artifact: HandMadeArtifact) -> None:
    artifact.component["files"][1]["path"] = "/etc/passwd"


def wrong_key(artifact: HandMadeArtifact) -> None:
    artifact.component["environment"] = {"A": "b"}


def unknown_component(artifact: HandMadeArtifact) -> None:
    artifact.locked["triggers"][0]["trigger_config"]["component"] = "other"


@pytest.mark.parametrize(
    ("break_it", "log"),
    [
        (padded, "invalid base64"),
        (file_source, "file://"),
        (nothing_to_load, "content missing expected digest"),
        (unknown_content, "is not among the layers"),
        (no_wasm, "neither a WebAssembly module nor a component"),
        (lock_version, "unsupported lock version 2"),
        (must_understand, "must_understand"),
        (architecture, "architecture is not wasm"),
        (no_os, "no architecture or no os"),
        (data_layer_type, "of type application/vnd.wasm.content.layer.v1+data"),
        (absolute_path, "not relative"),
        (wrong_key, "does not exist in a locked app"),
        (unknown_component, 'unknown component "other"'),
    ],
)
def test_the_shim_dies_of(
    control_plane: ControlPlane,
    cluster: Client,
    registry: Registry,
    name: str,
    break_it: collections.abc.Callable[[HandMadeArtifact], None],
    log: str,
) -> None:
    artifact = HandMadeArtifact(name)
    break_it(artifact)
    control_plane.apply(spin_app(name, artifact.push(registry, f"functions/{name}")))
    pod = wait_reason(cluster, name, "CrashLoopBackOff")
    assert pod.status and pod.status.containerStatuses and pod.metadata
    terminated = pod.status.containerStatuses[0].lastState
    assert terminated and terminated.terminated and terminated.terminated.exitCode == 137
    assert log in "".join(cluster.log(str(pod.metadata.name), namespace="default"))
    cluster.delete(SpinApp, name, namespace="default")


def test_an_index_crashes_and_restarts_are_counted(
    control_plane: ControlPlane, cluster: Client, registry: Registry, name: str
) -> None:
    control_plane.apply(spin_app(name, HandMadeArtifact(name).push(registry, f"functions/{name}", index=True)))
    pod = wait_reason(cluster, name, "CrashLoopBackOff", restarts=1)
    wait_until(
        lambda: any(event[:2] == ("Warning", "BackOff") for event in events_of(cluster, pod)),
        seconds=120,
        what="the event BackOff",
    )
    assert "/spin.toml: No such file" in "".join(
        cluster.log(str(pod.metadata and pod.metadata.name), namespace="default")
    )


def test_pods_of_a_fresh_artifact_that_start_at_once_collide_and_then_work(
    control_plane: ControlPlane, cluster: Client, registry: Registry, name: str
) -> None:
    image = HandMadeArtifact(name).push(registry, f"functions/{name}")
    control_plane.apply(spin_app(name, image, replicas=4))
    wait_available(cluster, name, replicas=4)
    counts = [
        status.restartCount
        for pod in pods_of(cluster, name)
        for status in (pod.status and pod.status.containerStatuses) or []
    ]
    assert len(counts) == 4 and min(counts) == 0 and 0 < max(counts) < 3
    control_plane.apply(spin_app(f"{name}-again", image, replicas=4))
    wait_available(cluster, f"{name}-again", replicas=4)
    again = [
        status.restartCount
        for pod in pods_of(cluster, f"{name}-again")
        for status in (pod.status and pod.status.containerStatuses) or []
    ]
    assert again == [0] * 4, "the node has what the first one compiled"


def tar_layer(artifact: HandMadeArtifact) -> None:
    artifact.layers.append(("application/vnd.oci.image.layer.v1.tar+gzip", b"tar"))


def difference_ids(artifact: HandMadeArtifact) -> None:
    artifact.config["rootfs"]["diff_ids"] = [digest_of(b"1")]


def sizes(artifact: HandMadeArtifact) -> None:
    artifact.wrong_sizes = True


@pytest.mark.parametrize(
    ("break_it", "message"),
    [(tar_layer, "mismatched image rootfs"), (difference_ids, "mismatched image rootfs"), (sizes, "size validation")],
)
def test_containerd_does_not_pull(
    control_plane: ControlPlane,
    cluster: Client,
    registry: Registry,
    name: str,
    break_it: collections.abc.Callable[[HandMadeArtifact], None],
    message: str,
) -> None:
    artifact = HandMadeArtifact(name)
    break_it(artifact)
    try:
        image = artifact.push(registry, f"functions/{name}")
    except httpx2.HTTPStatusError as error:
        # Distribution itself checks nothing of this; another registry may.
        pytest.fail(f"the registry refused it: {error.response.text}")
    control_plane.apply(spin_app(name, image))
    pod = wait_reason(cluster, name, "ImagePullBackOff")
    wait_until(
        lambda: any(e[1] == "Failed" and message in e[2] for e in events_of(cluster, pod)),
        seconds=120,
        what=f"an event that names: {message}",
    )
    assert ("Warning", "Failed", "Error: ErrImagePull") in events_of(cluster, pod)
    cluster.delete(SpinApp, name, namespace="default")


def test_two_images_with_one_config_are_one_image_to_the_node(
    control_plane: ControlPlane, cluster: Client, spinkube_stand_in: SpinkubeStandIn, registry: Registry, name: str
) -> None:
    for part in ("one", "two"):
        artifact = HandMadeArtifact(f"{name}-{part}")
        artifact.label = False
        artifact.config["config"] = {"Labels": {"test": name}}
        image = artifact.push(registry, f"functions/{name}-{part}")
        control_plane.apply(
            spin_app(f"{name}-{part}", image),
            http_route(f"{name}-{part}", f"{name}-{part}.test", [{"name": f"{name}-{part}", "port": 80}]),
        )
        wait_available(cluster, f"{name}-{part}")
    wait_until(
        lambda: spinkube_stand_in.get(f"{name}-two.test").status_code == 200, seconds=120, what="the second one answers"
    )
    assert spinkube_stand_in.get(f"{name}-two.test").json()["function"] == f"{name}-one"


@pytest.mark.parametrize("kind", ["registry_with_basic_auth", "registry_with_token_auth"])
def test_pull_secrets_are_used(
    control_plane: ControlPlane, cluster: Client, name: str, kind: str, request: pytest.FixtureRequest
) -> None:
    registry: Registry = request.getfixturevalue(kind)
    image = f"{registry.host}/functions/{name}:latest"
    if kind == "registry_with_basic_auth":
        image = HandMadeArtifact(name).push(registry, f"functions/{name}")
    else:
        token_server: TokenServerStandIn = request.getfixturevalue("token_server")
        query = {"service": token_server.service, "scope": f"repository:functions/{name}:pull"}
        with httpx2.Client(trust_env=False) as client:
            assert client.get(token_server.url, params=query, auth=("nobody", "wrong")).status_code == 401
            token = client.get(token_server.url, params=query, auth=(registry.username, registry.password)).json()[
                "token"
            ]
            tags = client.get(
                f"{registry.url}/v2/functions/{name}/tags/list", headers={"Authorization": f"Bearer {token}"}
            )
        assert tags.status_code == 404, tags.text  # let in, and nothing is there
        return
    control_plane.apply(spin_app(name, image))
    pod = wait_reason(cluster, name, "ErrImagePull")
    assert "UNAUTHORIZED" in str(events_of(cluster, pod)) or "authentication required" in str(pod.status)
    auths = {
        "auths": {
            registry.host: {"auth": base64.b64encode(f"{registry.username}:{registry.password}".encode()).decode()}
        }
    }
    data = {".dockerconfigjson": json.dumps(auths)}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": data,
    }
    control_plane.apply(secret, spin_app(name, image, imagePullSecrets=[{"name": name}]))
    wait_available(cluster, name)
    assert len(pods_of(cluster, name)) >= 1


def test_a_registry_with_a_private_authority_is_pulled_from(
    control_plane: ControlPlane, cluster: Client, registry_with_tls: Registry, name: str
) -> None:
    control_plane.apply(spin_app(name, HandMadeArtifact(name).push(registry_with_tls, f"functions/{name}")))
    wait_available(cluster, name)
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{registry_with_tls.url}/v2/", trust_env=False)


@pytest.mark.parametrize("behaviour", ["never_ready", "crash", "http_500", "slow_start"])
def test_behaviours(
    control_plane: ControlPlane,
    cluster: Client,
    spinkube_stand_in: SpinkubeStandIn,
    registry: Registry,
    name: str,
    behaviour: str,
) -> None:
    artifact = HandMadeArtifact(name, environment={"STAND_IN_BEHAVIOUR": behaviour, "STAND_IN_START_SECONDS": "2"})
    control_plane.apply(
        spin_app(name, artifact.push(registry, f"functions/{name}")),
        http_route(name, f"{name}.test", [{"name": name, "port": 80}]),
    )
    if behaviour == "crash":
        pod = wait_reason(cluster, name, "CrashLoopBackOff")
        assert "STAND_IN_BEHAVIOUR=crash" in "".join(
            cluster.log(str(pod.metadata and pod.metadata.name), namespace="default")
        )
        return
    if behaviour == "never_ready":
        wait_until(
            lambda: any("Readiness probe failed" in str(events_of(cluster, pod)) for pod in pods_of(cluster, name)),
            seconds=120,
            what="the event Unhealthy",
        )
        assert spinkube_stand_in.get(f"{name}.test").status_code == 503
        return
    wait_until(
        lambda: spinkube_stand_in.get(f"{name}.test").status_code == 503, seconds=120, what="no pod is ready at first"
    ) if behaviour == "slow_start" else None
    wait_available(cluster, name)
    assert spinkube_stand_in.get(f"{name}.test").status_code == (500 if behaviour == "http_500" else 200)


def test_a_rolling_update_always_answers(
    control_plane: ControlPlane, cluster: Client, spinkube_stand_in: SpinkubeStandIn, registry: Registry, name: str
) -> None:
    old = HandMadeArtifact(name).push(registry, f"functions/{name}")
    control_plane.apply(spin_app(name, old, replicas=2), http_route(name, f"{name}.test", [{"name": name, "port": 80}]))
    wait_available(cluster, name, 2)
    wait_until(
        lambda: spinkube_stand_in.get(f"{name}.test").status_code == 200, seconds=120, what="the old one answers"
    )
    new = HandMadeArtifact(name, environment={"VERSION": "2"}).push(registry, f"functions/{name}")
    control_plane.apply(spin_app(name, new, replicas=2))
    seen = []

    def rolled() -> bool:
        answer = spinkube_stand_in.get(f"{name}.test")
        seen.append(answer.json()["image"] if answer.status_code == 200 else answer.status_code)
        return seen[-10:] == [new] * 10

    wait_until(rolled, seconds=120, what="only the new one answers", interval=0.01)
    assert set(seen) == {old, new}


def test_a_bad_update_leaves_the_old_pods(
    control_plane: ControlPlane, cluster: Client, spinkube_stand_in: SpinkubeStandIn, registry: Registry, name: str
) -> None:
    old = HandMadeArtifact(name).push(registry, f"functions/{name}")
    control_plane.apply(spin_app(name, old), http_route(name, f"{name}.test", [{"name": name, "port": 80}]))
    wait_available(cluster, name)
    control_plane.apply(spin_app(name, f"{registry.host}/functions/absent:1"))
    pod = wait_reason(cluster, name, "ImagePullBackOff")
    assert any("MANIFEST_UNKNOWN" in event[2] for event in events_of(cluster, pod))
    assert spinkube_stand_in.get(f"{name}.test").json()["image"] == old


def test_weights_and_grants(
    control_plane: ControlPlane, cluster: Client, spinkube_stand_in: SpinkubeStandIn, registry: Registry, name: str
) -> None:
    image = HandMadeArtifact(name).push(registry, f"functions/{name}")
    control_plane.apply(spin_app(name, image), spin_app(name, image, namespace="user1"))
    backends = [{"name": name, "port": 80, "weight": 3}, {"name": name, "namespace": "user1", "port": 80, "weight": 1}]
    control_plane.apply(http_route(name, f"{name}.test", backends))
    wait_available(cluster, name)
    wait_available(cluster, name, namespace="user1")

    def statuses() -> set[int]:
        return {spinkube_stand_in.get(f"{name}.test").status_code for _time in range(40)}

    wait_until(lambda: statuses() == {200, 500}, seconds=120, what="the backend in the other namespace is refused")
    route = cluster.get(HTTPRoute, name, namespace="default")
    assert "RefNotPermitted" in str(route.status)
    control_plane.apply(
        {
            "apiVersion": "gateway.networking.k8s.io/v1beta1",
            "kind": "ReferenceGrant",
            "metadata": {"name": name, "namespace": "user1"},
            "spec": {
                "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "default"}],
                "to": [{"group": "", "kind": "Service", "name": name}],
            },
        }
    )
    wait_until(lambda: statuses() == {200}, seconds=120, what="the grant lets the backend in")
    answered = {spinkube_stand_in.get(f"{name}.test").json()["namespace"] for _time in range(60)}
    assert answered == {"default", "user1"}


def test_the_node_tells_the_shim_version_and_keeps_to_it(
    control_plane: ControlPlane, cluster: Client, registry: Registry, name: str
) -> None:
    node = cluster.get(Node, NODE)
    assert node.metadata and node.metadata.labels
    assert (node.metadata.labels["spin"], node.metadata.labels[SHIM_VERSION_LABEL]) == ("true", "0.25.1")
    artifact = HandMadeArtifact(name)
    wasm = artifact.layers[0][1] + b"wasi:http/handler@0.3.0-rc-2026-03-15"
    artifact.layers[0] = (LAYER_WASM, wasm)
    artifact.component["source"]["digest"] = digest_of(wasm)
    image = artifact.push(registry, f"functions/{name}")
    cluster.patch(Node, NODE, {"metadata": {"labels": {SHIM_VERSION_LABEL: "0.24.0"}}})
    try:
        control_plane.apply(spin_app(name, image))
        pod = wait_reason(cluster, name, "CrashLoopBackOff")
        assert "Expected component to export" in "".join(
            cluster.log(str(pod.metadata and pod.metadata.name), namespace="default")
        )
    finally:
        cluster.patch(Node, NODE, {"metadata": {"labels": {SHIM_VERSION_LABEL: "0.25.1"}}})
    wait_available(cluster, name)


def test_missing_secrets_and_handlers_are_told_as_kubelet_tells_them(
    control_plane: ControlPlane, cluster: Client, registry: Registry, name: str
) -> None:
    image = HandMadeArtifact(name).push(registry, f"functions/{name}")
    variables = [{"name": "token", "valueFrom": {"secretKeyRef": {"name": name, "key": "token"}}}]
    control_plane.apply(spin_app(name, image, variables=variables))
    pod = wait_reason(cluster, name, "CreateContainerConfigError")
    assert f'secret "{name}" not found' in str(pod.status)
    control_plane.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": "default"},
            "stringData": {"token": "t"},
        }
    )
    wait_available(cluster, name)
    control_plane.apply(
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": f"{name}-class"},
            "handler": "spin-v2",
        }
    )
    executor = {"createDeployment": True, "deploymentConfig": {"runtimeClassName": f"{name}-class"}}
    metadata = {"name": f"{name}-executor", "namespace": "default"}
    control_plane.apply(
        {"apiVersion": "core.spinkube.dev/v1alpha1", "kind": "SpinAppExecutor", "metadata": metadata, "spec": executor},
        spin_app(f"{name}-b", image, executor=f"{name}-executor"),
    )
    wait_until(
        lambda: any(
            'no runtime for "spin-v2" is configured' in str(events_of(cluster, found))
            for found in pods_of(cluster, f"{name}-b")
        ),
        seconds=20,
        what="the event FailedCreatePodSandBox",
    )
    assert f"{name}-class" != RUNTIME_CLASS


def test_the_gateway_has_an_address(cluster: Client) -> None:
    wait_until(
        lambda: status_of(cluster.get(Gateway, GATEWAY_NAME, namespace=GATEWAY_NAMESPACE)).get("addresses"),
        seconds=120,
        what="the Gateway's status",
    )
    gateway = cluster.get(Gateway, GATEWAY_NAME, namespace=GATEWAY_NAMESPACE)
    assert status_of(gateway)["addresses"][0]["value"] == "127.0.0.1"
    assert {condition["type"]: condition["status"] for condition in status_of(gateway)["conditions"]} == {
        "Accepted": "True",
        "Programmed": "True",
    }


def test_a_user_without_rights_is_refused(control_plane: ControlPlane, name: str) -> None:
    kubeconfig = control_plane.kubeconfig_for(
        name, rules=[{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
    )
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    client = control_plane.client(kubeconfig)
    assert list(client.list(ConfigMap, namespace="default"))
    with pytest.raises(ApiError, match="forbidden"):
        list(client.list(Secret, namespace="default"))
    with pytest.raises(ApiError, match="forbidden"):
        client.get(SpinApp, name, namespace="default")


def test_a_restart_keeps_the_objects(
    control_plane: ControlPlane, cluster: Client, spinkube_stand_in: SpinkubeStandIn, registry: Registry, name: str
) -> None:
    image = HandMadeArtifact(name).push(registry, f"functions/{name}")
    control_plane.apply(spin_app(name, image), http_route(name, f"{name}.test", [{"name": name, "port": 80}]))
    wait_available(cluster, name)
    control_plane.stop_hard()
    with pytest.raises(Exception, match="refused"):
        cluster.get(SpinApp, name, namespace="default")
    assert spinkube_stand_in.get(f"{name}.test").json()["image"] == image  # functions need no control plane
    control_plane.start_again()
    assert cluster.get(SpinApp, name, namespace="default").spec["image"] == image
    new = HandMadeArtifact(name, environment={"VERSION": "2"}).push(registry, f"functions/{name}")
    control_plane.apply(spin_app(name, new))
    wait_until(
        lambda: spinkube_stand_in.get(f"{name}.test").json()["image"] == new,
        seconds=60,
        what="controllers and stand-in work again",
    )


def test_the_proxy_counts_and_makes_faults(faulty_proxy: FaultyProxy, registry: Registry, name: str) -> None:
    behind = f"{faulty_proxy.url}/v2/{name}"
    with httpx2.Client(trust_env=False) as client:
        faulty_proxy.fail("GET", "/v2/.*", status=429, headers={"Retry-After": "1"}, count=2)
        answers = [client.get(f"{faulty_proxy.url}/v2/") for _time in range(3)]
        assert [answer.status_code for answer in answers] == [429, 429, 200]
        assert answers[0].headers["Retry-After"] == "1"

        content = b"b" * 1_000_000
        faulty_proxy.fail("PUT", ".*/blobs/uploads/.*", cut_after=300_000)
        location = client.post(f"{behind}/blobs/uploads/").headers["Location"]
        assert location.startswith(faulty_proxy.url)
        with pytest.raises(httpx2.TransportError):
            client.put(httpx2.URL(location).copy_add_param("digest", digest_of(content)), content=content)
        assert httpx2.head(f"{registry.url}/v2/{name}/blobs/{digest_of(content)}", trust_env=False).status_code == 404
        location = client.post(f"{behind}/blobs/uploads/").headers["Location"]
        pieces = (content[at : at + 100_000] for at in range(0, len(content), 100_000))  # sent with chunked encoding
        client.put(httpx2.URL(location).copy_add_param("digest", digest_of(content)), content=pieces).raise_for_status()
        assert client.get(f"{behind}/blobs/{digest_of(content)}").content == content
        faulty_proxy.fail("GET", ".*/blobs/.*", cut_response_after=1000)
        with pytest.raises(httpx2.TransportError):
            client.get(f"{behind}/blobs/{digest_of(content)}")
    assert faulty_proxy.count("PUT", ".*/blobs/uploads/.*") == 2
    assert [method for method, _value in faulty_proxy.seen(path=".*/blobs/.*")] == [
        "POST",
        "PUT",
        "POST",
        "PUT",
        "GET",
        "GET",
    ]
    faulty_proxy.refuse_connections()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{faulty_proxy.url}/v2/", trust_env=False)
    faulty_proxy.reset()
    assert httpx2.get(f"{faulty_proxy.url}/v2/", trust_env=False).status_code == 200
    assert faulty_proxy.count() == 1


def test_no_server_outlives_a_killed_session(server_programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("version: 0.1\nstorage: {inmemory: {}}\nhttp: {addr: '127.0.0.1:0'}\n")
    script = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from support.servers import Server\n"
        "server = Server([sys.argv[2], 'serve', sys.argv[3]], log=Path(sys.argv[4]))\n"
        "print(server.process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    arguments = [
        str(Path(__file__).parent),
        str(server_programs.path("registry")),
        str(tmp_path / "config.yml"),
        str(tmp_path / "log"),
    ]
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False, timeout=30
    )
    process = Path("/proc") / ended.stdout.strip()
    wait_until(
        lambda: not process.exists() or " Z " in (process / "stat").read_text(), seconds=120, what="the registry ended"
    )
    assert ended.returncode == -9


def test_stop_ends_the_process(server_programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("version: 0.1\nstorage: {inmemory: {}}\nhttp: {addr: '127.0.0.1:0'}\n")
    server = Server(
        [str(server_programs.path("registry")), "serve", str(tmp_path / "config.yml")], log=tmp_path / "log"
    )
    wait_until(lambda: "listening on" in server.log_tail(), seconds=120, what="the registry listens")
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(server.process.pid, 0)
