#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_settings
short_description: Load kernel modules and set kernel settings, now and at each boot
version_added: 1.0.0
description:
  - Writes one file for C(systemd-modules-load) and one for C(systemd-sysctl), loads missing modules, and sets values
    that differ.
  - Compares the live values as well as the files, so a run after one that was cut off completes it.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  modules:
    description: Names of kernel modules.
    type: list
    elements: str
    default: []
  sysctls:
    description: "Values by name, such as C(vm.overcommit_memory: 1)."
    type: dict
    default: {}
  file_name:
    description: Stem of the two files, C(/etc/modules-load.d/NAME.conf) and C(/etc/sysctl.d/NAME.conf).
    type: str
    default: 90-kubelet
"""

EXAMPLES = r"""
- name: Set what the kubelet requires
  wasmfaas.platform.kernel_settings:
    modules: [overlay, br_netfilter]
    sysctls:
      vm.overcommit_memory: 1
      kernel.panic: 10
"""

RETURN = r"""#"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host.kernel import Kernel
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            modules=dict(type="list", elements="str", default=[]),
            sysctls=dict(type="dict", default={}),
            file_name=dict(type="str", default="90-kubelet"),
        ),
        supports_check_mode=True,
    )

    run_module(
        module,
        lambda params, check_mode, hidden: Kernel(params["file_name"]).ensure(
            params["modules"], params["sysctls"], check_mode=check_mode
        ),
    )


if __name__ == "__main__":
    main()
