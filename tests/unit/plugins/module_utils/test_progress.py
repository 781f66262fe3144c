# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What long work tells while it goes on."""

from __future__ import annotations

from ansible_collections.wasmfaas.platform.plugins.module_utils import progress


class Told:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.lines: list[str] = []

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def line(self, text: str) -> None:
        self.lines.append(text)


def test_a_listener_is_told_only_while_it_listens() -> None:
    told = Told()
    progress.tell("before")
    with progress.listening(told):
        assert progress.is_shown()
        progress.tell("now")
        progress.tell_stage("build")
    progress.tell("after")
    assert (told.lines, told.stages, progress.is_shown()) == (["now"], ["build"], False)


def test_bytes_sent_are_told_once_in_a_while() -> None:
    now = 0.0
    told = Told()
    with progress.listening(told):
        sent = progress.BytesSent(37_000_000, clock=lambda: now)
        sent.add(1_000_000)
        assert told.lines == []
        now = 1.5
        sent.add(11_340_000)
        sent.add(1_000_000)
        assert told.lines == ["12.3 of 37.0 MB sent"]
        now = 3.0
        sent.add(-2_000_000)  # a blob is sent again
        assert len(told.lines) == 1
        sent.add(660_000)
        assert told.lines[1:] == ["12.0 of 37.0 MB sent"]
