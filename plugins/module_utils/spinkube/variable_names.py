# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses application variables whose value a pod's environment would replace."""

from __future__ import annotations

import re

from ..errors import PlatformError
from ..function.manifest.model import Manifest

_ENVIRONMENT = re.compile(
    r"path|hostname|home"  # set by the container runtime
    r"|(kubernetes|spin|otel)_.+"  # by the kubelet for the API server's Service, and by the SpinKube operator
    r"|.+_service_(host|port(_.+)?)"  # by the kubelet for each Service of the namespace, as the next one
    r"|.+_port(_\d+_(tcp|udp|sctp)(_(proto|port|addr))?)?"
)
"""Variables that may stand in the environment of a function's container, in lower case.

The shim copies a container's variable of the same name, in upper case, over the value of an application variable
(containerd-shim-spin v0.24.0, src/utils.rs, configure_application_variables_from_environment_variables). The kubelet's
names are those of pkg/kubelet/envvars/envvars.go (Kubernetes v1.34), the operator's those of
internal/controller/deployment.go (spin-operator v0.6.1). A Service may come after the function, so what it would bring
is refused even where there is none yet.
"""


def check_variable_names(manifest: Manifest) -> None:
    """Check that each application variable keeps its value in a pod; raises PlatformError."""
    replaced = sorted(name for name in manifest.variables if _ENVIRONMENT.fullmatch(name))
    if replaced:
        raise PlatformError(
            f"{manifest.path.name}: [variables]: {', '.join(replaced)}: on a cluster the shim replaces the value by "
            f"that of the pod's environment variable of the same name ({', '.join(map(str.upper, replaced))}).",
            next_step=f"Give it another name, in {manifest.path.name} and where you set it, as in "
            f"{', '.join(map(_other_name, replaced))}.",
        )


def _other_name(name: str) -> str:
    """A name like `name` that no environment has."""
    candidates = (f"app_{name}", f"{name}_value", f"app_{name.replace('_', '')}")
    return next(candidate for candidate in candidates if not _ENVIRONMENT.fullmatch(candidate))
