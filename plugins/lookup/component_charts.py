# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup `component_charts`; its documentation stands in component_charts.yml."""

from __future__ import annotations

import typing as t

from ansible.plugins.lookup import LookupBase

from ..plugin_utils.role_variables import RoleVariables


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible has no type information
    """Ansible's entry point."""

    def run(self, terms: list[t.Any], variables: t.Any = None, **_options: t.Any) -> list[dict[str, t.Any]]:
        """The charts of the named components, in their order."""
        given = dict(variables or {})
        return [
            chart
            for role in self._flatten(terms)
            for chart in RoleVariables(str(role), given, self._loader, self._templar, {})[f"__{role}_charts"]
        ]
