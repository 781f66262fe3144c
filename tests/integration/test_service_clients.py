# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients of the hosted service with the real service on this machine: the command and the playbooks."""

from __future__ import annotations

import collections.abc
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from .support.function_project import BuiltFunction
from .support.playbooks import Playbooks, extra
from .support.servers import REPOSITORY, Server
from .support.workbench import built_workbench

COMMAND = REPOSITORY / "client/wasmfaas.py"
SECONDS = 600.0
TENANT = "user1"


class HostedService:
    """`make serve` with a state directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.token_file = directory / "state/service/admin-token"
        self._config = directory / "config"
        arguments = ["--port", "0", "--state-directory", str(directory / "state")]
        self.server = Server(
            [sys.executable, "-m", "ansible_collections.wasmfaas.platform.service", *arguments],
            log=directory / "service.log",
            environment={"PYTHONPATH": os.pathsep.join(sys.path)},
        )

        def told() -> re.Match[str] | None:
            return re.search(r"answers at (http://\S+)", self.server.log.read_text())

        self.server.wait_ready(told, seconds=SECONDS)
        found = told()
        assert found is not None
        self.url = found[1]

    def run(self, *arguments: str | Path, code: int = 0) -> str:
        """What the command writes to standard output."""
        kept = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
        done = subprocess.run(
            [sys.executable, COMMAND, *arguments],
            env={**kept, "XDG_CONFIG_HOME": str(self._config), "WASMFAAS_TENANT": TENANT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == code, done.stdout + done.stderr + self.server.log_tail()
        return done.stderr if code else done.stdout

    def close(self) -> None:
        """Remove the functions, and end."""
        try:
            for function in json.loads(self.run("list", "--json"))["functions"]:
                self.run("delete", function["name"])
        finally:
            self.server.stop(seconds=30)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[HostedService]:
    service = HostedService(tmp_path_factory.mktemp("hosted"))
    service.run("login", service.url, "--token-file", service.token_file)
    yield service
    service.close()


@pytest.fixture
def shop(tmp_path: Path) -> BuiltFunction:
    return BuiltFunction(tmp_path / "shop", built_workbench(), "shop")


def broken(function: BuiltFunction) -> None:
    """Make the build of a project fail."""
    manifest = function.project.directory / "spin.toml"
    manifest.write_text(manifest.read_text().replace("cp base.bin app.wasm", "echo it is broken; exit 3"))


def health(url: str) -> int:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        f"{url}/.well-known/spin/health", timeout=60
    ) as answer:
        return int(answer.status)


def test_the_command(service: HostedService, shop: BuiltFunction) -> None:
    url = service.run("deploy", shop.project.directory).strip()
    assert health(url) == 200
    assert json.loads(service.run("deploy", shop.project.directory, "--json"))["number"] == 1  # unchanged

    shop.version("2")
    second = json.loads(service.run("deploy", shop.project.directory, "--json"))
    assert (second["number"], second["changed"]) == (2, True)

    broken(shop)
    said = service.run("deploy", shop.project.directory, code=1)
    assert "it is broken" in said and "Next: " in said
    assert "it is broken" in service.run("logs", "shop", "--build")
    assert health(json.loads(service.run("status", "shop", "--json"))["url"]) == 200

    first = json.loads(service.run("rollback", "shop", "--to", "1", "--json"))
    assert (first["phase"], first["source"] == second["source"]) == ("Ready", False)
    numbers = [one["number"] for one in json.loads(service.run("versions", "shop", "--json"))["deployments"]]
    assert numbers == [4, 3, 2, 1]
    service.run("logs", "shop")

    service.run("delete", "shop")
    assert service.run("list") == "no functions\n"


def test_the_playbooks(service: HostedService, tmp_path: Path) -> None:
    # Of another name, as what was built for the one above is not built again.
    cart = BuiltFunction(tmp_path / "cart", built_workbench(), "cart")
    home = Playbooks(tmp_path / "home")
    token = shutil.copy(service.token_file, tmp_path / "token")
    common = {"service": service.url, "token_file": Path(token), "namespace": TENANT}

    def play(playbook: str, /, *arguments: str, exit_code: int = 0, **variables: object) -> tuple[str, int]:
        run = home.run(
            f"wasmfaas.platform.{playbook}", *arguments, *extra(**common, **variables), environment={"NO_PROXY": "*"}
        )
        assert run.exit_code == exit_code, run.output + service.server.log_tail()
        return run.output, run.changed

    def deploy(*arguments: str, exit_code: int = 0) -> tuple[str, int]:
        return play("deploy_function", *arguments, exit_code=exit_code, src=cart.project.directory)

    assert deploy("--check")[1] == 1
    output, changed = deploy()
    assert changed == 1 and "$ cp base.bin app.wasm" in output
    assert deploy()[1] == 0
    assert deploy("--check")[1] == 0

    cart.version("2")
    assert deploy("--check")[1] == 1
    output, changed = deploy()
    assert changed == 1

    broken(cart)
    output, changed = deploy(exit_code=2)
    assert "it is broken" in output and re.search(r"Stage: +build", output) and "Next step:" in output

    output, changed = play("rollback_function", name="cart")
    assert changed == 1 and "rolled back http://" in output
    output, changed = play("list_functions")
    assert changed == 0 and re.search(r"user1 +cart +ready", output)
    assert "cart" in play("function_logs", name="cart")[0]
    assert play("delete_function", "--check", name="cart")[1] == 1
    assert play("delete_function", name="cart")[1] == 1
    assert play("delete_function", name="cart")[1] == 0
