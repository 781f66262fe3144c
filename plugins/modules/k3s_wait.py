#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_wait
short_description: Wait until a k3s cluster and its nodes are ready
version_added: 1.0.0
description:
  - Use it after a change to a host, before the next host is touched.
  - Runs on a server. Waits until the API of this server is ready, all named nodes are Ready or lack only a pod network,
    and the servers among them vote in etcd.
  - Fails with the reason for each node that is not ready in time.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.attributes.read_only
  - wasmfaas.platform.k3s.binary
attributes:
  check_mode:
    support: full
    details:
      - This module only reads; in check mode it does not wait.
options:
  nodes:
    description: Names of the nodes that must be ready.
    type: list
    elements: str
    required: true
  version:
    description: Version of k3s that all of them must run. Any version is accepted if it is missing.
    type: str
  reporting:
    description:
      - Whether each node must renew its lease during the wait, which the kubelet does every 10 s.
      - Needed after a fault, since Kubernetes shows a node as Ready for up to 50 s after its last report.
    type: bool
    default: false
  timeout:
    description: Seconds to wait at most; V(0) looks once.
    type: float
    default: 300
seealso:
  - module: wasmfaas.platform.k3s_service
  - module: wasmfaas.platform.k3s_node
"""

EXAMPLES = r"""
- name: Wait until the node runs the new version
  wasmfaas.platform.k3s_wait:
    nodes: [worker-1]
    version: v1.36.4+k3s1

- name: Wait until all nodes report again after a fault
  wasmfaas.platform.k3s_wait:
    nodes: [server-1, server-2, server-3, worker-1]
    reporting: true
"""

RETURN = r"""
seconds:
  description: How long it waited.
  returned: success
  type: float
  sample: 12.4
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.nodes.ready import run
from ..module_utils.k3s.paths import K3S_BINARY
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            nodes=dict(type="list", elements="str", required=True),
            version=dict(type="str"),
            reporting=dict(type="bool", default=False),
            timeout=dict(type="float", default=300),
            k3s_binary=dict(type="path", default=K3S_BINARY),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
