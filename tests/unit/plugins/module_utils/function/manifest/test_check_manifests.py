# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check over a directory of projects."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.scripts import check_manifests

from .minimal import MINIMAL


def run(directory: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["check_manifests.py", str(directory), *arguments])
    return check_manifests.main()


def test_every_manifest_is_told_and_one_refused_decides_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"good": MINIMAL, "deep/bad": MINIMAL.replace("source", "sorce"), "node_modules/x": "not read"}
    for name, text in texts.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "spin.toml").write_text(text)

    assert run(tmp_path, monkeypatch) == 1
    printed = capsys.readouterr().out.splitlines()
    assert f"{tmp_path}/good/spin.toml: accepted" in printed
    assert f"{tmp_path}/deep/bad/spin.toml: refused" in printed
    assert any("component.a.sorce: unknown key" in line for line in printed)
    assert printed[-1] == "1 accepted, 1 refused"
    assert run(tmp_path / "good", monkeypatch) == 0


def test_manifests_may_name_what_lies_in_the_source_root_or_their_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apps" / "one").mkdir(parents=True)
    (tmp_path / "apps" / "one" / "spin.toml").write_text(MINIMAL.replace("a.wasm", "../../target/a.wasm"))
    assert run(tmp_path / "apps", monkeypatch) == 1
    assert run(tmp_path / "apps", monkeypatch, "--source-root", str(tmp_path)) == 0
    (tmp_path / ".git").mkdir()
    assert run(tmp_path / "apps", monkeypatch) == 0


def test_directory_without_manifests_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(tmp_path, monkeypatch) == 2
