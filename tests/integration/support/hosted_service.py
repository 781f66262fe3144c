# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosted service as `make serve` starts it, on a free port and with a state of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

import httpx2

from .servers import wait_until

_START_SECONDS = 300.0
"""The first start installs the local runtime."""


class HostedService:
    """Use as a context: at its end, its functions are deleted and it is stopped."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._log = directory / "service.log"
        self._arguments = ("--port", "0", "--state-directory", str(directory / "state"), *arguments)
        self.url = ""
        self.token = ""

    def __enter__(self) -> HostedService:
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ansible_collections.wasmfaas.platform.service", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        try:
            wait_until(self._answers, seconds=_START_SECONDS, what="the service answers")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            self._delete_functions()
        finally:
            self._stop()

    def api(self, method: str, path: str, **options: t.Any) -> t.Any:
        """The answer to a request of the administrator."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return httpx2.request(method, f"{self.url}/v1{path}", headers=headers, timeout=60, **options)

    def create_token(self, name: str, tenant: str, role: str = "deploy") -> str:
        """A new token."""
        answer = self.api("POST", "/tokens", json={"name": name, "tenant": tenant, "role": role})
        answer.raise_for_status()
        return str(answer.json()["token"])

    def _answers(self) -> bool:
        said = self._log.read_text()
        if self._process.poll() is not None:
            raise RuntimeError(f"The service ended:\n{said[-2000:]}")
        address = re.search(r"answers at (http://\S+)", said)
        token = re.search(r"^Token .*: (\S+)$", said, re.MULTILINE)
        if not address or not token:
            return False
        self.url, self.token = address[1], token[1]
        try:
            return bool(httpx2.get(f"{self.url}/healthz", timeout=10).is_success)
        except httpx2.HTTPError:
            return False

    def _delete_functions(self) -> None:
        for tenant in self.api("GET", "/tenants").json()["tenants"]:
            for function in self.api("GET", f"/tenants/{tenant}/functions").json()["functions"]:
                path = f"/tenants/{tenant}/functions/{function['name']}"
                # 409 while a deployment is rolled out.
                wait_until(
                    lambda path=path: self.api("DELETE", path).status_code in (200, 404),  # type: ignore[misc]
                    seconds=60,
                    what=f"{path} is deleted",
                    interval=0.5,
                )

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
