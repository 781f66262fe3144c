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
import time
import typing as t
from pathlib import Path

from ...plugins.module_utils.errors import PlatformError
from ...plugins.module_utils.function.builder import Builder
from ...plugins.module_utils.function.source_record import KeyFile, RecordKey
from ...plugins.module_utils.function.spin_function import cluster_api, registry_of
from ...plugins.module_utils.registry.distribution import DistributionStore
from ...plugins.module_utils.spinkube.record_key import NamespaceKey
from ..builds import dependency_caches
from ..builds.dependency_caches import DependencyCaches
from ..builds.job_builder import JobBuilder, end_build
from ..deployments.model import Deployment
from ..registry_files import RegistryFiles
from ..sources import registry
from ..sources.registry import RegistrySourceStore
from .api import Apis
from .deployments import ClusterDeploymentStore
from .functions import ClusterFunctions
from .logs import KIND, PORT, REPOSITORY, ClusterLogStore, replica_key
from .parameters import cluster_parameters
from .settings import ClusterSettings, read_settings
from .variables import ClusterVariableStore

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)

_STORE_SECONDS = 600.0
"""How long the connections to a tenant's registry are kept: its account may get another password."""


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
    def sources(self) -> RegistrySourceStore:
        files = RegistryFiles(self._store_of, registry.REPOSITORY, registry.KIND)
        return RegistrySourceStore(files, Path(self.settings.cache_directory, "sources"))

    @functools.cached_property
    def logs(self) -> ClusterLogStore:
        """As the workers of a replica see it, which all have their logs here."""
        return self.logs_of(lambda: "")

    def logs_of(self, worker_address: t.Callable[[], str], port: int = PORT) -> ClusterLogStore:
        """The logs as a replica sees them; see `ClusterLogStore`."""
        return ClusterLogStore(
            RegistryFiles(self._store_of, REPOSITORY, KIND),
            Path(self.settings.state_directory, "logs"),
            worker_address=worker_address,
            key=replica_key(lambda: self.apis.own, self.settings.namespace),
            port=port,
        )

    @property
    def exchanges(self) -> Path:
        """See `builds.exchange.Exchange`."""
        return Path(self.settings.state_directory, "builds")

    def _store_of(self, tenant: str) -> DistributionStore:
        return _store_of(self, tenant, int(time.monotonic() // _STORE_SECONDS))

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

    def builder(self, deployment: Deployment, work_directory: Path, waits: t.Callable[[str], None]) -> Builder:
        return JobBuilder(
            self.apis.own,
            self.settings.builds,
            deployment,
            exchanges=self.exchanges,
            source=self.sources.archive(deployment.tenant, deployment.source),
            work_directory=work_directory,
            waits=waits,
            is_cancelled=lambda: self._is_over(deployment),
            caches=DependencyCaches(
                RegistryFiles(self._store_of, dependency_caches.REPOSITORY, dependency_caches.KIND)
            ),
        )

    def end_leftovers(self, deployment: Deployment) -> None:
        """A Job whose deployment goes on is taken up by its next worker."""
        if self._is_over(deployment):
            end_build(self.apis.own, self.settings.builds, deployment)

    def _is_over(self, deployment: Deployment) -> bool:
        live = self.deployments.read(*deployment.key)
        return live is None or live.cancelling or live.phase.is_finished

    def to_json(self) -> str:
        return json.dumps(["cluster", {"settings": str(self.settings_file), "parent": os.getpid()}])


@functools.lru_cache(256)
def _store_of(adapters: ClusterAdapters, tenant: str, _period: int) -> DistributionStore:
    parameters = adapters.parameters(tenant, "any", source=".")
    found = registry_of(parameters, Path(parameters["state_directory"]), cluster_api(parameters))
    store = found.store
    if not isinstance(store, DistributionStore):
        raise PlatformError(
            f"registry: {found.location} is no registry, and all replicas need one.",
            next_step="Set `registry` in the settings of the service.",
        )
    return store
