#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_token
short_description: One host's part in giving a k3s cluster new tokens
version_added: 1.0.0
description:
  - C(wasmfaas.platform.rotate) calls this module in the right order on all hosts; a single call leaves a cluster in the
    middle.
  - New tokens lie beside the old ones (C(/etc/rancher/k3s/*.next), mode 0600) until all nodes run with them, so that a
    run that was cut off can be continued.
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
      - V(look) only reads.
      - V(begin), on one ready server, chooses the new tokens, O(server_token) and O(agent_token) or generated ones, and
        writes them beside those in use.
      - V(stage), on the other servers, writes O(server_token) and O(agent_token) beside those in use.
      - V(rotate), where it was begun, tells the cluster the new tokens, which stores them in etcd for all servers.
      - V(activate) puts the new tokens into use; the unit then counts as running with something older,
        M(wasmfaas.platform.k3s_service) restarts it.
      - V(finish) removes the second copy.
      - V(release) makes a server ready to start that k3s refuses to start on, since a file of it is newer than its copy
        in etcd; it does not start it.
      - V(check) tells whether k3s would refuse its next start, since the tokens of this server are not in etcd.
      - V(save), on one server that runs, has etcd take over its tokens. V(settle), on all servers afterwards, makes
        their files the same.
    type: str
    required: true
    choices: [look, begin, stage, rotate, activate, finish, release, check, save, settle]
  unit:
    description: The unit, V(k3s) on servers and V(k3s-agent) on agents.
    type: str
    choices: [k3s, k3s-agent]
    default: k3s
  server_token:
    description: New password of the server token.
    type: str
  agent_token:
    description: New password of the agents' token.
    type: str
  minimum_age:
    description: With O(step=begin), hours that the token in use must be old.
    type: float
    default: 24
  port:
    description: Port of the API on this server.
    type: int
    default: 6443
seealso:
  - module: wasmfaas.platform.k3s_service
"""

EXAMPLES = r"""
- name: Tell the cluster its new token
  wasmfaas.platform.k3s_token:
    step: rotate
"""

RETURN = r"""
staged:
  description: Whether new tokens lie beside those in use.
  returned: O(step=look)
  type: bool
server_staged:
  description: Whether a new server token is among them.
  returned: O(step=look)
  type: bool
rotated:
  description: Whether the cluster has the new tokens already.
  returned: O(step=look)
  type: bool
age:
  description: How many hours old the server token in use is.
  returned: O(step=look)
  type: float
  sample: 8760.5
refused:
  description: Files that k3s called newer than their copy in etcd when it ended.
  returned: O(step=release)
  type: list
  elements: str
  sample: [/var/lib/rancher/k3s/server/cred/passwd]
unsaved:
  description: Whether the next start would be refused. V(false) also where this server cannot tell.
  returned: O(step=check)
  type: bool
needed:
  description: Whether there is something to rotate.
  returned: O(step=begin)
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.recovery.rotation import tokens_module
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            step=dict(
                type="str",
                required=True,
                choices=[
                    "look",
                    "begin",
                    "stage",
                    "rotate",
                    "activate",
                    "finish",
                    "release",
                    "check",
                    "save",
                    "settle",
                ],
            ),
            unit=dict(type="str", choices=["k3s", "k3s-agent"], default="k3s"),
            server_token=dict(type="str", no_log=True),
            agent_token=dict(type="str", no_log=True),
            minimum_age=dict(type="float", default=24),
            port=dict(type="int", default=6443),
        ),
        supports_check_mode=True,
    )
    run_module(module, tokens_module)


if __name__ == "__main__":
    main()
