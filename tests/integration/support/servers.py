# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the test servers of tests/servers/ once, starts them on the loopback address, and stops them by process id."""

from __future__ import annotations

import atexit
import collections.abc
import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import time
import typing as t
from pathlib import Path

from . import go_build

REPOSITORY = Path(__file__).resolve().parents[3]
SOURCES = go_build.SERVERS
COMMANDS = ("control_plane", "registry", "spinkube_stand_in")
BUILD_SECONDS = 3600.0


class ServerError(Exception):
    """A test server could not be built, or did not start. The message ends with the last lines of its log."""


@dataclasses.dataclass(frozen=True)
class Programs:
    """The built programs, and the CustomResourceDefinitions of the Gateway API that they were built with."""

    directory: Path

    def path(self, command: str) -> Path:
        return self.directory / command

    @property
    def gateway_definitions(self) -> Path:
        return self.directory / "gateway-api"


def build() -> Programs:
    """The programs for the current sources, from the cache. The first build takes about 10 minutes on 2 cores.

    Raises:
        ServerError: there is no Go of the version in go.mod, or the build failed.
    """
    try:
        # Keeps three builds of 190 MB each.
        return Programs(go_build.filled_once("test-servers", go_build.digest(SOURCES), _build_into, kept=3))
    except go_build.BuildError as error:
        raise ServerError(str(error)) from error


def _build_into(directory: Path) -> None:
    go_build.build(SOURCES, f"{directory}/", packages=[f"./cmd/{name}" for name in COMMANDS], seconds=BUILD_SECONDS)
    module = go_build.go(SOURCES, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api", seconds=60)
    # Copies only the content, because files of Go's module cache are read-only, and our cache must be removable.
    (directory / "gateway-api").mkdir()
    for file in (Path(module.strip()) / "config" / "crd" / "standard").glob("*.yaml"):
        (directory / "gateway-api" / file.name).write_bytes(file.read_bytes())


def free_port(address: str = "127.0.0.1") -> int:
    """A port of this machine's address that is free now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


T = t.TypeVar("T")


def wait_until(condition: collections.abc.Callable[[], T], *, seconds: float, what: str, interval: float = 0.05) -> T:
    """Call `condition` every `interval` seconds until it returns a true value, and return that value.

    Raises:
        TimeoutError: `seconds` have passed; the message names `what`.
    """
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not so after {seconds:g} s, last seen {value!r}")
        time.sleep(interval)


class Server:
    """A process of a test server. It reads a pipe as standard input, and ends when this process ends for any reason."""

    def __init__(
        self, command: collections.abc.Sequence[str], *, log: Path, environment: dict[str, str] | None = None
    ) -> None:
        """Start the process, which appends to `log` (mode 0600)."""
        self.command = list(command)
        self.log = log
        self.environment = {**os.environ, **(environment or {}), "STOP_WITH_STANDARD_INPUT": "1"}
        self.start()

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=self.environment,
                start_new_session=True,
            )
        _running.append(self)

    def wait_ready(self, condition: collections.abc.Callable[[], object], *, seconds: float) -> None:
        """Wait for `condition`.

        Raises:
            ServerError: the process ended, or the condition did not become true within `seconds`.
        """

        def ready() -> bool:
            if self.process.poll() is not None:
                raise ServerError(f"{self.command[0]} ended with {self.process.returncode}\n{self.log_tail()}")
            return bool(condition())

        try:
            wait_until(ready, seconds=seconds, what=f"{self.command[0]} is ready")
        except TimeoutError as error:
            raise ServerError(f"{error}\n{self.log_tail()}") from error

    def stop(self, *, seconds: float = 5.0) -> None:
        """Terminate the process, and kill it after `seconds`."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self._reap()

    def kill(self) -> None:
        """End the process with SIGKILL, as a crash does."""
        self.process.kill()
        self._reap()

    def _reap(self) -> None:
        self.process.wait(10)
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        if self in _running:
            _running.remove(self)

    def log_tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


_running: list[Server] = []


@atexit.register
def _stop_all() -> None:
    for server in tuple(_running):
        server.stop()


def answers(url: str, *, verify: t.Any = True, statuses: collections.abc.Container[int] = (200,)) -> bool:
    """Whether an HTTP GET of `url` is answered with one of `statuses`."""
    import httpx2

    try:
        return httpx2.get(url, verify=verify, timeout=2, trust_env=False).status_code in statuses
    except httpx2.TransportError:
        return False


def write_private(path: Path, content: str | bytes) -> Path:
    """Write a file that only its owner may read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return path


def write_json(path: Path, content: t.Any) -> Path:
    return write_private(path, json.dumps(content, indent=1))
