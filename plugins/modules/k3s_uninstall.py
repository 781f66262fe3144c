#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_uninstall
short_description: Remove k3s and everything it made from a host, or keep it from starting again
version_added: 1.0.0
description:
  - Use it after the node was removed from its cluster with M(wasmfaas.platform.k3s_node).
  - Stops k3s, ends its containers, and removes its mounts, network interfaces, packet filter rules, data, settings,
    unit and binary.
  - B(The data of the node is lost), including the volumes of its local storage. A file system of yours below
    C(/var/lib/rancher/k3s) is emptied and stays mounted.
  - Volumes of pods are unmounted first. It fails, and deletes no file, if one of them cannot be unmounted.
  - Shims stay. The role C(wasm_shims) removes those of its catalogue (C(tasks_from=uninstall)).
  - Kernel modules and settings of the role C(node_prepare) stay.
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
  only_stop:
    description:
      - Whether only to stop k3s and disable its unit. For hosts whose node left the cluster, which would join it again
        at the next boot.
    type: bool
    default: false
    version_added: 1.0.0
seealso:
  - module: wasmfaas.platform.k3s_node
"""

EXAMPLES = r"""
- name: Clean the host
  wasmfaas.platform.k3s_uninstall:

- name: Keep a host that left the cluster from joining it again
  wasmfaas.platform.k3s_uninstall:
    only_stop: true
"""

RETURN = r"""
removed:
  description: What was removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [unit k3s, 2 processes of containers, interface cni0, /etc/rancher/k3s, /var/lib/rancher/k3s,
  /usr/local/bin/k3s]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.host.uninstall import run
from ..module_utils.module_run import run_module


def main() -> None:
    run_module(
        AnsibleModule(argument_spec={"only_stop": {"type": "bool", "default": False}}, supports_check_mode=True), run
    )


if __name__ == "__main__":
    main()
