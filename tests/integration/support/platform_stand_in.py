# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Helm controller for the k3s stand-in of a molecule scenario. It ends when the scenario's directory is deleted.

python -m tests.integration.support.platform_stand_in variables
    prints variables for the inventory that name CustomResourceDefinitions as files, since hosts have no internet
python -m tests.integration.support.platform_stand_in run --directory DIRECTORY
    waits until site.yml has written DIRECTORY/kubeconfig.yml, then plays the Helm controller of that cluster
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import sys
import tempfile
import threading
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.download.custom_resource_definitions import read_objects

from .definitions import DefinitionsMissingError, definition_files
from .helm_controller_stand_in import Api, HelmControllerStandIn, Object, Render
from .module_files import (
    CERT_MANAGER,
    GATEWAY_API,
    HELM_CHART_DEFINITION,
    HELM_CONTROLLER,
    PROMETHEUS_OPERATOR,
    ModuleMissingError,
)
from .platform_parts import ROLES


def documents(path: Path) -> list[Object]:
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    return [entry for file in files for entry in read_objects(file)]


def helm_chart_definition() -> Object:
    return documents(HELM_CONTROLLER.directory(*HELM_CHART_DEFINITION))[0]


@functools.cache
def definitions_of(chart: str) -> list[Object]:
    """The CustomResourceDefinitions that a chart installs, in the chart's version."""
    shared = {file.name.split("-")[-1]: file for file in definition_files()}
    places = {
        "cert-manager": [CERT_MANAGER.directory("deploy", "crds")],
        "kube-prometheus-stack": [PROMETHEUS_OPERATOR.directory("example", "prometheus-operator-crd")],
        "keda": [shared["keda.sh_scaledobjects.yaml"]],
        "keda-add-ons-http": [shared["http.keda.sh_interceptorroutes.yaml"]],
    }
    found = [entry for place in places.get(chart, []) for entry in documents(place)]
    if chart == "kube-prometheus-stack":
        # These are in the directory crds of a subchart, whose files Helm never deletes. Those of other charts are
        # templates.
        for entry in found:
            entry["metadata"].setdefault("annotations", {})["helm.sh/resource-policy"] = "keep"
    return found


def render(chart: str, _values: dict[str, t.Any]) -> list[Object]:
    """The CustomResourceDefinitions of a chart, and one Deployment that stands in for all its pods."""
    labels = {"stand-in-of": chart}
    container = {
        "name": "stand-in",
        "image": "example.com/stand-in:1",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    template = {"metadata": {"labels": labels}, "spec": {"securityContext": security, "containers": [container]}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": chart},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    return [*definitions_of(chart), deployment]


def sources() -> dict[str, dict[str, str]]:
    """Repository and version of all charts of the roles."""
    read: dict[str, dict[str, str]] = yaml.safe_load(
        (ROLES / "platform/defaults/main.yml").read_text(encoding="utf-8")
    )["platform_charts"]
    return read


def charts() -> dict[str, Render]:
    """All charts of the roles, by repository, name and version as in a HelmChart."""
    known = sources()
    keys = {
        name: one["repository"] if one["repository"].startswith("oci://") else f"{one['repository']}/{name}"
        for name, one in known.items()
    }
    return {f"{keys[name]}:{one['version']}": functools.partial(render, name) for name, one in known.items()}


def unavailable() -> str:
    """Why the CustomResourceDefinitions are not available; empty if they are."""
    try:
        variables()
        helm_chart_definition()
        for chart in sources():
            definitions_of(chart)
    except (DefinitionsMissingError, ModuleMissingError) as error:
        return str(error)
    return ""


def variables() -> dict[str, t.Any]:
    known = yaml.safe_load((ROLES / "platform/defaults/main.yml").read_text(encoding="utf-8"))["platform_definitions"]
    return {"platform_definitions": {name: [_as_file(entry) for entry in entries] for name, entries in known.items()}}


def _as_file(entry: dict[str, str]) -> dict[str, str]:
    parts = urlsplit(entry["url"]).path.strip("/").split("/")
    if parts[0] == "kubernetes-sigs":
        return {"path": str(GATEWAY_API.directory(*parts[3:])), "sha256": entry["sha256"]}
    return {
        "path": str(next(file for file in definition_files() if file.name.endswith(parts[-1]))),
        "sha256": entry["sha256"],
    }


def run(directory: Path) -> None:
    kubeconfig = directory / "kubeconfig.yml"
    pause = threading.Event()
    while not kubeconfig.exists():
        if not directory.exists():
            return
        pause.wait(0.5)
    with tempfile.TemporaryDirectory() as temporary:
        own = Path(temporary) / "kubeconfig.yml"
        own.write_bytes(kubeconfig.read_bytes())
        definition = helm_chart_definition()
        while directory.exists():
            with contextlib.suppress(httpx2.TransportError):
                Api(own).apply(
                    f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}",
                    definition,
                    "helm-controller",
                )
                break
            pause.wait(1)
        played = HelmControllerStandIn(own, Path(temporary) / "stand-in", charts(), node=False)
        while directory.exists() and played.running:
            pause.wait(1)
        played.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("variables")
    commands.add_parser("run").add_argument("--directory", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.command == "run":
        run(arguments.directory)
    else:
        sys.stdout.write(json.dumps({"all": {"vars": variables()}}))


if __name__ == "__main__":
    main()
