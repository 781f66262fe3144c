#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: wasi_program_info
short_description: List programs with status and URL
version_added: 1.0.0
description:
  - Reads the programs that M(wasmfaas.platform.wasi_program) runs on a Kubernetes cluster, or on this machine.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.attributes.read_only
  - wasmfaas.platform.attributes.action_group
  - wasmfaas.platform.kubernetes_auth
requirements:
  - python >= 3.11
  - lightkube >= 1.0, for O(target=cluster)
  - tabulate
options:
  name:
    description: Name of the program to read. The default is all.
    type: str
  namespace:
    description: Namespace to read. The default is all.
    type: str
  target:
    description:
      - Where the programs run.
      - V(cluster) is Kubernetes with containerd-shim-wasmtime.
      - V(local) is this machine.
    type: str
    choices: [cluster, local]
    default: cluster
  state_directory:
    description:
      - Directory with local programs.
      - The default is C(${XDG_STATE_HOME:-~/.local/state}/wasmfaas).
    type: path
seealso:
  - module: wasmfaas.platform.wasi_program
  - module: wasmfaas.platform.wasi_program_logs
"""

EXAMPLES = r"""
- name: List all programs of a tenant
  wasmfaas.platform.wasi_program_info:
    namespace: user1
  register: listed

- name: Show their URLs
  ansible.builtin.debug:
    msg: "{{ listed.programs | map(attribute='url') }}"
"""

RETURN = r"""
programs:
  description: The programs, sorted by namespace and name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the program.
      type: str
      returned: always
    namespace:
      description: Namespace of the program.
      type: str
      returned: always
    status:
      description: One of C(ready), C(succeeded), C(progressing), C(failed) and, on this machine, C(stopped).
      type: str
      returned: always
    url:
      description: Where it answers; empty for one that answers nothing.
      type: str
      returned: always
    image:
      description: Reference of the deployed artifact.
      type: str
      returned: always
    digest:
      description: Digest of the artifact's manifest.
      type: str
      returned: always
    source_digest:
      description: Digest of the Wasm file, or over all that its build depends on.
      type: str
      returned: always
    created:
      description: When it was first deployed, as RFC 3339.
      type: str
      returned: always
    details:
      description: C(kind) (command or server) and C(workload) (Job or Deployment; Run or Server on this machine); of
        a Deployment also C(replicas) and C(ready_replicas), of a Run C(exit_code), of a Server C(port).
      type: dict
      returned: always
  sample:
    - name: echo-wasi
      namespace: user1
      status: ready
      url: http://echo-wasi.user1.203.0.113.7.nip.io
      image: registry.example.com/wasm/echo-wasi@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      digest: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      source_digest: sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
      created: "2026-11-22T03:41:00Z"
      details: {kind: server, workload: Deployment, replicas: 2, ready_replicas: 2}
table:
  description: The same as a table, one line per item.
  returned: success
  type: list
  elements: str
  sample:
    - "NAMESPACE  NAME       KIND    STATUS  REPLICAS  URL                                        DIGEST        AGE"
    - "user1      echo-wasi  server  ready   2/2       http://echo-wasi.user1.203.0.113.7.nip.io  9f86d081884c  3d"
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module_run import run_module
from ..module_utils.program.wasi_program_info import run
from ..module_utils.spinkube.arguments import kubernetes_auth_arguments


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            name=dict(type="str"),
            namespace=dict(type="str"),
            target=dict(type="str", choices=["cluster", "local"], default="cluster"),
            state_directory=dict(type="path"),
            **kubernetes_auth_arguments(),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
