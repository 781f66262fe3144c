#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_plan
short_description: Decide what must be done to the hosts of a k3s cluster, before any of them is touched
version_added: 1.0.0
description:
  - Use it at the beginning of a playbook. It finds everything that is in the way at once, and fails with one message
    that lists the problems, each with its next step.
  - Compares what the hosts of two groups must be (the fact C(k3s_desired), which the role C(wasmfaas.platform.k3s)
    sets) with what M(wasmfaas.platform.k3s_node_info) found on them, registered as C(k3s_node).
  - Runs on the controller and connects to no host; use it with C(run_once).
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.attributes.read_only
  - wasmfaas.platform.k3s.groups
requirements:
  - python >= 3.11
options:
  purpose:
    description:
      - What the plan is for.
      - V(site) makes the inventory a cluster. It decides which server begins by which servers run and hold data, and
        not by their order in the inventory. It refuses to change the version of k3s.
      - V(upgrade) does the same, but refuses only a downgrade and a skipped minor version.
      - V(node_bundle) decides what the autoscaled nodes of a node group have in common. Each host of the play stands
        for all nodes of one group, which its variable C(node_bundle_group) describes as Terraform does.
      - V(serve) needs one ready server.
      - V(change_all) needs every node ready.
      - V(remove) needs the names in O(nodes), and a ready server that stays.
      - V(reset) and V(restore) need O(confirm), and all servers reachable.
      - V(recover) needs O(survivor) and O(lost), which must be so many that the others are no majority.
    type: str
    choices: [site, upgrade, node_bundle, serve, change_all, remove, reset, restore, recover]
    default: site
  prune:
    description: With O(purpose=site), whether nodes that are not in the inventory will be removed. The plan checks that
      removing them is safe.
    type: bool
    default: false
  nodes:
    description: With O(purpose=remove), names of hosts or nodes.
    type: list
    elements: str
    default: []
  keep_hosts:
    description: With O(purpose=remove), whether k3s stays on the hosts, stopped and disabled.
    type: bool
    default: false
  confirm:
    description: With O(purpose=reset) and O(purpose=restore), the name of the first server in the inventory.
    type: str
    default: ""
  backup:
    description: With O(purpose=restore), the backup that M(wasmfaas.platform.k3s_backup_info) returned.
    type: dict
    default: {}
  identity:
    description: With O(purpose=restore), what distinguishes this restore from others.
    type: str
    default: ""
  restore_host:
    description: With O(purpose=restore), the server to begin on. The plan chooses one if it is empty.
    type: str
    default: ""
  survivor:
    description: With O(purpose=recover), the server in the inventory whose data is kept.
    type: str
    default: ""
  lost:
    description: With O(purpose=recover), servers that are gone for good, by their names in the inventory or, where it
      no longer has them, of their nodes.
    type: list
    elements: str
    default: []
seealso:
  - module: wasmfaas.platform.k3s_node_info
"""

EXAMPLES = r"""
- name: Look at the host
  wasmfaas.platform.k3s_node_info:
  register: k3s_node
  ignore_unreachable: true

- name: Decide what each host needs
  wasmfaas.platform.k3s_plan:
  run_once: true
  register: k3s_plan

- name: Find a ready server
  wasmfaas.platform.k3s_plan:
    purpose: serve
  run_once: true
  register: __k3s
"""

RETURN = r"""
messages:
  description: What the user should know but does not stop the run. For V(site), V(upgrade) and V(node_bundle) they are
    shown as warnings.
  returned: success
  type: list
  elements: str
  sample: []
problems:
  description: What is wrong, each with C(where), C(what), C(next_step) and C(severity).
  returned: failure
  type: list
  elements: dict
hosts:
  description:
    - What is to be done on each host, by its name in the inventory.
    - C(action) is C(init) (begin a cluster), C(join), C(start) (it has data and does not run), C(keep), or C(replace)
      (a dead node of this name is removed first, then the host joins).
    - C(config) is the content of config.yaml. C(join) is that of config.yaml.d/join.yaml for the first start, and
      C(join_afterwards) what it holds from then on.
    - C(restart) lists files that differ from those that the running process was started with.
    - C(role), C(unit), C(node_name), C(address), C(architecture), C(server_url), C(labels) and C(taints) describe the
      host.
  returned: O(purpose=site), O(purpose=upgrade) or O(purpose=node_bundle)
  type: dict
cluster:
  description: The cluster as it is.
  returned: O(purpose=site) or O(purpose=upgrade)
  type: dict
  contains:
    state:
      description: C(new) if no server has data, C(running) if one is ready, C(stopped) if there is data and no server
        is ready.
      type: str
      returned: always
    first:
      description: Host that begins a new cluster; empty if there is a cluster.
      type: str
      returned: always
    live:
      description: Hosts whose API server is ready.
      type: list
      elements: str
      returned: always
    api_host:
      description: Host on which kubectl works, now or once the cluster is up.
      type: str
      returned: always
    version:
      description: Newest version of k3s on the servers of the cluster; empty for a new cluster.
      type: str
      returned: always
nodes:
  description: The nodes of this run with the labels and taints that they must have, as
    M(wasmfaas.platform.k3s_node_labels) takes them.
  returned: O(purpose=site) or O(purpose=upgrade)
  type: list
  elements: dict
gone:
  description: Nodes of the cluster that are not in the inventory, each with C(name), C(control_plane) and C(ready).
  returned: O(purpose=site) or O(purpose=upgrade)
  type: list
  elements: dict
api_host:
  description: Host on which the API of the cluster can be asked; empty if no server is ready.
  returned: the other purposes
  type: str
  sample: server-1
api_node:
  description: Node name of that host.
  returned: the other purposes
  type: str
  sample: server-1
version:
  description: Version of k3s that it runs.
  returned: the other purposes
  type: str
  sample: v1.36.4+k3s1
node_names:
  description: Names of all nodes of the cluster.
  returned: the other purposes
  type: list
  elements: str
  sample: [server-1, server-2, server-3, worker-1]
server_addresses:
  description: Addresses of the hosts of O(servers_group), as far as they are known.
  returned: the other purposes
  type: list
  elements: str
  sample: [10.0.0.11, 10.0.0.12, 10.0.0.13]
servers:
  description: Hosts of O(servers_group) that could be reached.
  returned: the other purposes
  type: list
  elements: str
  sample: [server-1, server-2, server-3]
unreachable_hosts:
  description: Hosts of both groups that could not be reached.
  returned: the other purposes
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
  description: Hosts from which k3s must be uninstalled.
  returned: O(purpose=remove)
  type: list
  elements: str
  sample: [worker-1]
stop_hosts:
  description: Hosts that keep k3s. It must be stopped and disabled there, or they would join the cluster again when
    they boot.
  returned: O(purpose=remove)
  type: list
  elements: str
  sample: []
restore_host:
  description: Server on which the snapshot is restored, or whose data is kept.
  returned: O(purpose=restore) or O(purpose=recover)
  type: str
  sample: server-1
restore_node:
  description: Name of its node.
  returned: O(purpose=restore) or O(purpose=recover)
  type: str
  sample: server-1
restore_address:
  description: Address at which the other servers reach it.
  returned: O(purpose=restore) or O(purpose=recover)
  type: str
  sample: 10.0.0.11
continuing:
  description: Whether a run that was cut off has reset that server already.
  returned: O(purpose=restore) or O(purpose=recover)
  type: bool
others:
  description: The other servers, without those that are lost.
  returned: O(purpose=restore) or O(purpose=recover)
  type: list
  elements: str
  sample: [server-2, server-3]
same_cluster:
  description: Whether the hosts belong to the cluster of the snapshot.
  returned: O(purpose=restore)
  type: bool
keep_nodes:
  description: Node names of the hosts in the inventory, without those that are lost.
  returned: O(purpose=restore) or O(purpose=recover)
  type: list
  elements: str
  sample: [server-1, server-2, server-3, worker-1]
agents:
  description: Hosts that are agents.
  returned: O(purpose=recover)
  type: list
  elements: str
  sample: [worker-1]
identity:
  description: What distinguishes this recovery from others.
  returned: O(purpose=recover)
  type: str
  sample: recovery of server-1
nothing_to_do:
  description: Whether the cluster answers, and has no node of a lost server.
  returned: O(purpose=recover)
  type: bool
"""
