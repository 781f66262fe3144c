# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""backup.py: the controller's directories of backups."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.recovery import backup

SNAPSHOT = b"etcd's database"
NOW = 1795331712.0
AUTHORITY = "a" * 64


def metadata(**changes: t.Any) -> dict[str, t.Any]:
    snapshot = {
        "name": "wasmfaas-server-1-1795331712",
        "created": "2026-11-22T07:15:12Z",
        "size": len(SNAPSHOT),
        "sha256": hashlib.sha256(SNAPSHOT).hexdigest(),
    }
    taken = {"version": "v1.36.4+k3s1", "authority": AUTHORITY, "snapshot": snapshot}
    return {**backup.described(taken, node="server-1", nodes=["b", "a"], config={}), **changes}


def make(directory: Path, *, seconds: float = NOW, fetch: bool = True, **changes: t.Any) -> backup.Backup:
    begun = Path(backup.begin(str(directory), seconds=seconds))
    if fetch:
        (begun / backup.SNAPSHOT).write_bytes(SNAPSHOT)
    (begun / backup.SERVER_TOKEN).write_text("K10…::server:secret\n", encoding="utf-8")
    return backup.finish(str(begun), metadata(**changes), seconds=seconds)


def test_a_backup_is_complete_dated_and_for_its_owner_only(tmp_path: Path) -> None:
    made = make(tmp_path / "backups")
    directory = Path(made.path)
    assert directory.name == "20261122T071512Z-server-1"
    assert stat.S_IMODE(directory.stat().st_mode) == stat.S_IMODE(directory.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}
    assert (directory.parent / ".gitignore").read_text(encoding="utf-8") == "*\n"
    assert backup.read(made.path) == made and made.nodes == ["a", "b"]
    backup.verify(made)


def test_a_run_that_was_cut_off_leaves_nothing_that_looks_like_a_backup(tmp_path: Path) -> None:
    left = Path(backup.begin(str(tmp_path), seconds=NOW))
    assert backup.all_in(str(tmp_path)) == []
    os.utime(left, (NOW - 2 * 24 * 3600, NOW - 2 * 24 * 3600))
    backup.begin(str(tmp_path), seconds=NOW)
    assert not left.exists()


def test_a_snapshot_that_arrives_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="arrived damaged"):
        make(tmp_path, sha256="0" * 64)
    assert backup.all_in(str(tmp_path)) == []


def test_without_the_token_it_is_no_backup(tmp_path: Path) -> None:
    directory = Path(backup.begin(str(tmp_path), seconds=NOW))
    (directory / backup.SNAPSHOT).write_bytes(SNAPSHOT)
    with pytest.raises(PlatformError, match="token could not be fetched"):
        backup.finish(str(directory), metadata(), seconds=NOW)


def test_without_the_snapshot_it_must_be_in_a_bucket(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="neither fetched nor uploaded"):
        make(tmp_path, fetch=False)
    made = make(tmp_path, fetch=False, s3={"upload": "true", "bucket": "b"})
    assert made.snapshot == "" and not made.fetched and "in the bucket only" in backup.summary(made)
    backup.verify(made)


def test_damage_is_found_later(tmp_path: Path) -> None:
    made = make(tmp_path)
    Path(made.snapshot).write_bytes(b"something else")
    with pytest.raises(PlatformError, match="is damaged"):
        backup.verify(made)
    Path(made.server_token).unlink()
    with pytest.raises(PlatformError, match="not complete"):
        backup.verify(made)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', "not json"])
def test_damaged_metadata_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / backup.METADATA).write_text(content, encoding="utf-8")
    with pytest.raises(PlatformError, match="damaged"):
        backup.read(str(tmp_path))


def test_another_format_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / backup.METADATA).write_text(json.dumps({"format": 2}), encoding="utf-8")
    with pytest.raises(PlatformError, match="does not know"):
        backup.read(str(tmp_path))


def test_a_directory_without_metadata_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="is no backup"):
        backup.read(str(tmp_path))


def test_find_by_directory_by_name_and_latest(tmp_path: Path) -> None:
    old, new = make(tmp_path), make(tmp_path, seconds=NOW + 60)
    assert backup.find(old.path, "/elsewhere") == old
    assert backup.find(Path(old.path).name, str(tmp_path)) == old
    assert backup.find("latest", str(tmp_path)) == new
    with pytest.raises(PlatformError, match="There is no backup"):
        backup.find("latest", str(tmp_path / "none"))


def test_prune_keeps_the_newest_of_this_cluster_and_all_of_others(tmp_path: Path) -> None:
    made = [make(tmp_path, seconds=NOW + number) for number in range(4)]
    other = make(tmp_path, seconds=NOW - 60, authority="b" * 64)
    (tmp_path / "notes").mkdir()
    removed = backup.prune(str(tmp_path), 2, AUTHORITY)
    assert removed == [made[1].path, made[0].path]
    assert backup.all_in(str(tmp_path)) == [made[3], made[2], other] and (tmp_path / "notes").exists()
    assert backup.prune(str(tmp_path), 0, AUTHORITY) == []


def test_two_within_a_second_are_two(tmp_path: Path) -> None:
    assert make(tmp_path).path != make(tmp_path).path


def test_credentials_of_the_bucket_are_not_kept() -> None:
    config = {
        "etcd-s3": "true",
        "etcd-s3-bucket": "b",
        "etcd-s3-access-key": "AKIA",
        "etcd-s3-secret-key": "secret",
        "etcd-s3-region": "eu-central-1",
    }
    assert backup.bucket(config) == {"upload": "true", "bucket": "b", "region": "eu-central-1"}
    assert backup.bucket({"etcd-s3": False, "etcd-s3-bucket": "b"}) == {}
