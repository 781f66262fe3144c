# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module's work in Ansible's own process: without another start of Python, and with its progress on the
screen."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import types
import typing as t

from ansible import constants
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.plugins.action.normal import ActionModule as OrdinaryAction

from ..module_utils import progress
from ..module_utils.errors import PlatformError, printable
from ..module_utils.module_run import JUDGED_OPTIONS, failure, kubeconfig_secrets, searched, texts, without_short
from ..module_utils.problems import sentence

QUIET_SECONDS = 10.0
"""After how long without a line a stage that goes on is named."""


class InProcessAction(OrdinaryAction):  # type: ignore[misc]  # Ansible has no type information
    """Base of the action of a module.

    The work is done in this process only where the module would run with the same Python, user and environment.
    Otherwise, and with `async`, the module is executed as Ansible does by default: on another host, with `become`, with
    `environment`, or with another `ansible_python_interpreter`.
    """

    rules: t.ClassVar[dict[str, t.Any]]
    """What AnsibleModule takes beside the argument_spec, such as `required_if`."""

    @staticmethod
    def work(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
        """The module's work, as `module_run.run_module` takes it."""
        raise NotImplementedError

    @staticmethod
    def argument_spec() -> dict[str, t.Any]:
        """The module's argument_spec."""
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        if not self._is_in_process(task_vars or {}):
            result: dict[str, t.Any] = super().run(tmp, task_vars)
            return result
        result = ActionBase.run(self, tmp, task_vars)
        secrets = set().union(*(texts(self._task.args.get(option)) for option in self._secret_options()))
        arguments = json.loads(json.dumps(self._task.args, default=str))  # plain, as a module gets them
        validation = ArgumentSpecValidator(self.argument_spec(), **self.rules).validate(arguments)
        if validation.error_messages:
            message = remove_values(validation.errors.msg, searched(secrets))
            return {**result, "failed": True, "changed": False, **failure(self._argument_error(message))}
        return {**result, **self._outcome(validation.validated_parameters)}

    def _is_in_process(self, variables: dict[str, t.Any]) -> bool:
        if self._task.async_val or self._connection.transport != "local" or self._connection.become is not None:
            return False
        if any(self._templar.template(environment) for environment in self._task.environment or []):
            return False
        # "auto" and its kin look for any Python; ours has what the work needs.
        setting = constants.config.get_config_value("INTERPRETER_PYTHON", variables=variables)
        interpreter = str(self._templar.template(setting))
        return interpreter.startswith("auto") or os.path.abspath(interpreter) == sys.executable

    def _secret_options(self) -> list[str]:
        """Options whose values no output may show."""
        return [name for name, option in self.argument_spec().items() if option.get("no_log") is True]

    def _argument_error(self, message: str) -> PlatformError:
        module = self._task.resolved_action or self._task.action
        return PlatformError(
            f"{module}: {sentence(message)}",
            next_step="Correct the option, or the variable that a playbook sets it from (`-e src=DIRECTORY` for "
            f"`source`). `ansible-doc {module}` describes each option.",
            stage="arguments",
        )

    def _outcome(self, parameters: dict[str, t.Any]) -> dict[str, t.Any]:
        hidden = kubeconfig_secrets(parameters.get("kubeconfig"))
        certain = set().union(
            *(texts(parameters.get(name)) for name in self._secret_options() if name not in JUDGED_OPTIONS)
        )
        result: dict[str, t.Any]
        with contextlib.ExitStack() as stack:
            stack.enter_context(_interrupts())
            if not self._task.no_log:
                listener = Screen(self._display, lambda: searched(certain | hidden))
                stack.enter_context(progress.listening(stack.enter_context(listener)))
            try:
                result = self.work(parameters, bool(self._task.check_mode), hidden)
            except PlatformError as error:
                result = {"failed": True, "changed": False, **failure(error)}
        if not self._task.diff:
            result.pop("diff", None)
        secrets = certain | hidden
        result["invocation"] = {"module_args": without_short(parameters, secrets)}  # as of a module; shown with -vvv
        cleaned: dict[str, t.Any] = remove_values(result, searched(secrets))
        return cleaned


class Screen:
    """Shows the progress of a task on standard error, so that standard output stays what a callback makes of it.

    Args:
        display: Ansible's; it hands lines from a worker to the main process.
        secrets: gives what to black out.
        quiet_seconds: after how long without a line a stage that goes on is named.
    """

    def __init__(self, display: t.Any, secrets: t.Callable[[], set[str]], quiet_seconds: float = QUIET_SECONDS) -> None:
        self._display, self._secrets, self._quiet_seconds = display, secrets, quiet_seconds
        self._stages: list[tuple[str, float]] = []
        self._changed = threading.Condition()
        self._last = time.monotonic()
        self._ended = False
        self._watch = threading.Thread(target=self._watch_stage, daemon=True)

    def __enter__(self) -> Screen:
        self._watch.start()
        return self

    def __exit__(self, *_error: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._watch.join()

    def stage(self, name: str) -> None:
        """See `progress.Listener`. Stages may lie inside of another."""
        with self._changed:
            if name:
                self._stages.append((name, time.monotonic()))
            elif self._stages:
                self._stages.pop()
            self._last = time.monotonic()

    def line(self, text: str) -> None:
        """See `progress.Listener`. Of a line that a program wrote over and over, the last state is shown."""
        with self._changed:
            self._last = time.monotonic()
            written = printable(text.rstrip("\r\n").rpartition("\r")[2]).rstrip()
            if written:
                self._show(written)

    def _show(self, text: str) -> None:
        stage = self._stages[-1][0] if self._stages else ""
        self._display.display(f"  {stage:8}  {remove_values(text, self._secrets())}", stderr=True)

    def _watch_stage(self) -> None:
        with self._changed:
            while not self._ended:
                left = self._last + self._quiet_seconds - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                self._last = time.monotonic()
                if self._stages:
                    self._show(f"still running after {time.monotonic() - self._stages[-1][1]:.0f} s")


@contextlib.contextmanager
def _interrupts() -> t.Iterator[None]:
    """Let the first SIGINT or SIGTERM end the work as an interrupt does, so that locks are let go and half done work is
    undone, and ignore further ones meanwhile: Ansible sends a second after half a second. Then the worker's own handler
    ends the process with its children."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    came: list[int] = []

    def stop(number: int, _frame: types.FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:
            raise KeyboardInterrupt

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came and callable(handler := before[came[0]]):
            handler(came[0], None)
