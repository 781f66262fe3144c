#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_node_labels
short_description: Set labels and taints of the nodes of a k3s cluster
version_added: 1.0.0
description:
  - Use it for labels and taints of nodes that have joined. k3s takes those of its configuration only when a node
    registers.
  - The module remembers on the node what it has set, in the annotations C(wasmfaas.dev/managed-labels) and
    C(wasmfaas.dev/managed-taints), and removes what is no longer desired. Labels and taints that others have set stay.
  - Runs once for the whole cluster, on a server whose API is ready.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.k3s.binary
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  nodes:
    description: The nodes. Each must have registered, or register within O(wait_ready) seconds.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the node.
        type: str
        required: true
      labels:
        description: Labels that the node must have.
        type: dict
        default: {}
      taints:
        description: Taints that the node must have.
        type: list
        elements: dict
        default: []
        suboptions:
          key:
            description: Key of the taint.
            type: str
            required: true
          value:
            description: Value of the taint.
            type: str
          effect:
            description: What happens to pods that do not tolerate the taint.
            type: str
            choices: [NoSchedule, PreferNoSchedule, NoExecute]
            required: true
  wait_ready:
    description: Seconds to wait until all nodes are Ready; V(0) does not wait. Without a pod network no node becomes
      Ready.
    type: int
    default: 0
seealso:
  - module: wasmfaas.platform.k3s_node
"""

EXAMPLES = r"""
- name: Label the nodes that run functions
  wasmfaas.platform.k3s_node_labels:
    nodes:
      - name: worker-1
        labels:
          wasmfaas.dev/wasm: "true"
      - name: server-1
        taints:
          - key: CriticalAddonsOnly
            value: "true"
            effect: NoExecute
    wait_ready: 300
"""

RETURN = r"""
changed_nodes:
  description: Names of the nodes that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [worker-1]
ready:
  description: Names of the listed nodes that are Ready.
  returned: success
  type: list
  elements: str
  sample: [server-1, worker-1]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.nodes.labels_and_taints import EFFECTS, run
from ..module_utils.k3s.paths import K3S_BINARY
from ..module_utils.module_run import run_module


def main() -> None:
    taint = dict(
        key=dict(type="str", required=True, no_log=False),
        value=dict(type="str"),
        effect=dict(type="str", choices=list(EFFECTS), required=True),
    )
    module = AnsibleModule(
        argument_spec=dict(
            nodes=dict(
                type="list",
                elements="dict",
                required=True,
                options=dict(
                    name=dict(type="str", required=True),
                    labels=dict(type="dict", default={}),
                    taints=dict(type="list", elements="dict", default=[], options=taint),
                ),
            ),
            wait_ready=dict(type="int", default=0),
            k3s_binary=dict(type="path", default=K3S_BINARY),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
