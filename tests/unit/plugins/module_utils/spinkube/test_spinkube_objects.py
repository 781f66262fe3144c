# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kubernetes objects of a function, and that the schemas of their kinds take them."""

from __future__ import annotations

import copy
import dataclasses
import typing as t

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.function_objects import function_objects
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.labels import WARM_NODES
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.objects import (
    REVISION,
    SETTINGS_DIGEST,
    SOURCE_DIGEST,
    URL,
    labels,
    secret_object,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import Autoscale, ClusterSettings
from ansible_collections.wasmfaas.platform.tests import reference_data

HELLO = "http://hello.user1.203.0.113.7.nip.io"
BY_CONCURRENCY = ClusterSettings(autoscale=Autoscale(min=0, max=5, target_concurrency=20, cooldown_seconds=60))
BY_RATE = ClusterSettings(autoscale=Autoscale(min=1, max=5, target_requests_per_second=7))
BY_CPU = ClusterSettings(
    autoscale=Autoscale(min=2, max=5, target_cpu_percent=60), resources={"requests": {"cpu": "100m"}}
)
FULL = ClusterSettings(
    replicas=3,
    image_pull_secrets=("regcred",),
    service_account="robot",
    resources={"limits": {"cpu": "1", "memory": "128Mi"}, "requests": {"cpu": "100m"}},
    invocation_limits={"memory": "64Mi"},
    runtime_config={
        "keyValueStores": [{"name": "default", "type": "redis", "options": [{"name": "url", "value": "redis://r"}]}]
    },
    components=("c",),
    probe_path="/ready",
)


def by_kind(objects: t.Iterable[dict[str, t.Any]]) -> dict[str, dict[str, t.Any]]:
    objects = list(objects)
    assert len({item["kind"] for item in objects}) == len(objects)
    return {item["kind"]: item for item in objects}


def test_the_servers_learn_which_functions_every_node_is_to_start(desired: t.Any) -> None:
    every_node = ClusterSettings(warm="all")
    app = function_objects(desired(), every_node, HELLO, None).app
    assert app["metadata"]["annotations"][WARM_NODES] == "all"
    plain = function_objects(desired(), ClusterSettings(warm="running"), HELLO, None).app
    assert WARM_NODES not in plain["metadata"]["annotations"]
    assert app["spec"] == plain["spec"], "no pod is replaced for it"
    works = function_objects(desired(trigger="redis"), every_node, "", None).app
    assert WARM_NODES not in works["metadata"]["annotations"], "it would work on messages"


def test_smallest_function(desired: t.Any) -> None:
    app, route = function_objects(desired(), ClusterSettings(), HELLO, None)
    assert app["apiVersion"] == "core.spinkube.dev/v1alpha1"
    assert app["metadata"]["annotations"] == {
        SOURCE_DIGEST: desired().source_digest,
        URL: HELLO,
        SETTINGS_DIGEST: app["metadata"]["annotations"][SETTINGS_DIGEST],
    }
    assert app["spec"] == {
        "image": desired().image,
        "executor": "containerd-shim-spin",
        "checks": {
            "readiness": {
                "httpGet": {"path": "/.well-known/spin/health", "httpHeaders": []},
                "initialDelaySeconds": 1,
                "periodSeconds": 1,
                "timeoutSeconds": 1,
                "failureThreshold": 3,
                "successThreshold": 1,
            }
        },
        "replicas": 1,
        "podAnnotations": {REVISION: app["spec"]["podAnnotations"][REVISION]},
    }
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"] == {
        "parentRefs": [{"name": "wasmfaas", "namespace": "wasmfaas-system"}],
        "hostnames": ["hello.user1.203.0.113.7.nip.io"],
        "rules": [{"backendRefs": [{"name": "hello", "port": 80}], "timeouts": {"request": "30s"}}],
    }


@pytest.mark.parametrize("settings", [ClusterSettings(), BY_CONCURRENCY, BY_RATE, BY_CPU])
def test_every_object_is_found_by_its_labels(desired: t.Any, settings: ClusterSettings) -> None:
    for item in [
        *function_objects(desired(secret={"a": "b"}), settings, HELLO, "s"),
        secret_object(desired(secret={"a": "b"}), "s"),
    ]:
        assert (
            item["metadata"]["labels"]
            == labels("hello")
            == {"app.kubernetes.io/managed-by": "wasmfaas", "app.kubernetes.io/name": "hello"}
        )
        assert item["metadata"]["namespace"] == "user1"


def test_trap_8_image_is_named_by_its_digest(desired: t.Any) -> None:
    assert "@sha256:" in function_objects(desired(), ClusterSettings(), HELLO, None).app["spec"]["image"]


def test_executor_is_always_named(desired: t.Any) -> None:
    """The operator's webhook would take the alphabetically first one of all namespaces."""
    assert function_objects(desired(), ClusterSettings(executor="mine"), HELLO, None).app["spec"]["executor"] == "mine"


def test_function_without_an_http_trigger_has_no_route_and_no_check(desired: t.Any) -> None:
    (app,) = function_objects(desired(trigger="redis"), ClusterSettings(), "", None)
    assert "checks" not in app["spec"]
    assert app["metadata"]["annotations"][URL] == ""


def test_all_options_reach_the_spin_app(desired: t.Any) -> None:
    spec = function_objects(desired(), FULL, HELLO, None).app["spec"]
    assert spec["imagePullSecrets"] == [{"name": "regcred"}]
    assert spec["serviceAccountName"] == "robot"
    assert spec["resources"] == FULL.resources
    assert spec["invocationLimits"] == {"memory": "64Mi"}
    assert spec["runtimeConfig"] == FULL.runtime_config
    assert spec["components"] == ["c"]
    assert spec["checks"]["readiness"]["httpGet"] == {"path": "/ready", "httpHeaders": []}
    assert spec["replicas"] == 3


def test_secret_values_stand_in_the_secret_only(desired: t.Any) -> None:
    function = desired(plain={"b": "2", "a": "1"}, secret={"token": "hunter2", "pin": "1234"})
    objects = function_objects(function, ClusterSettings(), HELLO, "hello-variables-1")
    assert objects.app["spec"]["variables"] == [
        {"name": "a", "value": "1"},
        {"name": "b", "value": "2"},
        {"name": "pin", "valueFrom": {"secretKeyRef": {"name": "hello-variables-1", "key": "pin"}}},
        {"name": "token", "valueFrom": {"secretKeyRef": {"name": "hello-variables-1", "key": "token"}}},
    ]
    assert "hunter2" not in str(objects)
    secret = secret_object(function, "hello-variables-1")
    assert (secret["kind"], secret["type"], secret["stringData"]) == (
        "Secret",
        "Opaque",
        {"pin": "1234", "token": "hunter2"},
    )


# Scaling


@pytest.mark.parametrize("settings", [BY_CONCURRENCY, BY_RATE, BY_CPU])
def test_scaled_function_has_no_replicas_of_its_own(desired: t.Any, settings: ClusterSettings) -> None:
    spec = function_objects(desired(), settings, HELLO, None).app["spec"]
    assert spec["enableAutoscaling"] is True
    assert "replicas" not in spec, "the webhook refuses both together"


@pytest.mark.parametrize("settings", [BY_CONCURRENCY, BY_RATE, BY_CPU])
def test_what_is_scaled_is_the_deployment(desired: t.Any, settings: ClusterSettings) -> None:
    """The SpinApp has no scale subresource."""
    targets = [
        item["spec"]["scaleTargetRef"]
        for item in function_objects(desired(), settings, HELLO, None)
        if "scaleTargetRef" in item["spec"]
    ]
    assert targets == [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}]


def test_scaling_by_concurrency(desired: t.Any) -> None:
    objects = by_kind(function_objects(desired(), BY_CONCURRENCY, HELLO, None))
    assert set(objects) == {"SpinApp", "InterceptorRoute", "ScaledObject", "HTTPRoute"}
    assert objects["InterceptorRoute"]["spec"] == {
        "target": {"service": "hello", "port": 80},
        "rules": [{"hosts": ["hello.user1.203.0.113.7.nip.io"]}],
        "scalingMetric": {"concurrency": {"targetValue": 20}},
        "timeouts": {"responseHeader": "30s"},
    }
    assert objects["ScaledObject"]["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"},
        "minReplicaCount": 0,
        "maxReplicaCount": 5,
        "cooldownPeriod": 60,
        "pollingInterval": 6,
        "initialCooldownPeriod": 120,
        "triggers": [
            {
                "type": "external-push",
                "metadata": {
                    "scalerAddress": "keda-add-ons-http-external-scaler.keda:9090",
                    "interceptorRoute": "hello",
                },
            }
        ],
    }
    backend = objects["HTTPRoute"]["spec"]["rules"][0]["backendRefs"]
    assert backend == [{"name": "keda-add-ons-http-interceptor-proxy", "namespace": "keda", "port": 8080}]


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (Autoscale(0, 5, target_concurrency=1, cooldown_seconds=1), 120),
        (Autoscale(0, 5, target_concurrency=1, cooldown_seconds=300), 300),
        (Autoscale(1, 5, target_concurrency=1), None),
    ],
)
def test_a_new_function_is_not_put_to_sleep_while_it_starts(desired: t.Any, scale: Autoscale, expected: int) -> None:
    """KEDA v2.20.2 asks for `cooldownPeriod` only once it has seen a request (scale_scaledobjects.go)."""
    objects = by_kind(function_objects(desired(), ClusterSettings(autoscale=scale), HELLO, None))
    assert objects["ScaledObject"]["spec"].get("initialCooldownPeriod") == expected


def test_the_time_limit_is_kept_by_whoever_knows_when_the_function_got_the_request(desired: t.Any) -> None:
    """The Gateway would count the time that a request waits for a replica, so it has no limit where KEDA's interceptor
    stands between."""
    direct = by_kind(function_objects(desired(), ClusterSettings(timeout=90), HELLO, None))
    assert direct["HTTPRoute"]["spec"]["rules"][0]["timeouts"] == {"request": "90s"}
    scale = Autoscale(min=0, max=5, target_concurrency=20)
    held = by_kind(function_objects(desired(), ClusterSettings(timeout=90, autoscale=scale), HELLO, None))
    assert held["HTTPRoute"]["spec"]["rules"][0]["timeouts"] == {"request": "0s"}
    assert held["InterceptorRoute"]["spec"]["timeouts"] == {"responseHeader": "90s"}, "readiness is the platform's"
    own = dataclasses.replace(scale, cold_start_timeout=300)
    limited = by_kind(function_objects(desired(), ClusterSettings(timeout=90, autoscale=own), HELLO, None))
    assert limited["InterceptorRoute"]["spec"]["timeouts"] == {"responseHeader": "90s", "readiness": "300s"}


def test_another_time_limit_restarts_no_pod(desired: t.Any) -> None:
    pods, whole = revision_and_digest(desired(), ClusterSettings())
    assert revision_and_digest(desired(), ClusterSettings(timeout=90))[0] == pods
    assert revision_and_digest(desired(), ClusterSettings(timeout=90))[1] != whole


def test_scaling_by_rate(desired: t.Any) -> None:
    objects = by_kind(function_objects(desired(), BY_RATE, HELLO, None))
    assert objects["InterceptorRoute"]["spec"]["scalingMetric"] == {
        "requestRate": {"targetValue": 7, "window": "1m", "granularity": "1s"}
    }


def test_scaling_by_cpu_needs_only_kubernetes(desired: t.Any) -> None:
    objects = by_kind(function_objects(desired(), BY_CPU, HELLO, None))
    assert set(objects) == {"SpinApp", "HorizontalPodAutoscaler", "HTTPRoute"}
    assert objects["HorizontalPodAutoscaler"]["apiVersion"] == "autoscaling/v2"
    assert objects["HorizontalPodAutoscaler"]["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"},
        "minReplicas": 2,
        "maxReplicas": 5,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
            }
        ],
    }
    assert objects["HTTPRoute"]["spec"]["rules"][0]["backendRefs"] == [{"name": "hello", "port": 80}]


def test_function_without_requests_can_not_scale_by_them(desired: t.Any) -> None:
    for settings in (BY_CONCURRENCY, BY_RATE):
        with pytest.raises(PlatformError, match="has no http trigger"):
            function_objects(desired(trigger="redis"), settings, "", None)
    assert len(list(function_objects(desired(trigger="redis"), BY_CPU, "", None))) == 2


# Digests


def test_same_input_gives_the_same_objects(desired: t.Any) -> None:
    one = function_objects(desired(plain={"a": "1", "b": "2"}), FULL, HELLO, None)
    other = function_objects(desired(plain={"b": "2", "a": "1"}), copy.deepcopy(FULL), HELLO, None)
    assert one == other


def revision_and_digest(
    function: t.Any, settings: ClusterSettings, url: str = HELLO, secret: str | None = None
) -> tuple[str, str]:
    app = function_objects(function, settings, url, secret).app
    return app["spec"]["podAnnotations"][REVISION], app["metadata"]["annotations"][SETTINGS_DIGEST]


def test_what_changes_the_pods_changes_the_revision(desired: t.Any) -> None:
    """The operator sees no change of a Secret, and a SpinApp's status tells no generation: only the revision rolls and
    is waited for."""
    variants = [
        (desired(), ClusterSettings()),
        (desired(image="registry.example/functions/hello@sha256:" + "2" * 64), ClusterSettings()),
        (desired(plain={"a": "1"}), ClusterSettings()),
        (desired(plain={"a": "2"}), ClusterSettings()),
        (desired(), ClusterSettings(resources={"limits": {"memory": "1Gi"}})),
        (desired(), ClusterSettings(service_account="robot")),
        (desired(), ClusterSettings(probe_path="/ready")),
        (desired(), ClusterSettings(executor="other")),
        (desired(), ClusterSettings(components=("c",))),
    ]
    assert len({revision_and_digest(*variant)[0] for variant in variants}) == len(variants)
    secrets = {
        revision_and_digest(desired(secret={"a": "x"}), ClusterSettings(), HELLO, name)[0] for name in ("s-1", "s-2")
    }
    assert len(secrets) == 2, "changed secret values come under another name"


def test_what_does_not_change_the_pods_rolls_none(desired: t.Any) -> None:
    variants = [
        (desired(), ClusterSettings(), HELLO),
        (desired(), ClusterSettings(replicas=5), HELLO),
        (desired(), BY_CONCURRENCY, HELLO),
        (desired(), ClusterSettings(gateway_name="other"), HELLO),
        (desired(), ClusterSettings(), "https://hello.example.com"),
        (desired(source_digest="sha256:" + "b" * 64), ClusterSettings(), HELLO),
    ]
    assert len({revision_and_digest(*variant)[0] for variant in variants}) == 1
    assert len({revision_and_digest(*variant)[1] for variant in variants}) == len(variants), (
        "but each is a change of the settings"
    )


@pytest.mark.parametrize("url", ["http://a.example.com", "https://a.example.com:8443", "http://a.example.com:8080"])
def test_route_has_the_host_without_its_port(desired: t.Any, url: str) -> None:
    assert by_kind(function_objects(desired(), ClusterSettings(), url, None))["HTTPRoute"]["spec"]["hostnames"] == [
        "a.example.com"
    ]


# Schemas


def strict(schema: t.Any) -> t.Any:
    """A CRD's schema as JSON Schema that refuses unknown fields, as the API server does for our field manager's
    mistakes only by dropping them."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    read = {key: strict(value) for key, value in schema.items() if key != "default"}
    if schema.get("x-kubernetes-int-or-string"):
        read["type"] = ["integer", "string"]
        read.pop("anyOf", None)
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not is_open:
        read["additionalProperties"] = False
    return read


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("core.spinkube.dev_spinapps.yaml", "SpinApp"),
        ("keda.sh_scaledobjects.yaml", "ScaledObject"),
        ("http.keda.sh_interceptorroutes.yaml", "InterceptorRoute"),
    ],
)
def test_objects_fit_the_schemas_of_their_kinds(desired: t.Any, file: str, kind: str) -> None:
    try:
        definition = yaml.safe_load(reference_data.custom_resource_definition(file).read_text(encoding="utf-8"))
    except reference_data.DataMissingError as error:
        pytest.skip(str(error))
    import jsonschema

    checked = 0
    for settings in (ClusterSettings(), FULL, BY_CONCURRENCY, BY_RATE, BY_CPU):
        for item in function_objects(desired(plain={"a": "1"}, secret={"b": "2"}), settings, HELLO, "s"):
            if item["kind"] != kind:
                continue
            version = next(
                version
                for version in definition["spec"]["versions"]
                if item["apiVersion"] == f"{definition['spec']['group']}/{version['name']}"
            )
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"].pop("additionalProperties", None)
            jsonschema.validate(item, schema)
            checked += 1
    assert checked
