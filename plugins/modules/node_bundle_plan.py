#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_bundle_plan
short_description: Make the settings that the machines of autoscaled groups share
version_added: 1.0.0
description:
  - For role C(wasmfaas.platform.node_bundle), where each host of the play stands for all machines of one autoscaled
    group. Gives for each what the templates of the roles read of a host.
  - The settings are made like those of other agents by M(wasmfaas.platform.k3s_plan), from the fact C(k3s_desired) that
    the role C(wasmfaas.platform.k3s) sets. They lack what a machine finds out itself, and the labels and taints that
    Terraform gives the group (variable C(node_bundle_group)).
  - Reports all problems at once. Runs on the controller; use it with C(run_once).
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
attributes:
  check_mode:
    support: full
    details:
      - This action only reads.
  diff_mode:
    support: none
    details:
      - This action only reads.
  idempotent:
    support: full
    details:
      - This action only reads.
requirements:
  - python >= 3.11
options: {}
seealso:
  - module: wasmfaas.platform.node_bundle
  - module: wasmfaas.platform.k3s_plan
"""

EXAMPLES = r"""
- name: Make the settings that the machines of each group share
  wasmfaas.platform.node_bundle_plan:
  run_once: true
  register: k3s_plan
"""

RETURN = r"""
hosts:
  description:
    - What the templates read, by host of the play. C(config) is the content of config.yaml; C(architecture), C(role),
      C(unit), C(node_name) and C(action)
      are as M(wasmfaas.platform.k3s_plan) returns them.
  returned: success
  type: dict
messages:
  description: What the user should know and what does not stop the run.
  returned: success
  type: list
  elements: str
problems:
  description: What is wrong, each with C(where), C(what), C(next_step) and C(severity).
  returned: failure
  type: list
  elements: dict
"""
