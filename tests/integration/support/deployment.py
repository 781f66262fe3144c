# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploys functions in tests as the module does, in this process or in one that a test may kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import httpx2
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function import run
from ansible_collections.wasmfaas.platform.plugins.modules.spin_function import argument_spec

from .control_plane import ControlPlane
from .function_project import FunctionProject
from .registries import Registry
from .servers import REPOSITORY

Result = dict[str, t.Any]

_IN_A_PROCESS = """
import json, signal, sys
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function import run
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    print(json.dumps(run(json.loads(sys.stdin.read()), False, set())))
except PlatformError as error:
    print(json.dumps({"failed": True, "stage": error.stage, "cause": error.cause, "next_step": error.next_step}))
    sys.exit(1)
"""


class Deployment:
    """Deploys to one cluster and registry. Its methods take the options of spin_function."""

    def __init__(self, control_plane: ControlPlane, front: str, registry: Registry, home: Path) -> None:
        """`front`: where the Gateway answers, as `ADDRESS:PORT`."""
        self.control_plane = control_plane
        self.front = front
        self.registry = registry
        self.home = home
        self._deployed: set[tuple[str, str]] = set()

    def parameters(self, project: FunctionProject | None = None, **options: t.Any) -> dict[str, t.Any]:
        """All parameters of the module. Without `options`, they name the test cluster and registry."""
        given = {
            "source": str(project.directory) if project else None,
            "registry": f"{self.registry.host}/functions",
            "registry_plain_http": True,
            "domain": "127.0.0.1.nip.io",
            "probe_address": self.front,
            "kubeconfig": str(self.control_plane.kubeconfig),
            "cache_directory": str(self.home / "cache"),
            "state_directory": str(self.home / "state"),
            "wait_timeout": 60,
        }
        defaults = {name: option.get("default") for name, option in argument_spec().items()}
        if options.get("load"):
            options["load"].setdefault("concurrency", 1.0)
        return {**defaults, **given, **options}

    def deploy(self, project: FunctionProject, *, check_mode: bool = False, **options: t.Any) -> Result:
        """Deploy as `ansible-playbook wasmfaas.platform.deploy_function` does.

        Raises:
            PlatformError: the deployment failed.
        """
        return run(self._remembered(project, options), check_mode, set())

    def start(self, project: FunctionProject, **options: t.Any) -> subprocess.Popen[str]:
        """Deploy in a separate process; `finish` returns its result."""
        process = subprocess.Popen(
            [sys.executable, "-c", _IN_A_PROCESS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / ".ansible" / "collections")},
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(self._remembered(project, options)))
        process.stdin.close()
        process.stdin = None
        return process

    @staticmethod
    def finish(process: subprocess.Popen[str], *, seconds: float = 120) -> Result:
        """The result that a process of `start` printed, also after a failure."""
        output, errors = process.communicate(timeout=seconds)
        assert output, errors
        return t.cast(Result, json.loads(output))

    def delete(self, name: str, *, check_mode: bool = False, **options: t.Any) -> Result:
        """Delete as `ansible-playbook wasmfaas.platform.delete_function` does."""
        return run(self.parameters(None, name=name, state="absent", **options), check_mode, set())

    def remember(self, name: str, *, namespace: str = "default") -> None:
        """Remove this function too when the test ends."""
        self._deployed.add((namespace, name))

    def remove_all(self) -> None:
        while self._deployed:
            namespace, name = self._deployed.pop()
            self.delete(name, namespace=namespace)

    def _remembered(self, project: FunctionProject, options: dict[str, t.Any]) -> dict[str, t.Any]:
        parameters = self.parameters(project, **options)
        self._deployed.add((parameters["namespace"], parameters["name"] or project.name))
        return parameters

    def call(self, result: Result, path: str = "/") -> httpx2.Response:
        """GET the function at the host of its URL."""
        return httpx2.get(
            f"http://{self.front}{path}",
            headers={"Host": result["url"].removeprefix("http://")},
            timeout=10,
            trust_env=False,
        )
