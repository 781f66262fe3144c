#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_bundle
short_description: Complete a folder that carries an installation over an air gap
version_added: 1.0.0
description:
  - M(wasmfaas.platform.artifact_download) fills the folder with what it downloads. This adds programs that are files of
    this machine, and writes
    C(manifest.json), C(SHA256SUMS) for C(sha256sum -c), and C(images.txt). Runs on the controller.
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
  directory:
    description: The folder.
    type: path
    required: true
  programs:
    description: Programs as M(wasmfaas.platform.artifact_download) returns them.
    type: dict
    required: true
  versions:
    description: Version of each program, by its name.
    type: dict
    required: true
  images:
    description: Names of container images that the installation needs, beside those in O(images_file).
    type: list
    elements: str
    default: []
  images_file:
    description: File with names of images, one a line. One that does not exist has none.
    type: path
seealso:
  - module: wasmfaas.platform.artifact_download
"""

EXAMPLES = r"""
- name: Complete the folder
  wasmfaas.platform.k3s_bundle:
    directory: ./bundle
    programs: "{{ downloaded.programs }}"
    versions: {k3s: v1.36.4+k3s1}
"""

RETURN = r"""
files:
  description: The programs in the folder.
  returned: success
  type: list
  elements: dict
  sample:
    - {path: k3s/v1.36.4+k3s1/arm64/k3s, name: k3s, version: v1.36.4+k3s1, architecture: arm64, size: 74252440, sha256:
    9f86…}
images:
  description: Names of all images.
  returned: success
  type: list
  elements: str
  sample: [docker.io/rancher/mirrored-pause:3.6]
size:
  description: Of all programs, in bytes.
  returned: success
  type: int
  sample: 74252440
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.download.air_gap_bundle import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            directory=dict(type="path", required=True),
            programs=dict(type="dict", required=True),
            versions=dict(type="dict", required=True),
            images=dict(type="list", elements="str", default=[]),
            images_file=dict(type="path"),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
