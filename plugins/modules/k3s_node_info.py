#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_node_info
short_description: Read what a host and its k3s are
version_added: 1.0.0
description:
  - Reads all that a host can tell about itself, its k3s and, where it is a server that is ready, the cluster;
    M(wasmfaas.platform.k3s_plan) decides with it.
  - Needs nothing but Python on the host. What a host does not have is a value of the result and no error.
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
      - This module only reads. It remembers digests of big files below C(/run/wasmfaas).
requirements:
  - python >= 3.9
options:
  servers_group:
    description: Group of the servers in the inventory. Whether the host reaches the others is found out for hosts of
      these two groups.
    type: str
    default: k3s_server
  agents_group:
    description: Group of the agents in the inventory.
    type: str
    default: k3s_agent
  connections:
    description:
      - Addresses to try a TCP connection to, as C(host:port).
      - Where it is missing, those that k3s needs between this host and the others of the two groups.
    type: list
    elements: str
  ports:
    description: Ports to look for listeners on, beside those of k3s.
    type: list
    elements: dict
    default: []
    suboptions:
      protocol:
        description: Protocol of the port.
        type: str
        choices: [tcp, udp]
        default: tcp
      port:
        description: Number of the port.
        type: int
        required: true
  disk_paths:
    description: Folders whose file system's space is told.
    type: list
    elements: path
    default: [/var/lib/rancher, /usr/local/bin]
  cluster:
    description: Whether a server asks its API for readiness and nodes.
    type: bool
    default: true
seealso:
  - module: wasmfaas.platform.k3s_plan
"""

EXAMPLES = r"""
- name: Look at the host
  wasmfaas.platform.k3s_node_info:
  register: k3s_node

- name: Show its k3s
  ansible.builtin.debug:
    var: k3s_node.node.k3s
"""

RETURN = r"""
node:
  description: The host.
  returned: success
  type: dict
  contains:
    hostname:
      description: Its name in lower case.
      type: str
      returned: always
    machine_id:
      description: Its machine id; empty where it has none.
      type: str
      returned: always
    boot_id:
      description: Differs after each boot.
      type: str
      returned: always
    os:
      description: C(id), C(version_id) and C(id_like) of its os-release.
      type: dict
      returned: always
    architecture:
      description: C(amd64), C(arm64), or what the kernel says where it is another.
      type: str
      returned: always
    cpus:
      description: Processors.
      type: int
      returned: always
    memory_bytes:
      description: Memory.
      type: int
      returned: always
    cgroup:
      description: C(v2), C(v1), or empty.
      type: str
      returned: always
    systemd:
      description: Whether systemd runs the host.
      type: bool
      returned: always
    selinux:
      description: C(enforcing), C(permissive) or C(disabled).
      type: str
      returned: always
    time:
      description: Its clock, in seconds since 1970.
      type: float
      returned: always
    time_synchronized:
      description: Whether its clock follows a time server; null where that can't be told.
      type: bool
      returned: always
    addresses:
      description: Addresses of its own interfaces.
      type: list
      elements: str
      returned: always
    default_address:
      description: Address that it speaks to others with; empty without a default route.
      type: str
      returned: always
    disk:
      description: C(total_bytes) and C(free_bytes) for each of O(disk_paths).
      type: dict
      returned: always
    ports_in_use:
      description: Ports that something listens on, each with C(protocol), C(port), C(process) and C(unit). Empty while
        k3s runs, whose ports they are.
      type: list
      elements: dict
      returned: always
    connections:
      description: C(open), C(refused), C(filtered) or C(unknown) for each address of O(connections).
      type: dict
      returned: always
    k3s:
      description:
        - "Its k3s: C(role) (C(server), C(agent) or null), C(service) (state of the unit, or C(missing)), C(enabled),
            C(restarting), C(version),
          C(version_running), C(binary_sha256), C(has_data), C(has_server_data), C(has_agent_data), C(datastore),
          C(tombstone), C(ca_sha256), C(ready),
          C(server_url), C(cluster_init), C(node_name), C(node_ip), C(config) (keys of config.yaml that all servers
          share) and C(stale_inputs)
          (files that differ from what the running process was started with)."
      type: dict
      returned: always
cluster:
  description:
    - Null but on a server that is ready. C(nodes) are the nodes, each with C(name), C(ready), C(alive) (ready, or only
      without a pod network), C(roles),
      C(control_plane), C(voter) (its etcd member counts for the majority, healthy or not), C(learner),
      C(member_problem) (why its member is no healthy voter),
      C(member_name), C(addresses), C(version), C(unschedulable), C(labels), C(taints), C(created) and C(annotations).
  returned: success
  type: dict
clock:
  description: C(offset), by how many seconds the host's clock is ahead of the controller's, and C(error), how wrong
    that may be.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host.node_info import run
from ansible_collections.wasmfaas.platform.plugins.module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            servers_group=dict(type="str", default="k3s_server"),
            agents_group=dict(type="str", default="k3s_agent"),
            connections=dict(type="list", elements="str"),
            ports=dict(
                type="list",
                elements="dict",
                default=[],
                options=dict(
                    protocol=dict(type="str", choices=["tcp", "udp"], default="tcp"),
                    port=dict(type="int", required=True),
                ),
            ),
            disk_paths=dict(type="list", elements="path", default=["/var/lib/rancher", "/usr/local/bin"]),
            cluster=dict(type="bool", default=True),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
