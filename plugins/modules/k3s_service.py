#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_service
short_description: Start k3s on a host, restart it where its files have changed, and wait until it works
version_added: 1.0.0
description:
  - Compares the files that k3s reads at its start with the record that the unit wrote when it was started last, and
    restarts it only where they differ.
    So a run that was cut off between writing a file and restarting is made good by the next one.
  - A running server is restarted only while all other servers are Ready and voters of etcd.
  - Where k3s does not start, the last lines of its journal are looked through for known causes, and the error says what
    to do.
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
    support: partial
    details:
      - O(state=restarted) restarts a running k3s each time.
requirements:
  - python >= 3.9 and systemd on the host
options:
  unit:
    description: The unit, V(k3s) on servers and V(k3s-agent) on agents.
    type: str
    choices: [k3s, k3s-agent]
    required: true
  state:
    description:
      - V(started) leaves a running k3s alone, V(restarted_if_stale) restarts it when its files have changed since it
        started, V(restarted) restarts it in any case. All three start and enable it when it does not run.
      - V(restart_due) changes nothing now. It makes the next V(restarted_if_stale) restart a k3s that runs, unless
        somebody else restarts it before.
      - V(stopped) stops it. Its containers go on running, because the unit says C(KillMode=process).
    type: str
    choices: [started, restarted_if_stale, restarted, restart_due, stopped]
    default: restarted_if_stale
  wait:
    description:
      - Whether to wait until it works. A server works when its API is ready and its etcd member votes, an agent when
        its Node is registered.
      - Servers of a stopped cluster must be started with V(false), since none becomes ready before a majority runs.
    type: bool
    default: true
  timeout:
    description: How many seconds to wait, or to stop, at most. A cause that stays, such as a refused token, ends the
      wait at once.
    type: int
    default: 300
  node_name:
    description: Name of the host's Node. The host name in lower case is used where it is missing.
    type: str
  gate:
    description: Whether a running server is restarted only while all other servers are healthy. The only server of a
      cluster passes always.
    type: bool
    default: true
  gate_timeout:
    description: How many seconds to wait for the other servers to be healthy.
    type: int
    default: 60
  pending:
    description: In check mode, whether earlier tasks would have changed files that k3s reads, so that a restart is
      foretold.
    type: bool
    default: false
  alone:
    description:
      - Whether a server that is started or restarted compares its keys and tokens with its own copy of etcd, and not
        with the server that it joined through.
      - Needed where that one may have older ones, as after a rotation of the key that encrypts secrets. The server's
        C(join.yaml) is as before afterwards.
    type: bool
    default: false
  k3s_program:
    description: The program k3s, whose C(kubectl) asks the API.
    type: path
    default: /usr/local/bin/k3s
seealso:
  - module: wasmfaas.platform.managed_files
  - module: wasmfaas.platform.k3s_node_labels
"""

EXAMPLES = r"""
- name: Run k3s with the files that are there now
  wasmfaas.platform.k3s_service:
    unit: k3s
    node_name: server-1

- name: Start all servers of a stopped cluster
  wasmfaas.platform.k3s_service:
    unit: k3s
    state: started
    wait: false
"""

RETURN = r"""
started:
  description: Whether it did not run and was started.
  returned: success
  type: bool
restarted:
  description: Whether it ran and was restarted.
  returned: success
  type: bool
stopped:
  description: Whether it ran and was stopped.
  returned: success
  type: bool
reasons:
  description: Why something was done.
  returned: success
  type: list
  elements: str
  sample: [/etc/rancher/k3s/config.yaml changed since it was started]
stale_inputs:
  description: Files that the running k3s was not started with; empty after a restart, and without O(wait).
  returned: success
  type: list
  elements: str
  sample: []
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 12.4
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host.service import run
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.paths import K3S_PROGRAM
from ansible_collections.wasmfaas.platform.plugins.module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            unit=dict(type="str", choices=["k3s", "k3s-agent"], required=True),
            state=dict(type="str", choices=["started", "restarted_if_stale", "stopped"], default="restarted_if_stale"),
            wait=dict(type="bool", default=True),
            timeout=dict(type="int", default=300),
            node_name=dict(type="str"),
            gate=dict(type="bool", default=True),
            gate_timeout=dict(type="int", default=60),
            pending=dict(type="bool", default=False),
            alone=dict(type="bool", default=False),
            k3s_program=dict(type="path", default=K3S_PROGRAM),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
