#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_backup
short_description: Bring a snapshot of etcd and the tokens to the controller
version_added: 1.0.0
description:
  - Takes a snapshot on a k3s server and keeps it on the controller, in a folder of its own, with the tokens without
    which it cannot be restored.
  - The folder gets its name only when all in it is complete and compared. Folders have mode 0700, files 0600.
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
      - Each run makes another backup.
options:
  directory:
    description: Folder on the controller that holds the backups.
    type: path
    required: true
  keep:
    description: How many backups of this cluster to keep there. V(0) keeps all.
    type: int
    default: 7
  fetch:
    description: Whether to bring the snapshot itself. With V(false) only the tokens and the metadata are brought, and
      the snapshot must be in a bucket.
    type: bool
    default: true
  node:
    description: Name of the server's node, for the folder's name.
    type: str
    required: true
  nodes:
    description: Names of the cluster's nodes, for the metadata.
    type: list
    elements: str
    default: []
  config:
    description: The server's settings of k3s; they say whether k3s uploads snapshots. Credentials in it are not kept.
    type: dict
    default: {}
  name:
    description: What the snapshot's name begins with.
    type: str
    default: wasmfaas
  keep_on_server:
    description: How many snapshots under O(name) to keep on the server. V(0) keeps all.
    type: int
    default: 5
  snapshot_directory:
    description: Where the server keeps snapshots, if C(etcd-snapshot-dir) is set in its settings.
    type: path
  timeout:
    description: Seconds that taking the snapshot may take.
    type: int
    default: 600
seealso:
  - module: wasmfaas.platform.k3s_snapshot
  - module: wasmfaas.platform.k3s_backup_info
"""

EXAMPLES = r"""
- name: Save the cluster's state on this machine
  wasmfaas.platform.k3s_backup:
    directory: /srv/backups/production
    node: "{{ inventory_hostname }}"
  register: __backup
"""

RETURN = r"""
backup:
  description: The new backup, as M(wasmfaas.platform.k3s_backup_info) returns it; empty in check mode.
  returned: success
  type: dict
  sample: {}
removed:
  description: Folders of old backups that were removed.
  returned: success
  type: list
  elements: str
  sample: []
summary:
  description: The backup in one line.
  returned: success
  type: str
  sample: "/srv/backups/20261122T071512Z-server-1 (wasmfaas-server-1-1795331712, 4.8 MiB, v1.36.4+k3s1,
    2026-11-22T07:15:12Z)"
"""
