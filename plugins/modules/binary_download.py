#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: binary_download
short_description: Download binaries for hosts to the controller, verified
version_added: 1.0.0
description:
  - Downloads binaries once for each architecture to a directory of the controller, verifies their SHA-256 and takes
    them out of their archives.
  - A binary that is there already is verified and not downloaded again; this needs no network.
  - Unlike C(ansible.builtin.get_url) with C(ansible.builtin.unarchive), it verifies the binary itself at each run, does
    several downloads at once, and can take everything from a directory that M(wasmfaas.platform.air_gap_bundle) made.
  - Run it on the controller, with C(delegate_to) and C(run_once).
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is downloaded; RV(binaries) then has the path that a missing binary would get.
  diff_mode:
    support: none
  idempotent:
    support: full
requirements:
  - python >= 3.11
  - httpx2 >= 2.16
  - tenacity >= 9.0
options:
  binaries:
    description: The binaries.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the binary, also in its archive.
        type: str
        required: true
      version:
        description: Its version.
        type: str
        required: true
      url:
        description:
          - URL of the binary, or of a C(.tar.gz) that holds it.
          - C({version}) stands for the version (C(+) as C(%2B)), C({architecture}) for C(amd64) or C(arm64),
            C({machine}) for C(x86_64) or C(aarch64), C({suffix}) for nothing or C(-arm64), as k3s names its files.
        type: str
      checksums:
        description: SHA-256 of the file at the URL, by architecture.
        type: dict
      checksums_url:
        description: URL of a list of checksums, in the format of C(sha256sum), for architectures that
          O(binaries[].checksums) lacks. Takes the same placeholders.
        type: str
      paths:
        description: Files on this machine to use instead, by architecture, each a binary or a C(.tar.gz) that holds it.
        type: dict
      variable:
        description: Name of the variable that the URL comes from, for messages.
        type: str
  architectures:
    description: Architectures to download each binary for.
    type: list
    elements: str
    choices: [amd64, arm64]
    required: true
  cache_directory:
    description: Where binaries are kept. The default is C(${XDG_CACHE_HOME:-~/.cache}/wasmfaas/artifacts).
    type: path
  bundle_directory:
    description:
      - A directory that M(wasmfaas.platform.air_gap_bundle) made. All binaries come from it, nothing is downloaded, and
        O(binaries[].paths) are ignored.
    type: path
seealso:
  - module: wasmfaas.platform.air_gap_bundle
"""

EXAMPLES = r"""
- name: Download k3s for the architectures of the inventory
  wasmfaas.platform.binary_download:
    binaries:
      - name: k3s
        version: v1.36.4+k3s1
        url: https://github.com/k3s-io/k3s/releases/download/{version}/k3s{suffix}
        checksums_url: https://github.com/k3s-io/k3s/releases/download/{version}/sha256sum-{architecture}.txt
    architectures: [amd64, arm64]
  run_once: true
  delegate_to: localhost
  register: downloaded

- name: Download a shim in an archive with a pinned checksum
  wasmfaas.platform.binary_download:
    binaries:
      - name: containerd-shim-spin-v2
        version: 0.25.1
        url: https://github.com/spinframework/containerd-shim-spin/releases/download/v{version}/containerd-shim-spin-v2-linux-{machine}.tar.gz
        checksums:
          arm64: 5ca9c9207a146a182dc9c870eaaad1afbf64e1d9a4781228dbf6e7ef90ff2e1f
    architectures: [arm64]
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
binaries:
  description: Path and SHA-256 of each binary (not of its archive), by name and architecture. In check mode the
    SHA-256 of a missing one may be empty.
  returned: success
  type: dict
  sample:
    k3s:
      amd64:
        path: /home/user/.cache/wasmfaas/artifacts/k3s/v1.36.4+k3s1/amd64/k3s
        sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.download.binaries import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            binaries=dict(
                type="list",
                elements="dict",
                required=True,
                options=dict(
                    name=dict(type="str", required=True),
                    version=dict(type="str", required=True),
                    url=dict(type="str"),
                    checksums=dict(type="dict"),
                    checksums_url=dict(type="str"),
                    paths=dict(type="dict"),
                    variable=dict(type="str"),
                ),
            ),
            architectures=dict(type="list", elements="str", choices=["amd64", "arm64"], required=True),
            cache_directory=dict(type="path"),
            bundle_directory=dict(type="path"),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
