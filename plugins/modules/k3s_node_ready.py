#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_node_ready
short_description: Wait until nodes of a k3s cluster are healthy
version_added: 1.0.0
description:
  - Runs on a living server. A node is healthy when it is Ready, or only lacks its pod network, and, on servers with
    etcd, its member votes.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
attributes:
  check_mode:
    support: full
    details:
      - This module only reads; in check mode it does not wait.
  diff_mode:
    support: none
    details:
      - This module only reads.
  idempotent:
    support: full
    details:
      - This module only reads.
options:
  nodes:
    description: Names of the nodes.
    type: list
    elements: str
    required: true
  version:
    description: Version of k3s that they must run.
    type: str
  timeout:
    description: Seconds to wait at most.
    type: int
    default: 300
seealso:
  - module: wasmfaas.platform.k3s_nodes
"""

EXAMPLES = r"""
- name: Wait until the node has the new version
  wasmfaas.platform.k3s_node_ready:
    nodes: [worker-1]
    version: v1.36.4+k3s1
"""

RETURN = r"""
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.nodes.node_ready import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            nodes=dict(type="list", elements="str", required=True),
            version=dict(type="str"),
            timeout=dict(type="int", default=300),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
