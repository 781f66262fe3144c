#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: managed_files
short_description: Keep a list of files and directories in their desired state
version_added: 1.0.0
description:
  - Compares all listed files and directories of a host at once and changes those that differ, each file in one step (a
    complete new file is renamed into place).
  - Use it instead of several C(ansible.builtin.copy), C(ansible.builtin.template) and C(ansible.builtin.file) tasks
    when files belong together. It needs one round trip to the host when nothing changes, and it changes nothing if one
    of the files cannot be placed.
  - Files of the controller are transferred only if they differ, to a temporary name that ends in C(.wasmfaas-partial),
    on the same file system as the target. Their checksum is verified before they are renamed. A run that is cut off
    leaves at most this temporary file, which the next run removes.
  - Fails before any change if something is in the way, a checksum is wrong, or there is not enough space.
  - A symbolic link in the place of a file is replaced, not followed.
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
      - Shows texts up to 64 KiB, and size and checksum of other files. Secret files are never shown.
  idempotent:
    support: full
requirements:
  - python >= 3.9 on the host
options:
  files:
    description:
      - The files.
      - Output and logs do not show them.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path on the host. Missing parent directories are created with the mode 0755.
        type: str
        required: true
      content:
        description: Its text. Either this or O(files[].source) is required.
        type: str
      source:
        description:
          - A file on the controller with its content, found like C(src) of C(ansible.builtin.copy). It may be encrypted
            by Ansible Vault.
          - In check mode it may be missing, since an earlier task may not have downloaded it.
        type: str
      sha256:
        description: Checksum of content or source. If it differs, the module fails and changes nothing on the host.
        type: str
      size:
        description: Size in bytes of a file that is transferred. By default that of the source.
        type: int
      mode:
        description: Permissions. The default is C(0644), or C(0600) if O(files[].secret).
        type: raw
      owner:
        description: Name of the owner.
        type: str
        default: root
      group:
        description: Name of the group.
        type: str
        default: root
      state:
        description: V(absent) removes it.
        type: str
        choices: [present, absent]
        default: present
      secret:
        description: Whether it holds a secret. Then output does not show it, and a O(files[].mode) wider than 0600 is
          refused.
        type: bool
        default: false
  directories:
    description: Directories that must exist. They may be symbolic links to directories.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path on the host. Missing parent directories are created with the mode 0755.
        type: str
        required: true
      mode:
        description: Permissions. The default is C(0755).
        type: raw
      owner:
        description: Name of the owner.
        type: str
        default: root
      group:
        description: Name of the group.
        type: str
        default: root
  phase:
    description: Do not set this. The action plugin of the same name sets it when it calls the module again after a
      transfer.
    type: str
    choices: [compare, finish]
    default: compare
  staged:
    description: Do not set this. The action plugin of the same name sets it to the files that it has transferred.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The file's path.
        type: str
        required: true
      staged:
        description: The path of the transferred file.
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
  description: Paths of the files and directories that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/usr/local/bin/k3s, /etc/rancher/k3s/token]
transfers:
  description: Files that the action plugin must transfer, with their temporary names.
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
