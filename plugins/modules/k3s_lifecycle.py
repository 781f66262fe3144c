#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_lifecycle
short_description: Decide how an existing k3s cluster is changed, before it is touched
version_added: 1.0.0
description:
  - Reads what M(wasmfaas.platform.k3s_node_info) registered as C(k3s_node) on all hosts, says on which server to work
    and whom it concerns, and fails with one
    message that lists all that is in the way. Changes nothing, and connects to no host.
  - The plan of C(wasmfaas.platform.site), M(wasmfaas.platform.k3s_plan), wants every host healthy; this one is for
    clusters that are not.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
attributes:
  check_mode:
    support: full
    details:
      - This module only reads.
  diff_mode:
    support: none
    details:
      - This module only reads.
  idempotent:
    support: full
    details:
      - This module only reads.
options:
  purpose:
    description:
      - V(serve) wants one living server; V(change_all) wants every node healthy.
      - V(remove) wants known names, and a living server that stays.
      - V(reset) and V(restore) want O(confirm), and all servers reachable.
    type: str
    required: true
    choices: [serve, change_all, remove, reset, restore]
  servers_group:
    description: Name of the group of servers.
    type: str
    default: k3s_server
  agents_group:
    description: Name of the group of agents.
    type: str
    default: k3s_agent
  nodes:
    description: With O(purpose=remove), names of hosts or nodes.
    type: list
    elements: str
    default: []
  keep_hosts:
    description: With O(purpose=remove), whether k3s stays on the hosts. It is stopped and disabled there then.
    type: bool
    default: false
  confirm:
    description: With O(purpose=reset) and O(purpose=restore), the name of the first server in the inventory.
    type: str
    default: ""
  backup:
    description: With O(purpose=restore), the backup of M(wasmfaas.platform.k3s_backup_info).
    type: dict
    default: {}
  identity:
    description: With O(purpose=restore), what tells this restore from others.
    type: str
    default: ""
  restore_host:
    description: With O(purpose=restore), the server to begin on; the first one where empty.
    type: str
    default: ""
seealso:
  - module: wasmfaas.platform.k3s_node_info
"""

EXAMPLES = r"""
- name: Find a living server
  wasmfaas.platform.k3s_lifecycle:
    purpose: serve
  run_once: true
  register: __k3s
"""

RETURN = r"""
api_host:
  description: Host in the inventory on which to ask the cluster's API; empty where no server lives.
  returned: success
  type: str
  sample: server-1
api_node:
  description: Name of its node.
  returned: success
  type: str
  sample: server-1
version:
  description: Version of k3s that it runs.
  returned: success
  type: str
  sample: v1.36.4+k3s1
nodes:
  description: Names of the cluster's nodes.
  returned: success
  type: list
  elements: str
  sample: [server-1, server-2, server-3, worker-1]
servers:
  description: Hosts of the group of servers that could be reached.
  returned: success
  type: list
  elements: str
  sample: [server-1, server-2, server-3]
unreachable_hosts:
  description: Hosts that could not.
  returned: success
  type: list
  elements: str
  sample: []
messages:
  description: What the user should know.
  returned: success
  type: list
  elements: str
  sample: []
remove_nodes:
  description: Names of the nodes to remove.
  returned: O(purpose=remove)
  type: list
  elements: str
  sample: [worker-1]
clean_hosts:
  description: Hosts to clean.
  returned: O(purpose=remove)
  type: list
  elements: str
  sample: [worker-1]
stop_hosts:
  description: Hosts that keep k3s, on which it is to be stopped and disabled, so that they do not enter the cluster
    again when they boot.
  returned: O(purpose=remove)
  type: list
  elements: str
  sample: []
restore_host:
  description: Server on which the snapshot is restored.
  returned: O(purpose=restore)
  type: str
  sample: server-1
restore_node:
  description: Name of its node.
  returned: O(purpose=restore)
  type: str
  sample: server-1
restore_address:
  description: Address of it for the other servers.
  returned: O(purpose=restore)
  type: str
  sample: 10.0.0.11
continuing:
  description: Whether a run that was cut off has restored the snapshot already.
  returned: O(purpose=restore)
  type: bool
others:
  description: The other servers.
  returned: O(purpose=restore)
  type: list
  elements: str
  sample: [server-2, server-3]
same_cluster:
  description: Whether the hosts are of the cluster that the snapshot is of.
  returned: O(purpose=restore)
  type: bool
keep_nodes:
  description: Names of the nodes that hosts of the inventory have.
  returned: O(purpose=restore)
  type: list
  elements: str
  sample: [server-1, server-2, server-3, worker-1]
"""
