#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_encryption_key
short_description: Let a k3s cluster encrypt its secrets with a new key
version_added: 1.0.0
description:
  - Runs on one ready server. k3s makes a new key, encrypts all secrets with it and removes the old key; this waits
    until it has done so.
  - All servers must be restarted afterwards, one at a time, with the option C(alone) of
    M(wasmfaas.platform.k3s_service); C(wasmfaas.platform.rotate) does.
  - With older k3s, a server that ends in the middle has the only copy of the new key, and cannot start any more
    (k3s-io/k3s 13763). So there must be a snapshot
    of before.
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
      - A key younger than O(minimum_age) is left alone.
options:
  minimum_age:
    description: Hours that the key must be old. V(0) makes a new one in any case.
    type: float
    default: 24
  timeout:
    description: Seconds that encrypting all secrets may take; k3s does some five a second.
    type: int
    default: 1800
  snapshot:
    description: Name of the snapshot that was taken on this server before. Without one that is there, readable and
      known to k3s, no key is made.
    type: str
  snapshot_directory:
    description: Where it lies, if not in k3s's own directory.
    type: path
seealso:
  - module: wasmfaas.platform.k3s_service
"""

EXAMPLES = r"""
- name: Encrypt all secrets with a new key
  wasmfaas.platform.k3s_encryption_key:
"""

RETURN = r"""
rotated:
  description: Whether there is a new key.
  returned: success
  type: bool
restart_needed:
  description: Whether servers run that do not have the key of this one.
  returned: success
  type: bool
unfinished:
  description: Whether an earlier rotation must be finished first, by restarting all servers.
  returned: success
  type: bool
found:
  description: What an earlier rotation has left, as a sentence; empty where it left nothing.
  returned: success
  type: str
  sample: ""
key:
  description: Name of the key.
  returned: success
  type: str
  sample: AES-CBC aescbckey-2026-11-22T07:15:12Z
stage:
  description: Stage of the rotation, as k3s names it.
  returned: success
  type: str
  sample: reencrypt_finished
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.recovery.rotation import encryption_module
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            minimum_age=dict(type="float", default=24),
            timeout=dict(type="int", default=1800),
            snapshot=dict(type="str"),
            snapshot_directory=dict(type="path"),
        ),
        supports_check_mode=True,
    )
    run_module(module, encryption_module)


if __name__ == "__main__":
    main()
