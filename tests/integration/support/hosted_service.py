# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosted service as `make serve` starts it, and small projects for it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import typing as t
from pathlib import Path

import httpx2
from ansible_collections.wasmfaas.platform.plugins.module_utils.directories import cache_directory

from .servers import wait_until

MODULE = "ansible_collections.wasmfaas.platform.service"
SECONDS = 240
"""How long something may take on a slow machine."""


class HostedService:
    """The service as a process with a state directory of its own; use as a context."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.state = directory / "state"
        self._log = directory / "service.log"
        self._arguments = arguments
        self.process: subprocess.Popen[str] | None = None
        self.address = self.token = ""

    def __enter__(self) -> HostedService:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
        for function in sorted((self.state / "functions").glob("*/*/state.json")):
            with contextlib.suppress(OSError, ValueError):
                os.kill(json.loads(function.read_text())["process_id"], signal.SIGTERM)

    def start(self) -> None:
        """Start it, and wait until it says where it answers."""
        with self._log.open("a") as log:
            begin = log.tell()
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", MODULE, "--port", "0", "--state-directory", str(self.state),
                    "--cache-directory", str(cache_directory(None)), *self._arguments,
                ],
                stdout=log, stderr=log, text=True, stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        found = wait_for(lambda: re.search(r"answers at (\S+)", self.log[begin:]), f"the service: {self._log}")
        self.address = found[1].replace("localhost", "127.0.0.1")
        self.token = (self.state / "service" / "admin-token").read_text().strip()
        wait_for(self._is_ready, "the service is ready")

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            return httpx2.get(f"{self.address}/readyz").status_code == 200
        return False

    @property
    def process_id(self) -> int:
        """Of the service."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """What the service wrote."""
        return self._log.read_text()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it with a signal."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=60)
            self.process = None

    def client(self, token: str | None = None) -> httpx2.Client:
        """A client with a token, the administrator's by default; an empty text for none."""
        given = self.token if token is None else token
        headers = {"Authorization": f"Bearer {given}"} if given else {}
        return httpx2.Client(base_url=self.address, headers=headers, timeout=SECONDS)


def project(component: Path, *, build: str = "cp base.bin app.wasm", message: str = "1", more: str = "") -> bytes:
    """A project as tar.gz whose component was built before.

    Args:
        build: its build command.
        message: another one makes it another source and another artifact.
        more: of the table `component.hello`.
    """
    manifest = f"""
spin_manifest_version = 2

[application]
name = "hello"
version = "{message}"

[variables]
greeting = {{ default = "hello" }}
password = {{ default = "none", secret = true }}

[[trigger.http]]
route = "/..."
component = "hello"

[component.hello]
source = "app.wasm"
variables = {{ greeting = "{{{{ greeting }}}}", password = "{{{{ password }}}}" }}
{more}

[component.hello.build]
command = {json.dumps(build)}
"""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as archive:
        for name, content in (("spin.toml", manifest.encode()), ("base.bin", component.read_bytes())):
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return stream.getvalue()


def put(client: httpx2.Client, source: bytes, name: str = "hello", tenant: str = "user1", **query: str) -> t.Any:
    """Upload a source and deploy it; gives the deployment as it is then."""
    response = client.put(
        f"/v1/tenants/{tenant}/functions/{name}/source",
        content=source,
        params=query,
        headers={"Accept": "application/json"},
    )
    assert response.status_code in (200, 202), response.text
    return response.json()


def path_of(deployment: dict[str, t.Any]) -> str:
    """The URL path of a deployment."""
    return f"/v1/tenants/{deployment['tenant']}/functions/{deployment['function']}/deployments/{deployment['number']}"


def finished(client: httpx2.Client, deployment: dict[str, t.Any]) -> t.Any:
    """Wait for the end of a deployment and give it."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        live = client.get(path_of(deployment), params={"wait": 20}).json()
        if live["finished"]:
            return live
    raise AssertionError(f"not finished: {live}")


def wait_for(condition: t.Callable[[], t.Any], what: str) -> t.Any:
    """Wait until a condition holds and give its value."""
    return wait_until(condition, seconds=SECONDS, what=what)
