#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_load_access
short_description: Give the load of a test a namespace and a token of its own
version_added: 1.0.0
description:
  - For tests of high availability such as C(wasmfaas.platform.verify_ha). Runs on a server. Makes a namespace and a
    service account that may write ConfigMaps in it and nothing else, and a token of it that ends by itself.
  - The result holds the token, so the task must say C(no_log=true).
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
      - There is nothing to compare.
  idempotent:
    support: partial
    details:
      - O(state=present) makes the namespace anew. O(state=absent) changes nothing where there is none.
requirements:
  - python >= 3.9
options:
  state:
    description: V(absent) deletes the namespace with all that was written to it.
    type: str
    choices: [present, absent]
    default: present
  namespace:
    description: Its name. A namespace of this name that was made by somebody else is refused.
    type: str
    default: wasmfaas-verify-ha
  seconds:
    description: Seconds that the token is good for.
    type: int
    default: 3600
  k3s_program:
    description: The k3s program.
    type: path
    default: /usr/local/bin/k3s
"""

EXAMPLES = r"""
- name: Let the load in
  wasmfaas.platform.k3s_load_access:
    seconds: 1800
  register: access
  no_log: true
"""

RETURN = r"""
token:
  description: The token.
  returned: O(state=present)
  type: str
authority:
  description: Certificate of the servers' authority in PEM form.
  returned: O(state=present)
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.verify_ha.load_access import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["present", "absent"], default="present"),
            namespace=dict(type="str", default="wasmfaas-verify-ha"),
            seconds=dict(type="int", default=3600),
            k3s_program=dict(type="path", default="/usr/local/bin/k3s"),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
