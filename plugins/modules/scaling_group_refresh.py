#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scaling_group_refresh
short_description: Replace the machines of a scaling group, a few at a time
version_added: 1.0.0
description:
  - Begins an instance refresh of EC2 Auto Scaling, so that all machines of the group start anew from the current node
    bundle. EC2 does the rest.
  - New machines start before old ones are terminated, a tenth of the group at a time and at least one machine. The
    nodes of old machines are drained by whatever drains terminated nodes in the cluster.
  - Fails while the group is being refreshed. Does nothing if the group has no machines.
  - Unlike M(amazon.aws.autoscaling_instance_refresh), it says C(changed) when it begins a refresh, and in check mode it
    looks at refreshes that are running and not at earlier ones.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.aws
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - A second run replaces the machines once more.
options:
  name:
    description: Name of the scaling group.
    type: str
    required: true
  warmup:
    description: Seconds that a new machine has to join before the next one is replaced.
    type: int
    default: 120
seealso:
  - module: wasmfaas.platform.node_bundle
"""

EXAMPLES = r"""
- name: Start all machines of the group from the current node bundle
  wasmfaas.platform.scaling_group_refresh:
    name: wasmfaas-worker-wasm
    region: us-east-1
"""

RETURN = r"""
instance_refresh:
  description: Its id. Empty in check mode, and if the group has no machines.
  returned: success
  type: str
  sample: 08b91cf7-8fa6-48af-b6a6-d227f40f1b9b
machines:
  description: Number of machines of the group.
  returned: success
  type: int
  sample: 3
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.autoscaled.refresh import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            name=dict(type="str", required=True),
            warmup=dict(type="int", default=120),
            region=dict(type="str", required=True),
            profile=dict(type="str"),
            endpoint_url=dict(type="str"),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
