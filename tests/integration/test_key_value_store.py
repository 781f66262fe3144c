# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration and the account of role key_value_store, on a real server that speaks Redis' protocol."""

from __future__ import annotations

import base64
import collections.abc
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from .support import platform_parts

SERVER = shutil.which("valkey-server") or shutil.which("redis-server")
CLIENT = shutil.which("valkey-cli") or shutil.which("redis-cli")
pytestmark = pytest.mark.skipif(
    SERVER is None or CLIENT is None, reason="no Valkey or Redis is installed: apt-get install redis-server"
)


class Server:
    """The server of the namespace `default`, as the role configures it, but for its paths and its port."""

    def __init__(self, directory: Path) -> None:
        (call,) = platform_parts.calls("key_value_store", "defaults")
        (secret,) = [item for item in call.objects if item["kind"] == "Secret" and "users.acl" in item["data"]]
        self.socket = directory / "socket"
        files = {name: base64.b64decode(secret["data"][name]).decode() for name in ("users.acl", "valkey.conf")}
        configuration = files["valkey.conf"].replace("/etc/key-value-store/", f"{directory}/")
        configuration = configuration.replace("dir /data", f"dir {directory}").replace("port 6379", "port 0")
        (directory / "users.acl").write_text(files["users.acl"])
        (directory / "valkey.conf").write_text(f"{configuration}\nunixsocket {self.socket}\n")
        self._file = directory / "valkey.conf"
        self.password = base64.b64decode(secret["data"]["password"]).decode()
        self.start()

    def start(self) -> None:
        assert SERVER is not None
        self._process = subprocess.Popen([SERVER, str(self._file)], stdout=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while self.ask("ping") != "PONG":
            assert self._process.poll() is None and time.monotonic() < end, "the server does not answer"
            time.sleep(0.1)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)

    def ask(self, *command: str, database: int = 0, password: str | None = None) -> str:
        assert CLIENT is not None
        account = ["--user", "functions", "--no-auth-warning"] if password != "" else []
        given = {"REDISCLI_AUTH": self.password if password is None else password} if account else {}
        finished = subprocess.run(
            [CLIENT, "-s", str(self.socket), "-n", str(database), *account, *command],
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], **given},
            timeout=60,
            check=False,
        )
        return (finished.stdout + finished.stderr).strip()


@pytest.fixture
def server(tmp_path: Path) -> collections.abc.Iterator[Server]:
    running = Server(tmp_path)
    yield running
    running.stop()


def test_account_does_what_spin_asks_and_no_more(server: Server) -> None:
    for command, answer in {
        "set a 1": "OK",
        "get a": "1",
        "exists a": "1",
        "keys *": "a",
        "scan 0": "0\na",
        "mset b 2 c 3": "OK",
        "incrby n 2": "2",
        "watch a": "OK",
        "unwatch": "OK",
        "del a b c n": "4",
    }.items():
        assert server.ask(*command.split(), database=3) == answer, command
    for command in ("config get dir", "eval return 1", "shutdown", "acl list", "module list", "flushall", "save"):
        assert "NOPERM" in server.ask(*command.split()), command
    assert "NOAUTH" in server.ask("get", "a", password="")
    assert "WRONGPASS" in server.ask("get", "a", password="guessed")


def test_databases_do_not_see_each_other_and_outlive_the_server(server: Server) -> None:
    assert server.ask("set", "a", "of one", database=1) == "OK"
    assert server.ask("set", "a", "of two", database=63) == "OK"
    assert "out of range" in server.ask("get", "a", database=64)
    server.stop()
    server.start()
    assert (server.ask("get", "a", database=1), server.ask("get", "a", database=63)) == ("of one", "of two")
    assert server.ask("flushdb", database=1) == "OK"
    assert server.ask("keys", "*", database=63) == "a"
