# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rotation.py: new tokens, certificates and encryption keys, as far as one host shows them."""

from __future__ import annotations

import json
import os
import stat
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import TIMED_OUT, Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s import paths
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host import inputs
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.recovery import rotation, stored_tokens

OLD, NEW, NEW_AGENT = "old-password-0123456789", "new-password-0123456789", "new-agent-password-0123456789"
SECURE = f"K10{'a' * 64}::server:"
HOUR = 3600.0


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server that joined: its token file has the secure form, the agents' token is a password."""
    monkeypatch.setattr(paths, "TOKEN", str(tmp_path / "token"))
    monkeypatch.setattr(paths, "AGENT_TOKEN", str(tmp_path / "agent-token"))
    monkeypatch.setattr(
        rotation, "TOKEN_FILES", {"server": str(tmp_path / "token"), "agent": str(tmp_path / "agent-token")}
    )
    monkeypatch.setattr(rotation, "SERVER_TOKEN", str(tmp_path / "server-token"))
    monkeypatch.setattr(stored_tokens, "SERVER_TOKEN", str(tmp_path / "server-token"))
    monkeypatch.setattr(stored_tokens, "PASSWD", str(tmp_path / "passwd"))
    monkeypatch.setattr(stored_tokens, "ASIDE", str(tmp_path / "passwd.before-repair"))
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
        self.host, self.asked = host, []  # type: ignore[var-annotated]
        self.stored: dict[str, tuple[str, str]] = {}
        self.secret = OLD

    def __call__(self, path: str, body: bytes, secret: str) -> None:
        if secret != self.secret:
            raise stored_tokens.NotAuthorized("401", next_step="")
        new = json.loads(body)["newToken"]
        users = stored_tokens.users_of((self.host / "passwd").read_text(encoding="utf-8"))
        if users["server"][0] != new:
            users["server"] = (new, "k3s:server")
            (self.host / "passwd").write_text(stored_tokens.text_of(users), encoding="utf-8")
        (self.host / "server-token").write_text(f"{SECURE}{new}\n", encoding="utf-8")
        self.asked.append((path, secret))
        self.stored = users


def test_tokens_from_beginning_to_end(host: Path) -> None:
    given = {"server": NEW, "agent": NEW_AGENT}
    assert rotation.begin_tokens(given, minimum_age=24, now=now(host)) == (True, True)
    assert stat.S_IMODE((host / "token.next").stat().st_mode) == 0o600
    cluster = Cluster(host)
    assert rotation.tell_tokens(cluster) is True
    assert cluster.asked == [("/v1-k3s/token", OLD)]
    # Both are in etcd before any server starts with them: what a start writes, k3s does not store.
    assert {user: entry[0] for user, entry in cluster.stored.items()} == {"server": NEW, "node": NEW_AGENT}
    assert rotation.activate_tokens("k3s") is True
    # The secure form pins the cluster's authority, so it is kept.
    assert (host / "token").read_text(encoding="utf-8") == f"{SECURE}{NEW}\n"
    assert (host / "agent-token").read_text(encoding="utf-8") == f"{NEW_AGENT}\n"
    assert not (host / "k3s.inputs").exists()
    assert rotation.finish_tokens() is True and rotation.finish_tokens() is False
    assert not list(host.glob("*.next")) and not list(host.glob("*.told"))


def test_a_second_run_after_any_step_does_only_what_is_left(host: Path) -> None:
    cluster = Cluster(host)
    rotation.begin_tokens({"server": "", "agent": ""}, minimum_age=24, now=now(host))
    chosen = (host / "token.next").read_text(encoding="utf-8")
    assert len(chosen.strip()) == 64 and (host / "agent-token.next").exists()
    assert rotation.begin_tokens({"server": "", "agent": ""}, minimum_age=24, now=now(host)) == (False, True)
    assert (host / "token.next").read_text(encoding="utf-8") == chosen
    rotation.tell_tokens(cluster)
    assert rotation.tell_tokens(cluster) is False and len(cluster.asked) == 1
    rotation.activate_tokens("k3s")
    (host / "k3s.inputs").touch()  # k3s was restarted
    assert rotation.activate_tokens("k3s") is False and (host / "k3s.inputs").exists()
    assert rotation.begin_tokens({"server": "", "agent": ""}, minimum_age=24, now=now(host)) == (False, True)


def test_young_tokens_are_left_alone(host: Path) -> None:
    assert rotation.begin_tokens({"server": "", "agent": ""}, minimum_age=24, now=now(host, hours=23)) == (False, False)
    assert rotation.begin_tokens({"server": "", "agent": ""}, minimum_age=0, now=now(host, hours=0)) == (True, True)


def test_tokens_that_are_in_use_already_are_not_rotated(host: Path) -> None:
    assert rotation.begin_tokens({"server": OLD, "agent": "old-agent-password"}, minimum_age=0, now=now(host)) == (
        False,
        False,
    )
    assert rotation.begin_tokens({"server": OLD, "agent": NEW_AGENT}, minimum_age=0, now=now(host)) == (True, True)
    assert not (host / "token.next").exists() and (host / "agent-token.next").exists()
    cluster = Cluster(host)
    assert rotation.tell_tokens(cluster) is True and rotation.tell_tokens(cluster) is False
    assert {user: entry[0] for user, entry in cluster.stored.items()} == {"server": OLD, "node": NEW_AGENT}, (
        "the agents' token alone is stored as well"
    )


def test_telling_that_was_cut_off_is_done_again(host: Path) -> None:
    """The server has the new token by then, and still lets in with the one of its start."""
    rotation.begin_tokens({"server": NEW, "agent": NEW_AGENT}, minimum_age=0, now=now(host))
    cluster = Cluster(host)
    rotation.tell_tokens(cluster)
    (host / "token.told").unlink()
    assert rotation.look_at_tokens(now(host))["rotated"] is True
    assert rotation.tell_tokens(cluster) is True and cluster.asked == [("/v1-k3s/token", OLD)] * 2


@pytest.mark.parametrize("token", ["short", "K10abcdefghijklmnop", "with a space 0123456789", "with:colon:0123456789"])
def test_tokens_that_k3s_could_not_read_are_refused_and_not_shown(host: Path, token: str) -> None:
    with pytest.raises(PlatformError, match="cannot be used") as raised:
        rotation.begin_tokens({"server": token, "agent": ""}, minimum_age=0, now=now(host))
    assert token not in str(raised.value) and not (host / "token.next").exists()


def test_check_mode_writes_nothing(host: Path) -> None:
    before = {path.name: path.read_text(encoding="utf-8") for path in host.iterdir()}
    assert rotation.begin_tokens({"server": "", "agent": ""}, minimum_age=24, now=now(host), check_mode=True) == (
        True,
        True,
    )
    rotation.write_token(str(host / "token.next"), NEW)
    before["token.next"] = f"{NEW}\n"
    cluster = Cluster(host)
    assert rotation.tell_tokens(cluster, check_mode=True) is True and cluster.asked == []
    assert rotation.activate_tokens("k3s", check_mode=True) is True and rotation.finish_tokens(check_mode=True) is True
    assert {path.name: path.read_text(encoding="utf-8") for path in host.iterdir()} == before


def test_look_tells_where_a_rotation_goes_on(host: Path) -> None:
    assert rotation.look_at_tokens(now(host, hours=2)) == {
        "staged": False,
        "server_staged": False,
        "rotated": False,
        "age": 2.0,
    }
    rotation.stage_tokens({"server": NEW, "agent": ""})
    assert rotation.look_at_tokens(now(host))["staged"] is True
    rotation.tell_tokens(Cluster(host))
    assert rotation.look_at_tokens(now(host))["rotated"] is True


# --- Encryption key ---


class Encryption:
    """`k3s secrets-encrypt` of a cluster; `stages` are what the next calls of status say."""

    def __init__(
        self,
        *stages: str,
        key: str = "AES-CBC aescbckey",
        hashmatch: bool = True,
        enable: bool = True,
        rotation: Completed | None = None,
    ) -> None:
        self.stages, self.key, self.hashmatch, self.enable, self.asked = list(stages), key, hashmatch, enable, []  # type: ignore[var-annotated]
        self.rotation = rotation or Completed(0, "keys rotated, reencryption started", "")

    def __call__(self, arguments: t.Sequence[str], _seconds: float) -> Completed:
        self.asked.append(arguments[2])
        if arguments[1] == "etcd-snapshot":
            return Completed(0, f"Name Location Size Created\n{SNAPSHOT} file:///x 1 2026\n", "")
        if arguments[2] == "rotate-keys":
            return self.rotation
        stage = self.stages.pop(0) if len(self.stages) > 1 else self.stages[0]
        state = {"stage": stage, "activekey": self.key, "enable": self.enable, "hashmatch": self.hashmatch}
        return Completed(0, f"{json.dumps(state)}\n", "")


MOMENT = 1795331712.0  # 2026-11-22T07:15:12Z
SNAPSHOT = "wasmfaas-server1-1795331000"


@pytest.fixture(autouse=True)
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one that was taken before."""
    monkeypatch.setattr(rotation, "DIRECTORY", str(tmp_path))
    file = tmp_path / SNAPSHOT
    file.write_bytes(b"database")
    return file


def rotate(cluster: Encryption, **changes: t.Any) -> dict[str, t.Any]:
    options: dict[str, t.Any] = {
        "minimum_age": 24 * HOUR,
        "timeout": 5,
        "snapshot": SNAPSHOT,
        "run": cluster,
        "now": lambda: MOMENT,
        **changes,
    }
    return rotation.rotate_encryption_key(**options)


def test_an_old_key_is_rotated_and_waited_for() -> None:
    cluster = Encryption(
        "start", "reencrypt_active", "reencrypt_finished", key="AES-CBC aescbckey-2026-11-01T00:00:00Z"
    )
    result = rotate(cluster)
    assert result["rotated"] and result["restart_needed"] and result["stage"] == "reencrypt_finished"
    assert cluster.asked == ["status", "ls", "rotate-keys", "status", "status"]
    assert result["found"] == ""


def test_a_young_key_is_left_alone() -> None:
    cluster = Encryption("reencrypt_finished", key="AES-CBC aescbckey-2026-11-22T07:00:00Z")
    result = rotate(cluster)
    assert not result["changed"] and not result["restart_needed"] and cluster.asked == ["status"]


def test_after_a_cut_the_servers_still_need_their_restart() -> None:
    result = rotate(Encryption("reencrypt_finished", key="AES-CBC aescbckey-2026-11-22T07:00:00Z", hashmatch=False))
    assert not result["changed"] and result["restart_needed"]


def test_an_old_rotation_that_was_never_finished_is_finished_first() -> None:
    cluster = Encryption("reencrypt_finished", hashmatch=False)
    result = rotate(cluster)
    assert result["unfinished"] and result["restart_needed"] and "rotate-keys" not in cluster.asked


def test_a_rotation_that_goes_on_is_waited_for_and_not_begun_again() -> None:
    cluster = Encryption("reencrypt_active", "reencrypt_finished", hashmatch=False)
    assert rotate(cluster)["restart_needed"] and "rotate-keys" not in cluster.asked


def test_the_command_gives_up_before_the_server_does() -> None:
    cluster = Encryption(
        "start", "reencrypt_active", "reencrypt_finished", rotation=Completed(1, "", "Error: context deadline exceeded")
    )
    assert rotate(cluster)["rotated"]
    assert rotate(Encryption("start", "reencrypt_finished", rotation=Completed(TIMED_OUT, "", "")))["rotated"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("missing", "cannot be read"),
        ("empty", "it is empty"),
        ("unknown", "does not list it"),
        ("none", "cannot be read"),
    ],
)
def test_without_a_snapshot_of_before_nothing_is_rotated(snapshot: Path, change: str, problem: str) -> None:
    """A server that ends in the middle has the only copy of the key (k3s-io/k3s#13763)."""
    name = {"unknown": "other", "none": ""}.get(change, SNAPSHOT)
    if change == "missing":
        snapshot.unlink()
    elif change == "empty":
        snapshot.write_bytes(b"")
    elif change == "unknown":
        (snapshot.parent / "other").write_bytes(b"database")
    cluster = Encryption("start")
    with pytest.raises(PlatformError, match=problem) as raised:
        rotate(cluster, snapshot=name)
    assert "rotate-keys" not in cluster.asked and "Nothing was rotated" in raised.value.next_step


def test_what_an_earlier_rotation_has_left_is_said() -> None:
    assert (
        "is at work (stage reencrypt_active)" in rotate(Encryption("reencrypt_active", "reencrypt_finished"))["found"]
    )
    assert "not all servers run with it" in rotate(Encryption("reencrypt_finished", hashmatch=False))["found"]
    assert (
        "not all servers run with it"
        in rotate(Encryption("reencrypt_finished", key="AES-CBC aescbckey-2026-11-22T07:00:00Z", hashmatch=False))[
            "found"
        ]
    )
    assert rotate(Encryption("reencrypt_finished", key="AES-CBC aescbckey-2026-11-22T07:00:00Z"))["found"] == ""


def test_what_cannot_be_rotated_says_why() -> None:
    with pytest.raises(PlatformError, match="not encrypted"):
        rotate(Encryption("", enable=False))
    with pytest.raises(PlatformError, match="step by step"):
        rotate(Encryption("prepare"))
    with pytest.raises(PlatformError, match="did not rotate"):
        rotate(Encryption("start", rotation=Completed(1, "", "FATA[0000] see server log")))
    with pytest.raises(PlatformError, match="not all encrypted") as raised:
        rotate(Encryption("start", "reencrypt_active"), timeout=0.01)
    assert "encryption_timeout" in raised.value.next_step
    with pytest.raises(PlatformError, match="does not say"):
        rotation.encryption_status(lambda *_: Completed(1, "", "FATA connection refused"))


def test_check_mode_asks_only() -> None:
    cluster = Encryption("start")
    assert rotate(cluster, check_mode=True)["changed"] and cluster.asked == ["status"]


@pytest.mark.parametrize(
    ("name", "age"),
    [
        ("AES-CBC aescbckey-2026-11-22T07:15:02Z", 10.0),
        ("XSalsa20-POLY1305 secretboxkey-2026-11-22T08:15:02+01:00", 10.0),
        ("AES-CBC aescbckey", float("inf")),
    ],
)
def test_age_of_a_key_by_its_name(name: str, age: float) -> None:
    assert rotation.key_age(name, MOMENT) == age


def test_the_status_for_people_says_the_same() -> None:
    text = """Encryption Status: Enabled
Current Rotation Stage: rotate
Server Encryption Hashes: hash does not match between node-1 and node-2

Active  Key Type  Name
------  --------  ----
 *      AES-CBC   aescbckey-2021-12-10T22:54:38Z
        AES-CBC   aescbckey
"""
    status = rotation.encryption_status(lambda *_: Completed(0, text, ""))
    assert status == {
        "enable": True,
        "stage": "rotate",
        "activekey": "AES-CBC aescbckey-2021-12-10T22:54:38Z",
        "hashmatch": False,
        "hasherror": "hash does not match between node-1 and node-2",
    }


# --- Certificates ---


class FakeService:
    """D's Service without systemd; notes what it was told."""

    log: t.ClassVar[list[str]] = []
    gate_error: t.ClassVar[PlatformError | None] = None

    def __init__(self, options: t.Any) -> None:
        self.options = options

    def show(self) -> dict[str, str]:
        return {"ActiveState": "active"}

    def pass_gate(self) -> None:
        self.log.append("gate")
        if self.gate_error is not None:
            raise t.cast("PlatformError", self.gate_error)

    def manage(self, *, check_mode: bool) -> dict[str, t.Any]:
        self.log.append(f"{self.options.state}{' (check)' if check_mode else ''}")
        return {"changed": False}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> type[FakeService]:
    monkeypatch.setattr(FakeService, "log", [])
    monkeypatch.setattr(FakeService, "gate_error", None)
    return FakeService


def rotate_certificates(
    service: type[FakeService],
    monkeypatch: pytest.MonkeyPatch,
    *,
    hours: float,
    unit: str = "k3s",
    exit_code: int = 0,
    **changes: t.Any,
) -> t.Any:
    monkeypatch.setattr(rotation, "ages", lambda _unit: (time.time() - hours * HOUR, time.time() + 1000 * HOUR))

    def run(arguments: t.Sequence[str], _seconds: float) -> Completed:
        service.log.append(" ".join(arguments[1:]))
        return Completed(exit_code, "", "FATA[0000] disk on fire" if exit_code else "")

    return rotation.rotate_certificates(
        unit, node_name="n", minimum_age=24 * HOUR, timeout=5, run=run, service=service, **changes
    )


def test_certificates_stop_rotate_start(service: type[FakeService], monkeypatch: pytest.MonkeyPatch) -> None:
    assert rotate_certificates(service, monkeypatch, hours=25)["rotated"]
    assert service.log == ["gate", "stopped", "certificate rotate", "started"]


def test_an_agent_needs_no_gate(service: type[FakeService], monkeypatch: pytest.MonkeyPatch) -> None:
    rotate_certificates(service, monkeypatch, hours=25, unit="k3s-agent")
    assert service.log == ["stopped", "certificate rotate", "started"]


def test_young_certificates_are_left_alone_but_a_stopped_server_is_started(
    service: type[FakeService], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = rotate_certificates(service, monkeypatch, hours=1)
    assert not result["changed"] and not result["rotated"] and service.log == ["started"]


def test_nothing_is_stopped_while_another_server_is_ill(
    service: type[FakeService], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "gate_error", PlatformError("server-2 is not Ready", next_step="bring it back"))
    with pytest.raises(PlatformError, match="server-2"):
        rotate_certificates(service, monkeypatch, hours=25)
    assert service.log == ["gate"]


def test_k3s_is_started_again_where_the_rotation_failed(
    service: type[FakeService], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PlatformError, match="disk on fire"):
        rotate_certificates(service, monkeypatch, hours=25, exit_code=1)
    assert service.log[-1] == "started"


def test_certificates_in_check_mode(service: type[FakeService], monkeypatch: pytest.MonkeyPatch) -> None:
    assert rotate_certificates(service, monkeypatch, hours=25, check_mode=True)["changed"] and service.log == []
    assert not rotate_certificates(service, monkeypatch, hours=1, check_mode=True)["changed"] and service.log == [
        "started (check)"
    ]


def test_leaves_are_not_authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "SERVER_DIRECTORY", str(tmp_path))
    (tmp_path / "tls" / "etcd").mkdir(parents=True)
    for name in (
        "client-admin.crt",
        "server-ca.crt",
        "server-ca.nochain.crt",
        "etcd/client.crt",
        "etcd/peer-ca.crt",
        "client-admin.key",
    ):
        (tmp_path / "tls" / name).touch()
    assert [os.path.relpath(path, tmp_path / "tls") for path in rotation.leaves("k3s")] == [
        "client-admin.crt",
        "etcd/client.crt",
    ]
    assert rotation.ages("k3s") == (0.0, 0.0)  # empty files are no certificates
