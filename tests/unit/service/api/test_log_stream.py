# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `curl -T` shows while a deployment says nothing."""

from __future__ import annotations

import asyncio
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.service.api import log_stream
from ansible_collections.wasmfaas.platform.service.deployments.model import Deployment, Phase, Settings


class SilentService:
    """A service whose only deployment rolls out for some looks, and is cancelled then."""

    def __init__(self, deployment: Deployment, looks: int) -> None:
        self.deployments = self.logs = self
        self._deployment, self._left = deployment, looks

    def read(self, *key: t.Any) -> t.Any:
        """The deployment by its key, or its log."""
        if isinstance(key[0], Deployment):
            return b""
        self._left -= 1
        phase = Phase.ROLLING_OUT if self._left > 0 else Phase.CANCELLED
        return Deployment(**{name: getattr(self._deployment, name) for name in FIELDS}, phase=phase, reason="ended")

    def position(self, _deployment: Deployment) -> None:
        return None


FIELDS = ("number", "tenant", "function", "source", "settings", "settings_digest", "requested_by", "created")


def test_a_deployment_that_says_nothing_is_shown_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a proxy ends the connection, and `curl` reports a failure that is none."""
    monkeypatch.setattr(log_stream, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr(log_stream, "_LOOK_SECONDS", 0.0)
    values = (1, "user1", "hello", f"sha256:{'0' * 64}", Settings(), "", "alice", "2026-11-30T00:00:00Z")
    deployment = Deployment(**dict(zip(FIELDS, values, strict=True)))

    async def shown() -> list[str]:
        service: t.Any = SilentService(deployment, looks=3)
        return [piece.decode() async for piece in log_stream.progress_text(service, deployment)]

    assert asyncio.run(shown()) == [
        "deployment 1 of user1/hello\n",
        "RollingOut goes on\n",
        "RollingOut goes on\n",
        "cancelled: ended\nnext: \n",
    ]
