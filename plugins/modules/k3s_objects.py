#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_objects
short_description: Apply objects to a k3s cluster from one of its servers
version_added: 1.0.0
description:
  - Applies objects by server-side apply with the field manager C(wasmfaas), through the server's own C(k3s kubectl).
    The controller needs no access to the API for it, only SSH.
  - An object that is as it was applied is read once and not written. The annotation C(wasmfaas.dev/applied) holds a
    digest for that.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
attributes:
  check_mode:
    support: full
    details:
      - By a dry run of the API server.
  diff_mode:
    support: full
    details:
      - Values of Secrets are not shown.
  idempotent:
    support: full
requirements:
  - python >= 3.9 and k3s on the host
options:
  objects:
    description:
      - The objects as the API has them, applied in this order. An object without a namespace, of a kind that has one,
        goes to C(default).
      - No log shows them.
    type: list
    elements: dict
    required: true
  state:
    description: V(absent) deletes them, the last one first.
    type: str
    choices: [present, absent]
    default: present
  force_conflicts:
    description: Whether fields that another field manager has set otherwise are taken over.
    type: bool
    default: true
  k3s_program:
    description: The program k3s, whose C(kubectl) is used.
    type: path
    default: /usr/local/bin/k3s
  kubectl:
    description:
      - Program and first arguments of another C(kubectl), used instead of O(k3s_program), such as
        C([kubectl, --kubeconfig, /path]).
    type: list
    elements: str
seealso:
  - module: wasmfaas.platform.k3s_node_labels
  - module: wasmfaas.platform.k3s_charts
"""

EXAMPLES = r"""
- name: Let functions run where the shim is
  wasmfaas.platform.k3s_objects:
    objects:
      - apiVersion: node.k8s.io/v1
        kind: RuntimeClass
        metadata:
          name: wasmtime-spin-v2
        handler: spin
        scheduling:
          nodeSelector:
            wasmfaas.dev/wasm: "true"
"""

RETURN = r"""
changed_objects:
  description: What was changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [RuntimeClass.node.k8s.io wasmtime-spin-v2]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.paths import K3S_PROGRAM
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.objects import run
from ansible_collections.wasmfaas.platform.plugins.module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            objects=dict(type="list", elements="dict", required=True, no_log=True),
            state=dict(type="str", choices=["present", "absent"], default="present"),
            force_conflicts=dict(type="bool", default=True),
            k3s_program=dict(type="path", default=K3S_PROGRAM),
            kubectl=dict(type="list", elements="str"),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
