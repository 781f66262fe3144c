# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A function to deploy, and a stand-in for the API server where a real one is not needed."""

from __future__ import annotations

import base64
import collections.abc
import copy
import dataclasses
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Component,
    LocalSource,
    Manifest,
    Trigger,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.model import DesiredFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.variables import VariableValues
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import Conflict, MissingKind
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import (
    DEPLOYMENT,
    GATEWAY,
    LEASE,
    POD,
    SECRET,
    SPIN_APP,
    Kind,
)

Object = dict[str, t.Any]
IMAGE = "registry.example/functions/hello@sha256:" + "1" * 64
SOURCE = "sha256:" + "a" * 64


def make_desired(**changes: t.Any) -> DesiredFunction:
    trigger = changes.pop("trigger", "http")
    manifest = Manifest(
        Path("/p/spin.toml"),
        "hello",
        (Trigger("t", trigger, "c", {}),),
        {"c": Component(id="c", source=LocalSource("c.wasm"))},
    )
    function = DesiredFunction("hello", "user1", SOURCE, IMAGE, manifest, VariableValues({}, {}))
    if "plain" in changes or "secret" in changes:
        changes["variables"] = VariableValues(changes.pop("plain", {}), changes.pop("secret", {}))
    return dataclasses.replace(function, **changes)


@pytest.fixture
def desired() -> collections.abc.Callable[..., DesiredFunction]:
    """Makes the function hello in namespace user1; keywords change parts of it."""
    return make_desired


def raise_(error: Exception) -> t.NoReturn:
    """Raise what a test put in place of a result."""
    raise error


class FakeKubernetesApi:
    """The methods of KubernetesApi over a dictionary. Apply owns whole objects: it merges nothing and knows no other
    field manager.

    With `runs` it plays the operator: each SpinApp gets a Deployment whose pods are ready, or crash where the image is
    among `crashing`.
    """

    def __init__(self, *, missing: t.Collection[Kind] = (), runs: bool = False) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.missing = {kind.kind for kind in missing}
        self.runs = runs
        self.crashing: set[str] = set()
        self.calls: list[tuple[str, str, str]] = []  # what was applied and deleted but for locks: (verb, kind, name)
        self.events: list[str] | PlatformError = []
        self.log = ""
        self.fail_on: dict[tuple[str, str], BaseException] = {}  # (verb, kind) to what it raises, once
        self.nodes: list[Object] | PlatformError = []

    def put(self, kind: Kind, item: Object) -> Object:
        self.objects[kind.kind, item["metadata"].get("namespace", ""), item["metadata"]["name"]] = item
        return item

    def names(self, kind: Kind) -> list[str]:
        return sorted(name for found, _namespace, name in self.objects if found == kind.kind)

    def _note(self, verb: str, kind: Kind, name: str) -> None:
        if kind is not LEASE:
            self.calls.append((verb, kind.kind, name))
        if (verb, kind.kind) in self.fail_on:
            raise self.fail_on.pop((verb, kind.kind))

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return copy.deepcopy(self.objects.get((kind.kind, namespace, name)))

    def list(self, kind: Kind, namespace: str | None = None, *, labels: dict[str, str] | None = None) -> t.List[Object]:  # noqa: UP006 (`list` is a method here)
        if kind.kind in self.missing:
            raise MissingKind(
                f"The cluster has no {kind.kind} ({kind.api_version}).", next_step=f"install {kind.provider}."
            )
        return [
            copy.deepcopy(item)
            for (found, where, _name), item in self.objects.items()
            if found == kind.kind
            and namespace in (None, where)
            and (labels or {}).items() <= (item["metadata"].get("labels") or {}).items()
        ]

    def list_nodes(self, kind: Kind) -> t.List[Object]:  # noqa: UP006 (`list` is a method here)
        if isinstance(self.nodes, PlatformError):
            raise_(self.nodes)
        return self.nodes

    def apply(self, kind: Kind, item: Object, *, dry_run: bool = False) -> Object:
        self._note("apply", kind, item["metadata"]["name"])
        stored = copy.deepcopy(item)
        if kind is SECRET:
            stored["data"] = {
                name: base64.b64encode(value.encode()).decode() for name, value in stored.pop("stringData").items()
            }
        self.put(kind, stored)
        if kind is SPIN_APP:
            self._pass_webhook(stored["spec"])
            if self.runs:
                self._run(stored)
        return stored

    @staticmethod
    def _pass_webhook(spec: Object) -> None:
        """Refuse what the operator's mutating webhook turns into null (spin-operator v0.6.1:
        api/v1alpha1/spinapp_types.go)."""
        for check in (spec.get("checks") or {}).values():
            if "httpHeaders" not in check["httpGet"]:
                raise PlatformError(
                    f'spec.checks.{check}.httpGet.httpHeaders: must be of type array: "null"', next_step="send a list."
                )

    def _run(self, app: Object) -> None:
        name, namespace = app["metadata"]["name"], app["metadata"]["namespace"]
        replicas = app["spec"].get("replicas", 1)
        annotations = app["spec"]["podAnnotations"]
        crashes = app["spec"]["image"] in self.crashing
        ready = 0 if crashes else replicas
        self.put(
            DEPLOYMENT,
            {
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "generation": 1,
                    "labels": {"core.spinkube.dev/app-name": name},
                },
                "spec": {"replicas": replicas, "template": {"metadata": {"annotations": annotations}}},
                "status": {
                    "observedGeneration": 1,
                    "replicas": replicas,
                    "updatedReplicas": replicas,
                    "availableReplicas": ready,
                    "readyReplicas": ready,
                },
            },
        )
        waiting = {"waiting": {"reason": "CrashLoopBackOff"}} if crashes else {}
        ended = {"terminated": {"exitCode": 137}} if crashes else {}
        self.put(
            POD,
            {
                "metadata": {
                    "name": f"{name}-pod",
                    "namespace": namespace,
                    "labels": {"core.spinkube.dev/app-name": name},
                    "annotations": annotations,
                },
                "status": {
                    "containerStatuses": [{"state": waiting, "restartCount": 3 if crashes else 0, "lastState": ended}]
                },
            },
        )

    def create(self, kind: Kind, item: Object) -> Object:
        key = (kind.kind, item["metadata"]["namespace"], item["metadata"]["name"])
        if key in self.objects:
            raise Conflict("exists", next_step="again")
        return self.put(kind, copy.deepcopy({**item, "metadata": {**item["metadata"], "resourceVersion": "1"}}))

    def replace(self, kind: Kind, item: Object) -> Object:
        key = (kind.kind, item["metadata"]["namespace"], item["metadata"]["name"])
        version = self.objects[key]["metadata"].get("resourceVersion")
        if item["metadata"].get("resourceVersion") != version:
            raise Conflict("changed", next_step="again")
        return self.put(
            kind, copy.deepcopy({**item, "metadata": {**item["metadata"], "resourceVersion": f"{version}+"}})
        )

    def delete(self, kind: Kind, namespace: str, name: str, *, owned_first: bool = False) -> bool:
        self._note("delete", kind, name)
        there = self.objects.pop((kind.kind, namespace, name), None) is not None
        if kind is SPIN_APP:
            for owned, owned_name in ((DEPLOYMENT, name), (POD, f"{name}-pod")):
                self.objects.pop((owned.kind, namespace, owned_name), None)
        return there

    def events_of(self, namespace: str, names: t.Collection[str]) -> t.List[str]:  # noqa: UP006 (`list` is a method here)
        if isinstance(self.events, PlatformError):
            raise_(self.events)
        return self.events

    def pod_log(self, namespace: str, name: str, *, lines: int = 40) -> str:
        return self.log


@pytest.fixture
def fake_api() -> type[FakeKubernetesApi]:
    return FakeKubernetesApi


@pytest.fixture
def api() -> FakeKubernetesApi:
    """An API server whose Deployments run, with the platform's Gateway."""
    made = FakeKubernetesApi(runs=True)
    gateway = {
        "metadata": {"name": "wasmfaas", "namespace": "wasmfaas-system"},
        "spec": {"listeners": [{"protocol": "HTTP", "port": 80}]},
    }
    made.put(GATEWAY, {**gateway, "status": {"addresses": [{"value": "203.0.113.7"}]}})
    return made
