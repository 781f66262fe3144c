# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""whole_file.py: the old content or the new, and a mode that nothing widens."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.host import whole_file


@pytest.fixture(autouse=True)
def open_umask() -> t.Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.parametrize(("mode", "found"), [(0o600, 0o600), (0o644, 0o644), (None, 0o644)])
def test_content_and_mode(tmp_path: Path, mode: int | None, found: int) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o666)
    whole_file.write(path, "new\n", mode=mode, durable=True)
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o777 == found
    assert list(tmp_path.iterdir()) == [path]


def test_remains_of_a_cut_run_are_taken_over_and_made_private(tmp_path: Path) -> None:
    path = tmp_path / "token"
    remains = tmp_path / "token.wasmfaas-partial"
    remains.write_text("a longer half of something")
    remains.chmod(0o666)
    whole_file.write(path, "secret")
    assert path.read_text() == "secret"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not remains.exists()


def test_file_in_place_stays_where_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        whole_file.write(path, "\ud800")
    assert path.read_text() == "old"


def test_update_makes_the_directory_and_says_whether_the_text_was_another(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    assert whole_file.update(str(path), "text", check_mode=True) and not path.parent.exists()
    assert whole_file.update(str(path), "text", check_mode=False) and path.read_text() == "text"
    assert not whole_file.update(str(path), "text", check_mode=False)


def test_update_of_a_file_in_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert whole_file.update("file", "text", check_mode=False) and (tmp_path / "file").read_text() == "text"
