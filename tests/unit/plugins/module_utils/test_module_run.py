# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module does around its own work."""

from __future__ import annotations

import signal
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.module_run import (
    HIDDEN,
    kubeconfig_secrets,
    run_module,
    searched,
    texts,
    without_short,
)


class Ended(Exception):
    pass


class ModuleStub:
    """The few things of AnsibleModule that are used; keeps what it was ended with."""

    def __init__(self, *, diff: bool = False, check_mode: bool = False, **params: t.Any) -> None:
        self.params: t.Any = params
        self._diff, self.check_mode, self.no_log_values = diff, check_mode, {"old"}
        self.failed: dict[str, t.Any] | None = None
        self.result: dict[str, t.Any] | None = None
        self.warnings: list[str] = []

    def warn(self, warning: str) -> None:
        self.warnings.append(warning)

    def fail_json(self, **result: t.Any) -> t.NoReturn:
        self.failed = {**result, "hidden": set(self.no_log_values)}
        raise Ended

    def exit_json(self, **result: t.Any) -> t.NoReturn:
        self.result = {**result, "hidden": set(self.no_log_values)}
        raise Ended


@pytest.fixture(autouse=True)
def signal_handler() -> t.Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def end(module: ModuleStub, run: t.Any) -> ModuleStub:
    with pytest.raises(Ended):
        run_module(module, run)
    return module


def test_result_is_handed_over_with_what_is_to_be_hidden() -> None:
    def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
        hidden.add("secret")
        return {"changed": check_mode, "name": parameters["name"]}

    assert end(ModuleStub(check_mode=True, name="a"), run).result == {
        "changed": True,
        "name": "a",
        "hidden": {"old", "secret"},
    }


@pytest.mark.parametrize("wanted", [True, False])
def test_difference_is_given_where_it_is_asked_for(wanted: bool) -> None:
    module = end(ModuleStub(diff=wanted), lambda *_arguments: {"changed": True, "diff": {"before": {}, "after": {}}})
    assert module.result is not None
    assert ("diff" in module.result) == wanted


def test_a_warning_is_no_argument_of_exit_json() -> None:
    """For which Ansible prints a deprecation."""
    module = end(ModuleStub(), lambda *_arguments: {"changed": False, "warnings": ["Look out."]})
    assert module.warnings == ["Look out."]
    assert module.result is not None and "warnings" not in module.result


def test_error_has_all_its_parts_and_hides_secrets_too() -> None:
    def run(_parameters: dict[str, t.Any], _check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
        hidden.add("secret")
        raise PlatformError("It broke.", next_step="mend it.", stage="build", facts={"exit_code": 1})

    assert end(ModuleStub(), run).failed == {
        "msg": "build: It broke. Next: mend it.",
        "stage": "build",
        "cause": "It broke.",
        "next_step": "mend it.",
        "facts": {"exit_code": 1},
        "hidden": {"old", "secret"},
    }


def test_termination_ends_the_work_as_an_interrupt_does() -> None:
    undone = []

    def run(*_arguments: t.Any) -> dict[str, t.Any]:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            undone.append(True)
        return {}

    with pytest.raises(KeyboardInterrupt):
        run_module(ModuleStub(), run)
    assert undone


def test_credentials_of_a_kubeconfig_are_hidden() -> None:
    kubeconfig = {
        "users": [
            {"name": "a", "user": {"token": "t0ken", "client-certificate-data": "public"}},
            {"name": "b", "user": {"password": "pass", "client-key-data": "key", "token": ""}},
            {"name": "c", "user": None},
            {"name": "d"},
            "odd",
        ]
    }
    assert kubeconfig_secrets(kubeconfig) == {"t0ken", "pass", "key"}
    module = end(ModuleStub(kubeconfig=kubeconfig), lambda *_arguments: {})
    assert module.result is not None
    assert {"t0ken", "pass", "key"} <= module.result["hidden"]


@pytest.mark.parametrize("kubeconfig", [None, "/path/config", {}, {"users": None}])
def test_kubeconfig_without_credentials_hides_nothing(kubeconfig: t.Any) -> None:
    assert kubeconfig_secrets(kubeconfig) == set()


def test_a_secret_of_one_or_two_letters_does_not_black_out_the_message() -> None:
    """Ansible takes each secret out of all texts, so `a` would leave nothing to read. It is hidden as a value only."""

    def run(parameters: dict[str, t.Any], _check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
        hidden |= texts(parameters["variables"])
        raise PlatformError("It broke.", next_step="Mend it.")

    parameters: dict[str, t.Any] = {"name": "ab", "variables": {"a": "k", "b": "ke", "c": "key", "pin": 7}, "on": True}
    module = end(ModuleStub(**parameters), run)
    assert module.failed is not None and module.failed["hidden"] == {"old", "key"}
    hidden = dict.fromkeys(("a", "b", "pin"), "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER")
    assert module.params == {"name": "ab", "variables": {**hidden, "c": "key"}, "on": True}, "the invocation"


def test_parameters_keep_their_shape_where_short_secrets_go() -> None:
    parameters = {"list": ["x", {"deep": "x"}, "xx"], "no": None, "empty": "", "number": 1.5}
    assert without_short(parameters, {"x", "long enough"}) == {
        **parameters,
        "list": [HIDDEN, {"deep": HIDDEN}, "xx"],
    }
    assert searched({"x", "xy", "xyz"}) == {"xyz"}
