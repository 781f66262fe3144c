# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tokens.py: new tokens, as far as one host shows them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s import paths
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host import inputs
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.recovery import (
    passwd_file,
    server_api,
    token_files,
    tokens,
)

OLD, NEW, NEW_AGENT = "old-password-0123456789", "new-password-0123456789", "new-agent-password-0123456789"
SECURE = f"K10{'a' * 64}::server:"
HOUR = 3600.0


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server that joined: its token file has the secure form, the agents' token is a password."""
    monkeypatch.setattr(paths, "TOKEN", str(tmp_path / "token"))
    monkeypatch.setattr(paths, "AGENT_TOKEN", str(tmp_path / "agent-token"))
    monkeypatch.setattr(paths, "SERVER_TOKEN", str(tmp_path / "server-token"))
    monkeypatch.setattr(passwd_file, "PASSWD", str(tmp_path / "passwd"))
    monkeypatch.setattr(passwd_file, "ASIDE", str(tmp_path / "passwd.before-repair"))
    monkeypatch.setattr(inputs, "record_path", lambda unit: str(tmp_path / f"{unit}.inputs"))
    (tmp_path / "token").write_text(f"{SECURE}{OLD}\n", encoding="utf-8")
    (tmp_path / "agent-token").write_text("old-agent-password\n", encoding="utf-8")
    (tmp_path / "server-token").write_text(f"{SECURE}{OLD}\n", encoding="utf-8")
    (tmp_path / "passwd").write_text(
        f"{OLD},server,server,k3s:server\nold-agent-password,node,node,k3s:agent\n", encoding="utf-8"
    )
    (tmp_path / "k3s.inputs").write_text("…", encoding="utf-8")
    return tmp_path


def now(host: Path, *, hours: float = 1000) -> float:
    return (host / "token").stat().st_mtime + hours * HOUR


class Cluster:
    """The server's own interface, as far as `k3s token rotate` uses it, and what it stores in etcd; it lets in with the
    token of its start."""

    def __init__(self, host: Path) -> None:
        self.host = host
        self.asked: list[tuple[str, str]] = []
        self.stored: dict[str, tuple[str, str]] = {}
        self.secret = OLD

    def __call__(self, path: str, body: bytes, secret: str) -> None:
        if secret != self.secret:
            raise server_api.NotAuthorized("401", next_step="")
        new = json.loads(body)["newToken"]
        users = passwd_file.users_of((self.host / "passwd").read_text(encoding="utf-8"))
        if users["server"][0] != new:
            users["server"] = (new, "k3s:server")
            (self.host / "passwd").write_text(passwd_file.text_of(users), encoding="utf-8")
        (self.host / "server-token").write_text(f"{SECURE}{new}\n", encoding="utf-8")
        self.asked.append((path, secret))
        self.stored = users


def test_tokens_from_beginning_to_end(host: Path) -> None:
    given = {"server": NEW, "agent": NEW_AGENT}
    assert tokens.begin(given, minimum_age=24, now=now(host)) == (True, True)
    assert stat.S_IMODE((host / "token.next").stat().st_mode) == 0o600
    cluster = Cluster(host)
    assert tokens.tell(cluster) is True
    assert cluster.asked == [("/v1-k3s/token", OLD)]
    # Both are in etcd before any server starts with them: what a start writes, k3s does not store.
    assert {user: entry[0] for user, entry in cluster.stored.items()} == {"server": NEW, "node": NEW_AGENT}
    assert tokens.activate("k3s") is True
    # The secure form pins the cluster's authority, so it is kept.
    assert (host / "token").read_text(encoding="utf-8") == f"{SECURE}{NEW}\n"
    assert (host / "agent-token").read_text(encoding="utf-8") == f"{NEW_AGENT}\n"
    assert not (host / "k3s.inputs").exists()
    assert tokens.finish() is True and tokens.finish() is False
    assert not list(host.glob("*.next")) and not list(host.glob("*.told"))


def test_a_second_run_after_any_step_does_only_what_is_left(host: Path) -> None:
    cluster = Cluster(host)
    tokens.begin({"server": "", "agent": ""}, minimum_age=24, now=now(host))
    chosen = (host / "token.next").read_text(encoding="utf-8")
    assert len(chosen.strip()) == 64 and (host / "agent-token.next").exists()
    assert tokens.begin({"server": "", "agent": ""}, minimum_age=24, now=now(host)) == (False, True)
    assert (host / "token.next").read_text(encoding="utf-8") == chosen
    tokens.tell(cluster)
    assert tokens.tell(cluster) is False and len(cluster.asked) == 1
    tokens.activate("k3s")
    (host / "k3s.inputs").touch()  # k3s was restarted
    assert tokens.activate("k3s") is False and (host / "k3s.inputs").exists()
    assert tokens.begin({"server": "", "agent": ""}, minimum_age=24, now=now(host)) == (False, True)


def test_young_tokens_are_left_alone(host: Path) -> None:
    assert tokens.begin({"server": "", "agent": ""}, minimum_age=24, now=now(host, hours=23)) == (False, False)
    assert tokens.begin({"server": "", "agent": ""}, minimum_age=0, now=now(host, hours=0)) == (True, True)


def test_tokens_that_are_in_use_already_are_not_rotated(host: Path) -> None:
    assert tokens.begin({"server": OLD, "agent": "old-agent-password"}, minimum_age=0, now=now(host)) == (
        False,
        False,
    )
    assert tokens.begin({"server": OLD, "agent": NEW_AGENT}, minimum_age=0, now=now(host)) == (True, True)
    assert not (host / "token.next").exists() and (host / "agent-token.next").exists()
    cluster = Cluster(host)
    assert tokens.tell(cluster) is True and tokens.tell(cluster) is False
    assert {user: entry[0] for user, entry in cluster.stored.items()} == {"server": OLD, "node": NEW_AGENT}, (
        "the agents' token alone is stored as well"
    )


def test_telling_that_was_cut_off_is_done_again(host: Path) -> None:
    """The server has the new token by then, and still lets in with the one of its start."""
    tokens.begin({"server": NEW, "agent": NEW_AGENT}, minimum_age=0, now=now(host))
    cluster = Cluster(host)
    tokens.tell(cluster)
    (host / "token.told").unlink()
    assert tokens.look(now(host))["rotated"] is True
    assert tokens.tell(cluster) is True and cluster.asked == [("/v1-k3s/token", OLD)] * 2


@pytest.mark.parametrize("token", ["short", "K10abcdefghijklmnop", "with a space 0123456789", "with:colon:0123456789"])
def test_tokens_that_k3s_could_not_read_are_refused_and_not_shown(host: Path, token: str) -> None:
    with pytest.raises(PlatformError, match="cannot be used") as raised:
        tokens.begin({"server": token, "agent": ""}, minimum_age=0, now=now(host))
    assert token not in str(raised.value) and not (host / "token.next").exists()


def test_check_mode_writes_nothing(host: Path) -> None:
    before = {path.name: path.read_text(encoding="utf-8") for path in host.iterdir()}
    assert tokens.begin({"server": "", "agent": ""}, minimum_age=24, now=now(host), check_mode=True) == (
        True,
        True,
    )
    token_files.write_token(str(host / "token.next"), NEW)
    before["token.next"] = f"{NEW}\n"
    cluster = Cluster(host)
    assert tokens.tell(cluster, check_mode=True) is True and cluster.asked == []
    assert tokens.activate("k3s", check_mode=True) is True and tokens.finish(check_mode=True) is True
    assert {path.name: path.read_text(encoding="utf-8") for path in host.iterdir()} == before


def test_look_tells_where_a_rotation_goes_on(host: Path) -> None:
    assert tokens.look(now(host, hours=2)) == {
        "staged": False,
        "server_staged": False,
        "rotated": False,
        "age": 2.0,
    }
    tokens.stage({"server": NEW, "agent": ""})
    assert tokens.look(now(host))["staged"] is True
    tokens.tell(Cluster(host))
    assert tokens.look(now(host))["rotated"] is True
