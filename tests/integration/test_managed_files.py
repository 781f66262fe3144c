# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""managed_files with the real ansible-playbook: what it changes, what it refuses, what it must not show, and what a cut
run leaves."""

from __future__ import annotations

import collections.abc
import hashlib
import json
import os
import stat
import subprocess
import typing as t
from pathlib import Path

import psutil
import pytest
import yaml

from .support.playbooks import PlaybookRun, Playbooks
from .support.servers import wait_until
from .test_playbooks import system_log

__all__ = ["system_log"]

SECRET = "s3cret-t0ken-of-a-file"
BIG = b"\x7fELF\0" + b"big" * 100_000
PARTIAL = ".wasmfaas-partial"


class Host:
    """This machine as the only host, with all its managed files under one directory."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "host"
        self.root.mkdir()
        self.directory = directory
        self.playbooks = Playbooks(directory / "home")

    def write(self, **arguments: t.Any) -> Path:
        tasks = [
            {"wasmfaas.platform.managed_files": arguments, "register": "files"},
            {
                "ansible.builtin.copy": {
                    "content": "{{ files | to_json }}",
                    "dest": str(self.directory / "result.json"),
                },
                "check_mode": False,
                "changed_when": False,
            },
        ]
        playbook = self.directory / "play.yml"
        playbook.write_text(
            yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]), encoding="utf-8"
        )
        return playbook

    def run(self, *options: str, **arguments: t.Any) -> PlaybookRun:
        return self.playbooks.run(str(self.write(**arguments)), *options)

    def changed(self, *options: str, **arguments: t.Any) -> list[str]:
        """The paths that a run changed, below the root."""
        finished = self.run(*options, **arguments)
        assert finished.exit_code == 0, finished.output
        result = json.loads((self.directory / "result.json").read_text(encoding="utf-8"))
        assert result["changed"] == bool(result["changed_files"]) == bool(finished.changed)
        return [str(Path(path).relative_to(self.root)) for path in result["changed_files"]]

    def tree(self) -> dict[str, tuple[int, bytes | None]]:
        """Mode and content of all that is there; None for directories."""
        return {
            str(path.relative_to(self.root)): (
                stat.S_IMODE(path.lstat().st_mode),
                path.read_bytes() if path.is_file() else None,
            )
            for path in sorted(self.root.rglob("*"))
        }


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A file of the controller that is no text."""
    path = tmp_path / "program"
    path.write_bytes(BIG)
    return path


def test_all_at_once_and_then_nothing(host: Host, big: Path) -> None:
    (host.root / "old").write_text("old", encoding="utf-8")
    (host.directory / "small.txt").write_text("small {{ no_template }}\n", encoding="utf-8")
    wanted: dict[str, t.Any] = {
        "directories": [{"path": f"{host.root}/private", "mode": "0700"}],
        "files": [
            {"path": f"{host.root}/config.yaml", "content": "key: value\n"},
            {"path": f"{host.root}/private/token", "content": SECRET, "secret": True},
            {
                "path": f"{host.root}/bin/program",
                "source": str(big),
                "sha256": hashlib.sha256(BIG).hexdigest(),
                "mode": "0755",
            },
            {"path": f"{host.root}/text", "source": str(host.directory / "small.txt"), "mode": 0o640},
            {"path": f"{host.root}/old", "state": "absent"},
            {"path": f"{host.root}/never-there", "state": "absent"},
            *({"path": f"{host.root}/many/{number}", "content": f"{number}\n"} for number in range(50)),
        ],
    }
    expected = [
        "private",
        "bin",
        "many",
        "config.yaml",
        "private/token",
        "bin/program",
        "text",
        "old",
        *(f"many/{number}" for number in range(50)),
    ]
    before = host.tree()
    assert sorted(host.changed("--check", **wanted)) == sorted(expected)
    assert host.tree() == before, "check mode wrote files"

    assert sorted(host.changed(**wanted)) == sorted(expected)
    tree = host.tree()
    assert tree["config.yaml"] == (0o644, b"key: value\n")
    assert tree["private"] == (0o700, None)
    assert tree["private/token"] == (0o600, SECRET.encode())
    assert tree["bin/program"] == (0o755, BIG)
    assert tree["text"] == (0o640, b"small {{ no_template }}\n")
    assert tree["many/49"] == (0o644, b"49\n")
    assert "old" not in tree
    assert not [path for path in tree if PARTIAL in path]

    inodes = {path: (host.root / path).stat().st_ino for path in tree}
    assert host.changed(**wanted) == []
    assert {path: (host.root / path).stat().st_ino for path in tree} == inodes

    (host.root / "bin/program").chmod(0o700)
    (host.root / "config.yaml").write_text("key: other\n", encoding="utf-8")
    (host.root / "many/3").unlink()
    (host.root / "many/4").unlink()
    (host.root / "many/4").symlink_to("3")
    changed = ["config.yaml", "bin/program", "many/3", "many/4"]
    assert host.changed("--check", **wanted) == changed
    assert host.changed(**wanted) == changed
    assert host.tree() == tree


def test_difference_is_shown_but_no_secret(host: Host, big: Path, system_log: t.Callable[[], str]) -> None:
    (host.root / "config.yaml").write_text("before: 1\n", encoding="utf-8")
    (host.root / "token").write_text(f"old-{SECRET}", encoding="utf-8")
    (host.root / "mode").write_text("same", encoding="utf-8")
    (host.root / "mode").chmod(0o600)
    files: list[dict[str, t.Any]] = [
        {"path": f"{host.root}/config.yaml", "content": "after: 2\n"},
        {"path": f"{host.root}/token", "content": f"{SECRET}\n", "secret": True},
        {"path": f"{host.root}/program", "source": str(big)},
        {"path": f"{host.root}/mode", "content": "same"},
    ]
    for options in (["--check", "--diff", "-vvvv"], ["--diff", "-vvvv"], ["-vvvv"]):
        finished = host.run(*options, files=files)
        assert finished.exit_code == 0, finished.output
        assert SECRET not in finished.output
        if "--diff" in options:
            assert "-before: 1" in finished.output
            assert "+after: 2" in finished.output
            assert "+(secret, new content)" in finished.output
            assert f"sha256 {hashlib.sha256(BIG).hexdigest()}" in finished.output
            assert "-mode 0600" in finished.output
            assert "+mode 0644" in finished.output
    assert "managed_files" in system_log()
    assert SECRET not in system_log()
    assert SECRET in (host.root / "token").read_text(encoding="utf-8")


def test_source_may_be_missing_in_check_mode(host: Host) -> None:
    """Where it would be downloaded by a task before; its checksum decides as far as it is known."""
    (host.root / "same").write_bytes(BIG)
    (host.root / "other").write_bytes(BIG)
    known = {"source": "/nowhere/at/all", "sha256": hashlib.sha256(BIG).hexdigest()}
    unknown = {"source": "/nowhere/at/all", "sha256": ""}
    files = [
        {"path": f"{host.root}/same", **known},
        {"path": f"{host.root}/new", **known},
        {"path": f"{host.root}/other", **unknown},
    ]
    assert host.changed("--check", "--diff", files=files) == ["new", "other"]
    assert host.run(files=files).exit_code != 0


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"path": "{root}/new", "source": "{big}", "sha256": "0" * 64}, "has the checksum"),
        ({"path": "{root}/new", "content": "a", "sha256": "0" * 64}, "has the checksum"),
        ({"path": "{root}/new", "source": "/nowhere/at/all"}, "cannot be read on the controller"),
        ({"path": "{root}/directory", "content": "a"}, "is a directory, but must be a file"),
        ({"path": "{root}/file/below", "content": "a"}, "not a directory"),
        ({"path": "{root}/new", "content": "a", "source": "{big}"}, "both content and source"),
        ({"path": "{root}/new"}, "neither content nor source"),
        ({"path": "relative", "content": "a"}, "not an absolute path"),
        ({"path": "{root}/x/../new", "content": "a"}, "not an absolute path"),
        ({"path": "{root}/new", "content": "a", "mode": "u=rw"}, "not a file mode"),
        (
            {"path": "{root}/new", "content": "a", "secret": True, "mode": "0644"},
            "gives access to others than its owner",
        ),
        ({"path": "{root}/new", "content": "a", "owner": "nobody-has-this-name"}, "no user or group of that name"),
        ({"path": "{root}/first", "content": "a"}, "is listed twice"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused_before_anything_is_touched(host: Host, big: Path, entry: dict[str, t.Any], said: str) -> None:
    (host.root / "directory").mkdir()
    (host.root / "file").write_text("kept", encoding="utf-8")
    before = host.tree()
    filled = {
        key: value.format(root=host.root, big=big) if isinstance(value, str) else value for key, value in entry.items()
    }
    finished = host.run(
        files=[
            {"path": f"{host.root}/first", "content": "first"},
            filled,
            {"path": f"{host.root}/big", "source": str(big)},
        ]
    )
    assert finished.exit_code != 0
    assert said in " ".join(finished.output.split())
    assert "Next step:" in finished.output
    assert host.tree() == before


def test_too_little_space_is_refused_before_anything_is_touched(host: Host, small_file_system: Path) -> None:
    source = host.directory / "huge"
    with source.open("wb") as file:
        file.write(b"\0")
        file.truncate(64 * 2**20)
    files = [
        {"path": f"{small_file_system}/first", "content": "first"},
        {"path": f"{small_file_system}/huge", "source": str(source)},
    ]
    finished = host.run(files=files)
    assert finished.exit_code != 0
    assert "MiB free, but 80 MiB are needed; nothing was changed" in " ".join(finished.output.split())
    assert list(small_file_system.iterdir()) == []


@pytest.fixture
def small_file_system(tmp_path: Path) -> collections.abc.Iterator[Path]:
    """A file system of 32 MiB of its own."""
    directory = tmp_path / "small"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(directory)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


def test_leftover_of_a_cut_run_goes(host: Host, big: Path) -> None:
    files = [{"path": f"{host.root}/program", "source": str(big)}]
    (host.root / f"program{PARTIAL}").write_bytes(b"half of it")
    assert host.changed(files=files) == ["program"]
    assert host.tree() == {"program": (0o644, BIG)}
    (host.root / f"program{PARTIAL}").write_bytes(b"half of it")
    assert host.changed(files=files) == []
    assert host.tree() == {"program": (0o644, BIG)}


def test_run_cut_off_in_a_transfer_leaves_the_old_file(host: Host) -> None:
    source = host.directory / "huge"
    with source.open("wb") as file:
        file.write(b"\0new")
        file.truncate(400 * 2**20)
    target = host.root / "huge"
    target.write_bytes(b"old")
    files = [{"path": str(target), "source": str(source)}]
    process = host.playbooks.start(str(host.write(files=files)))
    partial = target.with_name(target.name + PARTIAL)

    def transferring() -> bool:
        assert process.poll() is None, "the run ended before it was seen to transfer"
        return partial.exists() and partial.stat().st_size > 0

    wait_until(transferring, seconds=60, what="the transfer has begun", interval=0.001)
    # Ansible's workers are in sessions of their own.
    for running in (*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)):
        running.kill()
    process.communicate()
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in host.root.iterdir()) == ["huge", f"huge{PARTIAL}"]
    assert host.changed(files=files) == ["huge"]
    assert target.stat().st_size == 400 * 2**20
    assert [path.name for path in host.root.iterdir()] == ["huge"]


def test_big_file_is_not_read_again(host: Host, tmp_path: Path) -> None:
    """The digest is remembered: the second run finds it by the file's times, and a change of one byte all the same."""
    source = tmp_path / "huge"
    with source.open("wb") as file:
        file.write(b"\0new")
        file.truncate(4 * 2**20)
    target = host.root / "huge"
    files = [{"path": str(target), "source": str(source)}]
    host.changed(files=files)
    assert host.changed(files=files) == []
    times = target.stat()
    with target.open("r+b") as file:
        file.write(b"\0nEw")
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert host.changed(files=files) == ["huge"]
    assert target.read_bytes()[:4] == b"\0new"
