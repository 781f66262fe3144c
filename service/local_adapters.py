# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service on one machine: files for what it knows, builds as processes, functions on the local target."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import json
import os
import typing as t
from pathlib import Path

from .deployments.leftovers import end_leftovers
from .deployments.log import FileLogStore
from .deployments.model import Deployment
from .deployments.store import FileDeploymentStore
from .directories import Directories
from .functions import LocalFunctions
from .parameters import local_parameters
from .sources.store import FileSourceStore
from .variables import FileVariableStore


@dataclasses.dataclass(frozen=True)
class LocalAdapters:
    """See `Adapters`."""

    directories: Directories

    @classmethod
    def of(cls, content: dict[str, str]) -> LocalAdapters:
        """Those that `to_json` described."""
        return cls(Directories(**{name: Path(path) for name, path in content.items()}))

    @functools.cached_property
    def deployments(self) -> FileDeploymentStore:
        return FileDeploymentStore(self.directories.deployments)

    @functools.cached_property
    def sources(self) -> FileSourceStore:
        return FileSourceStore(self.directories.sources)

    @functools.cached_property
    def logs(self) -> FileLogStore:
        return FileLogStore(self.deployments.log_file)

    @functools.cached_property
    def functions(self) -> LocalFunctions:
        return LocalFunctions(self.directories)

    @functools.cached_property
    def variables(self) -> FileVariableStore:
        return FileVariableStore(self.directories.variables)

    @property
    def work(self) -> Path:
        return self.directories.work

    def parameters(self, tenant: str, function: str, **given: t.Any) -> dict[str, t.Any]:
        return local_parameters(self.directories, tenant, function, **given)

    def builder(self, deployment: Deployment, work_directory: Path, waits: t.Callable[[str], None]) -> None:
        return None

    @contextlib.contextmanager
    def holding(self, deployment: Deployment) -> t.Iterator[None]:
        with open(self.deployments.lock_file(*deployment.key), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def is_held(self, deployment: Deployment) -> bool:
        try:
            descriptor = os.open(self.deployments.lock_file(*deployment.key), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def end_leftovers(self, deployment: Deployment) -> None:
        end_leftovers(deployment)

    def to_json(self) -> str:
        content = {name: str(path) for name, path in dataclasses.asdict(self.directories).items()}
        return json.dumps(["local", content])
