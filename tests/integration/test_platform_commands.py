# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kubectl commands in tasks of aws_integration and function_registry, as the tasks have them, against the real API
server."""

from __future__ import annotations

import base64
import collections.abc
import json
import subprocess
import typing as t
from pathlib import Path

import pytest

from ..unit.roles.role_rendering import RenderedRole
from .support.control_plane import ControlPlane
from .support.marks import needs_kubectl

pytestmark = needs_kubectl
DEFAULT = "storageclass.kubernetes.io/is-default-class"
STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "local-path", "annotations": {DEFAULT: "true"}},
}


class Tasks:
    """Runs a task's command; `variables` are those that the task has of others."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self.kubectl = ["kubectl", f"--kubeconfig={control_plane.kubeconfig}"]

    def run(self, role: str, file: str, name: str, **variables: t.Any) -> subprocess.CompletedProcess[str]:
        plan = {"cluster": {"api_host": "server-1", "state": "running"}, "hosts": {}}
        rendered = RenderedRole(role, k3s_plan=plan, platform_kubectl=self.kubectl, **variables)
        (task,) = [task for task in rendered.tasks(file) if task["name"].endswith(name)]
        command = rendered.value("__argv", **task.get("vars", {}), __argv=task["ansible.builtin.command"]["argv"])
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def apply(self, *objects: dict[str, t.Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        subprocess.run(
            [*self.kubectl, "apply", "--filename", "-"],
            input=text,
            text=True,
            check=True,
            capture_output=True,
            timeout=60,
        )

    def delete(self, *what: str) -> None:
        subprocess.run(
            [*self.kubectl, "delete", "--ignore-not-found", *what], check=True, capture_output=True, timeout=60
        )


@pytest.fixture
def tasks(control_plane: ControlPlane) -> Tasks:
    return Tasks(control_plane)


@pytest.fixture
def local_path(tasks: Tasks) -> collections.abc.Iterator[None]:
    tasks.apply({**STORAGE_CLASS, "provisioner": "rancher.io/local-path"})
    yield
    tasks.delete("storageclass", "local-path")


def is_default(tasks: Tasks) -> str:
    result = tasks.run("aws_integration", "storage_class.yml", "Read whether local-path is a default")
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.usefixtures("local_path")
def test_local_path_is_no_default_and_is_one_again(tasks: Tasks) -> None:
    assert is_default(tasks) == "true"
    for wish in ("false", "true"):
        variables = {"__aws_integration_local_path_default": wish == "true"}
        result = tasks.run("aws_integration", "storage_class.yml", "Set whether local-path is the default", **variables)
        assert result.returncode == 0, result.stderr
        assert is_default(tasks) == wish


def test_cluster_without_local_path_has_no_default_to_change(tasks: Tasks) -> None:
    assert is_default(tasks) == ""


def test_volumes_of_the_driver_are_found(tasks: Tasks) -> None:
    def volume(name: str, source: dict[str, t.Any]) -> dict[str, t.Any]:
        spec = {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            **source,
        }
        return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}

    tasks.apply(
        volume("ours", {"csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"}}),
        volume("other", {"hostPath": {"path": "/srv"}}),
    )
    try:
        result = tasks.run("aws_integration", "uninstall.yml", "Look for volumes that need the CSI driver")
        assert sorted(result.stdout.splitlines()) == [" other", "ebs.csi.aws.com ours"]
    finally:
        tasks.delete("persistentvolume", "ours", "other")


def test_access_to_the_registry_is_read_or_is_not_there(tasks: Tasks) -> None:
    missing = tasks.run("function_registry", "access.yml", "Read the access that the cluster stores")
    assert (missing.returncode, missing.stdout) == (0, "")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "function-registry"}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "function-registry-access", "namespace": "function-registry"},
    }
    tasks.apply(namespace, {**secret, "stringData": {"access.json": '{"host": "192.0.2.11"}'}})
    try:
        found = tasks.run("function_registry", "access.yml", "Read the access that the cluster stores")
        assert base64.b64decode(found.stdout) == b'{"host": "192.0.2.11"}'
    finally:
        tasks.delete("namespace", "function-registry", "--wait=false")


def test_functions_of_the_registry_are_found(tasks: Tasks, tmp_path: Path) -> None:
    name = "Look for functions that come from it"
    app = {
        "apiVersion": "core.spinkube.dev/v1alpha1",
        "kind": "SpinApp",
        "metadata": {"name": "shop", "namespace": "default"},
    }
    image = "192.0.2.11:30500/functions/shop@sha256:" + "0" * 64
    tasks.apply({**app, "spec": {"image": image, "executor": "containerd-shim-spin", "replicas": 1}})
    try:
        result = tasks.run("function_registry", "remove.yml", name)
        assert f"default/shop {image}" in result.stdout.splitlines()
    finally:
        tasks.delete("spinapps.core.spinkube.dev", "shop", "--namespace", "default", "--wait=false")
    # Without SpinKube: what the task takes for "there are none".
    other = subprocess.run(
        [*tasks.kubectl, "get", "spinapps.example.com", "--all-namespaces"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert other.returncode != 0
    assert "doesn't have a resource type" in other.stderr
