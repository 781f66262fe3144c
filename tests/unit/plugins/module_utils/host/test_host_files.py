# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What needs no Ansible to be tested of managed_files, and what a real run cannot be brought to do."""

from __future__ import annotations

import errno
import hashlib
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host import files
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.digests import Digests
from hypothesis import given
from hypothesis import strategies as st

CONTENT = b"\0" + b"program" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def sent(path: Path, **options: t.Any) -> dict[str, t.Any]:
    """An entry as the action plugin hands it over for a big file."""
    return {"path": str(path), "sha256": DIGEST, "size": len(CONTENT), **options}


def compare(
    *entries: dict[str, t.Any], directories: t.Sequence[dict[str, t.Any]] = (), check_mode: bool = False
) -> dict[str, t.Any]:
    return files.run({"files": list(entries), "directories": list(directories), "phase": "compare"}, check_mode, set())


def finish(entry: dict[str, t.Any], staged: str) -> dict[str, t.Any]:
    return files.run(
        {"files": [entry], "phase": "finish", "staged": [{"path": entry["path"], "staged": staged}]}, False, set()
    )


@given(st.integers(min_value=0, max_value=0o7777))
def test_every_way_to_write_a_mode_means_the_same(mode: int) -> None:
    ways: list[t.Any] = [mode, f"{mode:04o}", f"0{mode:04o}"[-5:] if mode > 0o777 else f"0{mode:03o}"]
    assert {files.parse_mode(way, 0) for way in ways} == {mode}


@pytest.mark.parametrize("mode", ["u=rw", "9999", "-1", "00644x", True, 1.5, 0o10000, -1, ["0644"]])
def test_no_mode(mode: t.Any) -> None:
    with pytest.raises(PlatformError, match="not a file mode"):
        files.parse_mode(mode, 0)


def test_missing_mode_is_the_default() -> None:
    assert files.parse_mode(None, 0o640) == files.parse_mode("", 0o640) == 0o640


def test_transferred_file_is_moved_into_place(tmp_path: Path) -> None:
    entry = sent(tmp_path / "bin/program", mode="0755")
    compared = compare(entry)
    (transfer,) = compared["transfers"]
    assert transfer == {"path": entry["path"], "staged": f"{entry['path']}{files.PARTIAL}"}
    staged = Path(transfer["staged"])
    assert (staged.stat().st_size, staged.stat().st_mode & 0o777) == (0, 0o600)
    assert not Path(entry["path"]).exists()
    staged.write_bytes(CONTENT)
    assert finish(entry, transfer["staged"]) == {"changed": True, "changed_files": [entry["path"]]}
    assert Path(entry["path"]).read_bytes() == CONTENT
    assert Path(entry["path"]).stat().st_mode & 0o777 == 0o755
    assert compare(entry) == {"changed": False, "changed_files": [], "transfers": [], "diff": []}
    assert list((tmp_path / "bin").iterdir()) == [Path(entry["path"])]


def test_damaged_transfer_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "program"
    target.write_bytes(b"old")
    entry = sent(target)
    (transfer,) = compare(entry)["transfers"]
    Path(transfer["staged"]).write_bytes(CONTENT[:-1])
    with pytest.raises(PlatformError, match="the file in place was not touched"):
        finish(entry, transfer["staged"])
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("program", b"old")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to the login user")
def test_with_become_the_login_user_may_write_to_the_partial_file_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As sudo tells it by SUDO_UID: the file is handed over for the transfer, and taken back before it is checked."""
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setattr(files, "STAGING_DIRECTORY", str(tmp_path / "staging"))
    (tmp_path / "staging").mkdir()
    monkeypatch.setattr(files, "_anybody_may_enter", lambda directory: not directory.endswith("closed"))
    for directory, where in (("open", tmp_path / "open"), ("closed", tmp_path / "staging")):
        entry = sent(tmp_path / directory / "program")
        (transfer,) = compare(entry)["transfers"]
        staged = Path(transfer["staged"])
        assert staged.parent == where
        assert (staged.stat().st_uid, staged.stat().st_mode & 0o777) == (12345, 0o600)
        staged.write_bytes(CONTENT)
        finish(entry, str(staged))
        assert (tmp_path / directory / "program").stat().st_uid == 0
        assert [path.name for path in (tmp_path / directory).iterdir()] == ["program"]
    assert list((tmp_path / "staging").iterdir()) == []


def test_directory_is_entered_by_anybody_or_not(tmp_path: Path) -> None:
    assert files._anybody_may_enter("/usr/local/bin") is True
    (tmp_path / "closed").mkdir(mode=0o700)
    assert files._anybody_may_enter(str(tmp_path / "closed")) is False


def test_staging_does_not_follow_a_link_that_somebody_planted(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"kept")
    entry = sent(tmp_path / "program")
    Path(f"{entry['path']}{files.PARTIAL}").symlink_to(victim)
    (transfer,) = compare(entry)["transfers"]
    assert not Path(transfer["staged"]).is_symlink()
    Path(transfer["staged"]).unlink()
    Path(transfer["staged"]).symlink_to(victim)
    with pytest.raises(PlatformError):
        finish(entry, transfer["staged"])
    assert victim.read_bytes() == b"kept"


@pytest.mark.parametrize(
    ("number", "step"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "become"),
        (errno.EIO, "run it again"),
    ],
)
def test_what_the_system_refuses_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    def refuse(*arguments: t.Any) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / "file"))

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(files.os, "rename", refuse)
    with pytest.raises(PlatformError, match=step) as caught:
        compare({"path": str(tmp_path / "file"), "content": "new"})
    assert str(tmp_path / "file") in caught.value.cause
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


def test_space_is_counted_per_file_system_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(tmp_path)
    free = len(CONTENT) + files.SPARE_BYTES + 10

    class Nearly:
        f_frsize, f_bavail = 1, free

    monkeypatch.setattr(files.os, "statvfs", lambda _path: Nearly())
    entries = [{"path": str(tmp_path / "text"), "content": "a" * 11}, sent(tmp_path / "program")]
    with pytest.raises(PlatformError, match="nothing was changed"):
        compare(*entries)
    assert list(tmp_path.iterdir()) == []
    entries[0]["content"] = "a" * 10
    assert compare(*entries)["changed"] is True
    assert real.f_bavail > 0


def test_secret_is_hidden_and_never_shown(tmp_path: Path) -> None:
    hidden: set[str] = set()
    entry = {"path": str(tmp_path / "token"), "content": "a-token\n", "secret": True}
    first = files.run({"files": [entry]}, False, hidden)
    assert hidden == {"a-token\n", "a-token"}
    (tmp_path / "token").write_text("another\n", encoding="utf-8")
    second = files.run({"files": [entry]}, False, hidden)
    (tmp_path / "token").chmod(0o644)
    third = files.run({"files": [entry]}, False, hidden)
    assert [result["changed"] for result in (first, second, third)] == [True, True, True]
    assert "token\n" not in repr([first, second, third]).replace(str(tmp_path / "token"), "")
    assert "another" not in repr(second)
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


def test_directories_and_links(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    directories = [
        {"path": str(tmp_path / "data"), "mode": "0750"},
        {"path": str(tmp_path / "data/below/deeper"), "mode": "0700"},
    ]
    assert compare(directories=directories, check_mode=True)["changed_files"] == [
        str(tmp_path / name) for name in ("data", "data/below", "data/below/deeper")
    ]
    compare(directories=directories)
    assert (tmp_path / "data").is_symlink()
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("disk", "disk/below", "disk/below/deeper")] == [
        0o750,
        0o755,
        0o700,
    ]
    assert compare(directories=directories)["changed"] is False
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    with pytest.raises(PlatformError, match="broken symbolic link"):
        compare(directories=[{"path": str(tmp_path / "nowhere")}])


def test_digests_are_remembered_by_the_files_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, memory = tmp_path / "big", tmp_path / "run/digests.json"
    path.write_bytes(b"a" * (2 * 2**20))
    first = Digests(str(memory)).of(str(path))
    assert not memory.exists(), "a file that has just changed was remembered"
    monkeypatch.setattr("ansible_collections.wasmfaas.platform.plugins.module_utils.host.digests.SETTLED_SECONDS", -1)
    assert Digests(str(memory)).of(str(path)) == first
    text = memory.read_text(encoding="utf-8")
    assert first in text
    memory.write_text(text.replace(first, "f" * 64), encoding="utf-8")
    assert Digests(str(memory)).of(str(path)) == "f" * 64, "the remembered digest was not used"
    path.write_bytes(b"b" * (2 * 2**20))
    assert Digests(str(memory)).of(str(path)) == hashlib.sha256(path.read_bytes()).hexdigest()
    memory.write_text("{broken", encoding="utf-8")
    assert Digests(str(memory)).of(str(path)) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert Digests("/proc/no/such/directory/file").of(str(path)) == hashlib.sha256(path.read_bytes()).hexdigest()
