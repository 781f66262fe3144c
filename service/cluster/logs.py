# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of deployments in a cluster: at the replica with the worker while they grow, then in the registry."""

from __future__ import annotations

import base64
import collections.abc
import contextlib
import functools
import hmac
import os
import secrets
import shutil
import tempfile
import typing as t
from pathlib import Path

import httpx2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...plugins.module_utils.errors import PlatformError
from ...plugins.module_utils.spinkube.api import Conflict, KubernetesApi
from ...plugins.module_utils.spinkube.kinds import SECRET
from ..deployments.log import MOST_BYTES, read_from, size_of
from ..deployments.model import Deployment
from ..names import check_function, check_tenant
from ..problem import Code, ServiceProblem
from ..registry_files import RegistryFiles

REPOSITORY = "hosted.logs"
"""Beside the functions, whose names have no dot."""

KIND = "application/vnd.wasmfaas.log.v1"
PORT = 8801
"""At which replicas read logs from each other: that of the build endpoint, which no ingress leads to."""

KEY_SECRET = "function-service-replicas"  # noqa: S105 (a name)
_CREATED = "wasmfaas.dev/created"
_PATH = "/logs/{tenant}/{function}/{number:int}"
_SIZE = "Log-Size"
_KEPT = ".kept"
_NOWHERE = 1 << 40
_KEPT_FILES = 50


class ClusterLogStore:
    """See `LogStore`.

    Args:
        files: in the registry.
        directory: for the logs of this replica's workers; may be empty at each start.
        worker_address: `address:port` of the replica with the workers; empty where it is this one, or none.
        key: by which replicas know each other; see `replica_key`.
        port: of the other replica, at which `routes` are served.
    """

    def __init__(
        self,
        files: RegistryFiles,
        directory: Path,
        *,
        worker_address: t.Callable[[], str],
        key: t.Callable[[], str],
        port: int = PORT,
    ) -> None:
        self._files, self._directory = files, directory
        self._worker_address, self._key, self._port = worker_address, key, port

    def file(self, deployment: Deployment) -> Path:
        path = self._directory / deployment.tenant / deployment.function / f"{deployment.number}.log"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    def read(self, deployment: Deployment, offset: int) -> bytes:
        if deployment.phase.is_finished and (kept := self._kept(deployment)):
            return read_from(kept, offset)
        if address := self._worker_address():
            return self._read_there(deployment, offset, address)[0]
        return read_from(self.file(deployment), offset)

    def size(self, deployment: Deployment) -> int:
        if deployment.phase.is_finished and (kept := self._kept(deployment)):
            return size_of(kept)
        if address := self._worker_address():
            return self._read_there(deployment, _NOWHERE, address)[1]
        return size_of(self.file(deployment))

    def keep(self, deployment: Deployment) -> None:
        file = self.file(deployment)
        if file.is_file():
            # A copy, as the worker may write meanwhile.
            with _told("kept"), self._new_file() as copy:
                shutil.copyfile(file, copy)
                self._files.put(deployment.tenant, _tag(deployment), copy, {_CREATED: deployment.created})

    def resume(self, deployment: Deployment) -> None:
        with _told("resumed"):
            kept, file = self._fetched(deployment), self.file(deployment)
            if kept is not None and size_of(kept) > size_of(file):
                with self._new_file() as copy:
                    shutil.copyfile(kept, copy)
                    os.replace(copy, file)

    def _kept(self, deployment: Deployment) -> Path | None:
        """A file with what the registry has; None where it has nothing, or does not answer."""
        with contextlib.suppress(PlatformError, OSError):
            return self._fetched(deployment)
        return None

    def _fetched(self, deployment: Deployment) -> Path | None:
        """A file with what the registry has; None where it has nothing. Raises PlatformError, OSError."""
        found = self._files.find(deployment.tenant, _tag(deployment))
        # A function that was deleted and made again counts from 1 again.
        if found is None or found.annotations.get(_CREATED) != deployment.created:
            return None
        directory = self._directory / _KEPT
        path = directory / found.digest.removeprefix("sha256:")
        if not path.is_file():
            with self._new_file() as partial:
                self._files.get(deployment.tenant, found, partial, most=2 * MOST_BYTES)
                os.replace(partial, path)
            _forget_oldest(directory)
        return path

    @contextlib.contextmanager
    def _new_file(self) -> t.Iterator[Path]:
        """A file beside the kept ones that is gone afterwards, unless it was moved."""
        directory = self._directory / _KEPT
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, path = tempfile.mkstemp(dir=directory, prefix=".new-")
        os.close(descriptor)
        try:
            yield Path(path)
        finally:
            Path(path).unlink(missing_ok=True)

    def _read_there(self, deployment: Deployment, offset: int, address: str) -> tuple[bytes, int]:
        """What `read` and `size` give at the replica with the workers."""
        host = address.rpartition(":")[0]
        url = f"http://{host}:{self._port}/logs/{deployment.tenant}/{deployment.function}/{deployment.number}"
        try:
            response = httpx2.get(
                url,
                params={"offset": offset},
                headers={"Authorization": f"Bearer {self._key()}"},
                timeout=5,
                trust_env=False,
            )
        except httpx2.HTTPError:
            return b"", 0  # it has just ended: the next look asks the one that took over
        size = response.headers.get(_SIZE, "")
        return (response.content, int(size)) if response.status_code == 200 and size.isdecimal() else (b"", 0)

    def routes(self, read: t.Callable[[str, str, int], Deployment | None]) -> list[Route]:
        """What other replicas ask this one.

        Args:
            read: gives a deployment by tenant, function and number.
        """

        async def log(request: Request) -> Response:
            key = await run_in_threadpool(self._key)
            if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {key}".encode()):
                raise ServiceProblem(Code.UNAUTHORIZED, "This is no replica.", next_step="Read the log by the API.")
            found = request.path_params
            tenant, function = check_tenant(found["tenant"]), check_function(found["function"])
            deployment = await run_in_threadpool(read, tenant, function, found["number"])
            offset = request.query_params.get("offset", "")
            if deployment is None or not (offset.isdecimal() and len(offset) < 19):
                return Response(status_code=404)
            file = self.file(deployment)
            size = await run_in_threadpool(size_of, file)
            data = await run_in_threadpool(read_from, file, int(offset))
            return Response(data, 200, {_SIZE: str(size)}, "application/octet-stream")

        return [Route(_PATH, log, methods=["GET"])]


def replica_key(api: t.Callable[[], KubernetesApi], namespace: str) -> t.Callable[[], str]:
    """Gives the key that all replicas have, from a Secret of their namespace that the first one makes.

    Raises (the function it gives):
        PlatformError: the API server does not answer, or the service may not.
    """

    @functools.cache
    def key() -> str:
        found = api().get(SECRET, namespace, KEY_SECRET)
        if found is None:
            metadata = {"name": KEY_SECRET, "namespace": namespace}
            made = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
            with contextlib.suppress(Conflict):
                api().create(SECRET, {**made, "stringData": {"key": secrets.token_urlsafe(32)}})
            found = api().get(SECRET, namespace, KEY_SECRET)
        data: collections.abc.Mapping[str, str] = (found or {}).get("data") or {}
        if not data.get("key"):
            raise PlatformError(
                f"The Secret {namespace}/{KEY_SECRET} has no key.",
                next_step=f"Delete it: `kubectl -n {namespace} delete secret {KEY_SECRET}`; the service makes another.",
            )
        return base64.b64decode(data["key"]).decode()

    return key


@contextlib.contextmanager
def _told(what: str) -> t.Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PlatformError(
            f"The log cannot be {what}: {error.strerror}.",
            next_step="Tell whoever runs the service that its disk is full.",
        ) from error


def _tag(deployment: Deployment) -> str:
    return f"{deployment.function}-{deployment.number}"


def _forget_oldest(directory: Path) -> None:
    files = sorted((path for path in directory.iterdir() if not path.name.startswith(".")), key=_age)
    for path in files[:-_KEPT_FILES]:
        path.unlink(missing_ok=True)


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
