# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several modules for k3s share."""

from __future__ import annotations


class ModuleDocFragment:
    PROGRAM = r"""
options:
  k3s_program:
    description: Path of the k3s binary on the host; its C(kubectl) is used.
    type: path
    default: /usr/local/bin/k3s
requirements:
  - python >= 3.9 and k3s on the host
"""

    UNIT = r"""
options:
  unit:
    description: The systemd unit, V(k3s) on servers and V(k3s-agent) on agents.
    type: str
    choices: [k3s, k3s-agent]
    default: k3s
"""

    GROUPS = r"""
options:
  servers_group:
    description: Inventory group of the servers.
    type: str
    default: k3s_server
  agents_group:
    description: Inventory group of the agents.
    type: str
    default: k3s_agent
"""
