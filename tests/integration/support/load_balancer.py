# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP load balancer with the rules of AWS's Network Load Balancer.

A target takes new connections after `healthy_threshold` health checks in a row, and none after `unhealthy_threshold`
failed ones; connections that it has go on. While no target is healthy, all take connections ("fail open").
https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import ssl

CHECK_TIMEOUT_SECONDS = 6.0
"""Of HTTP health checks (HealthCheckTimeoutSeconds of CreateTargetGroup; the default for HTTP). Never longer than the
interval."""


@dataclasses.dataclass(frozen=True)
class HealthCheck:
    """As in a target group. `interval` in seconds; `protocol` is HTTP, HTTPS or TCP; `port` 0 is the target's own."""

    protocol: str
    port: int
    path: str = "/"
    interval: float = 10.0
    healthy_threshold: int = 2
    unhealthy_threshold: int = 2


@dataclasses.dataclass(frozen=True)
class Listener:
    """A port of the load balancer and the machines behind it, each as address and port."""

    address: str
    port: int
    targets: tuple[tuple[str, int], ...]
    check: HealthCheck


class LoadBalancer:
    """One listener at work. `refused` counts connections for which no target could be reached."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.healthy: dict[tuple[str, int], bool] = dict.fromkeys(listener.targets, False)
        self.refused = 0
        self._turn = itertools.count()
        self._context = ssl.create_default_context()
        # Load balancers do not validate the certificates of targets.
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE

    async def run(self) -> None:
        server = await asyncio.start_server(self._serve, self.listener.address, self.listener.port)
        async with server, asyncio.TaskGroup() as group:
            for target in self.listener.targets:
                group.create_task(self._watch(target))
            await server.serve_forever()

    def choose(self) -> tuple[str, int] | None:
        """The target of a new connection."""
        ready = [target for target, healthy in self.healthy.items() if healthy] or list(self.healthy)
        return ready[next(self._turn) % len(ready)] if ready else None

    async def _watch(self, target: tuple[str, int]) -> None:
        check, streak, last = self.listener.check, 0, False
        while True:
            passed = await self._passes(target)
            streak, last = (streak + 1 if passed == last else 1), passed
            if streak >= (check.healthy_threshold if passed else check.unhealthy_threshold):
                self.healthy[target] = passed
            await asyncio.sleep(check.interval)

    async def _passes(self, target: tuple[str, int]) -> bool:
        check = self.listener.check
        try:
            async with asyncio.timeout(min(CHECK_TIMEOUT_SECONDS, check.interval)):
                reader, writer = await asyncio.open_connection(
                    target[0], check.port or target[1], ssl=self._context if check.protocol == "HTTPS" else None
                )
                try:
                    if check.protocol == "TCP":
                        return True
                    request = f"GET {check.path} HTTP/1.1\r\nHost: {target[0]}\r\nConnection: close\r\n\r\n"
                    writer.write(request.encode())
                    return b" 200 " in await reader.readline()
                finally:
                    writer.close()
        except (OSError, ssl.SSLError, TimeoutError):
            return False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = self.choose()
        try:
            if target is None:
                raise OSError("no target")
            behind = await asyncio.open_connection(*target)
        except OSError:
            self.refused += 1
            writer.transport.abort()  # a reset, as the machine's own refusal is
            return
        await asyncio.gather(_copy(reader, behind[1]), _copy(behind[0], writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.close()
