# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs, what is applied, what is put back. The API server is a stand-in here; the integration tests have the
real one."""

from __future__ import annotations

import dataclasses
import json
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.stages import Stages
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube import answers
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.cluster_function import ClusterFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.difference import projected
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import (
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_ROUTE,
    INTERCEPTOR_ROUTE,
    JOB,
    LEASE,
    SCALED_OBJECT,
    SECRET,
    SERVICE,
    SPIN_APP,
    Kind,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.live import list_functions, live_function
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.objects import LAST_GOOD, PROGRAM, labels
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import Autoscale, ClusterSettings
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.target import ClusterTarget
from hypothesis import given
from hypothesis import strategies as st

OTHER_IMAGE = "registry.example/functions/hello@sha256:" + "2" * 64
SETTINGS = ClusterSettings(wait_timeout=1)


@pytest.fixture(autouse=True)
def probed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No function answers in a stand-in: what would be called is kept instead."""
    urls: list[str] = []
    monkeypatch.setattr(answers, "probe", lambda url, **_options: urls.append(url))
    return urls


def target(
    api: t.Any, settings: ClusterSettings = SETTINGS, *, namespace: str = "user1", name: str = "hello"
) -> ClusterTarget:
    return ClusterTarget(ClusterFunction(api, namespace, name, settings, Stages()))


def app(api: t.Any) -> dict[str, t.Any]:
    found = api.get(SPIN_APP, "user1", "hello")
    assert found is not None
    return t.cast("dict[str, t.Any]", found)


# Deploying


def test_first_deployment_makes_all_and_remembers_it_as_good(api: t.Any, desired: t.Any, probed: list[str]) -> None:
    live = target(api).deploy(desired())
    assert (live.status, live.url, live.image) == ("ready", "http://hello.user1.203.0.113.7.nip.io", desired().image)
    assert probed == [live.url]
    assert [kind for _verb, kind, _name in api.calls] == ["SpinApp", "HTTPRoute", "SpinApp"]
    good = json.loads(app(api)["metadata"]["annotations"][LAST_GOOD])
    assert [item["kind"] for item in good["objects"]] == ["SpinApp", "HTTPRoute"]
    assert LAST_GOOD not in good["objects"][0]["metadata"]["annotations"], "or it would grow with every deployment"
    assert api.names(LEASE) == []


def test_unknown_component_is_refused_before_anything_is_written(api: t.Any, desired: t.Any) -> None:
    """The shim would end with exit code 137 (SPIN_COMPONENTS_TO_RETAIN)."""
    known = list(desired().manifest.components)
    settings = dataclasses.replace(SETTINGS, components=(*known, "gone", "lost"))
    for call in (target(api, settings).check, target(api, settings).difference, target(api, settings).deploy):
        with pytest.raises(
            PlatformError, match=rf"components: .* has no component gone, lost, only {', '.join(known)}\."
        ):
            call(desired())
    assert api.calls == []
    target(api, dataclasses.replace(SETTINGS, components=tuple(known))).deploy(desired())


def test_second_deployment_differs_in_nothing_and_writes_nothing(api: t.Any, desired: t.Any) -> None:
    for settings in (
        SETTINGS,
        dataclasses.replace(SETTINGS, autoscale=Autoscale(0, 5, target_concurrency=5)),
        dataclasses.replace(SETTINGS, replicas=2),
    ):
        function = desired(plain={"a": "1"}, secret={"token": "s"})
        target(api, settings).deploy(function)
        api.calls.clear()
        assert not target(api, settings).difference(function)
        assert target(api, settings).ensure_answers(function).status == "ready"
        assert api.calls == []


CHANGES: list[tuple[dict[str, t.Any], ClusterSettings]] = [
    ({"image": OTHER_IMAGE}, SETTINGS),
    ({"source_digest": "sha256:" + "b" * 64}, SETTINGS),
    ({"plain": {"a": "2"}}, SETTINGS),
    ({"plain": {}}, SETTINGS),
    ({"secret": {"token": "other"}}, SETTINGS),
    ({"secret": {}}, SETTINGS),
    ({}, dataclasses.replace(SETTINGS, replicas=2)),
    ({}, dataclasses.replace(SETTINGS, autoscale=Autoscale(1, 5, target_concurrency=5))),
    ({}, dataclasses.replace(SETTINGS, domain="example.com")),
    ({}, dataclasses.replace(SETTINGS, resources={"limits": {"memory": "1Gi"}})),
    ({}, dataclasses.replace(SETTINGS, probe_path="/ready")),
    ({}, dataclasses.replace(SETTINGS, gateway_name="wasmfaas", executor="other")),
]


@pytest.mark.parametrize(("change", "settings"), CHANGES)
def test_every_change_is_a_difference_in_both_directions(
    api: t.Any, desired: t.Any, change: dict[str, t.Any], settings: ClusterSettings
) -> None:
    base: dict[str, t.Any] = {"plain": {"a": "1"}, "secret": {"token": "s"}}
    target(api).deploy(desired(**base))
    assert target(api, settings).difference(desired(**{**base, **change}))
    target(api, settings).deploy(desired(**{**base, **change}))
    assert not target(api, settings).difference(desired(**{**base, **change}))
    assert target(api).difference(desired(**base))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Autoscale(0, 5, target_concurrency=5), Autoscale(0, 5, target_requests_per_second=5)),
        (Autoscale(0, 5, target_concurrency=5), Autoscale(1, 5, target_cpu_percent=50)),
        (Autoscale(0, 5, target_concurrency=5), Autoscale(0, 5, target_concurrency=5, cooldown_seconds=10)),
        (Autoscale(0, 5, target_concurrency=5), None),
    ],
)
def test_change_of_the_scaling_leaves_nothing_of_the_old_one(
    api: t.Any, desired: t.Any, one: Autoscale | None, other: Autoscale | None
) -> None:
    kinds = (SCALED_OBJECT, INTERCEPTOR_ROUTE, HORIZONTAL_POD_AUTOSCALER)
    for before, after in ((one, other), (other, one)):
        target(api, dataclasses.replace(SETTINGS, autoscale=before)).deploy(desired())
        assert target(api, dataclasses.replace(SETTINGS, autoscale=after)).difference(desired())
        target(api, dataclasses.replace(SETTINGS, autoscale=after)).deploy(desired())
        by_requests = after is not None and after.by_requests
        expected = [by_requests, by_requests, after is not None and not by_requests]
        assert [api.names(kind) == ["hello"] for kind in kinds] == expected


def test_scaler_that_keda_made_is_left_to_keda(api: t.Any, desired: t.Any) -> None:
    """It carries the labels of the ScaledObject, and so the function's."""
    settings = dataclasses.replace(SETTINGS, autoscale=Autoscale(0, 5, target_concurrency=5))
    target(api, settings).deploy(desired())
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "hello", "uid": "1"}
    metadata = {"name": "keda-hpa-hello", "namespace": "user1", "labels": labels("hello"), "ownerReferences": [owner]}
    api.put(HORIZONTAL_POD_AUTOSCALER, {"metadata": metadata, "spec": {}})
    target(api, settings).deploy(desired(image=OTHER_IMAGE))
    assert api.names(HORIZONTAL_POD_AUTOSCALER) == ["keda-hpa-hello"]


def test_scaled_object_is_applied_once_the_other_scaler_is_gone(api: t.Any, desired: t.Any) -> None:
    """KEDA's webhook refuses it before, and sees a deletion a moment late."""
    target(api, dataclasses.replace(SETTINGS, autoscale=Autoscale(1, 5, target_cpu_percent=50))).deploy(desired())
    api.calls.clear()
    refusal = "the workload 'hello' of type 'apps/v1.Deployment' is already managed by the hpa 'hello'"
    api.fail_on["apply", "ScaledObject"] = PlatformError(refusal, next_step="")
    target(api, dataclasses.replace(SETTINGS, autoscale=Autoscale(1, 5, target_concurrency=5))).deploy(desired())
    scalers = [(verb, kind) for verb, kind, _name in api.calls if kind in ("ScaledObject", "HorizontalPodAutoscaler")]
    assert scalers == [("delete", "HorizontalPodAutoscaler"), ("apply", "ScaledObject"), ("apply", "ScaledObject")]


def test_fields_that_others_own_are_no_difference(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    changed = app(api)
    changed["metadata"]["labels"]["team"] = "blue"
    changed["metadata"]["annotations"]["note"] = "x"
    changed["spec"]["deploymentAnnotations"] = {"a": "b"}
    changed["spec"]["checks"]["readiness"]["httpGet"]["httpHeaders"] = []
    api.put(SPIN_APP, changed)
    route = api.get(HTTP_ROUTE, "user1", "hello")
    route["spec"]["parentRefs"][0] |= {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    api.put(HTTP_ROUTE, route)
    assert not target(api).difference(desired())


def test_what_the_webhook_respells_is_no_difference(api: t.Any, desired: t.Any) -> None:
    """The operator writes quantities in Kubernetes' own spelling."""
    settings = dataclasses.replace(
        SETTINGS, resources={"limits": {"cpu": "0.5", "memory": "1024Mi"}, "requests": {"cpu": 1}}
    )
    function = desired()
    target(api, settings).deploy(function)
    changed = app(api)
    changed["spec"]["resources"] = {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "1"}}
    api.put(SPIN_APP, changed)
    assert not target(api, settings).difference(function)
    changed["spec"]["resources"]["limits"]["memory"] = "1025Mi"
    api.put(SPIN_APP, changed)
    difference = target(api, settings).difference(function)
    assert difference.before["SpinApp"]["spec"]["resources"] == {
        "limits": {"cpu": "0.5", "memory": "1025Mi"},
        "requests": {"cpu": 1},
    }
    assert difference.after["SpinApp"]["spec"]["resources"] == settings.resources


def test_our_fields_that_somebody_changed_are_a_difference(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    route = api.get(HTTP_ROUTE, "user1", "hello")
    route["spec"]["hostnames"] = ["other.example.com"]
    api.put(HTTP_ROUTE, route)
    difference = target(api).difference(desired())
    assert difference.before["HTTPRoute"]["spec"]["hostnames"] == ["other.example.com"]
    assert difference.after["HTTPRoute"]["spec"]["hostnames"] == ["hello.user1.203.0.113.7.nip.io"]


def test_difference_of_a_first_deployment_before_its_build(api: t.Any, desired: t.Any) -> None:
    difference = target(api).difference(desired(image="", secret={"token": "hunter2"}))
    assert difference.before == {}
    assert set(difference.after) == {"SpinApp", "HTTPRoute", "Secret"}
    assert difference.after["SpinApp"]["spec"]["image"] == "<known after the build>"
    assert difference.after["Secret"] == {"token": "<hidden>"}
    assert "hunter2" not in str(difference)
    assert api.calls == []


def test_deployment_that_was_cut_off_before_it_answered_is_a_difference(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    cut = app(api)
    del cut["metadata"]["annotations"][LAST_GOOD]
    api.put(SPIN_APP, cut)
    assert target(api).difference(desired()).before["deployment"] == "unfinished"


# Secrets


def test_changed_secret_gets_a_new_name_and_the_old_one_goes(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(secret={"token": "1"}))
    first = api.names(SECRET)
    target(api).deploy(desired(secret={"token": "1"}))
    assert api.names(SECRET) == first, "equal values keep theirs"
    target(api).deploy(desired(secret={"token": "2"}))
    second = api.names(SECRET)
    assert len(second) == 1
    assert second != first
    target(api).deploy(desired())
    assert api.names(SECRET) == []


def test_secret_that_somebody_deleted_is_made_again(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(secret={"token": "1"}))
    api.objects.pop(("Secret", "user1", api.names(SECRET)[0]))
    assert target(api).difference(desired(secret={"token": "1"}))
    target(api).deploy(desired(secret={"token": "1"}))
    assert len(api.names(SECRET)) == 1


def test_no_secret_value_is_remembered_in_the_annotation(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(secret={"token": "hunter2"}))
    assert "hunter2" not in json.dumps(app(api))


# Undoing


def test_deployment_that_crashes_puts_the_last_good_one_back(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(secret={"token": "1"}))
    before, secrets = app(api), api.names(SECRET)
    api.crashing = {OTHER_IMAGE}
    with pytest.raises(PlatformError, match=r"CrashLoopBackOff.*; the previous version was put back") as caught:
        target(api).deploy(desired(image=OTHER_IMAGE, secret={"token": "2"}))
    assert caught.value.stage == "rollout"
    assert caught.value.facts["undone"] == "the previous version was put back"
    assert app(api) == before
    assert api.names(SECRET) == secrets
    assert api.names(LEASE) == []


def test_first_deployment_that_crashes_leaves_nothing(api: t.Any, desired: t.Any) -> None:
    api.crashing = {desired().image}
    settings = dataclasses.replace(SETTINGS, autoscale=Autoscale(1, 5, target_concurrency=5))
    with pytest.raises(PlatformError, match="nothing of it was left on the cluster"):
        target(api, settings).deploy(desired(secret={"token": "1"}))
    assert [kind for kind, _namespace, _name in api.objects if kind != "Gateway"] == []


def test_function_that_runs_but_does_not_answer_is_undone(
    api: t.Any, desired: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    target(api).deploy(desired())
    before = app(api)

    def no_answer(url: str, **_options: t.Any) -> None:
        raise PlatformError(f"{url} answers 500.", next_step="look")

    monkeypatch.setattr(answers, "probe", no_answer)
    with pytest.raises(PlatformError, match=r"answers 500; .*the previous version was put back\.") as caught:
        target(api).deploy(desired(image=OTHER_IMAGE))
    assert caught.value.stage == "probe"
    assert app(api) == before


NOT_PERMITTED = {
    "type": "ResolvedRefs",
    "status": "False",
    "reason": "RefNotPermitted",
    "message": "no ReferenceGrant",
    "observedGeneration": 2,
}


@pytest.mark.parametrize(
    ("parents", "said", "step"),
    [
        (None, "the Gateway's controller has not looked at the route", "kubectl get pods -n wasmfaas-system"),
        ([], "the Gateway's controller has not looked at the route", "wasmfaas.platform.doctor"),
        (
            [{"conditions": [{**NOT_PERMITTED, "observedGeneration": 1}]}],
            "the Gateway's controller has not looked at the route",
            "wasmfaas.platform.doctor",
        ),
        (
            [{"conditions": [NOT_PERMITTED]}],
            "does not take the route: RefNotPermitted: no ReferenceGrant",
            "ReferenceGrant",
        ),
        (
            [{"conditions": [{key: value for key, value in NOT_PERMITTED.items() if key != "observedGeneration"}]}],
            "RefNotPermitted",
            "ReferenceGrant",
        ),
        ([{"conditions": [{**NOT_PERMITTED, "status": "True"}]}], "nobody answers", "look at the log"),
    ],
)
def test_why_nobody_answers_is_told_by_the_route(
    api: t.Any, desired: t.Any, monkeypatch: pytest.MonkeyPatch, parents: t.Any, said: str, step: str
) -> None:
    def no_answer(*_arguments: t.Any, **_options: t.Any) -> None:
        raise PlatformError("nobody answers.", next_step="look at the log")

    monkeypatch.setattr(answers, "probe", no_answer)
    original = api.apply

    def apply(kind: t.Any, item: t.Any, **more: t.Any) -> t.Any:
        if kind is HTTP_ROUTE:
            status = {} if parents is None else {"status": {"parents": parents}}
            item = {**item, "metadata": {**item["metadata"], "generation": 2}, **status}
        return original(kind, item, **more)

    api.apply = apply
    with pytest.raises(PlatformError) as caught:
        target(api).deploy(desired())
    assert "nobody answers" in caught.value.cause and said in caught.value.cause
    assert step in caught.value.next_step


@pytest.mark.parametrize("kind", ["SpinApp", "HTTPRoute", "Secret"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), PlatformError("refused.", next_step="x")])
def test_interrupt_or_refusal_at_any_object_is_undone(
    api: t.Any, desired: t.Any, kind: str, error: BaseException
) -> None:
    target(api).deploy(desired(secret={"token": "1"}))
    before, secrets = app(api), api.names(SECRET)
    api.fail_on["apply", kind] = error
    with pytest.raises(type(error)):
        target(api).deploy(desired(image=OTHER_IMAGE, secret={"token": "2"}))
    assert app(api) == before
    assert api.names(SECRET) == secrets
    assert not target(api).difference(desired(secret={"token": "1"}))


def test_failure_of_the_undoing_itself_is_told_beside_the_cause(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired())
    api.crashing = {OTHER_IMAGE}
    original = api.apply

    def apply(kind: t.Any, item: t.Any, **more: t.Any) -> t.Any:
        if kind is SPIN_APP and item["spec"]["image"] == desired().image:
            raise PlatformError("the API server is gone.", next_step="x")
        return original(kind, item, **more)

    api.apply = apply
    with pytest.raises(
        PlatformError,
        match=r"CrashLoopBackOff.*putting the previous version back did not succeed: the API server is gone",
    ):
        target(api).deploy(desired(image=OTHER_IMAGE))


def test_missing_kind_is_told_before_anything_is_written(fake_api: t.Any, api: t.Any, desired: t.Any) -> None:
    api.missing = {"ScaledObject"}
    settings = dataclasses.replace(SETTINGS, autoscale=Autoscale(1, 5, target_concurrency=5))
    with pytest.raises(PlatformError, match="The cluster has no ScaledObject"):
        target(api, settings).deploy(desired())
    assert api.calls == []


def test_kinds_that_are_not_needed_may_be_missing(api: t.Any, desired: t.Any) -> None:
    api.missing = {"ScaledObject", "InterceptorRoute", "HorizontalPodAutoscaler"}
    assert target(api).deploy(desired()).status == "ready"
    assert not target(api).difference(desired())
    target(api).delete()
    assert not target(api).exists()


def test_without_waiting_nothing_is_probed(api: t.Any, desired: t.Any, probed: list[str]) -> None:
    api.runs = False
    assert target(api, dataclasses.replace(SETTINGS, wait=False)).deploy(desired()).status == "progressing"
    assert probed == []


# Deleting and listing


def test_delete_removes_all_and_the_route_first(api: t.Any, desired: t.Any) -> None:
    settings = dataclasses.replace(SETTINGS, autoscale=Autoscale(1, 5, target_concurrency=5))
    target(api, settings).deploy(desired(secret={"token": "1"}))
    api.calls.clear()
    assert target(api).exists()
    target(api).delete()
    assert [kind for verb, kind, _name in api.calls if verb == "delete"] == [
        "HTTPRoute",
        "InterceptorRoute",
        "ScaledObject",
        "SpinApp",
        "Secret",
    ]
    assert [kind for kind, _namespace, _name in api.objects if kind != "Gateway"] == []
    assert not target(api).exists()


def test_what_a_deletion_that_was_cut_off_left_is_found_and_removed(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(secret={"token": "1"}))
    api.objects.pop(("SpinApp", "user1", "hello"))
    assert target(api).live() is None
    assert target(api).exists()
    target(api).delete()
    assert not target(api).exists()


def test_function_that_somebody_else_deployed_can_be_deleted(api: t.Any) -> None:
    api.put(
        SPIN_APP,
        {
            "metadata": {"name": "hello", "namespace": "user1"},
            "spec": {"image": "x:latest", "executor": "e", "replicas": 1},
        },
    )
    assert target(api).exists()
    target(api).delete()
    assert not target(api).exists()


def test_objects_of_other_functions_stay(api: t.Any, desired: t.Any) -> None:
    target(api).deploy(desired(secret={"a": "1"}))
    target(api, name="hello-2").deploy(desired(name="hello-2", secret={"a": "1"}))
    target(api, namespace="user2").deploy(desired(namespace="user2", secret={"a": "1"}))
    target(api).delete()
    assert sorted((namespace, name) for kind, namespace, name in api.objects if kind == "SpinApp") == [
        ("user1", "hello-2"),
        ("user2", "hello"),
    ]
    assert len(api.names(SECRET)) == 2
    assert len(api.names(HTTP_ROUTE)) == 2


def test_list_has_foreign_functions_too_in_order(api: t.Any, desired: t.Any) -> None:
    target(api, namespace="user2", name="b").deploy(desired(namespace="user2", name="b"))
    target(api).deploy(desired())
    api.put(SPIN_APP, {"metadata": {"name": "a", "namespace": "user1"}, "spec": {"image": "x:latest", "executor": "e"}})
    found = list_functions(api, None)
    assert [
        (function.namespace, function.name, function.status, function.details["managed"]) for function in found
    ] == [
        ("user1", "a", "progressing", False),
        ("user1", "hello", "ready", True),
        ("user2", "b", "ready", True),
    ]
    assert [function.name for function in list_functions(api, "user2")] == ["b"]


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        ({"replicas": 2}, {"availableReplicas": 2, "observedGeneration": 1}, "ready"),
        ({}, {"availableReplicas": 1, "observedGeneration": 1}, "ready"),
        ({"replicas": 2}, {"availableReplicas": 1, "observedGeneration": 1}, "progressing"),
        ({"replicas": 2}, {"availableReplicas": 2, "observedGeneration": 0}, "progressing"),
        ({"replicas": 2}, {}, "progressing"),
        ({"replicas": 0}, {}, "stopped"),
        (
            {"replicas": 1},
            {"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]},
            "failed",
        ),
        (
            {"replicas": 1},
            {"conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}]},
            "failed",
        ),
        (
            {"replicas": 1},
            {"conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]},
            "progressing",
        ),
    ],
)
def test_status(spec: dict[str, t.Any], status: dict[str, t.Any], expected: str) -> None:
    spin_app = {"metadata": {"name": "a", "namespace": "n"}, "spec": {"image": "i"}}
    deployment = {"metadata": {"generation": 1}, "spec": spec, "status": status}
    assert live_function(spin_app, deployment).status == expected
    assert live_function(spin_app, None).status == "progressing"


def test_shim_version_that_is_given_is_not_asked_for(api: t.Any) -> None:
    api.nodes = PlatformError("not to be asked", next_step="x")
    assert target(api, dataclasses.replace(SETTINGS, shim_version="0.20.0")).shim_version() == "0.20.0"


def test_deployment_is_told_apart_from_others_of_the_namespace(api: t.Any) -> None:
    api.put(SPIN_APP, {"metadata": {"name": "db", "namespace": "user1"}, "spec": {"image": "x:latest"}})
    api.put(
        DEPLOYMENT,
        {"metadata": {"name": "db", "namespace": "user1", "generation": 1}, "spec": {"replicas": 9}, "status": {}},
    )
    assert list_functions(api, "user1")[0].details["replicas"] == 0


# Projection

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(_json)
def test_what_is_as_desired_is_projected_on_itself(value: t.Any) -> None:
    assert projected(value, value) == value


@given(st.dictionaries(st.sampled_from("ab"), _json), st.dictionaries(st.sampled_from("xy"), _json))
def test_what_is_not_mentioned_is_left_out(desired_fields: dict[str, t.Any], others: dict[str, t.Any]) -> None:
    assert projected({**desired_fields, **others}, desired_fields) == desired_fields


@given(_json, _json)
def test_projection_is_never_taken_for_desired_where_a_desired_field_differs(live: t.Any, desired_value: t.Any) -> None:
    if projected(live, desired_value) == desired_value:
        assert _contains(live, desired_value)


def _contains(live: t.Any, desired_value: t.Any) -> bool:
    if isinstance(live, dict) and isinstance(desired_value, dict):
        return all(key in live and _contains(live[key], value) for key, value in desired_value.items())
    if isinstance(live, list) and isinstance(desired_value, list):
        return len(live) == len(desired_value) and all(map(_contains, live, desired_value))
    return bool(live == desired_value)


@pytest.mark.parametrize("kind", [DEPLOYMENT, JOB, SERVICE, HTTP_ROUTE])
def test_a_programs_name_is_refused_and_its_route_is_not_the_functions(api: t.Any, desired: t.Any, kind: Kind) -> None:
    """tests/integration/test_programs.py tries both directions with the real API server."""
    marks = {**labels("hello"), PROGRAM: "hello"}
    api.put(kind, {"kind": kind.kind, "metadata": {"name": "hello", "namespace": "user1", "labels": marks}, "spec": {}})
    for action in (target(api).check, target(api).deploy):
        with pytest.raises(PlatformError, match="user1/hello is a WASI program") as caught:
            action(desired())
        assert "delete_program -e name=hello -e namespace=user1" in caught.value.next_step
    assert not target(api).exists()
    assert api.get(SPIN_APP, "user1", "hello") is None and api.get(kind, "user1", "hello") is not None
