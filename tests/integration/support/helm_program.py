# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program helm, built once per machine from its Go module, and small charts for it."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
from pathlib import Path

import yaml

from . import go_build
from .module_files import Module

HELM = Module("helm.sh/helm/v3", "v3.19.5", "h1:l8zDGBhPaF2z5pTR5ASku/yZwi0qZrWthWMzvf1ZruE=")
BUILD_SECONDS = 1800.0


def build() -> Path:
    """The program from the cache. The first build takes about 3 minutes on 2 cores.

    Raises:
        ModuleMissingError: the module is not available.
        go_build.BuildError: the build failed.
    """
    HELM.directory()
    return go_build.filled_once("helm", HELM.version, _install_into, kept=1) / "helm"


def _install_into(directory: Path) -> None:
    command = [go_build.go_program(), "install", "-trimpath", "-ldflags=-s -w", f"{HELM.path}/cmd/helm@{HELM.version}"]
    environment = {**os.environ, **go_build.ENVIRONMENT, "GOBIN": str(directory)}
    finished = subprocess.run(
        command, cwd=directory, env=environment, check=False, capture_output=True, text=True, timeout=BUILD_SECONDS
    )
    if finished.returncode != 0:
        raise go_build.BuildError(f"{' '.join(command)} failed:\n{finished.stderr[-4000:]}")


def chart_archive(name: str, version: str, templates: dict[str, str], values: dict[str, object]) -> bytes:
    """An archive of a chart, as `helm package` makes it."""
    files = {
        "Chart.yaml": yaml.safe_dump({"apiVersion": "v2", "name": name, "version": version}),
        "values.yaml": yaml.safe_dump(values),
        **{f"templates/{file}": text for file, text in templates.items()},
    }
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream, tarfile.open(fileobj=stream, mode="w") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()
