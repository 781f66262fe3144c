# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of Go modules, which are the files of the projects' tags, with Go's checksum: CustomResourceDefinitions that
k3s or the platform's charts install."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import tempfile
from pathlib import Path

from . import go_build


class ModuleMissingError(Exception):
    """A module is not available; the message is a reason to skip a test."""


@dataclasses.dataclass(frozen=True)
class Module:
    """A version of a Go module, with its checksum as in go.sum."""

    path: str
    version: str
    checksum: str

    def directory(self, *parts: str) -> Path:
        """A directory in the module.

        Raises:
            ModuleMissingError: the module is not in Go's cache and cannot be downloaded, or has another checksum.
        """
        try:
            go = go_build.go_program()
        except go_build.BuildError as error:
            raise ModuleMissingError(f"{self.path}@{self.version} is not available: {error}") from error
        # Runs outside any go.mod, so that Go downloads only this module and not its requirements.
        with tempfile.TemporaryDirectory() as directory:
            command = [go, "mod", "download", "-json", f"{self.path}@{self.version}"]
            finished = subprocess.run(
                command,
                cwd=directory,
                env={**os.environ, **go_build.ENVIRONMENT},
                check=False,
                capture_output=True,
                text=True,
                timeout=300,
            )
        found = json.loads(finished.stdout or "{}")
        if not found.get("Dir"):
            why = found.get("Error") or finished.stderr
            raise ModuleMissingError(f"{self.path}@{self.version} is not available: {why}")
        if found["Sum"] != self.checksum:
            raise ModuleMissingError(f"{self.path}@{self.version} has the checksum {found['Sum']}, not {self.checksum}")
        return Path(found["Dir"]).joinpath(*parts)


CERT_MANAGER = Module(
    "github.com/cert-manager/cert-manager", "v1.21.1", "h1:0LttV37Q5c2CBNoHkjuI8sLKTXWZDC2SwQkxrBMKV9w="
)
HELM_CHART_DEFINITION = ("pkg", "crds", "yaml", "generated", "helm.cattle.io_helmcharts.yaml")
"""Path of the CustomResourceDefinition of HelmChart in HELM_CONTROLLER."""

HELM_CONTROLLER = Module(
    "github.com/k3s-io/helm-controller", "v0.17.7", "h1:9hzzLE4YeCHmpAn2Y/A4DjqYAQtQxnbsQSkBx6qTJrc="
)
KEDA = Module("github.com/kedacore/keda/v2", "v2.20.2", "h1:SR60v8uIcelbveS8n/1jcl8tLdBBIbHMxmdOHw8tKqA=")
KEDA_HTTP_ADD_ON = Module(
    "github.com/kedacore/http-add-on", "v0.15.0", "h1:6xqqvzFB/Yw9zBSsPD/T6DBTaOj6N4/NqbAs26E5XGA="
)
PROMETHEUS_OPERATOR = Module(
    "github.com/prometheus-operator/prometheus-operator", "v0.93.1", "h1:4Juk8v93RdG1DSGD/mGp+SeQKPmnlLIj2iq3blLZgFY="
)
GATEWAY_API = Module("sigs.k8s.io/gateway-api", "v1.5.1", "h1:RqVRIlkhLhUO8wOHKTLnTJA6o/1un4po4/6M1nRzdd0=")
SPIN_OPERATOR = Module("github.com/spinkube/spin-operator", "v0.6.1", "h1:JpWkv8H5UJSsRACpOeoco2UksdJ2XlenzKD86oDqzn4=")
