# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The progress of a task as it is shown on the screen."""

from __future__ import annotations

import queue

import pytest
from ansible_collections.wasmfaas.platform.plugins.plugin_utils.in_process import Screen

WAIT_SECONDS = 60.0


class DisplayStub:
    """Keeps what would be shown on standard error."""

    def __init__(self) -> None:
        self.lines: queue.Queue[str] = queue.Queue()

    def display(self, text: str, *, stderr: bool) -> None:
        assert stderr
        self.lines.put(text)


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("compiling", "  build     compiling"),
        ("\x1b[1;32mgreen\x1b[0m \x1b]0;title\x07text\x07", "  build     green text"),
        ("10 %\r50 %\r100 %\r\n", "  build     100 %"),
        ("token s3cret given", "  build     token ******** given"),
    ],
    ids=["plain", "escapes", "written over", "secret"],
)
def test_a_line(told: str, shown: str) -> None:
    display = DisplayStub()
    with Screen(display, lambda: {"s3cret"}) as screen:
        screen.stage("build")
        screen.line(told)
        screen.line(" \x1b[K\r\n")
    assert display.lines.get_nowait() == shown
    assert display.lines.empty(), "nothing is shown of an empty line"


def test_a_stage_without_a_line_is_named_after_a_while() -> None:
    display = DisplayStub()
    with Screen(display, set, quiet_seconds=0.05) as screen:
        screen.stage("rollout")
        screen.stage("probe")
        assert display.lines.get(timeout=WAIT_SECONDS).startswith("  probe     still running after ")
        screen.stage("")
        while (line := display.lines.get(timeout=WAIT_SECONDS)).startswith("  probe"):
            pass
        assert line.startswith("  rollout   still running after ")
