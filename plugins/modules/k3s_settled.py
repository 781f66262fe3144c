#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_settled
short_description: Wait until a k3s cluster is whole
version_added: 1.0.0
description:
  - Runs on a server. Waits until its API is ready, all named nodes are Ready, and all servers among them are voters of
    etcd.
  - A node counts as Ready for 40 s after its last sign. With O(reporting), each node must report meanwhile.
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
requirements:
  - python >= 3.9
options:
  nodes:
    description: Names of the nodes.
    type: list
    elements: str
    required: true
  reporting:
    description: Whether each node must renew its lease while this waits, which the kubelet does every 10 s.
    type: bool
    default: false
  timeout:
    description: Seconds to wait; 0 looks once.
    type: float
    default: 300
  k3s_program:
    description: The k3s program.
    type: path
    default: /usr/local/bin/k3s
"""

EXAMPLES = r"""
- name: Wait for all
  wasmfaas.platform.k3s_settled:
    nodes: [server-1, server-2, server-3, worker-1]
  register: cluster
  failed_when: not cluster.settled
"""

RETURN = r"""
settled:
  description: Whether the cluster is whole.
  returned: success
  type: bool
waiting_for:
  description: What is still amiss.
  returned: success
  type: list
  elements: str
  sample: [server-2 has not reported since]
whole_after:
  description: Seconds until API, nodes and voters were as they should be; nothing if they never were.
  returned: success
  type: float
seconds:
  description: Seconds waited.
  returned: success
  type: float
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.nodes.settled import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            nodes=dict(type="list", elements="str", required=True),
            reporting=dict(type="bool", default=False),
            timeout=dict(type="float", default=300),
            k3s_program=dict(type="path", default="/usr/local/bin/k3s"),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
