# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosted service with its own stores, and stand-ins for what builds and what runs functions: a deployment is ready
at once."""

from __future__ import annotations

import contextlib
import io
import tarfile
import threading
import typing as t
from pathlib import Path

from ansible_collections.wasmfaas.platform.plugins.module_utils.function.model import LiveFunction
from ansible_collections.wasmfaas.platform.service.core import Service
from ansible_collections.wasmfaas.platform.service.deployments.model import Deployment, Phase, Settings, now
from ansible_collections.wasmfaas.platform.service.deployments.queue import Limits
from ansible_collections.wasmfaas.platform.service.deployments.store import Changed, FileDeploymentStore
from ansible_collections.wasmfaas.platform.service.deployments.supervisor import Supervisor
from ansible_collections.wasmfaas.platform.service.directories import Directories
from ansible_collections.wasmfaas.platform.service.functions import LocalFunctions
from ansible_collections.wasmfaas.platform.service.local_adapters import LocalAdapters
from ansible_collections.wasmfaas.platform.service.sources.store import FileSourceStore
from ansible_collections.wasmfaas.platform.service.tokens import ALL_TENANTS, FileTokenStore, Role
from ansible_collections.wasmfaas.platform.service.variables import FileVariableStore, Variable

SLOW = "slow"
"""A function whose deployments wait for SLOW_SECONDS."""

SLOW_SECONDS = 0.1

WAITING = "waiting"
"""A function whose deployments wait for ever."""

BROKEN = "broken"
"""A function whose deployments fail."""


class RunningFunctions(LocalFunctions):
    """Functions that only seem to run."""

    def __init__(self, directories: Directories) -> None:
        super().__init__(directories)
        self.live: dict[tuple[str, str], LiveFunction] = {}

    def tenants(self) -> list[str]:
        return sorted({tenant for tenant, _name in self.live})

    def of_tenant(self, tenant: str) -> list[LiveFunction]:
        return [one for (of, _name), one in sorted(self.live.items()) if of == tenant]

    def read(self, tenant: str, function: str) -> LiveFunction | None:
        return self.live.get((tenant, function))

    def delete(self, tenant: str, function: str, *, keep_data: bool) -> bool:
        return self.live.pop((tenant, function), None) is not None

    def log(self, tenant: str, function: str, lines: int) -> list[str]:
        return ["listening", "GET / 200"][-lines:] if (tenant, function) in self.live else []


class PromptSupervisor(Supervisor):
    """Finishes deployments without a worker."""

    def __init__(self, directories: Directories, store: FileDeploymentStore, functions: RunningFunctions) -> None:
        super().__init__(LocalAdapters(directories), Limits())
        self._deployments, self._functions = store, functions
        self._timers: list[threading.Timer] = []

    def submit(self, deployment: Deployment) -> None:
        super().submit(deployment)
        if deployment.function == SLOW:
            timer = threading.Timer(SLOW_SECONDS, self._finish, [deployment])
            self._timers.append(timer)
            timer.start()
        elif deployment.function != WAITING:
            self._finish(deployment)

    def stop(self) -> None:
        """Wait for those that are slow."""
        for timer in self._timers:
            timer.join()

    def _finish(self, deployment: Deployment) -> None:
        with self._changed:
            if self._queued.pop(deployment.key, None) is None:
                return
        self._deployments.log_file(deployment).write_text("building …\nbuilt\n", encoding="utf-8")
        artifact = deployment.source
        failed = deployment.function == BROKEN
        changes: dict[str, t.Any] = (
            {"phase": Phase.FAILED, "reason": "No spin.toml.", "next_step": "Add one.", "facts": {"stage": "manifest"}}
            if failed
            else {"phase": Phase.READY, "artifact": artifact, "changed": True, "url": "http://shop.user1.localhost"}
        )
        with contextlib.suppress(Changed):  # it was cancelled meanwhile
            self._deployments.update(
                deployment, attempt=1, started=now(), finished=now(), stages={"queue": 0}, **changes
            )
            if not failed:
                self._functions.live[deployment.tenant, deployment.function] = LiveFunction(
                    name=deployment.function,
                    namespace=deployment.tenant,
                    source_digest=deployment.source,
                    image=f"localhost/functions/{deployment.function}@{artifact}",
                    url="http://shop.user1.localhost",
                    status="ready",
                    created=now(),
                )


class ServiceStandIn:
    """A service in which the tenant `user1` has functions already: `shop` with two deployments, variables and a secret,
    SLOW, WAITING and BROKEN.

    Attributes:
        service: see `Service`.
        digests: of its sources.
        admin: a token; so are `deploy` and `read`, of the tenant user1.
    """

    def __init__(self, directory: Path) -> None:
        directories = Directories(directory, directory / "cache", directory / "runtime")
        deployments = FileDeploymentStore(directories.deployments)
        functions = RunningFunctions(directories)
        self.supervisor = PromptSupervisor(directories, deployments, functions)
        tokens = FileTokenStore(directories.service / "tokens.json")
        self.service = Service(
            deployments,
            FileSourceStore(directories.sources),
            functions,
            FileVariableStore(directories.variables),
            tokens,
            self.supervisor,
        )
        self.admin = tokens.create("root", ALL_TENANTS, Role.ADMIN)
        self.deploy = tokens.create("alice-laptop", "user1", Role.DEPLOY)
        self.read = tokens.create("reader", "user1", Role.READ)
        self.digests = [self._source(text) for text in ("one", "two")]
        token = self.service.token(self.deploy)
        for function in ("shop", SLOW, WAITING, BROKEN):
            for digest in self.digests:
                self.service.deploy(token, "user1", function, digest, Settings(timeout=30))
        self.service.set_variable(token, "user1", "shop", "greeting", Variable("Hello"))
        self.service.set_variable(token, "user1", "shop", "api_key", Variable("not for you", True))

    def _source(self, text: str) -> str:
        with self.service.sources.upload("user1") as upload:
            upload.write(archive(text))
            source, _new = self.service.sources.keep("user1", upload)
        return source.source


def archive(text: str) -> bytes:
    """A tar.gz with a file of this text."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as packed:
        about = tarfile.TarInfo("spin.toml")
        about.size = len(text.encode())
        packed.addfile(about, io.BytesIO(text.encode()))
    return stream.getvalue()


@contextlib.contextmanager
def service_stand_in(directory: Path) -> t.Iterator[ServiceStandIn]:
    """A service over an empty directory."""
    made = ServiceStandIn(directory)
    try:
        yield made
    finally:
        made.supervisor.stop()
