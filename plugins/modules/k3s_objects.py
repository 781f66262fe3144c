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
  - Use it if the controller reaches the cluster only by SSH; with access to the API, C(kubernetes.core.k8s) does the
    same.
  - Applies objects by server-side apply with the field manager C(wasmfaas), through C(k3s kubectl) on the server.
  - Unchanged objects are read once and not written. The annotation C(wasmfaas.dev/applied) holds a digest of what was
    applied.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.k3s.program
attributes:
  check_mode:
    support: full
    details:
      - Uses a dry run of the API server.
  diff_mode:
    support: full
    details:
      - Values of Secrets are not shown.
  idempotent:
    support: full
options:
  objects:
    description:
      - The objects as the API has them, applied in this order. An object of a namespaced kind without a namespace goes
        to C(default).
      - They are not logged.
    type: list
    elements: dict
    required: true
  state:
    description: V(absent) deletes them, the last one first.
    type: str
    choices: [present, absent]
    default: present
  force_conflicts:
    description: Whether to take over fields that another field manager has set to other values.
    type: bool
    default: true
  kubectl:
    description:
      - Command and first arguments of another C(kubectl), used instead of O(k3s_program), such as
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

from ..module_utils.k3s.paths import K3S_PROGRAM
from ..module_utils.kubernetes.objects import run
from ..module_utils.module_run import run_module


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
