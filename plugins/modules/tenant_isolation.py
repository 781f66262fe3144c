#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tenant_isolation
short_description: Try what a tenant must not do, and report what answered
version_added: 1.0.0
description:
  - The playbook C(wasmfaas.platform.verify_isolation) calls it with two tenants that it makes for this purpose. It runs
    on the controller with the kubeconfigs of those tenants.
  - Every object is sent as a dry run, which the API server judges and does not keep.
  - Attacks that got through do not make the module fail; see RV(passed).
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.attributes.read_only
requirements:
  - tabulate
options:
  attacker:
    description: Namespace of the tenant that attacks.
    type: str
    required: true
  attacker_kubeconfig:
    description: File on the controller with its kubeconfig.
    type: path
    required: true
  attacker_hosts:
    description: Hosts that are listed for it. Needed if O(domains) is empty.
    type: list
    elements: str
    default: []
  victim:
    description: Namespace of the other tenant. Its quota must allow no object of the kinds that a tenant may write.
    type: str
    required: true
  victim_kubeconfig:
    description: File on the controller with its kubeconfig.
    type: path
    required: true
  victim_hosts:
    description: Hosts that are listed for it, at least one.
    type: list
    elements: str
    required: true
  image_prefixes:
    description: C(tenant_image_prefixes) of the cluster.
    type: list
    elements: str
    default: []
  domains:
    description: C(tenant_domains) of the cluster.
    type: list
    elements: str
    default: []
  secret_bytes:
    description: C(tenant_secret_bytes) of the cluster, in bytes.
    type: int
    default: 131072
  executor:
    description: Name of the tenants' SpinAppExecutor.
    type: str
    default: containerd-shim-spin
  programs:
    description: Whether tenants may deploy WASI programs (C(tenant_programs)).
    type: bool
    default: false
  program_runtime_class:
    description: RuntimeClass of WASI programs.
    type: str
    default: wasmtime-wasi
  timeout:
    description: Seconds in which the rights, policies and quotas of tenants that were just made must hold.
    type: int
    default: 60
  file:
    description: File on the controller to write the report to as JSON.
    type: path
"""

EXAMPLES = r"""
- name: Try the attacks
  wasmfaas.platform.tenant_isolation:
    attacker: verify-attacker
    attacker_kubeconfig: /run/user/1000/verify/verify-attacker.kubeconfig
    victim: verify-victim
    victim_kubeconfig: /run/user/1000/verify/verify-victim.kubeconfig
    victim_hosts: [victim.example.com]
    domains: [nip.io]
  register: isolation
"""

RETURN = r"""
passed:
  description: Whether every attack was refused, and all that tenants need was taken.
  returned: success
  type: bool
document:
  description: The report.
  returned: success
  type: dict
  contains:
    passed:
      description: Whether it is a proof.
      type: bool
      returned: always
    counts:
      description: The number of attacks that were C(refused), C(taken), C(unclear) and C(not tried).
      type: dict
      returned: always
    by:
      description: The number of attacks that each part refused, such as C(RBAC).
      type: dict
      returned: always
    problems:
      description: Why it is no proof.
      type: list
      elements: dict
      returned: always
    needed:
      description: What tenants need, with what answered, in the form of C(attacks).
      type: list
      elements: dict
      returned: always
    attacks:
      description: Each attack with C(about), C(tried), C(kind), who is C(expected) to refuse it, C(result), C(by), and
        the whole C(answer).
      type: list
      elements: dict
      returned: always
table:
  description: The attacks as a table, one line per item.
  returned: success
  type: list
  elements: str
problems:
  description: Why it is no proof, each with its next step; empty if it is one.
  returned: success
  type: list
  elements: str
msg:
  description: The counts in one line.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module_run import run_module
from ..module_utils.platform.tenant_isolation import run


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            attacker=dict(type="str", required=True),
            attacker_kubeconfig=dict(type="path", required=True),
            attacker_hosts=dict(type="list", elements="str", default=[]),
            victim=dict(type="str", required=True),
            victim_kubeconfig=dict(type="path", required=True),
            victim_hosts=dict(type="list", elements="str", required=True),
            image_prefixes=dict(type="list", elements="str", default=[]),
            domains=dict(type="list", elements="str", default=[]),
            secret_bytes=dict(type="int", default=131072, no_log=False),
            executor=dict(type="str", default="containerd-shim-spin"),
            programs=dict(type="bool", default=False),
            program_runtime_class=dict(type="str", default="wasmtime-wasi"),
            timeout=dict(type="int", default=60),
            file=dict(type="path"),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
