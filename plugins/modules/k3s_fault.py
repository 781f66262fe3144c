#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_fault
short_description: Disturb the k3s of a host for a while
version_added: 1.0.0
description:
  - Use it to test high availability, as the playbook C(wasmfaas.platform.verify_ha) does.
  - A systemd service on the host causes the fault, and undoes it when its time is over, when it is stopped and when it
    is killed. So a fault also ends if nobody reaches the host any more, and none survives a reboot.
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
      - O(state=present) causes a fault each time. O(state=absent) and O(state=ended) change nothing if there is none.
requirements:
  - python >= 3.9
  - systemd
options:
  state:
    description:
      - V(present) causes the fault and returns as soon as it is in effect.
      - V(ended) waits until the fault has ended by itself, V(absent) ends it now. Both remove its traces.
      - V(examined) tells which faults are impossible on this host, and changes nothing.
    type: str
    choices: [present, ended, absent, examined]
    default: present
  fault:
    description:
      - Required with O(state=present).
      - V(kill) kills k3s with signal 9 and keeps systemd from restarting it.
      - V(pause) stops its process with SIGSTOP.
      - V(cut) drops all packets from and to O(ports), with nft, else with iptables, else by blackhole routes to
        O(peers). SSH keeps working.
      - V(disk_full) fills the file system that holds the data of k3s.
    type: str
    choices: [kill, pause, cut, disk_full]
  seconds:
    description: Seconds after which the host ends the fault.
    type: int
    default: 30
  unit:
    description: The systemd unit of k3s.
    type: str
    default: k3s
  ports:
    description: TCP ports that V(cut) cuts.
    type: list
    elements: int
    default: [6443, 2379, 2380]
  peers:
    description: Addresses of the other hosts, for a host that has neither nft nor iptables.
    type: list
    elements: str
    default: []
  fill_root:
    description: Whether V(disk_full) may fill a file system that k3s shares with the rest of the host, or one larger
      than 64 GiB.
    type: bool
    default: false
seealso:
  - module: wasmfaas.platform.k3s_load
"""

EXAMPLES = r"""
- name: Cut a server off for half a minute
  wasmfaas.platform.k3s_fault:
    fault: cut
    seconds: 30

- name: Wait until it is over
  wasmfaas.platform.k3s_fault:
    state: ended
"""

RETURN = r"""
impossible:
  description: By fault, why it is impossible on this host.
  returned: O(state=examined)
  type: dict
  sample: {disk_full: /var/lib/rancher/k3s/server/db has no file system of its own}
active:
  description: Whether a fault is in effect.
  returned: O(state=examined)
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.verify_ha.fault import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["present", "ended", "absent", "examined"], default="present"),
            fault=dict(type="str", choices=["kill", "pause", "cut", "disk_full"]),
            seconds=dict(type="int", default=30),
            unit=dict(type="str", default="k3s"),
            ports=dict(type="list", elements="int", default=[6443, 2379, 2380]),
            peers=dict(type="list", elements="str", default=[]),
            fill_root=dict(type="bool", default=False),
        ),
        required_if=[("state", "present", ("fault",))],
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
