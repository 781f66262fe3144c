#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_node
short_description: Drain nodes of a k3s cluster, let them take pods again, or remove them
version_added: 1.0.0
description:
  - Use it before and after work on a host, such as a reboot or an upgrade, and to take a host out of the cluster for
    good.
  - Runs on a server of the cluster. The hosts of the nodes themselves are not touched.
  - Pods move by the eviction API, which respects PodDisruptionBudgets. Pods of DaemonSets stay on their node. If pods
    cannot be moved in time, the node takes pods again and the module fails.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.k3s.binary
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - O(state=drained) reports a change each time for a node that the module itself drained.
options:
  nodes:
    description: Names of the nodes.
    type: list
    elements: str
    required: true
  state:
    description:
      - V(drained) moves the pods off the nodes and notes O(reason) in the annotation C(wasmfaas.dev/drained-by). A node
        that somebody else took out of service is left alone.
      - V(schedulable) lets the nodes take pods again if they were drained with the same O(reason).
      - V(absent) drains each node, deletes it, waits until its etcd member is removed, and deletes its node password,
        so that another host can join under this name. A node that does not exist is no error. Fails before it changes
        anything if a majority of the remaining etcd members would not be healthy.
    type: str
    choices: [drained, schedulable, absent]
    required: true
  reason:
    description: Why the nodes are drained, in one word.
    type: str
    default: upgrade
  drain_timeout:
    description: Seconds that the pods of one node have to move.
    type: int
    default: 300
  delete_unmanaged_pods:
    description: Whether to delete pods that no controller would start elsewhere. If V(false), such a pod makes the
      drain fail.
    type: bool
    default: false
  force:
    description: With O(state=absent), whether to remove nodes that are not Ready, without a drain. Ready nodes are
      drained even so.
    type: bool
    default: false
  wait:
    description: With O(state=absent), seconds to wait until a deleted node is gone.
    type: int
    default: 120
  this_node:
    description: With O(state=absent), the node name of the server that the module runs on, which cannot be removed.
      Defaults to the host name in lower case.
    type: str
seealso:
  - module: wasmfaas.platform.k3s_node_labels
  - module: wasmfaas.platform.k3s_uninstall
"""

EXAMPLES = r"""
- name: Move the pods away before the host is rebooted
  wasmfaas.platform.k3s_node:
    nodes: [worker-1]
    state: drained
    reason: reboot

- name: Remove a server that is gone for good
  wasmfaas.platform.k3s_node:
    nodes: [server-2]
    state: absent
    force: true
"""

RETURN = r"""
changed_nodes:
  description: Names of the nodes that were changed, or would be in check mode.
  returned: O(state=drained) or O(state=schedulable)
  type: list
  elements: str
  sample: [worker-1]
removed:
  description: Names of the nodes that were removed, or would be in check mode.
  returned: O(state=absent)
  type: list
  elements: str
  sample: [worker-3]
forgotten:
  description: Names of the nodes whose password was deleted, or would be in check mode.
  returned: O(state=absent)
  type: list
  elements: str
  sample: [worker-3]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.nodes.node import run
from ..module_utils.k3s.paths import K3S_BINARY
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            nodes=dict(type="list", elements="str", required=True),
            state=dict(type="str", choices=["drained", "schedulable", "absent"], required=True),
            reason=dict(type="str", default="upgrade"),
            drain_timeout=dict(type="int", default=300),
            delete_unmanaged_pods=dict(type="bool", default=False),
            force=dict(type="bool", default=False),
            wait=dict(type="int", default=120),
            this_node=dict(type="str"),
            k3s_binary=dict(type="path", default=K3S_BINARY),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
