# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that a user may see: every part raises it, only a module's main() catches it."""

from __future__ import annotations

import re
import typing as t

_NOT_TEXT = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])"  # a terminal's commands
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # controls, bidirectional ones too
)


def printable(text: str) -> str:
    """The text without what a terminal would obey, and with `?` for what is no Unicode: programs and servers may have
    said it."""
    return _NOT_TEXT.sub("", text).encode("utf-8", "replace").decode("utf-8")


class PlatformError(Exception):
    """What went wrong and what to do about it.

    Args:
        cause: one sentence that says what is wrong and where (file, line, key, URL, object).
        next_step: what the user does next, a command where there is one.
        stage: the step of the deployment it happened in; filled in by `stages.Stages` where it is empty.
        facts: more for the module's result, such as `command`, `exit_code`, `output`, `events`, `pod_log`; no secrets.
    """

    def __init__(self, cause: str, *, next_step: str, stage: str = "", facts: dict[str, t.Any] | None = None) -> None:
        self.cause = printable(cause)
        self.next_step = printable(next_step)
        super().__init__(self.cause)
        self.stage = stage
        self.facts = facts or {}

    def __str__(self) -> str:
        stage = f"{self.stage}: " if self.stage else ""
        return f"{stage}{self.cause} Next: {self.next_step}"
