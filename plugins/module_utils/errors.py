# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that a user may see: every part raises it, only a module's main() catches it."""

from __future__ import annotations

import typing as t


class PlatformError(Exception):
    """What went wrong and what to do about it.

    Args:
        cause: one sentence that says what is wrong and where (file, line, key, URL, object).
        next_step: what the user does next, a command where there is one.
        stage: the step of the deployment it happened in; filled in by `stages.Stages` where it is empty.
        facts: more for the module's result, such as `command`, `exit_code`, `output`, `events`, `pod_log`; no secrets.
    """

    def __init__(self, cause: str, *, next_step: str, stage: str = "", facts: dict[str, t.Any] | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.next_step = next_step
        self.stage = stage
        self.facts = facts or {}

    def __str__(self) -> str:
        stage = f"{self.stage}: " if self.stage else ""
        return f"{stage}{self.cause} Next: {self.next_step}"
