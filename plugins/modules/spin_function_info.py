#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spin_function_info
short_description: List deployed functions with status and URL
version_added: 1.0.0
description:
  - Reads the functions of a Kubernetes cluster with SpinKube, or of this machine. A canary is shown as part of its
    function.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.attributes.read_only
  - wasmfaas.platform.attributes.action_group
  - wasmfaas.platform.function
  - wasmfaas.platform.function.hosted
  - wasmfaas.platform.kubernetes_auth
requirements:
  - tabulate
options:
  name:
    description: Name of the function to read. The default is all.
    type: str
  namespace:
    description: Namespace to read. The default is all.
    type: str
seealso:
  - module: wasmfaas.platform.spin_function
  - module: wasmfaas.platform.spin_function_version
  - module: wasmfaas.platform.spin_function_logs
"""

EXAMPLES = r"""
- name: List all functions of a tenant
  wasmfaas.platform.spin_function_info:
    namespace: user1
  register: listed

- name: Show their URLs
  ansible.builtin.debug:
    msg: "{{ listed.functions | map(attribute='url') }}"
"""

RETURN = r"""
functions:
  description: The functions, sorted by namespace and name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the function.
      type: str
      returned: always
    namespace:
      description: Namespace of the function.
      type: str
      returned: always
    status:
      description: One of C(ready), C(progressing), C(failed), C(stopped), and C(sleeping) for a function without a
        replica that a request wakes.
      type: str
      returned: always
    url:
      description: Where it answers; empty without an http trigger, and where something other than this collection
        deployed it.
      type: str
      returned: always
    image:
      description: Reference of the deployed artifact.
      type: str
      returned: always
    digest:
      description: Digest of the artifact's manifest; empty where a tag is deployed.
      type: str
      returned: always
    source_digest:
      description: Digest over the project that it was built from; empty where something other than this collection
        deployed it.
      type: str
      returned: always
    created:
      description: When it was first deployed, as RFC 3339.
      type: str
      returned: always
    details:
      description:
        - What depends on the target. A local function has C(process_id), C(port) and C(log_file).
        - A function on a cluster has C(replicas), C(ready_replicas), the C(earlier) versions that it can be rolled back
          to, and C(canary) where it has one, with its C(weight) in percent.
        - A function that was deployed with O(wasmfaas.platform.spin_function#module:warm) has C(warm), with the number
          of C(nodes) that have compiled the artifact, and of all nodes that can run it now (C(of)). Without the
          permission to see those, C(of) is none.
      type: dict
      returned: always
  sample:
    - name: shop
      namespace: user1
      status: ready
      url: http://shop.user1.203.0.113.7.nip.io
      image: registry.example.com/functions/shop@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      digest: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      source_digest: sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
      created: "2026-11-22T03:41:00Z"
      details: {replicas: 2, ready_replicas: 2, autoscaled: false, executor: containerd-shim-spin, managed: true,
      earlier: []}
table:
  description: The same as a table, one line per item. With O(name), the earlier versions that the function can be
    rolled back to follow.
  returned: success
  type: list
  elements: str
  sample:
    - "NAMESPACE  NAME  STATUS  REPLICAS  CANARY                URL                                   DIGEST        AGE"
    - "user1      shop  ready   2/2       10% 60303ae22b99 1/1  http://shop.user1.203.0.113.7.nip.io  9f86d081884c  3d"
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.function.spin_function_info import run
from ..module_utils.hosted.arguments import hosted_arguments
from ..module_utils.module_run import run_module
from ..module_utils.spinkube.arguments import kubernetes_auth_arguments


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            name=dict(type="str"),
            namespace=dict(type="str"),
            target=dict(type="str", choices=["cluster", "local"], default="cluster"),
            state_directory=dict(type="path"),
            **hosted_arguments(),
            **kubernetes_auth_arguments(),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
