# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""stored_tokens.py with passwd_file.py, server_api.py and refused_start.py: the file with the tokens, its copy in etcd,
and a server that k3s refuses to start on."""

from __future__ import annotations

import base64
import json
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s import paths
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.recovery import (
    passwd_file,
    refused_start,
    server_api,
    stored_tokens,
)

WRITTEN = 1795331712
OLD = "agents-password-of-before,node,node,k3s:agent\nservers-password,server,server,k3s:server\n"
NEW = "agents-password-of-now,node,node,k3s:agent\nservers-password,server,server,k3s:server\n"
FATAL = (
    'time="2026-11-28T22:20:12Z" level=fatal msg="{} newer than datastore and could cause a cluster outage. '
    'Remove the file(s) from disk and restart."\n'
)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server whose file was written at WRITTEN."""
    monkeypatch.setattr(passwd_file, "PASSWD", str(tmp_path / "passwd"))
    monkeypatch.setattr(passwd_file, "ASIDE", str(tmp_path / "passwd.before-repair"))
    monkeypatch.setattr(paths, "SERVER_TOKEN", str(tmp_path / "server-token"))
    monkeypatch.setattr(paths, "TOKEN", str(tmp_path / "token"))
    monkeypatch.setattr(paths, "AGENT_TOKEN", str(tmp_path / "agent-token"))
    (tmp_path / "server-token").write_text(f"K10{'a' * 64}::server:servers-password\n", encoding="utf-8")
    (tmp_path / "agent-token").write_text("agents-password-of-now\n", encoding="utf-8")
    write(tmp_path, NEW)
    return tmp_path


def write(host: Path, text: str, *, seconds: int = WRITTEN) -> None:
    (host / "passwd").write_text(text, encoding="utf-8")
    os.utime(host / "passwd", (seconds, seconds))


def copy(text: str, *, timestamp: str = "2026-11-22T07:15:12.987654321Z") -> server_api.Reader:
    """etcd's copy, of the same second as the file unless said otherwise."""
    content = {"PasswdFile": {"Timestamp": timestamp, "Content": base64.b64encode(text.encode()).decode()}}
    return lambda _path, _secret: json.dumps(content).encode()


def reversed_lines(text: str) -> str:
    return "".join(reversed(text.splitlines(keepends=True)))


@pytest.mark.parametrize(
    ("stored", "timestamp", "expected"),
    [
        (NEW, "2026-11-22T07:15:00Z", False),  # equal, whatever the time
        (OLD, "2026-11-22T07:15:00Z", True),
        (OLD, "2026-11-22T08:15:00+01:00", True),
        (OLD, "2026-11-22T07:15:11Z", True),  # k3s takes the copy over, and writes what its settings say once more
        (OLD, "2026-11-22T07:15:20.1Z", False),  # a server that has not started with the new ones yet
        (reversed_lines(NEW), "2026-11-22T07:15:10Z", False),  # within the skew k3s takes the copy over
        (reversed_lines(NEW), "2026-11-22T07:15:09Z", True),
    ],
)
@pytest.mark.usefixtures("host")
def test_whether_the_next_start_is_refused(stored: str, timestamp: str, expected: bool) -> None:
    assert stored_tokens.unsaved(copy(stored, timestamp=timestamp)) is expected


def test_what_cannot_be_told_is_not_said(host: Path) -> None:
    def refuses(_path: str, _secret: str) -> bytes:
        raise PlatformError("The server does not answer.", next_step="")

    assert stored_tokens.unsaved(refuses) is None
    assert stored_tokens.unsaved(lambda *_: b"no json") is None
    assert stored_tokens.unsaved(lambda *_: b"{}") is None
    (host / "passwd").unlink()
    assert stored_tokens.unsaved(refuses) is False, "k3s makes the file anew"
    (host / "passwd.before-repair").touch()
    assert stored_tokens.unsaved(refuses) is True, "after a repair that was cut off"


def test_saving_writes_the_file_first_and_tells_the_same_token(host: Path) -> None:
    write(host, OLD)
    told = []

    def request(path: str, body: bytes, secret: str) -> None:
        assert "agents-password-of-now" in (host / "passwd").read_text(encoding="utf-8")
        assert os.path.getmtime(host / "passwd") > WRITTEN
        told.append((path, json.loads(body), secret))

    stored_tokens.save(request, server="servers-password", agent="agents-password-of-now")
    assert told == [("/v1-k3s/token", {"newToken": "servers-password"}, "servers-password")]
    assert (host / "passwd").read_text(encoding="utf-8") == NEW
    assert (host / "passwd").stat().st_mode & 0o777 == 0o600


def test_what_the_server_refuses_leaves_the_file_as_it_was(host: Path) -> None:
    write(host, OLD)

    def refuses(_path: str, _body: bytes, _secret: str) -> None:
        raise PlatformError("The server refused: 500", next_step="")

    with pytest.raises(PlatformError, match="500"):
        stored_tokens.save(refuses, server="servers-password", agent="agents-password-of-now")
    assert (host / "passwd").read_text(encoding="utf-8") == OLD and os.path.getmtime(host / "passwd") == WRITTEN


def test_a_server_that_lets_in_with_the_token_of_its_start(host: Path) -> None:
    (host / "token").write_text("password-of-its-start\n", encoding="utf-8")

    def ask(secret: str) -> str:
        if secret != "password-of-its-start":
            raise server_api.NotAuthorized("The server refused: 401", next_step="")
        return secret

    assert server_api.with_passwords(ask) == "password-of-its-start"
    (host / "token").unlink()
    with pytest.raises(PlatformError, match="401"):
        server_api.with_passwords(ask)
    (host / "server-token").unlink()
    with pytest.raises(PlatformError, match="There is no token"):
        server_api.with_passwords(ask)


def test_settling_changes_the_order_of_lines_only(host: Path) -> None:
    write(host, reversed_lines(NEW))
    (host / "passwd.before-repair").touch()
    assert stored_tokens.settle(check_mode=True) is True and (host / "passwd").read_text(
        encoding="utf-8"
    ) == reversed_lines(NEW)
    assert stored_tokens.settle() is True and stored_tokens.settle() is False
    assert (host / "passwd").read_text(encoding="utf-8") == NEW and not (host / "passwd.before-repair").exists()
    write(host, OLD)
    assert stored_tokens.settle() is False and (host / "passwd").read_text(encoding="utf-8") == OLD, (
        "it still runs with the old ones"
    )


def test_users_of_another_kind_stay(host: Path) -> None:
    write(host, '"with, comma",admin,admin,system:masters\n' + OLD)
    passwd_file.write(server="s", agent="")
    users = passwd_file.users_of((host / "passwd").read_text(encoding="utf-8"))
    assert users == {
        "admin": ("with, comma", "system:masters"),
        "server": ("s", "k3s:server"),
        "node": ("s", "k3s:agent"),
    }


class Unit:
    """systemctl and journalctl of a server."""

    def __init__(self, state: str, journal: str) -> None:
        self.state, self.journal, self.stopped = state, journal, False

    def __call__(self, arguments: t.Sequence[str], _seconds: float) -> Completed:
        if arguments[:2] == ["systemctl", "stop"]:
            self.stopped = True
        return Completed(
            0, self.journal if arguments[0] == "journalctl" else f"LoadState=loaded\nActiveState={self.state}\n", ""
        )


def test_a_refused_server_is_made_ready(host: Path) -> None:
    unit = Unit("activating", FATAL.format(passwd_file.PASSWD))
    assert refused_start.release(check_mode=True, run=unit) == {"changed": True, "refused": [passwd_file.PASSWD]}
    assert (host / "passwd").exists() and not unit.stopped
    assert refused_start.release(run=unit)["changed"] and unit.stopped
    assert not (host / "passwd").exists() and (host / "passwd.before-repair").read_text(encoding="utf-8") == NEW


def test_other_files_stay(host: Path) -> None:
    """The only copy of a key may be among them."""
    key = "/var/lib/rancher/k3s/server/cred/encryption-config.json"
    assert refused_start.release(run=Unit("activating", FATAL.format(key)))["refused"] == [key]
    assert (host / "passwd").exists()
    assert refused_start.release(run=Unit("failed", FATAL.format(f"{key}, {passwd_file.PASSWD}")))["refused"] == [
        key,
        passwd_file.PASSWD,
    ]
    assert not (host / "passwd").exists()


def test_a_server_that_runs_or_ended_for_another_reason_is_left_alone(host: Path) -> None:
    refused = FATAL.format(passwd_file.PASSWD)
    later = (
        'level=fatal msg="starting kubernetes: preparing server: bootstrap data already found and encrypted with '
        'different token"\n'
    )
    for unit in (Unit("active", refused), Unit("activating", refused + later), Unit("inactive", "")):
        assert refused_start.release(run=unit) == {"changed": False, "refused": []} and not unit.stopped
    assert (host / "passwd").exists()
