#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_uninstall
short_description: Take k3s and all it made off a host
version_added: 1.0.0
description:
  - Stops k3s, ends its containers, removes its mounts, network interfaces and packet filter rules, its data, settings,
    unit and programs.
  - B(The node's data are lost), with them the volumes of its local storage. Remove the node from its cluster first, see
    M(wasmfaas.platform.k3s_node).
  - Kernel modules and settings that the role C(node_prepare) made stay.
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
      - Stops k3s and disables its unit, and leaves everything else as it is. For hosts of nodes that left the cluster,
        which would enter it again at the
        next boot.
    type: bool
    default: false
    version_added: 1.0.0
seealso:
  - module: wasmfaas.platform.k3s_node
"""

EXAMPLES = r"""
- name: Clean the host
  wasmfaas.platform.k3s_uninstall:

- name: Keep a host that left the cluster from entering it again
  wasmfaas.platform.k3s_uninstall:
    only_stop: true
"""

RETURN = r"""
removed:
  description: What was, or in check mode would be, removed.
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
