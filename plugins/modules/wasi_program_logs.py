#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: wasi_program_logs
short_description: Read what a program wrote
version_added: 1.0.0
description:
  - Reads the last lines of all pods of a program. Of a program on this machine, reads the last lines of its log, which
    is that of the last run of a command.
  - For a crashed container, also reads the end of its previous run.
  - Values of the Secrets in the program's environment are blacked out in all output. Without the permission to read
    these Secrets, the module fails.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.attributes.read_only
  - wasmfaas.platform.attributes.action_group
  - wasmfaas.platform.kubernetes_auth
requirements:
  - python >= 3.11
  - lightkube >= 1.0, for O(target=cluster)
options:
  name:
    description: Name of the program.
    type: str
    required: true
  namespace:
    description: Namespace of the program.
    type: str
    default: default
  target:
    description:
      - Where the program runs.
      - V(cluster) is Kubernetes with containerd-shim-wasmtime.
      - V(local) is this machine.
    type: str
    choices: [cluster, local]
    default: cluster
  state_directory:
    description:
      - Directory with local programs.
      - The default is C(${XDG_STATE_HOME:-~/.local/state}/wasmfaas).
    type: path
  lines:
    description: How many of the last lines to read of each pod.
    type: int
    default: 100
  since:
    description: Read only what was written in this span of time, as in V(90s), V(15m), V(2h) or V(1d). Refused with
      O(target=local), whose logs have no times.
    type: str
seealso:
  - module: wasmfaas.platform.wasi_program
  - module: wasmfaas.platform.wasi_program_info
"""

EXAMPLES = r"""
- name: Read what a program wrote in the last quarter of an hour
  wasmfaas.platform.wasi_program_logs:
    name: hello
    namespace: user1
    since: 15m
  register: hello

- name: Show it
  ansible.builtin.debug:
    msg: "{{ hello.text }}"
"""

RETURN = r"""
logs:
  description: The logs, sorted by pod. For a crashed container, the log of its previous run is shown first.
  returned: success
  type: list
  elements: dict
  contains:
    pod:
      description: Name of the pod; of the program where it runs on this machine.
      type: str
      returned: always
    node:
      description: The pod's node; empty where it has none.
      type: str
      returned: always
    state:
      description: C(running), C(not ready), C(ending), or why it waits or ended, such as C(waiting) with
        C(CrashLoopBackOff). On this machine the status of the program.
      type: str
      returned: always
    restarts:
      description: How often its container was started again.
      type: int
      returned: always
    previous:
      description: Whether this is the log of the container's previous run.
      type: bool
      returned: always
    exit_code:
      description: Exit code of the previous run; none for other logs.
      type: int
      returned: always
    lines:
      description: The lines.
      type: list
      elements: str
      returned: always
  sample:
    - pod: hello-x2k4p
      node: worker-1
      state: "terminated: Completed"
      restarts: 0
      previous: false
      exit_code: null
      lines: ["Hello, world!"]
text:
  description: The same as lines of text.
  returned: success
  type: list
  elements: str
  sample:
    - "==> hello-x2k4p (terminated: Completed, on worker-1) <=="
    - "Hello, world!"
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module_run import run_module
from ..module_utils.program.wasi_program_logs import run
from ..module_utils.spinkube.arguments import kubernetes_auth_arguments


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            name=dict(type="str", required=True),
            namespace=dict(type="str", default="default"),
            target=dict(type="str", choices=["cluster", "local"], default="cluster"),
            state_directory=dict(type="path"),
            lines=dict(type="int", default=100),
            since=dict(type="str"),
            **kubernetes_auth_arguments(),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
