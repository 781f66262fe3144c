# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that the platform's roles apply, against the real API server with the definitions of the versions that they
install.

Charts are HelmCharts that a strict stand-in of the Helm controller takes; what would be in them is in
tests/unit/roles/test_chart_values.py.
"""

from __future__ import annotations

import base64
import collections
import collections.abc
import dataclasses
import functools
import hashlib
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.charts import component
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import host_kubectl
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.objects import (
    KEPT_NAMESPACES,
    Objects,
    identity,
)

from .support import platform_parts
from .support.audit import Requests
from .support.control_plane import ControlPlane
from .support.definitions import DefinitionsMissingError, definition_files
from .support.helm_controller_stand_in import HelmControllerStandIn, Object, Render
from .support.marks import needs_kubectl
from .support.module_files import (
    CERT_MANAGER,
    GATEWAY_API,
    HELM_CHART_DEFINITION,
    HELM_CONTROLLER,
    PROMETHEUS_OPERATOR,
    ModuleMissingError,
)
from .support.playbooks import PlaybookRun, Playbooks, extra
from .support.servers import Programs

pytestmark = needs_kubectl

NAMESPACES = {
    "function_service": ("wasmfaas-builds", "user1"),
    "key_value_store": ("shop",),
    "tenant": ("keda", "wasmfaas-system"),
}
"""Of other roles, in which a role has objects."""


class AnyChart(dict[str, Render]):
    """Every chart exists, and has nothing in it."""

    def get(self, _key: str, _default: t.Any = None) -> Render:
        return lambda _values: []


class Platform:
    """A control plane of this module's own with what the roles' charts would have defined."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self.control_plane = control_plane
        self.command = ["kubectl", f"--kubeconfig={control_plane.kubeconfig}"]

    def run(self, call: platform_parts.Call, *, state: str = "present", check_mode: bool = False) -> dict[str, t.Any]:
        sources = yaml.safe_load((platform_parts.ROLES / "platform/defaults/main.yml").read_text(encoding="utf-8"))[
            "platform_charts"
        ]
        parameters = {
            "objects": [*definitions(call), *call.objects],
            "charts": call.charts,
            "objects_after": call.objects_after,
            "objects_absent": call.objects_absent,
            "sources": sources,
            "kubectl": self.command,
            "helm": "no-such-helm",
            "installer": "controller",
            "timeout": 120,
            "state": state,
            "remove_definitions": False,
        }
        return component.run(parameters, check_mode, set())

    def left(self, call: platform_parts.Call) -> list[str]:
        given = [entry for entry in (*call.objects, *call.objects_after) if not _is_there_already(entry)]
        objects = [*given, *(_helm_chart(chart["name"]) for chart in call.charts)]
        return [identity(entry) for entry in Objects(host_kubectl(command=self.command)).live(objects).values()]


def _helm_chart(name: str) -> Object:
    return {
        "apiVersion": "helm.cattle.io/v1",
        "kind": "HelmChart",
        "metadata": {"name": name, "namespace": "kube-system"},
    }


def _is_there_already(entry: Object) -> bool:
    """Definitions, which are there since the start and stay, and namespaces of the cluster itself."""
    return bool(
        entry["kind"] == "CustomResourceDefinition"
        or (entry["kind"] == "Namespace" and entry["metadata"]["name"] in KEPT_NAMESPACES)
    )


@functools.cache
def definition_file(url: str) -> Path:
    """What is behind an address in platform_definitions, without a network: the same file of the tag."""
    parts = urlsplit(url).path.strip("/").split("/")
    owner, _repository, tag = parts[:3]
    if owner == "kubernetes-sigs":
        assert tag == GATEWAY_API.version
        return GATEWAY_API.directory(*parts[3:])
    assert (owner, tag) == ("spinframework", "v0.6.1")
    return next(file for file in definition_files() if file.name.endswith(parts[-1]))


@functools.cache
def _documents(file: Path) -> list[Object]:
    return [entry for entry in yaml.load_all(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) if entry]


def definitions(call: platform_parts.Call) -> list[Object]:
    return [entry for one in call.definitions for entry in _documents(definition_file(one["url"]))]


@pytest.fixture(scope="module")
def platform(server_programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[Platform]:
    try:
        files = [
            HELM_CONTROLLER.directory(*HELM_CHART_DEFINITION),
            CERT_MANAGER.directory("deploy", "crds"),
            PROMETHEUS_OPERATOR.directory("example", "prometheus-operator-crd"),
        ]
        definition_files()
    except (ModuleMissingError, DefinitionsMissingError) as error:
        pytest.skip(str(error))
    plane = ControlPlane(server_programs, tmp_path_factory.mktemp("platform") / "plane", definitions=files, audit=True)
    stand_in = HelmControllerStandIn(
        plane.directory / "data" / "controller-manager.kubeconfig", tmp_path_factory.mktemp("helm"), AnyChart()
    )
    yield Platform(plane)
    try:
        stand_in.stop()
    finally:
        plane.stop()


@pytest.mark.parametrize(
    ("role", "variant"), [pytest.param(*pair, id="-".join(pair)) for pair in platform_parts.variants()]
)
def test_what_a_role_applies_is_accepted_stays_and_goes(platform: Platform, role: str, variant: str) -> None:
    calls = platform_parts.calls(role, variant)
    for namespace in NAMESPACES.get(role, ()):
        platform.control_plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for call in calls:
        assert platform.run(call, check_mode=True)["changed"] is True
    for call in calls:
        wanted = [
            *definitions(call),
            *call.objects,
            *call.objects_after,
            *(_helm_chart(chart["name"]) for chart in call.charts),
        ]
        first = platform.run(call)
        assert set(first["changed_objects"]) >= {identity(entry) for entry in wanted if not _is_there_already(entry)}
        requests = Requests(platform.control_plane.audit_log)
        assert platform.run(call) == {"changed": False, "changed_objects": [], "diff": []}
        made = requests.of("kubectl")
        assert [request for request in made if request.writes] == []
        read = [(request.resource, request.namespace, request.name) for request in made if request.verb == "get"]
        # Of what is not there kubectl asks whether its namespace is there.
        absent = collections.Counter(
            ("namespaces", namespace, namespace)
            for entry in call.objects_absent
            if (namespace := entry["metadata"].get("namespace"))
        )
        assert len(read) >= len(wanted)
        assert max((collections.Counter(read) - absent).values()) == 1, "an object was read more than once"
        namespaces = {chart["namespace"] for chart in call.charts}
        lists = sorted((request.resource, request.namespace) for request in made if request.verb == "list")
        assert lists == sorted(
            (kind, namespace) for kind in ("daemonsets", "deployments", "statefulsets") for namespace in namespaces
        )
        assert platform.run(call, check_mode=True)["changed"] is False
    for call in reversed(calls):
        platform.run(call, state="absent")
        assert platform.left(call) == []
        assert platform.run(call, state="absent")["changed"] is False


def test_policies_that_change_pods_are_accepted_and_stay(platform: Platform) -> None:
    (call,) = platform_parts.calls("spin_operator", "defaults")
    policies = [entry for entry in call.objects_after if "Mutating" in entry["kind"]]
    assert len(policies) == 6, "three policies with their bindings"
    present = dataclasses.replace(call, definitions=[], objects=[], charts=[], objects_after=policies)
    assert set(platform.run(present)["changed_objects"]) == {identity(entry) for entry in policies}
    assert platform.run(present) == {"changed": False, "changed_objects": [], "diff": []}
    off = dataclasses.replace(present, objects_after=[], objects_absent=policies)
    assert platform.run(off)["changed"] is True
    assert platform.left(present) == []
    assert platform.run(off)["changed"] is False


def test_the_playbook_puts_parts_on_any_cluster_and_takes_them_away(platform: Platform, tmp_path: Path) -> None:
    playbooks = Playbooks(tmp_path / "home")
    common = {
        "platform_hosts": "localhost",
        "platform_host": "localhost",
        "platform_kubectl": platform.command,
        "platform_chart_installer": "controller",
    }

    def run(*more: str, **variables: t.Any) -> PlaybookRun:
        return playbooks.run("wasmfaas.platform.platform", *extra(**common, **variables), *more)

    wrong = run(platform_components=["cert_manager", "cert_manger"])
    assert wrong.exit_code == 2
    assert "there is no component cert_manger" in wrong.output
    early = run(platform_components=["cert_manager", "observability"], observability_metrics_size="20Gi")
    assert early.exit_code == 2
    assert "observability_metrics_size: '20Gi' is no whole number" in early.output
    assert "Install cert-manager" not in early.output
    assert "Install cert-manager" not in wrong.output
    # A part that waits for what this cluster has no controller for is left out, and still known to the others.
    both = ["spin_operator", "cert_manager"]
    first = run(platform_components=both, platform_only=["cert_manager"])
    assert first.exit_code == 0, first.output
    assert first.changed == 1
    assert "Install the SpinKube operator" not in first.output
    assert run(platform_components=both, platform_only=["cert_manager"]).changed == 0
    assert run("--check", platform_components=["cert_manager"]).changed == 0
    # As the header of platform.yml has it: the part is still among those to have.
    gone = run(platform_components=["cert_manager"], platform_components_removed=["cert_manager"])
    assert gone.exit_code == 0, gone.output
    assert gone.changed == 1
    assert run(platform_components=[], platform_components_removed=["cert_manager"]).changed == 0


def test_passwords_of_the_key_value_store_are_made_once_and_never_shown(platform: Platform, tmp_path: Path) -> None:
    playbooks = Playbooks(tmp_path / "home")
    store = {"platform_components": ["key_value_store"]}
    common = {
        "platform_hosts": "localhost",
        "platform_host": "localhost",
        "platform_kubectl": platform.command,
    }

    def run(*more: str, **variables: t.Any) -> PlaybookRun:
        return playbooks.run("wasmfaas.platform.platform", *extra(**common, **{**store, **variables}), *more)

    def secret(namespace: str, name: str) -> Object | None:
        wanted = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}}
        return next(iter(Objects(host_kubectl(command=platform.command)).live([wanted]).values()), None)

    missing = run(key_value_store_namespaces=["nowhere"])
    assert "there is no namespace nowhere" in missing.output
    first = run()
    assert (first.exit_code, first.changed) == (0, 1), first.output
    made = secret("key-value-store", "default")
    access = secret("default", "key-value-store")
    assert made is not None and access is not None
    password = base64.b64decode(made["data"]["password"]).decode()
    assert len(password) == 40
    assert f":{password}@" in base64.b64decode(access["data"]["database-0"]).decode()
    second = run()
    assert (second.exit_code, second.changed) == (0, 0), second.output
    assert secret("key-value-store", "default") == made
    gone = run(platform_components_removed=["key_value_store"])
    assert (gone.exit_code, gone.changed) == (0, 2), gone.output
    assert secret("key-value-store", "default") is None and secret("default", "key-value-store") is None
    assert run(platform_components_removed=["key_value_store"]).changed == 0
    for output in (first.output, second.output, gone.output):
        assert password not in output and made["data"]["password"] not in output


def test_checksums_of_definitions_are_those_of_the_tags() -> None:
    known = yaml.safe_load((platform_parts.ROLES / "platform/defaults/main.yml").read_text(encoding="utf-8"))[
        "platform_definitions"
    ]
    try:
        for entry in [entry for entries in known.values() for entry in entries]:
            assert hashlib.sha256(definition_file(entry["url"]).read_bytes()).hexdigest() == entry["sha256"], entry[
                "url"
            ]
        gateway = {entry["url"].rpartition("/")[2] for entry in known["gateway-api"]}
        assert gateway == {
            file.name
            for file in GATEWAY_API.directory("config", "crd", "standard").glob("gateway.networking.k8s.io_*.yaml")
            if "_vap_" not in file.name
        }
    except (ModuleMissingError, DefinitionsMissingError) as error:
        pytest.skip(str(error))
