# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bare_snapshot.py: snapshots that come without a backup directory, with a token of the user's."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.recovery import backup, bare_snapshot

DATABASE = bytes(16) + bare_snapshot.DATABASE_MAGIC + bytes(8192 - 20)
SNAPSHOT = DATABASE + hashlib.sha256(DATABASE).digest()
AUTHORITY = "a" * 64
TOKEN = f"K10{AUTHORITY}::server:of-that-time"


@pytest.fixture
def token(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text(f"{TOKEN}\n", encoding="utf-8")
    return tmp_path / "token"


def test_a_snapshot_of_k3s_is_known_by_its_content_and_its_token(tmp_path: Path, token: Path) -> None:
    file = tmp_path / "etcd-snapshot-server-1-1795331712"
    file.write_bytes(SNAPSHOT)
    options = {"backup": None, "directory": None, "snapshot": str(file), "s3_snapshot": None}
    found = backup.run({**options, "server_token_file": str(token)}, False, set())
    assert found["backup"] == {
        "path": str(file),
        "snapshot": str(file),
        "server_token": str(token),
        "name": file.name,
        "sha256": hashlib.sha256(SNAPSHOT).hexdigest(),
        "size": len(SNAPSHOT),
        "version": "",
        "authority": AUTHORITY,
        "node": "",
        "nodes": [],
        "created": "2026-11-22T07:15:12Z",
        "s3": {},
        "fetched": True,
    }
    assert found["summary"] == f"{file} (2026-11-22T07:15:12Z)" and "of-that-time" not in str(found)


def test_a_snapshot_in_a_bucket_is_known_by_its_name(token: Path) -> None:
    found = bare_snapshot.described(snapshot="", name="etcd-snapshot-s1-1795331712", token_file=str(token))
    assert (found["name"], found["snapshot"], found["fetched"]) == ("etcd-snapshot-s1-1795331712", "", False)
    assert found["authority"] == AUTHORITY and found["created"] == "2026-11-22T07:15:12Z"
    with pytest.raises(PlatformError, match="no name of a snapshot"):
        bare_snapshot.described(snapshot="", name="s3://bucket/folder/x", token_file=str(token))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "no snapshot of etcd"),
        (b"PK\x03\x04" + bytes(100), "is compressed"),
        (b"SQLite format 3\0" + bytes(4096), "no snapshot of etcd"),
        (SNAPSHOT[:5000], "cut off"),
        (DATABASE, "a copy of the database"),
        (SNAPSHOT[:100] + b"x" + SNAPSHOT[101:], "is damaged"),
    ],
)
def test_what_k3s_could_not_restore_is_refused(tmp_path: Path, token: Path, content: bytes, text: str) -> None:
    file = tmp_path / "snapshot"
    file.write_bytes(content)
    with pytest.raises(PlatformError, match=text) as raised:
        bare_snapshot.described(snapshot=str(file), name="", token_file=str(token))
    assert raised.value.next_step


def test_a_file_that_is_not_there_is_named(tmp_path: Path, token: Path) -> None:
    with pytest.raises(PlatformError, match="cannot be read: No such file"):
        bare_snapshot.described(snapshot=str(tmp_path / "gone"), name="", token_file=str(token))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "does not hold one token"),
        ("two words", "does not hold one token"),
        (f"K10{AUTHORITY}::node:agents", "not that of the servers"),
        ("K10abc::server:short", "not that of the servers"),
    ],
)
def test_only_the_server_token_opens_a_snapshot(tmp_path: Path, content: str, text: str) -> None:
    (tmp_path / "token").write_text(content, encoding="utf-8")
    with pytest.raises(PlatformError, match=text) as raised:
        bare_snapshot.authority(str(tmp_path / "token"))
    assert not content or content not in str(raised.value.cause), "no secret in a message"


def test_the_short_form_of_a_token_tells_no_cluster(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("only-the-password", encoding="utf-8")
    assert bare_snapshot.authority(str(tmp_path / "token")) == ""
