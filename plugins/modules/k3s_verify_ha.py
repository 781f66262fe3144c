#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_verify_ha
short_description: Plan a proof of high availability, and judge its result
version_added: 1.0.0
description:
  - The playbook C(wasmfaas.platform.verify_ha) calls it before and after the faults. It runs on the controller, once
    for the cluster, and touches no host.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.k3s.groups
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - There is nothing to compare.
  idempotent:
    support: full
    details:
      - Only O(file) is written.
options:
  step:
    description:
      - V(plan) decides what is done to which server. It reads the variables C(k3s_node) and C(k3s_fault) of all hosts,
        in which the results of M(wasmfaas.platform.k3s_node_info) and of M(wasmfaas.platform.k3s_fault) with
        O(wasmfaas.platform.k3s_fault#module:state=examined) must be registered. It fails if a node is not ready, there
        are fewer than three servers, or O(confirmed) is not C(disturb-the-cluster).
      - V(judge) prints what was done, what was lost and how long it took.
    type: str
    choices: [plan, judge]
    required: true
  confirmed:
    description: What the user answered when asked whether the cluster may be disturbed.
    type: str
    default: ""
  faults:
    description: Faults to cause; all if it is empty.
    type: list
    elements: str
    default: []
  servers:
    description: Servers to disturb; all if it is empty.
    type: list
    elements: str
    default: []
  seconds:
    description: Seconds that each fault lasts.
    type: int
    default: 30
  writer:
    description: Host that writes. Defaults to the first agent, or to the controller if there is none.
    type: str
    default: ""
  api_port:
    description: Port of the API on the servers.
    type: int
    default: 6443
  plan:
    description: With O(step=judge), the result of V(plan).
    type: dict
  report:
    description: With O(step=judge), RV(wasmfaas.platform.k3s_load#module:report).
    type: dict
  failures:
    description: With O(step=judge), what went wrong on the way.
    type: list
    elements: str
    default: []
  gap_limit:
    description: Seconds within which every client must have a write acknowledged again.
    type: float
    default: 30
  file:
    description: File on the controller to write the report to as JSON.
    type: path
seealso:
  - module: wasmfaas.platform.k3s_fault
  - module: wasmfaas.platform.k3s_load
"""

EXAMPLES = r"""
- name: Decide what to do
  wasmfaas.platform.k3s_verify_ha:
    step: plan
    confirmed: disturb-the-cluster
  run_once: true
  register: verification
"""

RETURN = r"""
steps:
  description: What is done, in order.
  returned: O(step=plan)
  type: list
  elements: dict
skipped:
  description: What is impossible, and why.
  returned: O(step=plan)
  type: list
  elements: dict
writer:
  description: Host that writes.
  returned: O(step=plan)
  type: str
document:
  description: The report.
  returned: O(step=judge)
  type: dict
passed:
  description: Whether high availability is proved.
  returned: O(step=judge)
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            step=dict(type="str", choices=["plan", "judge"], required=True),
            servers_group=dict(type="str", default="k3s_server"),
            agents_group=dict(type="str", default="k3s_agent"),
            confirmed=dict(type="str", default=""),
            faults=dict(type="list", elements="str", default=[]),
            servers=dict(type="list", elements="str", default=[]),
            seconds=dict(type="int", default=30),
            writer=dict(type="str", default=""),
            api_port=dict(type="int", default=6443),
            plan=dict(type="dict"),
            report=dict(type="dict"),
            failures=dict(type="list", elements="str", default=[]),
            gap_limit=dict(type="float", default=30),
            file=dict(type="path"),
        ),
        supports_check_mode=True,
    )
    module.fail_json(msg="This module is the documentation of an action that runs on the controller.")


if __name__ == "__main__":
    main()
