#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_load
short_description: Write to the Kubernetes API constantly, and report which acknowledged writes were lost
version_added: 1.0.0
description:
  - Use it to test high availability, as the playbook C(wasmfaas.platform.verify_ha) does.
  - Starts a program on a host that writes ConfigMaps through all servers in turn. It records each acknowledged value,
    synced to the disk, before it writes the next one. At the end it reads everything back from every server.
  - The program ends by itself after O(seconds).
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
      - There is nothing to compare.
  idempotent:
    support: partial
    details:
      - O(state=started) starts anew each time. O(state=absent) changes nothing if there is no load.
requirements:
  - python >= 3.9
options:
  state:
    description:
      - V(started) starts to write, and returns once every worker has written something.
      - V(marked) notes that something happens now.
      - V(stopped) ends the load and returns the report.
      - V(absent) ends the load and removes its files.
    type: str
    choices: [started, marked, stopped, absent]
    default: started
  servers:
    description: URLs of the servers. Required with O(state=started).
    type: list
    elements: str
    default: []
  token:
    description: Token of a service account that may create, get, list and patch ConfigMaps in O(namespace). Required
      with O(state=started). It is kept in a file with mode 0600 until O(state=absent).
    type: str
    default: ""
  authority:
    description: Certificate of the servers' authority in PEM form. Required with O(state=started).
    type: str
    default: ""
  namespace:
    description: Namespace to write to.
    type: str
    default: wasmfaas-verify-ha
  workers:
    description: How many write at the same time, each beginning with another server; V(0) means one for each server.
    type: int
    default: 0
  interval:
    description: Seconds from one write of a worker to its next.
    type: float
    default: 0.2
  request_timeout:
    description: Seconds that a server may take to answer before the next one is asked.
    type: float
    default: 5
  seconds:
    description: Seconds after which the program ends by itself.
    type: int
    default: 3600
  directory:
    description: Directory for settings and records. Defaults to C(/var/lib/wasmfaas/verify-ha) for root and to
      C(~/.cache/wasmfaas/verify-ha) for others.
    type: path
  phase:
    description: Name of what happens. Required with O(state=marked).
    type: str
    default: ""
  event:
    description: Which part of O(phase) happens now. Required with O(state=marked).
    type: str
    default: ""
seealso:
  - module: wasmfaas.platform.k3s_fault
"""

EXAMPLES = r"""
- name: Start to write
  wasmfaas.platform.k3s_load:
    servers: ["https://192.0.2.11:6443", "https://192.0.2.12:6443", "https://192.0.2.13:6443"]
    token: "{{ access.token }}"
    authority: "{{ access.authority }}"

- name: End it, and see what was lost
  wasmfaas.platform.k3s_load:
    state: stopped
  register: load
"""

RETURN = r"""
report:
  description: Number of acknowledged values, the lost ones, servers that could not be read, and what happened between
    marks.
  returned: O(state=stopped)
  type: dict
  sample:
    acknowledged: 9120
    failed_attempts: 41
    lost: []
    lost_values: 0
    unread: {}
    unacknowledged_there: 0
    phases:
      - {phase: kill server-1, seconds: 47.2, acknowledged: 640, failed_attempts: 3, longest_gap: 1.93, errors: {},
      events: {begin: 0.0, done: 1.2}}
workers:
  description: Number of workers that write.
  returned: O(state=started)
  type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.verify_ha.load import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["started", "marked", "stopped", "absent"], default="started"),
            servers=dict(type="list", elements="str", default=[]),
            token=dict(type="str", default="", no_log=True),
            authority=dict(type="str", default=""),
            namespace=dict(type="str", default="wasmfaas-verify-ha"),
            workers=dict(type="int", default=0),
            interval=dict(type="float", default=0.2),
            request_timeout=dict(type="float", default=5),
            seconds=dict(type="int", default=3600),
            directory=dict(type="path"),
            phase=dict(type="str", default=""),
            event=dict(type="str", default=""),
        ),
        required_if=[("state", "started", ("servers", "token", "authority")), ("state", "marked", ("phase", "event"))],
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
