# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the CustomResourceDefinitions of the tests come from: the Go modules of the projects, with Go's checksums."""

from __future__ import annotations

import functools
from pathlib import Path

from .module_files import KEDA, KEDA_HTTP_ADD_ON, SPIN_OPERATOR, ModuleMissingError

_FOLDER = ("config", "crd", "bases")
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
    """A module with definitions is not available; the message is the reason that a test may give for being skipped."""


@functools.cache
def definition_files() -> list[Path]:
    """The files that the control plane is to start with.

    Raises:
        DefinitionsMissingError: with the reason that a test may give for being skipped.
    """
    try:
        return [
            folder / name for module, names in _FILES.items() for folder in (module.folder(*_FOLDER),) for name in names
        ]
    except ModuleMissingError as error:
        raise DefinitionsMissingError(str(error)) from error
