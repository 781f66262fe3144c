# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CustomResourceDefinitions of the tests, from the Go modules of their projects, with Go's checksums."""

from __future__ import annotations

import functools
from pathlib import Path

from .module_files import KEDA, KEDA_HTTP_ADD_ON, SPIN_OPERATOR, ModuleMissingError

_DIRECTORY = ("config", "crd", "bases")
_FILES = {
    SPIN_OPERATOR: ("core.spinkube.dev_spinapps.yaml", "core.spinkube.dev_spinappexecutors.yaml"),
    KEDA: (
        "keda.sh_scaledobjects.yaml",
        "keda.sh_scaledjobs.yaml",
        "keda.sh_triggerauthentications.yaml",
        "keda.sh_clustertriggerauthentications.yaml",
        "eventing.keda.sh_cloudeventsources.yaml",
        "eventing.keda.sh_clustercloudeventsources.yaml",
    ),
    KEDA_HTTP_ADD_ON: ("http.keda.sh_interceptorroutes.yaml", "http.keda.sh_httpscaledobjects.yaml"),
}


class DefinitionsMissingError(Exception):
    """A module with definitions is not available; the message is a reason to skip a test."""


@functools.cache
def definition_files() -> list[Path]:
    """The files with which the control plane starts.

    Raises:
        DefinitionsMissingError: a module is not available; the message is a reason to skip a test.
    """
    try:
        return [module.directory(*_DIRECTORY) / name for module, names in _FILES.items() for name in names]
    except ModuleMissingError as error:
        raise DefinitionsMissingError(str(error)) from error
