#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_node_removal
short_description: Remove nodes from a k3s cluster
version_added: 1.0.0
description:
  - Drains each node by the eviction API, which respects PodDisruptionBudgets and leaves pods of DaemonSets.
  - Deletes the Node and waits until it is gone, which k3s allows once the etcd member is removed. Then deletes the node
    password,
    so that another host of this name can join.
  - Refuses, before anything is changed, where a majority of the etcd members that remain would not be healthy.
  - Runs on a server that stays. The hosts themselves are not touched.
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
    support: full
requirements:
  - python >= 3.9 and k3s on the host
options:
  nodes:
    description: Names of the nodes. Those that are not in the cluster are no error.
    type: list
    elements: str
    required: true
  drain_timeout:
    description: How many seconds a node's pods have to move. Where they don't, the node takes pods again and stays.
    type: int
    default: 300
  force:
    description: Whether nodes that are not Ready are removed, without a drain. Nodes that are Ready are drained all the
      same.
    type: bool
    default: false
  delete_unmanaged_pods:
    description: Whether pods that no controller would start elsewhere are deleted. Without, they keep their node from
      being drained.
    type: bool
    default: false
  wait:
    description: How many seconds to wait until a deleted Node is gone.
    type: int
    default: 120
  this_node:
    description: Name of the Node of the server on which this runs, which can't be removed. The host name in lower case
      is used where it is missing.
    type: str
  k3s_program:
    description: The program k3s, whose C(kubectl) is used.
    type: path
    default: /usr/local/bin/k3s
seealso:
  - module: wasmfaas.platform.k3s_nodes
"""

EXAMPLES = r"""
- name: Remove a worker
  wasmfaas.platform.k3s_node_removal:
    nodes: [worker-3]

- name: Remove a server that is gone for good
  wasmfaas.platform.k3s_node_removal:
    nodes: [server-2]
    force: true
"""

RETURN = r"""
removed:
  description: Names of the nodes that were removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [worker-3]
forgotten:
  description: Names of the nodes whose password was deleted.
  returned: success
  type: list
  elements: str
  sample: [worker-3]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.nodes.removal import run
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.paths import K3S_PROGRAM
from ansible_collections.wasmfaas.platform.plugins.module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            nodes=dict(type="list", elements="str", required=True),
            drain_timeout=dict(type="int", default=300),
            force=dict(type="bool", default=False),
            delete_unmanaged_pods=dict(type="bool", default=False),
            wait=dict(type="int", default=120),
            this_node=dict(type="str"),
            k3s_program=dict(type="path", default=K3S_PROGRAM),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
