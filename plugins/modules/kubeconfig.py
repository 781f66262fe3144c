#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeconfig
short_description: Keep the administrator's kubeconfig of a k3s cluster on this machine
version_added: 1.0.0
description:
  - Use it to reach a cluster from this machine. It makes a kubeconfig, with mode 0600, from the one that k3s keeps on
    its servers, with a reachable address and names that do not clash with those of other clusters.
  - Each server has its own credentials for the administrator. Credentials in the file stay if they belong to the same
    cluster and are valid for 120 days more, or as long as the new ones.
  - Merges the content into another file on request. Everything else in that file stays, including its current context.
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
      - The files hold credentials.
  idempotent:
    support: full
requirements:
  - python >= 3.11
  - PyYAML
options:
  content:
    description: Content of C(/etc/rancher/k3s/k3s.yaml) of a server.
    type: str
    required: true
  path:
    description: The file to write.
    type: path
    required: true
  name:
    description: Name of the cluster, the user and the context.
    type: str
    default: wasmfaas
  servers:
    description: URLs of the API. The one that the file names stays if it is among them, else the first one is used.
    type: list
    elements: str
    required: true
  merge_into:
    description: Path of another kubeconfig that gets the same context.
    type: path
"""

EXAMPLES = r"""
- name: Keep the administrator's kubeconfig
  wasmfaas.platform.kubeconfig:
    content: "{{ k3s_yaml.content | b64decode }}"
    path: ./kubeconfig.yml
    servers: ["https://k3s.example.com:6443"]
  delegate_to: localhost
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
server:
  description: URL of the API that it names.
  returned: success
  type: str
"""


from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.recovery.kubeconfig import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            content=dict(type="str", required=True, no_log=True),
            path=dict(type="path", required=True),
            name=dict(type="str", default="wasmfaas"),
            servers=dict(type="list", elements="str", required=True),
            merge_into=dict(type="path"),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
