# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real application with the page, over functions and a supervisor that only remember."""

from __future__ import annotations

import collections.abc
import dataclasses
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.model import LiveFunction
from ansible_collections.wasmfaas.platform.service.application import application
from ansible_collections.wasmfaas.platform.service.core import Service
from ansible_collections.wasmfaas.platform.service.deployments.model import Deployment, Phase, Settings, now
from ansible_collections.wasmfaas.platform.service.deployments.queue import Limits
from ansible_collections.wasmfaas.platform.service.deployments.store import FileDeploymentStore
from ansible_collections.wasmfaas.platform.service.sources.store import FileSourceStore
from ansible_collections.wasmfaas.platform.service.tokens import FileTokenStore, Role
from ansible_collections.wasmfaas.platform.service.variables import FileVariableStore
from starlette.applications import Starlette
from starlette.testclient import TestClient

HOST = "https://page.example"


class RememberedFunctions:
    """Functions that a test puts there; see `service.functions.Functions`."""

    def __init__(self) -> None:
        self.live: dict[tuple[str, str], LiveFunction] = {}
        self.lines: list[str] = []
        self.promoted: list[tuple[str, str]] = []

    def tenants(self) -> list[str]:
        return sorted({tenant for tenant, _name in self.live})

    def of_tenant(self, tenant: str) -> list[LiveFunction]:
        return [one for (owner, _name), one in sorted(self.live.items()) if owner == tenant]

    def read(self, tenant: str, function: str) -> LiveFunction | None:
        return self.live.get((tenant, function))

    def delete(self, tenant: str, function: str, *, keep_data: bool) -> bool:
        return self.live.pop((tenant, function), None) is not None

    def log(self, tenant: str, function: str, lines: int) -> list[str]:
        return self.lines[-lines:]

    def promote(self, tenant: str, function: str) -> None:
        self.promoted.append((tenant, function))


class RememberingSupervisor:
    """Takes deployments and never begins one."""

    def __init__(self, store: FileDeploymentStore) -> None:
        self.limits = Limits()
        self._store = store
        self._queued: list[Deployment] = []

    def submit(self, deployment: Deployment) -> None:
        self._queued.append(deployment)

    def queued(self, tenant: str | None = None, function: str | None = None) -> list[Deployment]:
        return [one for one in self._queued if tenant in (None, one.tenant) and function in (None, one.function)]

    def position(self, deployment: Deployment) -> int | None:
        keys = [one.key for one in self._queued]
        return keys.index(deployment.key) + 1 if deployment.key in keys else None

    def cancel(self, deployment: Deployment, reason: str, next_step: str) -> Deployment | None:
        self._queued = [one for one in self._queued if one.key != deployment.key]
        return self._store.update(deployment, phase=Phase.CANCELLED, reason=reason, next_step=next_step, finished=now())


@dataclasses.dataclass
class Page:
    """The application, and what a test changes behind it."""

    application: Starlette
    service: Service
    functions: RememberedFunctions
    store: FileDeploymentStore
    client: TestClient

    def sign_in(self, role: Role = Role.DEPLOY, tenant: str = "user1") -> None:
        """Sign in with a new token."""
        secret = self.service.tokens.create(f"a-{role}", tenant, role)
        answer = self.post("/session", {"token": secret, "back": "/"})
        assert answer.status_code == 303, answer.text

    def get(self, path: str, **headers: str) -> t.Any:
        return self.client.get(path, headers=headers, follow_redirects=False)

    def post(self, path: str, data: dict[str, t.Any] | None = None, files: t.Any = None, **headers: str) -> t.Any:
        """Send a form as the page does."""
        sent = {"Sec-Fetch-Site": "same-origin", **headers}
        if not data and not files:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        return self.client.post(path, data=data, files=files, headers=sent, follow_redirects=False)

    def deployment(self, name: str = "shop", **fields: t.Any) -> Deployment:
        """Put a deployment there."""
        numbers = [one.number for one in self.store.of_function("user1", name)]
        made = Deployment(
            number=max(numbers, default=0) + 1,
            tenant="user1",
            function=name,
            source=f"sha256:{'1' * 64}",
            settings=Settings(),
            settings_digest="hmac-sha256:0",
            requested_by="alice",
            created=now(),
        )
        self.store.create(made)
        return self.store.update(made, **fields) if fields else made

    def live(self, name: str = "shop", **fields: t.Any) -> LiveFunction:
        """Put a function there that is ready."""
        found = LiveFunction(
            name=name,
            namespace="user1",
            source_digest="",
            image=f"oci:/registry:{name}@sha256:{'2' * 64}",
            url="http://127.0.0.1:4000",
            status="ready",
            created=now(),
        )
        self.functions.live["user1", name] = dataclasses.replace(found, **fields)
        return self.functions.live["user1", name]


@pytest.fixture
def page(tmp_path: Path) -> collections.abc.Iterator[Page]:
    """The application by HTTPS, with nobody signed in."""
    store = FileDeploymentStore(tmp_path / "deployments")
    functions = RememberedFunctions()
    supervisor: t.Any = RememberingSupervisor(store)
    service = Service(
        store,
        FileSourceStore(tmp_path / "sources"),
        functions,
        FileVariableStore(tmp_path / "variables"),
        FileTokenStore(tmp_path / "tokens.json"),
        supervisor,
    )
    app = application(service)
    with TestClient(app, base_url=HOST, raise_server_exceptions=False) as client:
        yield Page(app, service, functions, store, client)
