# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can read the log of a build, and how large it gets."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.build import log as build_log
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.build.command import run_command


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("there", [False, True])
def test_only_its_owner_reads_it(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "logs" / "c.log"
    if there:
        path.parent.mkdir()
        path.write_text("of a build before, and longer")
        path.chmod(0o644)
    mask = os.umask(0)
    try:
        with build_log.open_log(path) as log:
            assert mode(path) == 0o600
            log.write("a\n")
    finally:
        os.umask(mask)
    assert mode(path) == 0o600 and path.read_text() == "a\n"


def test_what_is_too_much_is_dropped_and_told_once(tmp_path: Path) -> None:
    path = tmp_path / "c.log"
    with build_log.open_log(path, most_bytes=10) as log:
        assert [log.write(text) for text in ("12345\n", "ääää", "more", "")] == [6, 4, 4, 0]
    assert path.read_text() == "12345\nää" + build_log.LEFT_OUT
    with build_log.open_log(path, most_bytes=10) as log:
        log.write("1234567890")
    assert path.read_text() == "1234567890", "full, and nothing left out"


def test_a_build_that_prints_without_end_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command goes on, and its last lines are handed back."""
    monkeypatch.setattr(build_log, "LEFT_OUT", "(left out)\n")
    path = tmp_path / "c.log"
    command = "yes | head -c 5000000; echo at last; exit 3"
    with build_log.open_log(path, most_bytes=100_000) as log:
        code, output = run_command(["sh", "-c", command], tmp_path, dict(os.environ), log, time.monotonic() + 300)
    assert code == 3 and output.endswith("at last")
    assert path.stat().st_size == 100_000 + len("(left out)\n")
    assert 32 << 20 <= build_log.MOST_BYTES <= 64 << 20
