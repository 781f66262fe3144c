#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_certificates
short_description: Make the certificates of a k3s node anew
version_added: 1.0.0
description:
  - Stops k3s, lets it make new keys and certificates for this host, and starts it again. The cluster's certificate
    authorities stay.
  - A server is stopped only while all other servers are Ready and voters of etcd. Call it for one server after the
    other.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Certificates younger than O(minimum_age) are left alone, so a second run, or one that continues, changes nothing
        on hosts that are done.
options:
  unit:
    description: The unit, V(k3s) on servers and V(k3s-agent) on agents.
    type: str
    choices: [k3s, k3s-agent]
    required: true
  node_name:
    description: Name of the host's Node.
    type: str
    required: true
  minimum_age:
    description: Hours that the oldest certificate must be old. V(0) makes them anew in any case.
    type: float
    default: 24
  timeout:
    description: Seconds that k3s may take to stop, and to work again.
    type: int
    default: 300
seealso:
  - module: wasmfaas.platform.k3s_service
"""

EXAMPLES = r"""
- name: Make the server's certificates anew
  wasmfaas.platform.k3s_certificates:
    unit: k3s
    node_name: server-1
"""

RETURN = r"""
rotated:
  description: Whether they were made anew.
  returned: success
  type: bool
made:
  description: When the oldest one was made, in UTC.
  returned: success
  type: str
  sample: "2026-11-22T07:15:12Z"
ends:
  description: When the first one ends, in UTC.
  returned: success
  type: str
  sample: "2027-11-22T07:15:12Z"
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.recovery.rotation import certificates_module
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            unit=dict(type="str", choices=["k3s", "k3s-agent"], required=True),
            node_name=dict(type="str", required=True),
            minimum_age=dict(type="float", default=24),
            timeout=dict(type="int", default=300),
        ),
        supports_check_mode=True,
    )
    run_module(module, certificates_module)


if __name__ == "__main__":
    main()
