#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_doctor
short_description: Report what is wrong with a k3s cluster and its hosts
version_added: 1.0.0
description:
  - Prints one line for each problem, with its severity, its place and the next step; C(docs/doctor.md) of the
    collection lists all checks.
  - Examines what M(wasmfaas.platform.k3s_node_info) read on all hosts of the two groups. Its result must be registered
    as C(k3s_node), and its result with C(gather=[diagnosis]) as C(k3s_diagnosis). Hosts that Ansible does not reach are
    problems too.
  - Does not fail because of a problem; the task after it decides by RV(error_count). Runs on the controller, once for
    the cluster.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.k3s.groups
attributes:
  check_mode:
    support: full
    details:
      - Only O(file) is written, and not in check mode.
  diff_mode:
    support: none
    details:
      - There is nothing to compare.
  idempotent:
    support: full
    details:
      - This module only reads.
options:
  format:
    description: Whether to print lines for people, or one line of JSON.
    type: str
    choices: [text, json]
    default: text
  file:
    description: File on the controller to write the problems to as JSON, for other programs.
    type: path
  snapshot_age_hours:
    description: Age from which the newest snapshot of a server is too old.
    type: float
    default: 24
  clock_difference:
    description: Seconds from which the difference of a clock to the others is an error.
    type: float
    default: 30
seealso:
  - module: wasmfaas.platform.k3s_node_info
"""

EXAMPLES = r"""
- name: Report what is wrong
  wasmfaas.platform.k3s_doctor:
    file: problems.json
  run_once: true
  register: doctor

- name: End with an error if there is one
  ansible.builtin.fail:
    msg: "{{ doctor.msg }}"
  when: doctor.error_count > 0
  run_once: true
"""

RETURN = r"""
problems:
  description: All problems, errors first.
  returned: always
  type: list
  elements: dict
  contains:
    severity:
      description: One of C(error), C(warning) and C(info).
      type: str
      returned: always
    where:
      description: Name of the host in the inventory; name of the node if no host of the inventory has it; C(cluster) if
        it concerns all of them.
      type: str
      returned: always
    what:
      description: What is wrong.
      type: str
      returned: always
    next_step:
      description: What to do; empty if nothing is to be done.
      type: str
      returned: always
    check:
      description: Name of the check that found it, as in C(docs/doctor.md).
      type: str
      returned: always
  sample:
    - severity: error
      where: worker-1
      what: RuntimeClass wasmtime-spin-v2 sends pods here, but there is no containerd-shim-spin in /usr/local/bin
      next_step: Run ansible-playbook wasmfaas.platform.site, or take the label wasmfaas.dev/spin=true from the node
      check: shim-missing
error_count:
  description: Number of errors.
  returned: always
  type: int
warning_count:
  description: Number of warnings.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            servers_group=dict(type="str", default="k3s_server"),
            agents_group=dict(type="str", default="k3s_agent"),
            format=dict(type="str", choices=["text", "json"], default="text"),
            file=dict(type="path"),
            snapshot_age_hours=dict(type="float", default=24),
            clock_difference=dict(type="float", default=30),
        ),
        supports_check_mode=True,
    )
    module.fail_json(msg="This module is the documentation of an action that runs on the controller.")


if __name__ == "__main__":
    main()
