#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_snapshot
short_description: Take a snapshot of etcd on a k3s server
version_added: 1.0.0
description:
  - Takes a snapshot of the whole cluster's etcd on one of its servers, and keeps the newest ones only.
  - Where the server's settings name a bucket (C(etcd-s3)), k3s uploads it too.
  - A snapshot is worth little without the server's token; M(wasmfaas.platform.k3s_backup) saves both.
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
    support: none
    details:
      - Each run takes another snapshot.
options:
  name:
    description: What the file's name begins with. Only snapshots that begin so are ever removed.
    type: str
    default: wasmfaas
  keep:
    description: How many of this server's snapshots under O(name) to keep, the new one included. V(0) keeps all.
    type: int
    default: 5
  directory:
    description: Where the server keeps snapshots, if C(etcd-snapshot-dir) is set in its settings.
    type: path
  timeout:
    description: Seconds that it may take.
    type: int
    default: 600
  stage_for:
    description:
      - Name of a user who gets a copy, with the tokens, in a new folder that only this user may enter. For transfers by
        somebody who is not root.
      - The next call removes what earlier ones left.
    type: str
seealso:
  - module: wasmfaas.platform.k3s_backup
"""

EXAMPLES = r"""
- name: Take a snapshot before something risky
  wasmfaas.platform.k3s_snapshot:
    name: before-migration
    keep: 3
  register: __snapshot
"""

RETURN = r"""
snapshot:
  description: The new snapshot; empty in check mode.
  returned: success
  type: dict
  contains:
    path:
      description: The file on the server.
      type: str
      returned: always
    name:
      description: Its name, in the bucket too.
      type: str
      returned: always
    size:
      description: In bytes.
      type: int
      returned: always
    sha256:
      description: Of the file, hexadecimal.
      type: str
      returned: always
    created:
      description: When, in UTC.
      type: str
      returned: always
  sample:
    path: /var/lib/rancher/k3s/server/db/snapshots/wasmfaas-server-1-1795331712
    name: wasmfaas-server-1-1795331712
    size: 5062688
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    created: "2026-11-22T07:15:12Z"
version:
  description: Version of k3s that took it.
  returned: success
  type: str
  sample: v1.36.4+k3s1
authority:
  description: SHA-256 of the cluster's certificate authority.
  returned: success
  type: str
  sample: 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
staged:
  description: Folder with the copy for O(stage_for); empty without.
  returned: success
  type: str
  sample: ""
files:
  description: Where to transfer the snapshot and the tokens from, by what they are.
  returned: success
  type: dict
  sample:
    snapshot: /var/lib/rancher/k3s/server/db/snapshots/wasmfaas-server-1-1795331712
    server-token: /var/lib/rancher/k3s/server/token
    agent-token: /var/lib/rancher/k3s/server/agent-token
removed:
  description: Names of the snapshots that were removed.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.recovery.snapshot import take
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            name=dict(type="str", default="wasmfaas"),
            keep=dict(type="int", default=5),
            directory=dict(type="path"),
            timeout=dict(type="int", default=600),
            stage_for=dict(type="str"),
        ),
        supports_check_mode=True,
    )
    run_module(module, take)


if __name__ == "__main__":
    main()
