#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_backup
short_description: Take a snapshot of etcd on a k3s server, and keep it on the controller with the tokens
version_added: 1.0.0
description:
  - Use it before something risky, and regularly. A snapshot holds the state of the whole cluster.
  - With O(directory), the snapshot is copied to the controller together with the tokens, without which it cannot be
    restored. Without O(directory), it stays on the server.
  - If the settings of the server name a bucket (C(etcd-s3)), k3s uploads the snapshot too.
  - Each backup is a directory of its own, which gets its name only when everything in it is complete and compared.
    Directories have mode 0700, files 0600.
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
  directory:
    description: Directory on the controller that holds the backups. Without it, nothing is copied there.
    type: path
  keep:
    description: How many backups of this cluster to keep in O(directory). V(0) keeps all.
    type: int
    default: 7
  fetch:
    description: Whether to copy the snapshot itself to O(directory). With V(false) only the tokens and the metadata are
      copied, and the snapshot must be in a bucket.
    type: bool
    default: true
  node:
    description: Node name of the server, for the name of the backup. Required with O(directory).
    type: str
  nodes:
    description: Node names of the cluster, for the metadata.
    type: list
    elements: str
    default: []
  config:
    description: The k3s settings of the server, which say whether k3s uploads snapshots. Credentials in them are
      neither kept nor sent to the host.
    type: dict
    default: {}
  name:
    description: Prefix of the snapshot's name. Only snapshots with this prefix are ever removed from the server.
    type: str
    default: wasmfaas
  keep_on_server:
    description: How many snapshots under O(name) to keep on the server, the new one included. V(0) keeps all.
    type: int
    default: 5
  snapshot_directory:
    description: Where the server keeps snapshots, if C(etcd-snapshot-dir) is set in its settings.
    type: path
  timeout:
    description: Seconds that taking the snapshot may take.
    type: int
    default: 600
  stage_for:
    description: User of the connection, who gets a copy to transfer in a directory that only this user may enter. The
      action fills it in if the user is not root.
    type: str
seealso:
  - module: wasmfaas.platform.k3s_backup_info
  - module: wasmfaas.platform.k3s_restore
"""

EXAMPLES = r"""
- name: Save the state of the cluster on this machine
  wasmfaas.platform.k3s_backup:
    directory: /srv/backups/production
    node: "{{ inventory_hostname }}"
  register: __backup

- name: Take a snapshot on the server alone
  wasmfaas.platform.k3s_backup:
    name: before-migration
    keep_on_server: 3
"""

RETURN = r"""
snapshot:
  description: The new snapshot on the server; empty in check mode.
  returned: success
  type: dict
  contains:
    path:
      description: The file on the server.
      type: str
      returned: always
    name:
      description: Its name, also in the bucket.
      type: str
      returned: always
    size:
      description: Its size in bytes.
      type: int
      returned: always
    sha256:
      description: SHA-256 of the file, hexadecimal.
      type: str
      returned: always
    created:
      description: When it was taken, in UTC.
      type: str
      returned: always
  sample:
    path: /var/lib/rancher/k3s/server/db/snapshots/wasmfaas-server-1-1795331712
    name: wasmfaas-server-1-1795331712
    size: 5062688
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    created: "2026-11-22T07:15:12Z"
removed_snapshots:
  description: Names of the snapshots that were removed from the server.
  returned: success
  type: list
  elements: str
  sample: []
backup:
  description: The new backup, as M(wasmfaas.platform.k3s_backup_info) returns it; empty in check mode and without
    O(directory).
  returned: success
  type: dict
  sample: {}
removed:
  description: Directories of old backups that were removed.
  returned: success
  type: list
  elements: str
  sample: []
summary:
  description: What was saved, in one line.
  returned: success
  type: str
  sample: "/srv/backups/20261122T071512Z-server-1 (wasmfaas-server-1-1795331712, 4.8 MiB, v1.36.4+k3s1,
    2026-11-22T07:15:12Z)"
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.recovery.snapshot import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            directory=dict(type="path"),
            keep=dict(type="int", default=7),
            fetch=dict(type="bool", default=True),
            node=dict(type="str"),
            nodes=dict(type="list", elements="str", default=[]),
            config=dict(type="dict", default={}, no_log=True),
            name=dict(type="str", default="wasmfaas"),
            keep_on_server=dict(type="int", default=5),
            snapshot_directory=dict(type="path"),
            timeout=dict(type="int", default=600),
            stage_for=dict(type="str"),
        ),
        required_by={"directory": "node"},
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
