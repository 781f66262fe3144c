# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""encryption_key.py: a new key, as far as one server shows it."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import TIMED_OUT, Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.recovery import encryption_key

HOUR = 3600.0


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
        self.stages, self.key, self.hashmatch, self.enable = list(stages), key, hashmatch, enable
        self.asked: list[str] = []
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
    monkeypatch.setattr(encryption_key, "DIRECTORY", str(tmp_path))
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
    return encryption_key.rotate(**options)


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
        encryption_key.encryption_status(lambda *_: Completed(1, "", "FATA connection refused"))


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
    assert encryption_key.key_age(name, MOMENT) == age


def test_the_status_for_people_says_the_same() -> None:
    text = """Encryption Status: Enabled
Current Rotation Stage: rotate
Server Encryption Hashes: hash does not match between node-1 and node-2

Active  Key Type  Name
------  --------  ----
 *      AES-CBC   aescbckey-2021-12-10T22:54:38Z
        AES-CBC   aescbckey
"""
    status = encryption_key.encryption_status(lambda *_: Completed(0, text, ""))
    assert status == {
        "enable": True,
        "stage": "rotate",
        "activekey": "AES-CBC aescbckey-2021-12-10T22:54:38Z",
        "hashmatch": False,
        "hasherror": "hash does not match between node-1 and node-2",
    }
