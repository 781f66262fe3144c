#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_drain
short_description: Move the pods off a node of a k3s cluster, and let it take pods again
version_added: 1.0.0
description:
  - Runs on a living server. Evictions respect PodDisruptionBudgets, pods of DaemonSets stay.
  - Writes on the node who drained it, in the annotation C(wasmfaas.dev/drained-by), so that only the same one gives it
    back.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - O(state=drained) counts as a change each time for a node that it drained itself; one that somebody else took out
        of service is left alone.
options:
  node:
    description: Name of the node.
    type: str
    required: true
  state:
    description: V(drained) moves its pods away, V(schedulable) lets it take pods again where this module stopped it for
      the same O(reason).
    type: str
    choices: [drained, schedulable]
    required: true
  reason:
    description: Why, one word.
    type: str
    default: upgrade
  timeout:
    description: Seconds that the pods have to move. Where they don't, the node takes pods again.
    type: int
    default: 300
  delete_unmanaged_pods:
    description: Whether pods that no controller would start elsewhere are deleted. Without, they keep the node from
      being drained.
    type: bool
    default: false
seealso:
  - module: wasmfaas.platform.k3s_node_removal
"""

EXAMPLES = r"""
- name: Move the pods away before the host is booted
  wasmfaas.platform.k3s_drain:
    node: worker-1
    state: drained
    reason: reboot
"""

RETURN = r"""
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.nodes.drain import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            node=dict(type="str", required=True),
            state=dict(type="str", choices=["drained", "schedulable"], required=True),
            reason=dict(type="str", default="upgrade"),
            timeout=dict(type="int", default=300),
            delete_unmanaged_pods=dict(type="bool", default=False),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
