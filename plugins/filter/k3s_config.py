# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter `k3s_config`; its documentation stands in k3s_config.yml."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils.k3s.config.configuration import layered


def k3s_config(layers: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    """One dictionary of all; see k3s_config.yml."""
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise AnsibleFilterError(
            "k3s_config: takes a list of dictionaries, such as [k3s_config, k3s_server_config, k3s_node_config]."
        )
    return layered(layers)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"k3s_config": k3s_config}
