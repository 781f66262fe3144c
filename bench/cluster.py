# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deployments to a cluster: the real API server and registry on loopback, with the real SpinKube operator and a played
kubelet behind them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from tests.integration.support.certificates import CertificateAuthority
from tests.integration.support.control_plane import ControlPlane, HTTPRoute, SpinApp
from tests.integration.support.deployment import Deployment
from tests.integration.support.function_project import FunctionProject
from tests.integration.support.real_parts import SPIN_OPERATOR, SpinOperator
from tests.integration.support.registries import Registry
from tests.integration.support.servers import build
from tests.integration.support.spinkube import SpinkubeStandIn

from .measure import ANSIBLE_PLAYBOOK, Row, environment, medians, module_command, program

PROJECT_FILES = 500
FUNCTIONS = 1000
WASM_BYTES = 37_000_000  # as hello-python's

_BUILD = """
import os, pathlib
size = %d
def number(value):
    out = b""
    while True:
        byte, value = value & 127, value >> 7
        out += bytes([byte | (128 if value else 0)])
        if not value:
            return out
body = b"\\x04text" + os.urandom(size)
pathlib.Path("app.wasm").write_bytes(pathlib.Path("base.bin").read_bytes() + b"\\0" + number(len(body)) + body)
"""


@contextlib.contextmanager
def cluster(directory: Path) -> t.Iterator[tuple[Deployment, list[SpinOperator | SpinkubeStandIn]]]:
    """A deployment, and what acts on the functions' objects."""
    programs = build()
    with contextlib.ExitStack() as stack:
        authority = CertificateAuthority(directory / "authority")
        plane = ControlPlane(programs, directory / "control_plane")
        stack.callback(plane.stop)
        plane.prepare()
        operator = SpinOperator(SPIN_OPERATOR.build(), plane, directory, authority)
        stack.callback(operator.stop)
        stand_in = SpinkubeStandIn(programs, plane, directory, authorities=[authority.certificate_file])
        stack.callback(stand_in.stop)
        registry = Registry(programs, directory / "registry")
        stack.callback(registry.stop)
        yield Deployment(plane, stand_in.front, registry, directory / "home"), [operator, stand_in]


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as temporary, cluster(Path(temporary)) as (deployment, controllers):
        directory = Path(temporary)
        project = FunctionProject(directory / "project", "measured")
        for index in range(PROJECT_FILES):
            (project.directory / f"module_{index}.py").write_text(f"VALUE = {index}\n" * 100)
        deployment.deploy(project)
        rows = no_op(deployment, project, directory)
        rows += changed(deployment, directory)
        rows += among_many(deployment, controllers, project, directory)
        return rows


def _module(deployment: Deployment, project: FunctionProject, directory: Path) -> list[str]:
    return module_command("spin_function", deployment.parameters(project), directory)


def no_op(deployment: Deployment, project: FunctionProject, directory: Path) -> list[Row]:
    # Ansible compiles our sources in each run, as Python does here without files of bytecode.
    without_bytecode = {**environment(), "PYTHONDONTWRITEBYTECODE": "1"}
    (module,) = medians(_module(deployment, project, directory), variables=without_bytecode)
    empty = directory / "empty.yml"
    empty.write_text("- hosts: localhost\n  gather_facts: false\n  tasks: []\n")
    variables = directory / "variables.json"
    names = (
        "registry",
        "registry_plain_http",
        "domain",
        "probe_address",
        "kubeconfig",
        "cache_directory",
        "state_directory",
    )
    variables.write_text(
        json.dumps({"src": str(project.directory), **{name: deployment.parameters(project)[name] for name in names}})
    )
    inventory = ["-i", "inventories/single"]
    deploy = [ANSIBLE_PLAYBOOK, *inventory, "deploy-function.yml", "-e", f"@{variables}"]
    play, base = medians(deploy, [ANSIBLE_PLAYBOOK, *inventory, str(empty)])
    return [
        Row(
            f"No-op deployment, {PROJECT_FILES} files: the module as a process",
            f"{module:.2f} s",
            "≤ 0.5 s",
            module <= 0.5,
        ),
        Row(
            "No-op deployment: whole `ansible-playbook` to that of an empty play",
            f"{play / base:.2f} × ({play:.2f} s to {base:.2f} s)",
            "≤ 2.5 ×",
            play / base <= 2.5,
        ),
    ]


def changed(deployment: Deployment, directory: Path) -> list[Row]:
    """Our deployment without its build against `skopeo copy` of the same artifact and `kubectl apply` of the same
    objects, by turns."""
    skopeo, kubectl = program("skopeo", "skopeo"), program("kubectl", "kubernetes-client")
    project = FunctionProject(directory / "changed", "changed")
    (project.directory / "build.py").write_text(_BUILD % WASM_BYTES)
    ours: list[float] = []
    theirs: list[float] = []
    for round_ in range(5):
        project.write(f"round {round_}")
        started = time.monotonic()
        result = deployment.deploy(project)
        ours.append(time.monotonic() - started - result["stages"]["build"])
        theirs.append(_by_hand(deployment, project, result, directory / f"round-{round_}", skopeo, kubectl))
    our, their = sorted(ours)[2], sorted(theirs)[2]
    return [
        Row(
            "Changed deployment (37 MB) without the build, to `skopeo copy` + `kubectl apply --server-side` + 1 s",
            f"{our / (their + 1):.2f} × ({our:.2f} s to {their:.2f} s + 1 s)",
            "≤ 1.0 ×",
            our <= their + 1,
        )
    ]


def _by_hand(
    deployment: Deployment,
    project: FunctionProject,
    result: dict[str, t.Any],
    directory: Path,
    skopeo: str,
    kubectl: str,
) -> float:
    """The same blobs to an empty repository, the same objects under another name; waits for nothing."""
    directory.mkdir()
    copy = ["--src-tls-verify=false", "--dest-tls-verify=false", "--quiet"]
    subprocess.run([skopeo, "copy", *copy, f"docker://{result['image']}", f"oci:{directory}/layout:x"], check=True)
    kubeconfig = ["--kubeconfig", str(deployment.control_plane.kubeconfig)]
    listed = subprocess.run(
        [kubectl, *kubeconfig, "get", "spinapp,httproute", project.name, "-o", "json"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    items = json.loads(listed)["items"]
    for item in items:
        metadata = item["metadata"]
        item["metadata"] = {
            "name": f"by-hand-{directory.name}",
            "namespace": metadata["namespace"],
            "labels": metadata["labels"],
        }
        item.pop("status", None)
    objects = directory / "objects.json"
    objects.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    started = time.monotonic()
    subprocess.run(
        [
            skopeo,
            "copy",
            *copy,
            f"oci:{directory}/layout:x",
            f"docker://{deployment.registry.host}/by-hand/{directory.name}:x",
        ],
        check=True,
    )
    subprocess.run(
        [kubectl, *kubeconfig, "apply", "--server-side", "--force-conflicts", "-f", str(objects)],
        check=True,
        capture_output=True,
    )
    return time.monotonic() - started


def among_many(
    deployment: Deployment,
    controllers: list[SpinOperator | SpinkubeStandIn],
    project: FunctionProject,
    directory: Path,
) -> list[Row]:
    command = _module(deployment, project, directory)
    (alone,) = medians(command)
    for controller in controllers:  # the functions to be added need no pods to be read
        controller.stop()
    client = deployment.control_plane.client()
    app = client.get(SpinApp, project.name, namespace="default")
    route = client.get(HTTPRoute, project.name, namespace="default")
    for index in range(FUNCTIONS):
        for kind, pattern in ((SpinApp, app), (HTTPRoute, route)):
            copied = {key: dict(pattern["metadata"].get(key) or {}) for key in ("labels", "annotations")}
            metadata = {"name": f"many-{index}", "namespace": "user1", **copied}
            client.create(
                kind(
                    {
                        "apiVersion": pattern["apiVersion"],
                        "kind": pattern["kind"],
                        "metadata": metadata,
                        "spec": pattern["spec"],
                    }
                )
            )
    (among,) = medians(command)
    (info,) = medians(
        module_command("spin_function_info", {"kubeconfig": str(deployment.control_plane.kubeconfig)}, directory),
        runs=5,
    )
    return [
        Row(f"`spin_function_info` with {FUNCTIONS} functions", f"{info:.2f} s", "≤ 2 s", info <= 2),
        Row(
            f"No-op deployment among {FUNCTIONS} functions to one alone",
            f"{among / alone:.2f} × ({among:.2f} s to {alone:.2f} s)",
            "≤ 1.0 × within 5 %",
            among <= 1.05 * alone,
        ),
    ]
