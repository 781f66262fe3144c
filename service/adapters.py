# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between the service on one machine and in a cluster, as a service or one of its workers uses it."""

from __future__ import annotations

import contextlib
import json
import typing as t
from pathlib import Path

from ..plugins.module_utils.function.builder import Builder
from .deployments.log import LogStore
from .deployments.model import Deployment
from .deployments.store import DeploymentStore
from .functions import Functions
from .sources.store import SourceStore
from .variables import VariableStore


class Adapters(t.Protocol):
    """Where everything is kept and run.

    Attributes:
        work: directory for unpacked sources, one directory in it for each deployment that is worked on.
    """

    @property
    def deployments(self) -> DeploymentStore: ...

    @property
    def sources(self) -> SourceStore: ...

    @property
    def functions(self) -> Functions: ...

    @property
    def logs(self) -> LogStore: ...

    @property
    def variables(self) -> VariableStore: ...

    @property
    def work(self) -> Path: ...

    def parameters(self, tenant: str, function: str, **given: t.Any) -> dict[str, t.Any]:
        """The parameters of the module spin_function for a function, with the module's defaults for what is not given;
        raises PlatformError."""

    def builder(self, deployment: Deployment, work_directory: Path, waits: t.Callable[[str], None]) -> Builder | None:
        """What does the build step of a deployment; None builds in the worker.

        Args:
            work_directory: of the deployment.
            waits: called with why the build waits, and with an empty text when it goes on.
        """

    def holding(self, deployment: Deployment) -> contextlib.AbstractContextManager[None]:
        """Entered by the process that works on a deployment: another one that wants to work on it waits, or has
        ended this one before."""

    def is_held(self, deployment: Deployment) -> bool:
        """Whether a process that an earlier service started may still work on the deployment."""

    def end_leftovers(self, deployment: Deployment) -> None:
        """End what a worker of the deployment that was killed left running."""

    def to_json(self) -> str:
        """A text from which `adapters_of` makes the same in another process."""


def adapters_of(text: str) -> Adapters:
    """The adapters that `to_json` described; raises PlatformError."""
    kind, content = json.loads(text)
    if kind == "cluster":
        from .cluster.adapters import ClusterAdapters

        return ClusterAdapters.of(content)
    from .local_adapters import LocalAdapters

    return LocalAdapters.of(content)
