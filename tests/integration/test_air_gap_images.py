# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of the platform's images for an air gap, rendered by the real program helm. The charts are small ones of
these tests, and the real one of cert-manager, which lies in its Go module; the other real ones cannot be had here."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.download import air_gap_bundle, images
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError

from .support import go_build, helm_program, platform_parts
from .support.helm_program import chart_archive
from .support.module_files import CERT_MANAGER, ModuleMissingError
from .support.playbooks import Playbooks, extra

DIGEST = f"sha256:{'0' * 64}"
WORKLOAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}
spec:
  template:
    spec:
      initContainers: [{name: prepare, image: busybox}]
      containers:
        - name: main
          image: "{{ .Values.image.registry }}/team/main:{{ .Values.image.tag }}"
          args: ["--solver-image=quay.io/team/solver:v1", "--listen=example.com/path", "--tag=1.2", "https://example.com/a:b"]
          env: [{name: SIDECAR, value: "registry.k8s.io/sidecar@DIGEST"}, {name: OTHER, value: "example.com"}]
---
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: main}
spec: {image: "quay.io/prometheus/prometheus:v3", version: v3}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: text}
data: {image: "is a word here", kubernetes: "{{ .Capabilities.KubeVersion.Version }}"}
""".replace("DIGEST", DIGEST)
TEST_POD = """
apiVersion: v1
kind: Pod
metadata: {name: check, annotations: {helm.sh/hook: test}}
spec: {containers: [{name: check, image: "docker.io/team/only-for-tests:1"}]}
"""


@pytest.fixture(scope="module")
def helm() -> str:
    try:
        return str(helm_program.build())
    except (ModuleMissingError, go_build.BuildError) as error:
        pytest.skip(str(error))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    file = tmp_path / "web.tgz"
    file.write_bytes(
        chart_archive(
            "web",
            "1.0.0",
            {"workload.yaml": WORKLOAD, "tests/check.yaml": TEST_POD},
            {"image": {"registry": "ghcr.io", "tag": "1"}},
        )
    )
    return file


def listed(archive: Path, helm: str, *, check_mode: bool = False, **changes: t.Any) -> dict[str, t.Any]:
    parameters = {
        "charts": [
            {
                "name": "web",
                "namespace": "shop",
                "values": {"image": {"tag": "2", "registry": "mirror.example.com/ghcr"}},
            }
        ],
        "sources": {"web": {"content": str(archive), "version": "1.0.0"}},
        "definitions": [],
        "directory": str(archive.parent / "bundle"),
        "image_registries": {"ghcr.io": "mirror.example.com/ghcr/", "docker.io": "mirror.example.com"},
        "kubernetes_version": "v1.36.4+k3s1",
        "helm": helm,
        "binaries": {},
        "versions": {},
        "images": [],
        "images_file": None,
    }
    return air_gap_bundle.run({**parameters, **changes}, check_mode, set())


def test_where_images_are_from_and_what_nodes_ask_for(archive: Path, helm: str) -> None:
    directory = archive.parent / "bundle"
    assert listed(archive, helm, check_mode=True)["changed"] is True
    assert not directory.exists()
    found = listed(archive, helm)
    assert [(image["source"], image["name"]) for image in found["platform_images"]] == [
        ("docker.io/library/busybox:latest", "docker.io/library/busybox:latest"),
        ("ghcr.io/team/main:2", "mirror.example.com/ghcr/team/main:2"),
        ("quay.io/prometheus/prometheus:v3", "quay.io/prometheus/prometheus:v3"),
        ("quay.io/team/solver:v1", "quay.io/team/solver:v1"),
        (f"registry.k8s.io/sidecar@{DIGEST}", f"registry.k8s.io/sidecar@{DIGEST}"),
    ]
    assert found["without_mirror"] == ["docker.io", "quay.io", "registry.k8s.io"]
    lines = [
        line for line in (directory / images.FILE).read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    assert lines == [f"{image['source']} {image['name']}" for image in found["platform_images"]]
    names = [image["name"] for image in found["platform_images"]]
    assert (directory / air_gap_bundle.IMAGES).read_text(encoding="utf-8").split() == names
    assert listed(archive, helm)["changed"] is False
    assert listed(archive, helm, check_mode=True)["changed"] is False


def test_the_chart_is_rendered_for_the_cluster_s_version(archive: Path, helm: str) -> None:
    (chart,) = images.read_charts([{"name": "web", "namespace": "shop", "values": {}}], {}, 0, state="absent")
    rendered = images.render(chart, str(archive), helm, "v1.31.2+k3s1")
    assert next(entry for entry in rendered if entry["kind"] == "ConfigMap")["data"]["kubernetes"] == "v1.31.2"
    assert next(entry for entry in rendered if entry["kind"] == "Deployment")["metadata"]["namespace"] == "shop"


def test_the_real_chart_of_cert_manager_with_the_role_s_values(helm: str) -> None:
    """The solver of challenges is an argument: cert-manager starts it later, by that name."""
    try:
        directory = CERT_MANAGER.directory("deploy", "charts", "cert-manager")
    except ModuleMissingError as error:
        pytest.skip(str(error))
    registries = {"quay.io": "mirror.example.com/quay"}
    (call,) = platform_parts.calls("cert_manager", "defaults", platform_image_registries=registries)
    (chart,) = images.read_charts(call.charts, {}, 0, state="absent")
    found = images.images_of(images.render(chart, str(directory), helm, "v1.36.4+k3s1"))
    assert {name.rpartition(":")[0] for name in found} >= {
        f"mirror.example.com/quay/jetstack/cert-manager-{part}"
        for part in ("controller", "webhook", "cainjector", "acmesolver")
    }
    assert {images.source_of(name, registries).partition("/")[0] for name in found} == {"quay.io"}, found


def test_without_helm_there_is_no_list(archive: Path) -> None:
    found = listed(archive, "no-such-helm")
    assert (found["rendered"], found["platform_images"]) == (False, [])
    assert not (archive.parent / "bundle" / images.FILE).exists()


def test_a_chart_that_cannot_be_rendered_or_is_missing(archive: Path, helm: str) -> None:
    archive.write_bytes(
        chart_archive("web", "1.0.0", {"workload.yaml": '{{ required "image.tag is required" .Values.none }}'}, {})
    )
    with pytest.raises(PlatformError, match=r"helm cannot render the chart web: .*image\.tag is required") as caught:
        listed(archive, helm)
    assert "bundle_platform_images=false" in caught.value.next_step
    missing = {"web": {"repository": "https://charts.example.com", "version": "1.0.0"}}
    assert listed(archive, helm, sources=missing, check_mode=True)["changed"] is True, "a check has downloaded no chart"


def test_every_part_is_in_the_list(helm: str, tmp_path: Path) -> None:
    """The roles' own values, for charts that make an image's tag of them."""
    known = yaml.safe_load((platform_parts.ROLES / "platform/vars/main.yml").read_text(encoding="utf-8"))[
        "__platform_charts_of"
    ]
    parts = [part for part in known if part != "aws_integration"]
    charts = [name for part in parts for name in known[part]]
    template = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: "
        '"quay.io/NAME:{{ .Values | toJson | sha256sum | trunc 8 }}"}]}\n'
    )
    for name in charts:
        (tmp_path / f"{name}.tgz").write_bytes(
            chart_archive(name, "1.0.0", {"pod.yaml": template.replace("NAME", name)}, {"untouched": True})
        )
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        "all: {hosts: {server-1: {ansible_connection: local}}}\nk3s_server: {hosts: {server-1: {}}}\n", encoding="utf-8"
    )
    role = {"name": "wasmfaas.platform.platform", "tasks_from": "bundle"}
    play = tmp_path / "play.yml"
    play.write_text(
        yaml.safe_dump(
            [
                {
                    "hosts": "all",
                    "gather_facts": False,
                    "tasks": [{"name": "Bundle", "ansible.builtin.import_role": role}],
                }
            ]
        )
    )
    overrides = {name: {"content": str(tmp_path / f"{name}.tgz"), "version": "1.0.0"} for name in charts}
    common = {
        "bundle": tmp_path / "bundle",
        "platform_components": parts,
        "platform_chart_overrides": overrides,
        "platform_definitions": {"gateway-api": [], "spin-operator": []},
        "k3s_version": "v1.36.4+k3s1",
    }
    playbooks = Playbooks(tmp_path / "home")
    run = playbooks.run(str(play), "-i", str(inventory), *extra(**common, bundle_helm=helm), inventory="local")
    assert run.exit_code == 0, run.output
    assert "Without internet these need a mirror in platform_image_registries: quay.io" in run.output
    found = [
        line.split()[0]
        for line in (tmp_path / "bundle" / images.FILE).read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    assert {image.rpartition(":")[0] for image in found} == {f"quay.io/{name}" for name in charts}
    untouched = images.render(
        *images.read_charts([{"name": "keda", "namespace": "keda"}], {}, 0, state="absent"),
        str(tmp_path / "keda.tgz"),
        helm,
        "",
    )
    assert untouched[0]["spec"]["containers"][0]["image"] not in found, "the role's values were not used"
    again = playbooks.run(str(play), "-i", str(inventory), *extra(**common, bundle_helm=helm), inventory="local")
    assert again.changed == 0, again.output

    without = playbooks.run(
        str(play),
        "-i",
        str(inventory),
        *extra(**{**common, "bundle": tmp_path / "other"}, bundle_helm="no-such-helm"),
        inventory="local",
    )
    assert without.exit_code == 0, without.output
    assert "The platform's images are not listed, since helm is not installed here" in without.output
    assert not (tmp_path / "other" / images.FILE).exists()
