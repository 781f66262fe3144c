#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_plan
short_description: Decide what each host needs so that the inventory becomes a k3s cluster
version_added: 1.0.0
description:
  - Compares what the hosts of two groups shall be, the fact C(k3s_desired) that the role C(wasmfaas.platform.k3s) sets,
    with what
    M(wasmfaas.platform.k3s_node_info) found on them, registered as C(k3s_node).
  - Finds all that is wrong at once, before any host is touched, and fails with one message that lists it with the way
    out.
  - Runs on the controller; use it with C(run_once).
  - The first server is decided by which servers live and hold data, and not by its place in the inventory.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
attributes:
  check_mode:
    support: full
    details:
      - This action only reads.
  diff_mode:
    support: none
    details:
      - This action only reads.
  idempotent:
    support: full
    details:
      - This action only reads.
requirements:
  - python >= 3.11
options:
  servers_group:
    description: Group of the servers in the inventory.
    type: str
    default: k3s_server
  agents_group:
    description: Group of the agents in the inventory.
    type: str
    default: k3s_agent
  prune:
    description: Whether nodes of the cluster that the inventory no longer has are about to be removed; whether they may
      is judged.
    type: bool
    default: false
  purpose:
    description: Another version than the one that runs is refused for V(site); for V(upgrade), only a downgrade and a
      skipped minor version are.
    type: str
    choices: [site, upgrade]
    default: site
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
"""

RETURN = r"""
cluster:
  description: The cluster as it is.
  returned: success
  type: dict
  contains:
    state:
      description: C(new) where no server has data, C(running) where one is ready, C(stopped) where there is data and no
        server is ready.
      type: str
      returned: always
    first:
      description: Host that begins a new cluster; empty else.
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
      description: Newest version among the servers that are there; empty for a new cluster.
      type: str
      returned: always
hosts:
  description:
    - "What is to be done on each host of this run, by its name in the inventory: C(action) is C(init) (begin a
      cluster), C(join), C(start) (it has data and
      does not run), C(keep), or C(replace) (a dead node of this name goes first, then it joins)."
    - C(config) is the content of config.yaml. C(join) is that of config.yaml.d/join.yaml for the first start,
      C(join_settled) what it holds from then on.
    - C(restart) lists files that differ from what the running process was started with. C(role), C(unit), C(node_name),
      C(address), C(architecture),
      C(server_url), C(labels) and C(taints) say what they are called.
  returned: success
  type: dict
nodes:
  description: The nodes of this run with the labels and taints that they are to have, as
    M(wasmfaas.platform.k3s_node_labels) takes them.
  returned: success
  type: list
  elements: dict
gone:
  description: Nodes of the cluster that the inventory does not have, each with C(name), C(control_plane) and C(ready).
  returned: success
  type: list
  elements: dict
messages:
  description: What the user should know and what does not stop the run.
  returned: success
  type: list
  elements: str
problems:
  description: What is wrong, each with C(where), C(what), C(next_step) and C(severity).
  returned: failure
  type: list
  elements: dict
"""
