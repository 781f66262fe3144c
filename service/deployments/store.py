# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps deployments: the interface, and files on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import typing as t
from pathlib import Path

import msgspec

from ...plugins.module_utils.host import whole_file
from .model import Deployment


class Exists(Exception):
    """There is a deployment with this number already."""


class Changed(Exception):
    """Somebody else changed the deployment meanwhile."""


class DeploymentStore(t.Protocol):
    """Where deployments are kept; each change is whole and lasts."""

    def create(self, deployment: Deployment) -> Deployment:
        """Keep a new deployment and give it as it is kept; raises Exists."""

    def read(self, tenant: str, function: str, number: int) -> Deployment | None:
        """One deployment; None where there is none."""

    def of_function(self, tenant: str, function: str) -> list[Deployment]:
        """The kept deployments of a function, newest first."""

    def of_tenant(self, tenant: str) -> list[Deployment]:
        """The kept deployments of a tenant, by function, newest first."""

    def tenants(self) -> list[str]:
        """Tenants that have deployments, sorted."""

    def unfinished(self) -> list[Deployment]:
        """All that are not finished, in the order in which they were created."""

    def update(self, deployment: Deployment, **changes: t.Any) -> Deployment:
        """Change fields of a deployment as it was read; gives it as it is now. Raises Changed."""

    def remove(self, deployment: Deployment) -> None:
        """Forget a deployment and its log."""

    def log_file(self, deployment: Deployment) -> Path:
        """Where its log is."""


class FileDeploymentStore:
    """Deployments as files `<directory>/<tenant>/<function>/<number>.json`; see `DeploymentStore`.

    Several processes may use one directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def create(self, deployment: Deployment) -> Deployment:
        file = self._file(deployment)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Written under another name, then linked: it appears whole, and only where there is none.
        descriptor, partial = tempfile.mkstemp(dir=file.parent, prefix=".new-")
        try:
            with open(descriptor, "wb") as stream:
                stream.write(msgspec.json.encode(deployment))
                stream.flush()
                os.fsync(stream.fileno())
            os.link(partial, file)
        except FileExistsError:
            raise Exists from None
        finally:
            os.unlink(partial)
        return deployment

    def read(self, tenant: str, function: str, number: int) -> Deployment | None:
        return _read(self._directory / tenant / function / f"{number}.json")

    def of_function(self, tenant: str, function: str) -> list[Deployment]:
        found = [_read(file) for file in (self._directory / tenant / function).glob("[0-9]*.json")]
        return sorted((one for one in found if one is not None), key=lambda one: -one.number)

    def of_tenant(self, tenant: str) -> list[Deployment]:
        names = _directories(self._directory / tenant)
        return [one for name in names for one in self.of_function(tenant, name)]

    def tenants(self) -> list[str]:
        found = _directories(self._directory)
        return [name for name in found if any((self._directory / name).glob("*/[0-9]*.json"))]

    def unfinished(self) -> list[Deployment]:
        found = [_read(file) for file in self._directory.glob("*/*/[0-9]*.json")]
        return sorted(
            (one for one in found if one is not None and not one.phase.is_finished),
            key=lambda one: (one.created, one.key),
        )

    def update(self, deployment: Deployment, **changes: t.Any) -> Deployment:
        file = self._file(deployment)
        with _locked(file.parent):
            live = _read(file)
            if live is None or live.revision != deployment.revision:
                raise Changed
            changed = msgspec.structs.replace(live, **changes, revision=live.revision + 1)
            whole_file.write(file, msgspec.json.encode(changed).decode(), durable=True)
        return changed

    def remove(self, deployment: Deployment) -> None:
        file = self._file(deployment)
        for path in (file, file.with_suffix(".log"), file.with_suffix(".lock")):
            path.unlink(missing_ok=True)

    def log_file(self, deployment: Deployment) -> Path:
        return self._file(deployment).with_suffix(".log")

    def lock_file(self, tenant: str, function: str, number: int) -> Path:
        """Locked by the process that works on the deployment."""
        return self._directory / tenant / function / f"{number}.lock"

    def _file(self, deployment: Deployment) -> Path:
        return self._directory / deployment.tenant / deployment.function / f"{deployment.number}.json"


def _read(file: Path) -> Deployment | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Deployment)
    except FileNotFoundError:
        return None


def _directories(parent: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(parent) if entry.is_dir() and not entry.name.startswith("."))
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def _locked(directory: Path) -> t.Iterator[None]:
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
