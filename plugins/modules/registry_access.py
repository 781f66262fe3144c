#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_access
short_description: Keep certificates and passwords of the cluster's own registry
version_added: 1.0.0
description:
  - Makes a certificate authority, a certificate of the registry that it signs, and users, one who pushes, one for the
    nodes, who only pulls, and one for each tenant. Keeps what is there.
  - Makes the certificate again when the registry gets a new name, and after two thirds of its life.
  - The role P(wasmfaas.platform.function_registry#role) uses it on this machine. No result holds a secret.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - The file holds passwords and keys.
  idempotent:
    support: full
requirements:
  - python >= 3.11
  - cryptography >= 44
  - bcrypt >= 5
options:
  path:
    description: File that keeps all of it, with mode 0600. The authority's certificate is put beside it, as
      C(<name>-ca.pem).
    type: path
    required: true
  stored:
    description: Content of the cluster's Secret, which overrides the file. Empty where there is none.
    type: str
    default: ""
  host:
    description: Name or address that references of images begin with. An empty one keeps the present one, which is
      at first the first of O(names).
    type: str
    default: ""
  names:
    description: Host names and addresses of the registry.
    type: list
    elements: str
    required: true
  port:
    description: Port of the registry.
    type: int
    required: true
  repository_path:
    description: What the names of repositories begin with.
    type: str
    default: ""
  days:
    description: Days that a new certificate is valid.
    type: int
    default: 1825
  tenants:
    description: Tenants that get a user, C(tenant-<name>). Those that have one keep it although they are not named.
    type: list
    elements: str
    default: []
  tenants_removed:
    description: Tenants whose user is removed.
    type: list
    elements: str
    default: []
  new_passwords:
    description: Tenants whose user gets another password in this run.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Make certificates and passwords for the registry
  wasmfaas.platform.registry_access:
    path: ./function-registry.json
    names: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    port: 30500
    repository_path: functions
  delegate_to: localhost
"""

RETURN = r"""
registry:
  description: What C(registry) is for wasmfaas.platform.deploy_function.
  returned: success
  type: str
  sample: 192.0.2.11:30500/functions
hosts:
  description: Names that references of images may begin with, the present one and earlier ones.
  returned: success
  type: list
  elements: str
path:
  description: The file.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module_run import run_module
from ..module_utils.registry.registry_access import run


def main() -> None:
    run_module(
        AnsibleModule(
            argument_spec=dict(
                path=dict(type="path", required=True),
                stored=dict(type="str", default="", no_log=True),
                host=dict(type="str", default=""),
                names=dict(type="list", elements="str", required=True),
                port=dict(type="int", required=True),
                repository_path=dict(type="str", default=""),
                days=dict(type="int", default=1825),
                tenants=dict(type="list", elements="str", default=[]),
                tenants_removed=dict(type="list", elements="str", default=[]),
                new_passwords=dict(type="list", elements="str", default=[], no_log=False),
            ),
            supports_check_mode=True,
        ),
        run,
    )


if __name__ == "__main__":
    main()
