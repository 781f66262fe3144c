# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks where a manifest uses variables: in components' variables, allowed hosts and settings of triggers."""

from __future__ import annotations

import typing as t

from .hosts import host_error
from .location import KeyPath
from .model import Component, Manifest
from .names import nearest
from .problems import Problems
from .templates import split_template


def check_component_variables(manifest: Manifest, component: Component, path: KeyPath, problems: Problems) -> None:
    """Note what is wrong with the variables and the allowed hosts of a component."""
    for name, template in component.variables.items():
        check_variables_in(template, manifest, (*path, "variables", name), problems)
    defaults = {name: variable.default for name, variable in manifest.variables.items()}
    for index, host in enumerate(component.allowed_outbound_hosts):
        key: KeyPath = (*path, "allowed_outbound_hosts", index)
        if check_variables_in(host, manifest, key, problems) and (error := host_error(host, defaults)):
            problems.add(
                key,
                f'"{host}" is no allowed host: {error}',
                'Write <scheme>://<host>[:<port>], such as "https://api.example.com" or "*://*:*" for all.',
                host,
            )


def check_variables_in(template: t.Any, manifest: Manifest, path: KeyPath, problems: Problems) -> bool:
    """Note undeclared variables and unclosed braces in a template; return whether there were none."""
    if not isinstance(template, str):
        return True
    try:
        parts = split_template(template)
    except ValueError as error:
        problems.add(path, f'"{template}": {error}', 'Close it: "{{ variable }}".', template)
        return False
    unknown = [name for is_expression, name in parts if is_expression and name not in manifest.variables]
    for name in unknown:
        near = nearest(name, manifest.variables)
        message = f'the variable "{name}" is not declared in [variables]' + (
            f', did you mean "{near}"?' if near else ""
        )
        problems.add(
            path,
            message,
            f'Write "{{{{ {near} }}}}", or declare it in [variables].'
            if near
            else f"Add {name or 'a name'} = {{ required = true }} to [variables].",
            template,
        )
    return not unknown
