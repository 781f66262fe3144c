# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: E402 (Ansible wants a plugin's documentation above its imports)
"""Ansible's default output, in which an error of the collection is one readable block."""

from __future__ import annotations

DOCUMENTATION = r"""
name: readable
type: stdout
short_description: Show an error of the collection as one readable block
version_added: 1.0.0
description:
  - Prints what P(ansible.builtin.default#callback) prints, except for a failed task of this collection. Its stage,
    where the fault is, what is wrong, the next step and the log file are shown once. The default output shows them up
    to three times.
  - The same holds for the message of P(ansible.builtin.fail#module) and P(ansible.builtin.assert#module), by which the
    roles of this collection refuse what is wrong.
  - With C(-v) the rest of the result follows. With C(-vvv) the output is the default one.
  - The playbooks for functions have the variables C(name) and C(namespace), which are also words of Ansible and Jinja.
    This plugin leaves out the warning about these two names, since they do no harm there.
  - To use it, set C(stdout_callback = wasmfaas.platform.readable) in the section C([defaults]) of C(ansible.cfg), or
    the environment variable E(ANSIBLE_STDOUT_CALLBACK).
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as stdout in configuration
"""

import functools
import typing as t

from ansible import constants
from ansible.plugins.callback.default import CallbackModule as DefaultOutput
from ansible.vars import manager

from ..plugin_utils.failure_text import failure_text, is_explained

VARIABLES = frozenset({"name", "namespace"})
"""Variables of the playbooks whose names are reserved (docs/development.md)."""
_SHOWN = frozenset({"msg", "cause", "next_step", "stage"})
_OWN_OUTPUT_VERBOSITY = 3


class CallbackModule(DefaultOutput):  # type: ignore[misc]  # Ansible has no type information
    """See DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "wasmfaas.platform.readable"

    def __init__(self) -> None:
        super().__init__()
        _allow_variables()

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        if not self._is_block(result):
            super().v2_runner_on_failed(result, ignore_errors)
            return
        self._show(result, f"fatal: [{self.host_label(result)}]: FAILED!")
        if ignore_errors:
            self._display.display("...ignoring", color=constants.COLOR_SKIP)

    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        if not self._is_block(result):
            super().v2_runner_item_on_failed(result)
            return
        self._show(result, f"failed: [{self.host_label(result)}] (item={self._get_item_label(result.result)})")

    def _is_block(self, result: t.Any) -> bool:
        if result.task.loop and "results" in result.result:  # each item was shown already
            return False
        return is_explained(result.result, str(result.task.action)) and self._display.verbosity < _OWN_OUTPUT_VERBOSITY

    def _show(self, result: t.Any, title: str) -> None:
        if self._last_task_banner != result.task._uuid:
            self._print_task_banner(result.task)
        self._handle_warnings(result.result)
        text = f"{title}\n{failure_text(result.result)}"
        if self._display.verbosity:
            result.result.pop("exception", None)  # the same message again
            self._clean_results(result.result, result.task.action)
            rest = {key: value for key, value in result.result.items() if key not in _SHOWN}
            text += f"\n{self._dump_results(rest)}"
        self._display.display(text, color=constants.COLOR_ERROR, stderr=self.get_option("display_failed_stderr"))


def _allow_variables() -> None:
    """Leave VARIABLES out of Ansible's warning about reserved names, as no setting does. Only the warning is concerned;
    an ansible-core without this function warns as before."""
    warn = getattr(manager, "warn_if_reserved", None)
    if warn is None or hasattr(warn, "__wrapped__"):
        return

    @functools.wraps(warn)
    def warn_of_others(names: t.Iterable[str], *arguments: t.Any, **options: t.Any) -> None:
        warn([name for name in names if name not in VARIABLES], *arguments, **options)

    manager.warn_if_reserved = warn_of_others
