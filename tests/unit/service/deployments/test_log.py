# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a deployment."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.service.deployments import log
from ansible_collections.wasmfaas.platform.service.deployments.log import LogWriter, read_from


def written(file: Path, *lines: str, secrets: set[str] | None = None) -> str:
    writer = LogWriter(file, lambda: secrets or set())
    for line in lines:
        writer.line(line)
    writer.close()
    return file.read_text()


def test_lines_lose_what_a_terminal_or_a_page_would_obey(tmp_path: Path) -> None:
    text = written(tmp_path / "log", "\x1b[31mred\x1b[0m", "10 %\r20 %\r30 %", "title\x1b]0;evil\x07", "<b>&\x00")
    assert text == "red\n30 %\ntitle\n<b>&\n"


def test_a_line_stays_one_line(tmp_path: Path) -> None:
    assert written(tmp_path / "log", "first\nready http://evil.example") == "first ready http://evil.example\n"


def test_secrets_are_blacked_out_also_where_one_holds_another(tmp_path: Path) -> None:
    text = written(tmp_path / "log", "a=s3cret b=s3cret-and-more", secrets={"s3cret", "s3cret-and-more", "a"})
    assert "s3cret" not in text
    assert "and-more" not in text
    assert text.startswith("a=")


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    assert len(written(tmp_path / "log", "x" * 1_000_000)) == log.LONGEST_LINE + 1


def test_the_log_ends_at_its_limit_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MOST_BYTES", 10_000)
    text = written(tmp_path / "log", *["x" * 99] * 1000)
    assert len(text) <= 10_100
    assert text.splitlines()[-1].startswith("The log ends here")
    again = written(tmp_path / "log", *["y" * 99] * 1000)  # a second attempt
    assert len(again) <= 10_300


def test_reading_gives_whole_lines_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert read_from(file, 0) == b""
    file.write_text("one\ntwo\nthr")
    assert read_from(file, 0) == b"one\ntwo\n"
    assert read_from(file, 8) == b""
    with file.open("a") as stream:
        stream.write("ee\n")
    assert read_from(file, 8) == b"three\n"
    assert read_from(file, 1_000_000) == b""
    assert read_from(file, 1 << 53) == b""


def test_a_long_log_is_read_in_pieces(tmp_path: Path) -> None:
    file = tmp_path / "log"
    lines = "".join(f"{number} {'ü' * 2000}\n" for number in range(200))
    file.write_text(lines)
    offset, found = 0, b""
    while data := read_from(file, offset):
        assert len(data) <= 1 << 17
        found += data
        offset += len(data)
    assert found.decode() == lines
