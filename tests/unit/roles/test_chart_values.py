# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that the roles hand to charts: each key exists in the chart, the chart's schema takes them, images go through
the mirrors, containers have resources.

Charts' own values and schemas are data (tests/reference_data.py); their templates are not there, so what is judged is
the values that charts end up with.
"""

from __future__ import annotations

import copy
import functools
import json
import re
import typing as t

import jsonschema  # type: ignore[import-untyped]
import pytest
import referencing
import referencing.exceptions
import referencing.jsonschema
import yaml

from tests.integration.support import platform_parts
from tests.reference_data import CHARTS, chart_file

pytestmark = pytest.mark.skipif(
    not CHARTS.is_dir(), reason=f"{CHARTS}, the values and schemas of the charts, does not exist"
)

MIRROR = "mirror.test"
REGISTRIES = ("docker.io", "quay.io", "ghcr.io", "registry.k8s.io", "public.ecr.aws", "gcr.io", "mcr.microsoft.com")

FREE_KEYS = (
    "nodeSelector",
    "annotations",
    "labels",
    "podAnnotations",
    "podLabels",
    "podSecurityContext",
    "securityContext",
    "containerSecurityContext",
)
"""Parts of Kubernetes' own kinds: charts hand them on whole, and list only what they set themselves."""

FREE: dict[str, tuple[str, ...]] = {
    "cluster-autoscaler": ("extraArgs",),  # arguments of the program
    "kube-prometheus-stack": ("grafana/grafana.ini",),  # Grafana's configuration file, by section and key
}
"""Ways below which a chart takes any key although its values.yaml has some there; `*` for any one key."""

NOT_LISTED: dict[str, tuple[str, ...]] = {
    "aws-cloud-controller-manager": ("hostNetworking",),  # templates/daemonset.yaml
    "zot": ("resources", "podSecurityContext", "securityContext"),  # templates/deployment.yaml
    # Of charts within it: prometheus-community/helm-charts,
    # charts/{kube-state-metrics,prometheus-node-exporter}/values.yaml.
    "kube-prometheus-stack": (
        "kube-state-metrics/collectors",
        "kube-state-metrics/metricLabelsAllowlist",
        "kube-state-metrics/customResourceState",
        "kube-state-metrics/rbac",
        "prometheus-node-exporter/image/registry",
    ),
}
"""Ways that a chart's templates read although its values.yaml does not have them, not even in a comment."""

SUBCHARTS = {"kube-prometheus-stack": {"grafana": "grafana"}}
"""Values of a chart in a chart, of which there is data."""

NO_CONTAINER: dict[str, tuple[str, ...]] = {
    "kube-prometheus-stack": ("*/*/storageSpec", "*/*/storage"),  # of a claim
    # Caches and the rules' sidecar are off: chunksCache, resultsCache, sidecar.rules
    "loki": ("memcached", "memcachedExporter", "sidecar"),
}
"""Parts of charts that no container of ours is made of, with the reason."""

NO_IMAGE: dict[str, tuple[str, ...]] = {
    # The latter: statefulSetRecreateJob.enabled of each part is false
    "loki": (*NO_CONTAINER["loki"], "defaults/statefulSetRecreateJob"),
    "zot": ("test",),  # only `helm test` runs it
}
"""Images that are not pulled, with the reason."""

Values = dict[str, t.Any]
Way = tuple[str, ...]


@functools.cache
def chart_values(chart: str) -> Values:
    return dict(yaml.load(chart_file(chart, "values.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or {})


@functools.cache
def commented_keys(chart: str) -> frozenset[str]:
    """Keys that values.yaml has only in comments: charts document options so."""
    text = chart_file(chart, "values.yaml").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^\s*#+\s*(?:--\s*)?(?:-\s*)?([A-Za-z][\w.-]*):", text, re.MULTILINE)) | frozenset(
        re.findall(r"@param\s+([\w.]+)", text)
    )


def schema_of(chart: str) -> Values | None:
    file = CHARTS / chart / "values.schema.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def merged(defaults: t.Any, ours: t.Any) -> t.Any:
    """As Helm lays values over each other: dictionaries by key, null takes a key away, all else replaces (helm.sh,
    pkg/chart/common/util/coalesce.go)."""
    if not isinstance(defaults, dict) or not isinstance(ours, dict):
        return copy.deepcopy(ours)
    result = {
        key: merged(value, ours[key]) if key in ours else copy.deepcopy(value)
        for key, value in defaults.items()
        if ours.get(key, "") is not None
    }
    return {
        **result,
        **{key: copy.deepcopy(value) for key, value in ours.items() if key not in defaults and value is not None},
    }


def matches(way: Way, patterns: tuple[str, ...]) -> bool:
    """Whether a way is one of the patterns, or below it."""
    for pattern in patterns:
        parts = tuple(pattern.split("/"))
        if len(way) >= len(parts) and all(part in ("*", own) for part, own in zip(parts, way, strict=False)):
            return True
    return False


def unknown_keys(chart: str, values: Values) -> list[str]:
    """Ways of our values that the chart does not know."""
    found: list[str] = []

    def walk(defaults: t.Any, ours: Values, schema: t.Any, way: Way, commented: frozenset[str]) -> None:
        for key, value in ours.items():
            here = (*way, str(key))
            below = _property(schema, key)
            if key in FREE_KEYS or matches(here, FREE.get(chart, ())):
                continue
            if len(here) == 1 and key in SUBCHARTS.get(chart, {}):
                name = SUBCHARTS[chart][key]
                walk(
                    merged(chart_values(name), defaults.get(key) or {}),
                    value,
                    None,
                    here,
                    commented | commented_keys(name),
                )
            elif key in defaults or below is not None:
                theirs = defaults.get(key)
                if isinstance(value, dict) and isinstance(theirs, dict) and theirs:
                    walk(theirs, value, below, here, commented)
                elif (
                    isinstance(value, dict)
                    and isinstance(below, dict)
                    and below.get("properties")
                    and below.get("additionalProperties") is False
                ):
                    walk({}, value, below, here, commented)
            elif key not in commented and not matches(here, NOT_LISTED.get(chart, ())):
                found.append(".".join(here))

    walk(chart_values(chart), values, schema_of(chart), (), commented_keys(chart))
    return found


def _property(schema: t.Any, key: str) -> t.Any:
    return (schema.get("properties") or {}).get(key) if isinstance(schema, dict) else None


def schema_problems(chart: str, values: Values) -> list[str]:
    schema = schema_of(chart)
    if schema is None:
        return []

    def retrieve(uri: str) -> referencing.Resource[t.Any]:
        # Definitions of Kubernetes' own kinds by their address: anything goes there, the API server judges it.
        return referencing.Resource.from_contents({}, default_specification=referencing.jsonschema.DRAFT7)

    registry: referencing.Registry[t.Any] = referencing.Registry(retrieve=retrieve)  # type: ignore[call-arg]
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft7Validator)
    try:
        errors = list(kind(schema, registry=registry).iter_errors(merged(chart_values(chart), values)))
    except referencing.exceptions.PointerToNowhere:
        pytest.fail(f"the schema of {chart} refers to a part of another one that is not there")
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in errors]


def is_off(value: t.Any) -> bool:
    return isinstance(value, dict) and (
        value.get("enabled") is False or value.get("create") is False or value.get("replicas") == 0
    )


def images(
    values: t.Any, ignored: tuple[str, ...] = (), way: Way = (), registry: str = "", forced: str = ""
) -> list[tuple[str, str]]:
    """Images in a chart's values, as way and reference, of what is switched on.

    `registry`: for all below that have none of their own; `forced`: for all below, as charts take `global`.
    """
    if not isinstance(values, dict) or is_off(values) or matches(way, ignored):
        return []
    found: list[tuple[str, str]] = []
    common = values.get("global") if isinstance(values.get("global"), dict) else {}
    forced = (
        str(common.get("imageRegistry") or (common.get("image") or {}).get("registry") or forced)
        if isinstance(common, dict)
        else forced
    )
    registry = str(values.get("imageRegistry") or registry)
    repository = values.get("repository") if isinstance(values.get("repository"), str) else None
    if repository and ("tag" in values or "registry" in values or way[-1:] == ("image",)):
        found.append(
            (".".join(way), full_reference(forced or str(values.get("registry") or "") or registry, repository))
        )
    for key, value in values.items():
        if key == "image" and isinstance(value, str) and value:
            found.append((".".join((*way, key)), full_reference("", value)))
        else:
            found += images(value, ignored, (*way, str(key)), registry, forced)
    return found


def full_reference(registry: str, repository: str) -> str:
    first = repository.split("/", 1)[0]
    if registry:
        return f"{registry}/{repository}"
    return repository if "." in first or ":" in first or first == "localhost" else f"docker.io/{repository}"


def unlimited(values: t.Any, ignored: tuple[str, ...], way: Way = ()) -> list[str]:
    """Dictionaries `resources` of what is switched on that lack requests or a limit of memory."""
    if not isinstance(values, dict) or is_off(values) or matches(way, ignored):
        return []
    found: list[str] = []
    for key, value in values.items():
        here = (*way, str(key))
        if key == "resources" and isinstance(value, dict):
            if _is_resources(value):
                if not matches(here, ignored):
                    found += [".".join(here)] if _lacks(value) else []
                continue
            # One for each container: {operator: {requests: …}, …}.
            found += [
                ".".join((*here, name))
                for name, one in value.items()
                if _lacks(one) and not matches((*here, name), ignored)
            ]
        else:
            found += unlimited(value, ignored, here)
    return found


def _is_resources(value: Values) -> bool:
    return (
        not value
        or bool({"requests", "limits"} & set(value))
        or not all(isinstance(below, dict) for below in value.values())
    )


def _lacks(value: t.Any) -> bool:
    requests, limits = ((value or {}).get(key) or {} for key in ("requests", "limits"))
    return not ({"cpu", "memory"} <= set(requests) and "memory" in limits)


@functools.cache
def rendered(role: str, variant: str, *, mirrors: bool = False) -> dict[str, Values]:
    """Values by chart; with `mirrors` every registry is replaced."""
    variables = (
        {"platform_image_registries": {registry: f"{MIRROR}/{registry}" for registry in REGISTRIES}} if mirrors else {}
    )
    return {
        chart["name"]: chart.get("values") or {}
        for call in platform_parts.calls(role, variant, **variables)
        for chart in call.charts
    }


ROLES_AND_VARIANTS = platform_parts.variants()
with_charts = pytest.mark.parametrize(
    ("role", "variant"), [pytest.param(*pair, id="-".join(pair)) for pair in ROLES_AND_VARIANTS if pair[0] != "tenant"]
)


def test_every_chart_has_its_data_and_its_source() -> None:
    names = {name for role, variant in ROLES_AND_VARIANTS for name in rendered(role, variant)}
    sources = yaml.safe_load((platform_parts.ROLES / "platform/defaults/main.yml").read_text(encoding="utf-8"))[
        "platform_charts"
    ]
    assert names == set(sources)
    assert [name for name in names if not (CHARTS / name / "values.yaml").exists()] == []


@with_charts
def test_every_key_exists_in_the_chart(role: str, variant: str) -> None:
    wrong = {
        chart: unknown for chart, values in rendered(role, variant).items() if (unknown := unknown_keys(chart, values))
    }
    assert wrong == {}


@with_charts
def test_the_chart_s_schema_takes_the_values(role: str, variant: str) -> None:
    wrong = {
        chart: problems
        for chart, values in rendered(role, variant).items()
        if (problems := schema_problems(chart, values))
    }
    assert wrong == {}


@with_charts
def test_every_image_goes_through_the_mirrors(role: str, variant: str) -> None:
    direct = {
        f"{chart}: {way}": image
        for chart, values in rendered(role, variant, mirrors=True).items()
        for way, image in images(merged(chart_values(chart), values), NO_IMAGE.get(chart, ()))
        if not image.startswith(f"{MIRROR}/")
    }
    assert direct == {}


@with_charts
def test_no_image_is_bitnami_s(role: str, variant: str) -> None:
    for chart, values in rendered(role, variant).items():
        for way, image in images(merged(chart_values(chart), values), NO_IMAGE.get(chart, ())):
            assert "bitnami" not in image, f"{chart}: {way}"
        for path, text in platform_parts.texts(values):
            assert "bitnami" not in text, f"{chart}: {'.'.join(path)}"


@pytest.mark.parametrize("path", ["aws/group_vars/all.yml", "static/group_vars/all.yml", "single/hosts.yml"])
def test_inventories_name_a_mirror_of_docker_hub(path: str) -> None:
    """Docker Hub limits anonymous pulls. A mirror of the nodes may lack an image, which they then get from Docker Hub;
    the registry in an image's name may not."""
    content = yaml.safe_load((platform_parts.ROLES.parent / "inventories" / path).read_text(encoding="utf-8"))
    variables = content["all"]["vars"] if "all" in content else content
    assert variables["registries_mirrors"]["docker.io"]["endpoint"] == ["https://mirror.gcr.io"]
    defaults = yaml.safe_load((platform_parts.ROLES / "platform/defaults/main.yml").read_text(encoding="utf-8"))
    assert defaults["platform_image_registries"] == {}


@with_charts
def test_every_container_has_requests_and_a_limit(role: str, variant: str) -> None:
    without = {
        chart: lacking
        for chart, values in rendered(role, variant).items()
        if (lacking := unlimited(merged(chart_values(chart), values), NO_CONTAINER.get(chart, ())))
    }
    assert without == {}


# The judges themselves


def test_wrong_values_are_found() -> None:
    assert unknown_keys("keda", {"operatr": {"replicaCount": 1}}) == ["operatr"]
    assert unknown_keys("cert-manager", {"webhook": {"resorces": {}}}) == ["webhook.resorces"]
    assert unknown_keys("cert-manager", {"webhook": {"nodeSelector": {"any": "label"}}}) == []
    assert schema_problems("cert-manager", {"webhook": {"timeoutSeconds": "ten"}}) != []
    assert schema_problems("traefik", {"deploymnt": {}}) != []


def test_images_without_a_mirror_are_found() -> None:
    values = {
        "image": {"repository": "library/traefik", "tag": "1"},
        "other": {"image": "quay.io/a/b:1"},
        "off": {"enabled": False, "image": {"repository": "bitnami/kubectl"}},
        "third": {"image": {"registry": "ghcr.io", "repository": "c/d"}},
    }
    assert sorted(image for _way, image in images(values)) == [
        "docker.io/library/traefik",
        "ghcr.io/c/d",
        "quay.io/a/b:1",
    ]
    assert images(
        {"imageRegistry": "mirror.test", "webhook": {"image": {"repository": "cert-manager-webhook", "tag": ""}}}
    ) == [("webhook.image", "mirror.test/cert-manager-webhook")]


def test_containers_without_resources_are_found() -> None:
    good = {"requests": {"cpu": "10m", "memory": "1Mi"}, "limits": {"memory": "1Mi"}}
    assert unlimited({"resources": good, "a": {"resources": {}}, "b": {"enabled": False, "resources": {}}}, ()) == [
        "a.resources"
    ]
    assert unlimited({"resources": {"operator": good, "webhooks": {"requests": {"cpu": "1"}}}}, ()) == [
        "resources.webhooks"
    ]
    assert unlimited({"a": {"resources": {}}}, ("a",)) == []
