#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_node_diagnosis
short_description: Read what may be wrong on a host of a k3s cluster
version_added: 1.0.0
description:
  - Reads what M(wasmfaas.platform.k3s_node_info) does not - certificates, shims, modes of secret files, snapshots, the
    unit's restarts and the known problem of a
    failure, the size of etcd's database, charts of the platform that do not run, and whether image registries answer
    and are trusted.
    M(wasmfaas.platform.k3s_doctor) judges it.
  - An action on the controller reads the host's registries.yaml, which may hold passwords, and gives only addresses and
    paths to the host's part.
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
  registry_endpoints:
    description: Registries to ask, each with C(url) and, where set, C(ca_file), C(cert_file), C(key_file), C(insecure).
      Filled in by the action.
    type: list
    elements: dict
    default: []
  registry_files:
    description: Files that registries.yaml names. Filled in by the action.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that a registry may take to answer.
    type: float
    default: 5
seealso:
  - module: wasmfaas.platform.k3s_doctor
"""

EXAMPLES = r"""
- name: Read what may be wrong
  wasmfaas.platform.k3s_node_diagnosis:
  register: k3s_diagnosis
"""

RETURN = r"""
unit:
  description: The unit as systemd has it; C(problem) is set where its journal tells of a known one.
  returned: success
  type: dict
  sample: {name: k3s, active: active, sub: running, result: success, enabled: true, restarts: 0, exit_status: 0,
    problem: null}
certificates:
  description: The certificate files of k3s with the end of their first certificate, in seconds since 1970.
  returned: success
  type: list
  elements: dict
  sample: [{path: /var/lib/rancher/k3s/server/tls/server-ca.crt, authority: true, ends: 2079360000.0}]
exposed_files:
  description: Secret files that others than root can read.
  returned: success
  type: list
  elements: dict
  sample: [{path: /etc/rancher/k3s/token, mode: "0644"}]
shims:
  description: Shims on disk, handlers that containerd's configuration knows, and shims that changed since k3s started.
  returned: success
  type: dict
  sample: {programs: [containerd-shim-spin-v2], handlers: [runc, spin], changed: []}
cluster_init_in:
  description: Configuration files that still say cluster-init.
  returned: success
  type: list
  elements: str
snapshots:
  description: The etcd snapshots on this server; nothing on an agent.
  returned: success
  type: dict
  sample: {directory: /var/lib/rancher/k3s/server/db/snapshots, count: 5, newest: 1795312800.0}
file_systems:
  description: Space and inodes below C(/) and below k3s' data.
  returned: success
  type: list
  elements: dict
etcd_size:
  description: Size of etcd's database and its quota in bytes; nothing on an agent, or where etcd does not answer.
  returned: success
  type: dict
  sample: {bytes: 20480000, quota: 2147483648}
credential_provider:
  description: Whether the kubelet has a credential provider, as for Amazon ECR.
  returned: success
  type: bool
tokens_unsaved:
  description: Whether etcd lacks the tokens of this server, so that k3s would refuse its next start; nothing on an
    agent, or where it cannot be told.
  returned: success
  type: bool
runtime_classes:
  description: The cluster's RuntimeClasses; nothing where the host is no server whose API answers.
  returned: success
  type: list
  elements: dict
  sample: [{name: wasmtime-spin-v2, handler: spin, node_selector: {wasmfaas.dev/spin: "true"}}]
charts:
  description: Charts of the platform whose pods do not all run, and why; nothing where the host is no server whose API
    answers.
  returned: success
  type: list
  elements: dict
  sample: [{name: tempo, namespace: observability, where: Pod tempo-0, what: it is not ready yet, next_step: "Correct
    what its last lines name, mostly a value of the chart, and run it again.", severity: warning, pod: tempo-0,
    last_line: starting}]
registries:
  description: Problems of registries.yaml, files that it names and that are missing, and how each endpoint answered.
  returned: success
  type: dict
  sample: {problems: [], missing_files: [], endpoints: [{url: "https://mirror.example.com", state: answers, detail: HTTP
  401}]}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.doctor.node_diagnosis import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            registry_endpoints=dict(type="list", elements="dict", default=[], no_log=False),
            registry_files=dict(type="list", elements="str", default=[], no_log=False),
            timeout=dict(type="float", default=5),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
