#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_rotation
short_description: Give a k3s cluster new certificates, tokens or a new encryption key, one host at a time
version_added: 1.0.0
description:
  - The playbook C(wasmfaas.platform.rotate) calls this module on all hosts in the right order. Use the module alone to
    renew the certificates of one node.
  - What is done already is read from the host, so a run after one that was cut off continues.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.k3s.unit
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Secrets younger than O(minimum_age) are left alone.
options:
  what:
    description:
      - V(certificates) stops k3s on this host, lets it make new keys and certificates, and starts it again. The
        certificate authorities of the cluster stay. A server is stopped only while all other servers are Ready and vote
        in etcd. Call it for one server after the other.
      - V(tokens) does one O(step) of a rotation of the tokens. A single step leaves a cluster in the middle of the
        rotation. New tokens lie beside the old ones (C(/etc/rancher/k3s/*.next), mode 0600) until all nodes use them.
      - V(encryption-key), on one ready server, makes k3s encrypt all secrets with a new key, and waits until all are.
        All servers must be restarted afterwards, one at a time, with the option C(alone) of
        M(wasmfaas.platform.k3s_service). In older releases of k3s, a server that stops during the rotation has the only
        copy of the new key and cannot start any more (k3s-io/k3s 13763), so the module requires O(snapshot).
    type: str
    choices: [certificates, tokens, encryption-key]
    required: true
  step:
    description:
      - Required with O(what=tokens), not used otherwise.
      - V(look) only reads.
      - V(begin), on one ready server, chooses the new tokens, O(server_token) and O(agent_token) or generated ones, and
        writes them beside those in use.
      - V(stage), on the other servers, writes O(server_token) and O(agent_token) beside those in use.
      - V(rotate), on the server of V(begin), sends the new tokens to the cluster, which stores them in etcd for all
        servers.
      - V(activate) puts the new tokens into use at the next start of k3s. M(wasmfaas.platform.k3s_service) restarts the
        unit then.
      - V(finish) removes the copies beside the tokens in use.
      - V(release) prepares a server that k3s refuses to start on because a file is newer than its copy in etcd. It does
        not start k3s.
      - V(check) tells whether k3s would refuse its next start because etcd lacks the tokens of this server.
      - V(save), on one running server, stores its tokens in etcd. V(settle), on all servers afterwards, makes their
        files the same.
    type: str
    choices: [look, begin, stage, rotate, activate, finish, release, check, save, settle]
  node_name:
    description: With O(what=certificates), name of the host's node. Required there.
    type: str
  only_ended:
    description:
      - With O(what=certificates), whether to renew them only if one of them has ended, and then without asking other
        servers and without waiting until k3s works.
      - The API accepts no certificate that has ended. So call it on all hosts whose certificates have ended, servers
        first, and wait with M(wasmfaas.platform.k3s_service) where RV(rotated) is true.
    type: bool
    default: false
  minimum_age:
    description: Age in hours from which a secret is renewed. V(0) renews it in any case.
    type: float
    default: 24
  timeout:
    description:
      - With O(what=certificates), seconds that k3s may take to stop, and again to start. Defaults to 300.
      - With O(what=encryption-key), seconds that encrypting all secrets may take; k3s encrypts about five in a second.
        Defaults to 1800.
    type: int
  server_token:
    description: With O(step=begin) and O(step=stage), the new password of the server token.
    type: str
  agent_token:
    description: With O(step=begin) and O(step=stage), the new password of the agent token.
    type: str
  port:
    description: Port of the API on this server.
    type: int
    default: 6443
  snapshot:
    description: With O(what=encryption-key), name of a snapshot that was taken on this server before. No key is made
      unless it exists, can be read and is known to k3s.
    type: str
  snapshot_directory:
    description: Directory of O(snapshot), if it is not the default directory of k3s.
    type: path
seealso:
  - module: wasmfaas.platform.k3s_service
  - module: wasmfaas.platform.k3s_backup
"""

EXAMPLES = r"""
- name: Renew the certificates of a server
  wasmfaas.platform.k3s_rotation:
    what: certificates
    node_name: server-1

- name: See whether a rotation of the tokens was begun
  wasmfaas.platform.k3s_rotation:
    what: tokens
    step: look

- name: Encrypt all secrets with a new key
  wasmfaas.platform.k3s_rotation:
    what: encryption-key
    snapshot: before-rotation-server-1-1795331712
"""

RETURN = r"""
rotated:
  description: Whether there are new certificates or a new key. With O(step=look), whether the cluster has the new
    tokens already.
  returned: O(what=certificates), O(what=encryption-key) or O(step=look)
  type: bool
ended:
  description: When the first certificate of the host ended, in UTC; empty if none has.
  returned: O(what=certificates) and O(only_ended=true)
  type: str
  sample: ""
made:
  description: When the oldest certificate of the host was made, in UTC.
  returned: O(what=certificates) and O(only_ended=false)
  type: str
  sample: "2026-11-22T07:15:12Z"
ends:
  description: When the first certificate of the host expires, in UTC.
  returned: O(what=certificates) and O(only_ended=false)
  type: str
  sample: "2027-11-22T07:15:12Z"
restart_needed:
  description: Whether servers run that do not have the key of this one.
  returned: O(what=encryption-key)
  type: bool
unfinished:
  description: Whether an earlier rotation must be finished first, by restarting all servers.
  returned: O(what=encryption-key)
  type: bool
found:
  description: What an earlier rotation has left, as a sentence; empty if it left nothing.
  returned: O(what=encryption-key)
  type: str
  sample: ""
key:
  description: Name of the key.
  returned: O(what=encryption-key)
  type: str
  sample: AES-CBC aescbckey-2026-11-22T07:15:12Z
stage:
  description: Stage of the rotation, as k3s names it.
  returned: O(what=encryption-key)
  type: str
  sample: reencrypt_finished
staged:
  description: Whether new tokens lie beside those in use.
  returned: O(step=look)
  type: bool
server_staged:
  description: Whether a new server token is among them.
  returned: O(step=look)
  type: bool
age:
  description: Age in hours of the server token in use.
  returned: O(step=look)
  type: float
  sample: 8760.5
needed:
  description: Whether there is something to rotate.
  returned: O(step=begin)
  type: bool
refused:
  description: Files that k3s called newer than their copy in etcd when it stopped.
  returned: O(step=release)
  type: list
  elements: str
  sample: [/var/lib/rancher/k3s/server/cred/passwd]
unsaved:
  description: Whether k3s would refuse its next start. V(false) also if this server cannot tell.
  returned: O(step=check)
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.recovery.rotation import run
from ..module_utils.k3s.recovery.tokens import STEPS
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            what=dict(type="str", choices=["certificates", "tokens", "encryption-key"], required=True),
            step=dict(type="str", choices=list(STEPS)),
            unit=dict(type="str", choices=["k3s", "k3s-agent"], default="k3s"),
            node_name=dict(type="str"),
            only_ended=dict(type="bool", default=False),
            minimum_age=dict(type="float", default=24),
            timeout=dict(type="int"),
            server_token=dict(type="str", no_log=True),
            agent_token=dict(type="str", no_log=True),
            port=dict(type="int", default=6443),
            snapshot=dict(type="str"),
            snapshot_directory=dict(type="path"),
        ),
        required_if=[("what", "tokens", ("step",)), ("what", "certificates", ("node_name",))],
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
