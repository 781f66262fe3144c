# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks what a manifest says against the Spin of the shim, where the rules changed between versions of Spin, and with
the values that the variables get; known before anything is built."""

from __future__ import annotations

from ..manifest.hosts import older_host_error, resolved_host, resolved_host_error
from ..manifest.location import KeyPath
from ..manifest.model import Manifest
from ..manifest.problems import Problems
from ..manifest.templates import split_template
from .check import check_triggers, is_newer_than_known, spin_version_of_shim, version_numbers

LENIENT_HOSTS_SINCE = "4.1.0"
"""First Spin version that passes over empty hosts and guesses the port of an IPv6 host (main at 94a8fc8,
crates/outbound-networking-config/src/allowed_hosts.rs; not in 4.0.2)."""

VARIABLES_IN_HOSTS_SINCE = "2.4.0"
"""First Spin version with `{{ variable }}` in allowed_outbound_hosts (commit 76713b32)."""


def check_manifest(manifest: Manifest, values: dict[str, str], *, shim_version: str) -> None:
    """Refuse what the Spin of containerd-shim-spin `shim_version` refuses, or takes in another sense than it says.

    Args:
        manifest: read and valid for some version of Spin.
        values: of its variables, as far as they are given; the others keep their defaults.
        shim_version: of the nodes; the lowest one where they differ.

    Raises:
        PlatformError: names each problem with file, line and key. It holds no value of a secret variable.
    """
    check_triggers(manifest, shim_version=shim_version)
    rules = _Rules(shim_version)
    problems = Problems.of(manifest)
    for component in manifest.components.values():
        for index, template in enumerate(component.allowed_outbound_hosts):
            names = [text for is_expression, text in split_template(template) if is_expression]
            error = _host_error(manifest, template, names, values, rules)
            if error is None:
                continue
            key: KeyPath = ("component", component.id, "allowed_outbound_hosts", index)
            problems.add(
                key,
                f'"{template}" is no allowed host for Spin {rules.spin} (containerd-shim-spin {shim_version}): {error}',
                _NEXT_STEP_WITH_VARIABLES if names else _NEXT_STEP,
                template,
            )
    problems.raise_if_any()


_NEXT_STEP = 'Write <scheme>://<host>:<port> in small letters, such as "https://[2001:db8::1]:443".'
_NEXT_STEP_WITH_VARIABLES = (
    "Give the variables values that make it <scheme>://<host>:<port>; for an endpoint that is not used, a host such as "
    "unused.invalid."
)


class _Rules:
    """Which rules the Spin of a shim has; one later than the table has the newest."""

    def __init__(self, shim_version: str) -> None:
        self.spin = spin_version_of_shim(shim_version)
        self._is_newer = is_newer_than_known(shim_version)

    def has(self, since: str) -> bool:
        return self._is_newer or version_numbers(self.spin) >= version_numbers(since)


def _host_error(
    manifest: Manifest, template: str, names: list[str], values: dict[str, str], rules: _Rules
) -> str | None:
    if names and not rules.has(VARIABLES_IN_HOSTS_SINCE):
        return f"variables are filled in from Spin {VARIABLES_IN_HOSTS_SINCE} on"
    defaults = {name: variable.default for name, variable in manifest.variables.items()}
    resolved = resolved_host(template, {**defaults, **values})
    if resolved is None:
        return None
    error = resolved_host_error(resolved)
    if error is None and not rules.has(LENIENT_HOSTS_SINCE):
        error = older_host_error(resolved)
    if error is None or not names:
        return error
    if any(manifest.variables[name].secret for name in names):
        return "it is none with the values of its variables, of which one is secret"
    return f'with the values of its variables it becomes "{resolved}": {error}'
