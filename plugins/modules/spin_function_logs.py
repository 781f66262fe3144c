#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spin_function_logs
short_description: Read what a function wrote
version_added: 1.0.0
description:
  - Reads the last lines of all replicas of a function, those of its canary included.
  - For a crashed container, also reads the end of its previous run.
  - Values of the function's secret variables are blacked out in all output. Without the permission to read the Secrets
    that hold them, the module fails.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.attributes.read_only
  - wasmfaas.platform.attributes.action_group
  - wasmfaas.platform.function
  - wasmfaas.platform.function.hosted
  - wasmfaas.platform.kubernetes_auth
options:
  name:
    description: Name of the function.
    type: str
    required: true
  namespace:
    description: Namespace of the function.
    type: str
    default: default
  lines:
    description: How many of the last lines to read of each replica.
    type: int
    default: 100
  since:
    description: Read only what was written in this span of time, as in V(90s), V(15m), V(2h) or V(1d). Not for
      O(target=local) and O(service).
    type: str
seealso:
  - module: wasmfaas.platform.spin_function
  - module: wasmfaas.platform.spin_function_info
"""

EXAMPLES = r"""
- name: Read what a function wrote in the last quarter of an hour
  wasmfaas.platform.spin_function_logs:
    name: shop
    namespace: user1
    since: 15m
  register: shop

- name: Show it
  ansible.builtin.debug:
    msg: "{{ shop.text }}"
"""

RETURN = r"""
logs:
  description: The logs, sorted by pod. For a crashed container, the log of its previous run is shown first.
  returned: success
  type: list
  elements: dict
  contains:
    pod:
      description: Name of the pod; the function's name where it is local.
      type: str
      returned: always
    node:
      description: The pod's node; empty where it has none.
      type: str
      returned: always
    state:
      description: C(running), C(not ready), C(ending), or why it waits or ended, such as C(waiting) with
        C(CrashLoopBackOff).
      type: str
      returned: always
    restarts:
      description: How often its container was started again.
      type: int
      returned: always
    previous:
      description: Whether this is the log of the container's previous run.
      type: bool
      returned: always
    exit_code:
      description: Exit code of the previous run; none for other logs.
      type: int
      returned: always
    lines:
      description: The lines.
      type: list
      elements: str
      returned: always
  sample:
    - {pod: shop-6f7d9c-x2k4p, node: worker-1, state: running, restarts: 0, previous: false, exit_code: null, lines:
    ["GET /cart 200"]}
text:
  description: The same as lines of text.
  returned: success
  type: list
  elements: str
  sample:
    - "==> shop-6f7d9c-x2k4p (running, on worker-1) <=="
    - "GET /cart 200"
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.function.spin_function_logs import run
from ..module_utils.hosted.arguments import hosted_arguments
from ..module_utils.module_run import run_module
from ..module_utils.spinkube.arguments import kubernetes_auth_arguments


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            name=dict(type="str", required=True),
            namespace=dict(type="str", default="default"),
            lines=dict(type="int", default=100),
            since=dict(type="str"),
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
