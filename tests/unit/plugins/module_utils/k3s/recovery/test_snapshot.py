# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""snapshot.py: what k3s etcd-snapshot leaves on the disk, with a program that does as it does."""

from __future__ import annotations

import getpass
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import TIMED_OUT, Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.recovery import snapshot, token_files

PASSWORD = "0123456789abcdef"


class FakeK3s:
    """`k3s etcd-snapshot save` and `prune` on a directory; each save is one second later."""

    def __init__(self, directory: Path, *, seconds: int = 1795331700) -> None:
        self.directory, self.seconds = directory, seconds
        self.asked: list[list[str]] = []

    def __call__(self, arguments: t.Sequence[str], _seconds: float) -> Completed:
        self.asked.append(list(arguments))
        options = dict(argument[2:].split("=", 1) for argument in arguments if argument.startswith("--"))
        if arguments[2] == "save":
            self.seconds += 1
            (self.directory / f"{options['name']}-server-1-{self.seconds}").write_bytes(
                b"etcd" * self.seconds.bit_length()
            )
        else:
            mine = sorted(path.name for path in self.directory.glob(f"{options['name']}-server-1-*"))
            for name in mine[: -int(options["etcd-snapshot-retention"])]:
                (self.directory / name).unlink()
        return Completed(0, "", 'time=… level=info msg="Snapshot saved"')


def test_save_finds_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "wasmfaas-server-1-1795331600").write_bytes(b"old")
    (tmp_path / "etcd-snapshot-server-1-1795331900").write_bytes(b"of the schedule, newer")
    saved = snapshot.save("wasmfaas", directory=str(tmp_path), seconds=10, run=FakeK3s(tmp_path))
    assert saved.name == "wasmfaas-server-1-1795331701"
    assert saved.path == str(tmp_path / saved.name) and saved.size > 0 and saved.created == 1795331701


def test_save_twice_within_a_second_finds_the_file_that_replaced_the_first(tmp_path: Path) -> None:
    first = snapshot.save("wasmfaas", directory=str(tmp_path), seconds=10, run=FakeK3s(tmp_path))
    second = snapshot.save("wasmfaas", directory=str(tmp_path), seconds=10, run=FakeK3s(tmp_path))
    assert first.name == second.name and first.modified != second.modified


def test_save_passes_no_directory_where_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "DIRECTORY", str(tmp_path))
    program = FakeK3s(tmp_path)
    snapshot.save("wasmfaas", seconds=10, run=program, program="k3s")
    assert program.asked == [["k3s", "etcd-snapshot", "save", "--name=wasmfaas"]]


@pytest.mark.parametrize(
    ("completed", "cause", "next_step"),
    [
        (
            Completed(1, "", 'time="2026" level=fatal msg="write /x: no space left on device"'),
            "no space left on device",
            "Free space",
        ),
        (
            Completed(1, "", 'FATA[0001] failed to upload to S3: bucket "b" does not exist'),
            'bucket "b" does not exist',
            "etcd-s3",
        ),
        (
            Completed(1, "", 'Error: Post "https://127.0.0.1:6443/db/snapshot": dial tcp: connection refused'),
            "connection refused",
            "wasmfaas.platform.site",
        ),
        (Completed(TIMED_OUT, "", "k3s was ended after 5 s."), "ended after 5 s", "snapshot_timeout"),
    ],
)
def test_a_failure_says_what_to_do(tmp_path: Path, completed: Completed, cause: str, next_step: str) -> None:
    with pytest.raises(PlatformError) as raised:
        snapshot.save("wasmfaas", directory=str(tmp_path), seconds=5, run=lambda *_: completed)
    assert cause in raised.value.cause and next_step in raised.value.next_step


def test_a_file_elsewhere_than_thought_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="no new file") as raised:
        snapshot.save("wasmfaas", directory=str(tmp_path), seconds=5, run=lambda *_: Completed(0, "saved", ""))
    assert "etcd-snapshot-dir" in raised.value.next_step


def test_prune_keeps_the_newest_of_its_own_name(tmp_path: Path) -> None:
    program = FakeK3s(tmp_path)
    for _attempt in range(4):
        snapshot.save("wasmfaas", directory=str(tmp_path), seconds=5, run=program)
    (tmp_path / "etcd-snapshot-server-1-1795331000").write_bytes(b"of the schedule")
    removed = snapshot.prune("wasmfaas", 2, directory=str(tmp_path), seconds=5, run=program)
    assert sorted(removed) == ["wasmfaas-server-1-1795331701", "wasmfaas-server-1-1795331702"]
    assert len(list(tmp_path.iterdir())) == 3
    assert snapshot.prune("wasmfaas", 2, directory=str(tmp_path), seconds=5, run=program) == []


@pytest.mark.parametrize(
    "token",
    [
        PASSWORD,
        f"{PASSWORD}\n",
        f"K10{'a' * 64}::server:{PASSWORD}",
        f"K10{'a' * 64}::node:{PASSWORD}\n",
        f"server:{PASSWORD}",
        f"K10::server:{PASSWORD}",
    ],
)
def test_password_of_every_form_of_a_token(token: str) -> None:
    assert token_files.password(token) == PASSWORD


def test_staged_copies_belong_to_one_user_alone_and_go_away(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("secret", encoding="utf-8")
    staging = tmp_path / "staging"
    staging.mkdir()
    directory = Path(snapshot.stage({"server-token": str(source)}, getpass.getuser(), parent=str(staging)))
    assert (directory / "server-token").read_text(encoding="utf-8") == "secret"
    assert (
        stat.S_IMODE(directory.stat().st_mode) == 0o700
        and stat.S_IMODE((directory / "server-token").stat().st_mode) == 0o600
    )
    snapshot.remove_staged(parent=str(staging))
    assert not directory.exists()


def test_staging_for_an_unknown_user_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="no user"):
        snapshot.stage({}, "nobody-of-this-name", parent=str(tmp_path))


@pytest.mark.parametrize(("name", "keep"), [("Wasm_Faas", 5), ("-x", 5), ("ok", -1)])
def test_wrong_parameters_are_refused_before_anything_is_done(name: str, keep: int) -> None:
    options = {"name": name, "keep_on_server": keep, "snapshot_directory": None, "timeout": 1, "stage_for": None}
    with pytest.raises(PlatformError):
        snapshot.run(options, False, set())


def test_moment_is_utc() -> None:
    assert snapshot.moment(1795331712) == "2026-11-22T07:15:12Z"
