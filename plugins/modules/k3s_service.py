#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_service
short_description: Start, restart or stop k3s on a host, and wait until it works
version_added: 1.0.0
description:
  - Use it after changes to files that k3s reads when it starts, or to start and stop k3s.
  - The unit records which files it was started with. By default the module restarts k3s only if those files have
    changed since, so a run after one that was cut off between writing a file and restarting makes up for it.
  - A running server is restarted only while all other servers are Ready and vote in etcd.
  - If k3s does not start, the module looks for known problems in its journal, and the error says what to do.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.k3s.program
  - wasmfaas.platform.k3s.unit
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
  - systemd on the host
options:
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
        its node is registered.
      - Use V(false) to start the servers of a stopped cluster, since none becomes ready before a majority runs.
    type: bool
    default: true
  timeout:
    description: Seconds to wait at most for a start, and again for a stop. A lasting problem, such as a refused token,
      ends the wait at once.
    type: int
    default: 300
  node_name:
    description: Node name of the host. Defaults to the host name in lower case.
    type: str
  gate:
    description: Whether a running server is restarted only while all other servers are ready. The only server of a
      cluster always passes.
    type: bool
    default: true
  gate_timeout:
    description: Seconds to wait for the other servers to be ready.
    type: int
    default: 60
  pending:
    description: In check mode, whether earlier tasks would have changed files that k3s reads, so that a restart is
      predicted.
    type: bool
    default: false
  alone:
    description:
      - Whether a server that is started or restarted compares its keys and tokens with its own copy of etcd, and not
        with the server that it joined through.
      - Needed if that server may have older ones, as after a rotation of the encryption key. The C(join.yaml) of the
        server is the same afterwards.
    type: bool
    default: false
seealso:
  - module: wasmfaas.platform.managed_files
  - module: wasmfaas.platform.k3s_wait
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
  description: Files that the running k3s was not started with; empty after a restart and without O(wait).
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

from ..module_utils.k3s.host.service import run
from ..module_utils.k3s.paths import K3S_PROGRAM
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            unit=dict(type="str", choices=["k3s", "k3s-agent"], default="k3s"),
            state=dict(
                type="str",
                choices=["started", "restarted_if_stale", "restarted", "restart_due", "stopped"],
                default="restarted_if_stale",
            ),
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
