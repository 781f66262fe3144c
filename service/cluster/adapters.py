# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service in a cluster: objects of the API server for what it knows, builds as Jobs, functions as SpinApps."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import json
import os
import signal
import sys
import typing as t
from pathlib import Path

from ...plugins.module_utils.function.source_record import KeyFile, RecordKey
from ...plugins.module_utils.spinkube.record_key import NamespaceKey
from ..deployments.model import Deployment
from ..sources.store import FileSourceStore
from .api import Apis
from .deployments import ClusterDeploymentStore
from .functions import ClusterFunctions
from .parameters import cluster_parameters
from .settings import ClusterSettings, read_settings
from .variables import ClusterVariableStore

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclasses.dataclass(frozen=True)
class ClusterAdapters:
    """See `Adapters`.

    Attributes:
        settings_file: from which `settings` are read; workers read it too.
        parent: process of the service, for its workers.
    """

    settings_file: Path
    parent: int = 0

    @classmethod
    def of(cls, content: dict[str, t.Any]) -> ClusterAdapters:
        """Those that `to_json` described; raises PlatformError."""
        return cls(Path(content["settings"]), content["parent"])

    @functools.cached_property
    def settings(self) -> ClusterSettings:
        return read_settings(self.settings_file)

    @functools.cached_property
    def apis(self) -> Apis:
        """The API server with the rights of the service and of each tenant."""
        return Apis(self.settings)

    @functools.cached_property
    def deployments(self) -> ClusterDeploymentStore:
        return ClusterDeploymentStore(lambda: self.apis.own, Path(self.settings.state_directory, "logs"))

    @functools.cached_property
    def functions(self) -> ClusterFunctions:
        return ClusterFunctions(self.apis, self.parameters)

    @functools.cached_property
    def variables(self) -> ClusterVariableStore:
        return ClusterVariableStore(self.apis, functools.lru_cache(1000)(self._key))

    def _key(self, tenant: str) -> RecordKey:
        if self.settings.record_key_file:
            return KeyFile(Path(self.settings.record_key_file), given=True)
        return NamespaceKey(lambda: self.apis.of_tenant(tenant), tenant)

    @functools.cached_property
    def sources(self) -> FileSourceStore:
        return FileSourceStore(Path(self.settings.state_directory, "sources"))

    @property
    def work(self) -> Path:
        return Path(self.settings.state_directory, "work")

    def parameters(self, tenant: str, function: str, **given: t.Any) -> dict[str, t.Any]:
        return cluster_parameters(self.settings, tenant, function, **given)

    @contextlib.contextmanager
    def holding(self, deployment: Deployment) -> t.Iterator[None]:
        """The worker ends with the replica that started it. Should it live on nevertheless, as on a machine that lost
        the network, then its writes are refused: whoever took over counted `attempt` up."""
        # Linux tells of the end of the thread that started the process; the supervisor's waits for it.
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.parent:
            sys.exit("The service that started this worker has ended.")
        yield

    def is_held(self, deployment: Deployment) -> bool:
        return False

    def end_leftovers(self, deployment: Deployment) -> None:
        """Nothing of a build runs here."""

    def to_json(self) -> str:
        return json.dumps(["cluster", {"settings": str(self.settings_file), "parent": os.getpid()}])
