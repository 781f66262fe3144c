#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_backup_info
short_description: Find a backup on the controller and compare it with its checksum
version_added: 1.0.0
description:
  - Use it before a restore, or to check that a backup is good. Tells what a backup of M(wasmfaas.platform.k3s_backup)
    holds, and fails if a file of it is missing or damaged. Runs on the controller.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.attributes.read_only
options:
  backup:
    description: Directory of the backup, its name in O(directory), or V(latest).
    type: str
  directory:
    description: Directory that holds the backups. Required by O(backup).
    type: path
  snapshot:
    description:
      - Instead of O(backup), a single file that C(k3s etcd-snapshot save) or k3s's schedule made. Its checksum is
        compared.
    type: path
  s3_snapshot:
    description: Instead of O(backup), the name of a snapshot in the bucket of the servers.
    type: str
  server_token_file:
    description:
      - File with the server token of the time of O(snapshot) or O(s3_snapshot), which both require.
      - A token in its secure form, as in C(/var/lib/rancher/k3s/server/token), tells the cluster too, which other hosts
        need to know.
    type: path
seealso:
  - module: wasmfaas.platform.k3s_backup
"""

EXAMPLES = r"""
- name: Find the newest backup
  wasmfaas.platform.k3s_backup_info:
    backup: latest
    directory: /srv/backups/production
  delegate_to: localhost
  register: __found
"""

RETURN = r"""
backup:
  description: The backup.
  returned: success
  type: dict
  contains:
    path:
      description: Its directory.
      type: str
      returned: always
    snapshot:
      description: The snapshot file; empty if the snapshot is only in the bucket.
      type: str
      returned: always
    server_token:
      description: The file with the server token of that time.
      type: str
      returned: always
    name:
      description: Name of the snapshot on the server and in the bucket.
      type: str
      returned: always
    sha256:
      description: SHA-256 of the snapshot, hexadecimal.
      type: str
      returned: always
    size:
      description: Size of the snapshot in bytes.
      type: int
      returned: always
    version:
      description: Version of the k3s that took it.
      type: str
      returned: always
    authority:
      description: SHA-256 of the certificate authority of the cluster.
      type: str
      returned: always
    node:
      description: The node that took it.
      type: str
      returned: always
    nodes:
      description: Node names of the cluster at that time.
      type: list
      elements: str
      returned: always
    created:
      description: When the snapshot was taken, in UTC.
      type: str
      returned: always
    s3:
      description: The bucket that it was uploaded to, without credentials; empty if it was not uploaded.
      type: dict
      returned: always
    fetched:
      description: Whether the snapshot itself is in the directory.
      type: bool
      returned: always
  sample:
    path: /srv/backups/20261122T071512Z-server-1
    snapshot: /srv/backups/20261122T071512Z-server-1/snapshot
    server_token: /srv/backups/20261122T071512Z-server-1/server-token
    name: wasmfaas-server-1-1795331712
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    size: 5062688
    version: v1.36.4+k3s1
    authority: 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
    node: server-1
    nodes: [server-1, server-2, server-3, worker-1]
    created: "2026-11-22T07:15:12Z"
    s3: {}
    fetched: true
summary:
  description: The backup in one line.
  returned: success
  type: str
  sample: "/srv/backups/20261122T071512Z-server-1 (wasmfaas-server-1-1795331712, 4.8 MiB, v1.36.4+k3s1,
    2026-11-22T07:15:12Z)"
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.recovery.backup import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            backup=dict(type="str"),
            directory=dict(type="path"),
            snapshot=dict(type="path"),
            s3_snapshot=dict(type="str"),
            server_token_file=dict(type="path", no_log=False),
        ),
        mutually_exclusive=[("backup", "snapshot", "s3_snapshot")],
        required_one_of=[("backup", "snapshot", "s3_snapshot")],
        required_by={
            "backup": ("directory",),
            "snapshot": ("server_token_file",),
            "s3_snapshot": ("server_token_file",),
        },
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
