#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_restore
short_description: Restore a k3s cluster from a snapshot or from one server, one host at a time
version_added: 1.0.0
description:
  - The playbooks C(wasmfaas.platform.restore) and C(wasmfaas.platform.recover) call this module on all hosts in the
    right order. A single step leaves a cluster in the middle of the restore.
  - Each host remembers what was done for which snapshot until O(step=finish), so a run after one that was cut off
    continues.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  step:
    description:
      - V(look) only reads what the host remembers.
      - V(reset), on a stopped server, makes k3s replace the database by the snapshot, or keep it, with this server as
        the only member.
      - V(clear), on a stopped server, removes the database, so that the server joins as a new member.
      - V(admit), on the server that was reset and started, deletes the nodes that are not in O(nodes), and lets the
        others join again with new passwords.
      - V(forget) removes the certificates that an agent has from another cluster.
      - V(finish) removes what the restore left, and what the host remembers.
    type: str
    required: true
    choices: [look, reset, clear, admit, forget, finish]
  identity:
    description: What distinguishes this restore from others, such as the SHA-256 of the snapshot. Required by all steps
      but V(look) and V(finish).
    type: str
  snapshot:
    description: With O(step=reset), path of the snapshot on the host, or its name in the bucket that the settings of
      the server name. The server keeps its own database if it is empty.
    type: str
  sha256:
    description: SHA-256 of the snapshot on the host, which is compared before anything is changed.
    type: str
  authority:
    description: SHA-256 of the certificate authority of the snapshot's cluster. Data of another cluster is moved aside.
    type: str
  nodes:
    description: With O(step=admit), names of the nodes that still have hosts.
    type: list
    elements: str
    default: []
  this_node:
    description: With O(step=admit), node name of this server.
    type: str
  ignore_bucket:
    description: Whether O(snapshot) is a file even though the settings of the server name a bucket.
    type: bool
    default: false
  timeout:
    description: Seconds that O(step=reset) may take.
    type: int
    default: 600
seealso:
  - module: wasmfaas.platform.k3s_backup_info
"""

EXAMPLES = r"""
- name: Restore the database of a stopped server
  wasmfaas.platform.k3s_restore:
    step: reset
    identity: "{{ backup.sha256 }}"
    snapshot: /var/lib/rancher/k3s/server/wasmfaas-restore/snapshot
    sha256: "{{ backup.sha256 }}"
    authority: "{{ backup.authority }}"
"""

RETURN = r"""
in_progress:
  description: What the host remembers afterwards, C(identity) and C(done); empty if no restore is in progress.
  returned: success
  type: dict
  sample:
    identity: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    done: reset
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.recovery.restore import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            step=dict(type="str", required=True, choices=["look", "reset", "clear", "admit", "forget", "finish"]),
            identity=dict(type="str"),
            snapshot=dict(type="str"),
            sha256=dict(type="str"),
            authority=dict(type="str"),
            nodes=dict(type="list", elements="str", default=[]),
            this_node=dict(type="str"),
            ignore_bucket=dict(type="bool", default=False),
            timeout=dict(type="int", default=600),
        ),
        required_if=[
            ("step", "reset", ["identity"]),
            ("step", "clear", ["identity"]),
            ("step", "admit", ["identity", "this_node"]),
            ("step", "forget", ["identity"]),
        ],
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
