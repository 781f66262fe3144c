#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: managed_files
short_description: Keep a list of files and folders as they should be
version_added: 1.0.0
description:
  - Compares all listed files and folders of a host in one go, and changes what differs, each file in one step (a
    complete new file is renamed to its place).
  - Files of the controller are transferred only where they differ, to a temporary name (C(.wasmfaas-partial) is added)
    on the same file system as the target.
    Their checksum is verified there before they take effect. A run that is cut off leaves at most that temporary file,
    which the next run removes.
  - Nothing is touched where something is in the way, a checksum is wrong or the space is too small.
  - Symbolic links in the place of a file are replaced, not followed.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Texts up to 64 KiB are shown; of other files, size and checksum. Secret ones are never shown.
  idempotent:
    support: full
requirements:
  - python >= 3.9 on the host
options:
  files:
    description:
      - The files.
      - No output and no log shows them as they were given.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where the file is on the host. Missing folders above it are made with the mode 0755.
        type: str
        required: true
      content:
        description: The text that it holds. This or O(files[].source) is needed.
        type: str
      source:
        description:
          - A file of the controller whose bytes it holds, found as C(ansible.builtin.copy) finds its C(src). It may be
            encrypted by Ansible Vault.
          - In check mode it may be missing, as something that would be downloaded before.
        type: str
      sha256:
        description: Checksum that content or source must have; where they have another, nothing is touched on the host.
        type: str
      size:
        description: Size in bytes of what is transferred. It is found out where it is missing.
        type: int
      mode:
        description: Permissions. Where it is missing, C(0644), and C(0600) if O(files[].secret).
        type: raw
      owner:
        description: Name of the user that it belongs to.
        type: str
        default: root
      group:
        description: Name of the group that it belongs to.
        type: str
        default: root
      state:
        description: V(absent) removes it.
        type: str
        choices: [present, absent]
        default: present
      secret:
        description: Whether it holds a secret. No output shows it then, and a O(files[].mode) wider than 0600 is
          refused.
        type: bool
        default: false
  directories:
    description: Folders that must exist. They may be symbolic links to folders.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where the folder is on the host. Missing folders above it are made with the mode 0755.
        type: str
        required: true
      mode:
        description: Permissions. Where it is missing, C(0755).
        type: raw
      owner:
        description: Name of the user that it belongs to.
        type: str
        default: root
      group:
        description: Name of the group that it belongs to.
        type: str
        default: root
  phase:
    description: For the action plugin of this name, which calls the module a second time after a transfer. Leave it
      out.
    type: str
    choices: [compare, finish]
    default: compare
  staged:
    description: For the action plugin of this name, where it has transferred files to. Leave it out.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The file's path.
        type: str
        required: true
      staged:
        description: The path of what was transferred.
        type: str
        required: true
seealso:
  - module: ansible.builtin.copy
  - module: wasmfaas.platform.k3s_service
"""

EXAMPLES = r"""
- name: Install k3s
  wasmfaas.platform.managed_files:
    directories:
      - path: /etc/rancher/k3s
        mode: "0700"
    files:
      - path: /usr/local/bin/k3s
        source: /var/cache/k3s/v1.36.4+k3s1/k3s
        sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
        mode: "0755"
      - path: /etc/rancher/k3s/token
        content: "{{ k3s_token }}"
        secret: true
      - path: /etc/rancher/k3s/config.yaml.d/old.yaml
        state: absent
"""

RETURN = r"""
changed_files:
  description: Paths of the files and folders that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/usr/local/bin/k3s, /etc/rancher/k3s/token]
transfers:
  description: For the action plugin, which files it must transfer and to where.
  returned: to the action plugin
  type: list
  elements: dict
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host.files import run
from ..module_utils.module_run import run_module


def main() -> None:
    ownership = dict(
        mode=dict(type="raw"), owner=dict(type="str", default="root"), group=dict(type="str", default="root")
    )
    module = AnsibleModule(
        argument_spec=dict(
            files=dict(
                type="list",
                elements="dict",
                default=[],
                no_log=True,
                options=dict(
                    path=dict(type="str", required=True),
                    content=dict(type="str"),
                    source=dict(type="str"),
                    sha256=dict(type="str"),
                    size=dict(type="int"),
                    state=dict(type="str", choices=["present", "absent"], default="present"),
                    secret=dict(type="bool", default=False, no_log=False),
                    **ownership,
                ),
            ),
            directories=dict(
                type="list",
                elements="dict",
                default=[],
                options=dict(path=dict(type="str", required=True), **ownership),
            ),
            phase=dict(type="str", choices=["compare", "finish"], default="compare"),
            staged=dict(
                type="list",
                elements="dict",
                default=[],
                options=dict(path=dict(type="str", required=True), staged=dict(type="str", required=True)),
            ),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
