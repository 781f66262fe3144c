# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the collection does around its own work: keep secrets out of the output, and end in one way."""

from __future__ import annotations

import signal
import typing as t

from .errors import PlatformError

Run = t.Callable[[dict[str, t.Any], bool, set[str]], dict[str, t.Any]]
"""Takes the parameters, whether it is check mode, and a set to which it adds what no output may show; gives the
result."""


JUDGED_OPTIONS = ("variables", "kubeconfig", "files", "objects", "objects_after", "charts", "sources")
"""Dictionaries that may hold secrets among other things. Their argument_spec says `no_log`, since Ansible writes all
other arguments to the system log, and into the error of a wrong argument, before `run_module` is called; which of the
values are secret is found out only then."""


SHORTEST_SEARCHED = 3
"""The length of the shortest secret that is looked for inside of texts."""

HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
"""What Ansible writes in place of a secret value."""


def run_module(module: t.Any, run: Run) -> None:
    """Call `run` and hand its result, or the PlatformError it raises, to Ansible. Leaves through the module's exit.

    A termination signal ends the work as an interrupt does, so that locks are let go and half done work is undone.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    hidden = kubeconfig_secrets(module.params.get("kubeconfig"))
    judged = set().union(*(texts(module.params.get(option)) for option in JUDGED_OPTIONS))
    try:
        result = run(module.params, module.check_mode, hidden)
    except PlatformError as error:
        _hide(module, (module.no_log_values - judged) | hidden)
        module.fail_json(**failure(error))
    _hide(module, (module.no_log_values - judged) | hidden)
    if not module._diff:
        result.pop("diff", None)
    for warning in result.pop("warnings", []):  # exit_json takes them too, with a deprecation for each
        module.warn(warning)
    module.exit_json(**result)


def _hide(module: t.Any, secrets: set[str]) -> None:
    module.no_log_values = searched(secrets)
    module.params = without_short(module.params, secrets)  # the result repeats them as `invocation`


def searched(secrets: set[str]) -> set[str]:
    """The secrets to black out wherever they stand in a text: a shorter one would take every such letter or digit out
    of a message, and standing there gives nothing away."""
    return {secret for secret in secrets if len(secret) >= SHORTEST_SEARCHED}


def without_short(parameters: t.Any, secrets: set[str]) -> t.Any:
    """The parameters of a module without the values that are secret and not among `searched`."""
    if isinstance(parameters, dict):
        return {key: without_short(value, secrets) for key, value in parameters.items()}
    if isinstance(parameters, (list, tuple)):
        return [without_short(value, secrets) for value in parameters]
    is_short = texts(parameters) & (secrets - searched(secrets))
    return HIDDEN if is_short else parameters


def failure(error: PlatformError) -> dict[str, t.Any]:
    """What the result of a failed task has of an error."""
    facts = {"facts": error.facts} if error.facts else {}
    return {"msg": str(error), "stage": error.stage, "cause": error.cause, "next_step": error.next_step, **facts}


def kubeconfig_secrets(kubeconfig: t.Any) -> set[str]:
    """The credentials in a kubeconfig that was given as a dictionary."""
    users = kubeconfig.get("users") or [] if isinstance(kubeconfig, dict) else []
    secret_keys = ("token", "password", "client-key-data")
    return {
        str(entry["user"][key])
        for entry in users
        if isinstance(entry, dict) and isinstance(entry.get("user"), dict)
        for key in secret_keys
        if entry["user"].get(key)
    }


def texts(value: t.Any) -> set[str]:
    """All texts and numbers in a value, but none that is empty or a word of JSON: Ansible would black out each of their
    letters in the whole output."""
    if isinstance(value, dict):
        return set().union(*map(texts, value.values()))
    if isinstance(value, (list, tuple)):
        return set().union(*map(texts, value))
    return set() if value is None or isinstance(value, bool) or value == "" else {str(value)}
