# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills ansible-playbook with SIGKILL when it begins task number CUT_OFF_AT (from 1), or the first task whose name
contains CUT_OFF_NAME.

It writes the names of all tasks that began to the file CUT_OFF_TASKS, one per line.
"""

from __future__ import annotations

import contextlib
import os
import signal
import typing as t
from pathlib import Path

import psutil
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: cut_off
type: notification
short_description: End ansible-playbook with SIGKILL at a task
description:
  - For tests of runs that are cut off.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "cut_off"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: t.Any, **keywords: t.Any) -> None:
        super().__init__(*args, **keywords)
        self.names: list[str] = []

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        self._began(task)

    def v2_playbook_on_handler_task_start(self, task: t.Any) -> None:
        self._began(task)

    def _began(self, task: t.Any) -> None:
        self.names.append(task.get_name())
        Path(os.environ["CUT_OFF_TASKS"]).write_text("\n".join(self.names), encoding="utf-8")
        name = os.environ.get("CUT_OFF_NAME", "")
        if len(self.names) == int(os.environ.get("CUT_OFF_AT", "0")) or (name and name in self.names[-1]):
            kill_all()


def kill_all() -> None:
    """End this process and all its descendants, such as workers and their ssh, as the loss of the machine does. Workers
    have their own sessions."""
    this = psutil.Process()
    for process in this.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    this.send_signal(signal.SIGKILL)
