#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_bundle
short_description: Publish what the machines of an autoscaled group join with
version_added: 1.0.0
description:
  - Packs files into a node bundle, a C(.tar.gz) whose bytes depend on the files alone. Uploads it to S3 as
    C(bundles/GROUP/SHA256.tar.gz) if it is missing there.
  - Writes the join token and the SHA-256 of the bundle to parameters of SSM where they differ. The bundle's parameter
    is written last, so that a machine that reads it finds all the rest. Nothing is kept on the controller.
  - C(terraform/modules/node_group/files/join_cluster.py) reads the bundle and the parameters on the machine.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.aws
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows the bundle's URL and both parameters, never the token.
  idempotent:
    support: full
options:
  group:
    description: Name of the group.
    type: str
    required: true
  files:
    description:
      - Files as in O(wasmfaas.platform.managed_files#module:files), without owner and group, which are root's.
      - They must be below C(/usr/local), C(/etc), C(/opt) or C(/var/lib/rancher). Output and logs do not show them.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where the file is on the machine.
        type: str
        required: true
      content:
        description: Its text. Either this or O(files[].source) is required.
        type: str
      source:
        description: A file on the controller with its content.
        type: str
      sha256:
        description: Checksum that the source must have.
        type: str
      mode:
        description: Permissions. The default is C(0644), or C(0600) if O(files[].secret).
        type: raw
      state:
        description: V(absent) leaves it out.
        type: str
        choices: [present, absent]
        default: present
      secret:
        description: Whether it holds a secret.
        type: bool
        default: false
  kernel_modules:
    description: Kernel modules to load at boot, as M(wasmfaas.platform.kernel_settings) takes them.
    type: list
    elements: str
    default: []
  sysctls:
    description: Kernel settings to set at boot, as M(wasmfaas.platform.kernel_settings) takes them.
    type: dict
    default: {}
  token:
    description: The agents' token in its long form, C(K10HASH::USER:SECRET).
    type: str
    required: true
  bucket:
    description: Name of the bucket of node bundles.
    type: str
    required: true
  bundle_parameter:
    description: Name of the parameter that holds the bundle's SHA-256.
    type: str
    required: true
  token_parameter:
    description: Name of the parameter that holds the token, as a SecureString. It keeps the KMS key that it has.
    type: str
    required: true
seealso:
  - module: wasmfaas.platform.scaling_group_refresh
"""

EXAMPLES = r"""
- name: Publish the node bundle and the token of worker-wasm
  wasmfaas.platform.node_bundle:
    group: worker-wasm
    files:
      - path: /usr/local/bin/k3s
        source: ~/.cache/wasmfaas/artifacts/k3s/v1.36.4+k3s1/arm64/k3s
        mode: "0755"
      - path: /etc/rancher/k3s/config.yaml
        content: "kubelet-arg: [max-pods=250]\n"
        mode: "0600"
    token: "{{ agent_token }}"
    region: us-east-1
    bucket: wasmfaas-123456789012-bundles
    bundle_parameter: /wasmfaas/wasmfaas/groups/worker-wasm/bundle
    token_parameter: /wasmfaas/wasmfaas/groups/worker-wasm/token
"""

RETURN = r"""
bundle:
  description: SHA-256 of the bundle.
  returned: success
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
previous:
  description: The value of its parameter before; V(unset) if only Terraform has written it.
  returned: success
  type: str
  sample: unset
bundle_changed:
  description: Whether the bundle that new machines start from has changed.
  returned: success
  type: bool
uploaded:
  description: Whether the bundle was uploaded, or would be in check mode.
  returned: success
  type: bool
size:
  description: Size of the bundle, in bytes.
  returned: success
  type: int
  sample: 141557760
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.autoscaled.publish import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            group=dict(type="str", required=True),
            files=dict(
                type="list",
                elements="dict",
                required=True,
                no_log=True,
                options=dict(
                    path=dict(type="str", required=True),
                    content=dict(type="str"),
                    source=dict(type="str"),
                    sha256=dict(type="str"),
                    mode=dict(type="raw"),
                    state=dict(type="str", choices=["present", "absent"], default="present"),
                    secret=dict(type="bool", default=False, no_log=False),
                ),
            ),
            kernel_modules=dict(type="list", elements="str", default=[]),
            sysctls=dict(type="dict", default={}),
            token=dict(type="str", required=True, no_log=True),
            bucket=dict(type="str", required=True),
            bundle_parameter=dict(type="str", required=True),
            token_parameter=dict(type="str", required=True, no_log=False),
            region=dict(type="str", required=True),
            profile=dict(type="str"),
            endpoint_url=dict(type="str"),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
