#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_download
short_description: Have programs for hosts on the controller, verified
version_added: 1.0.0
description:
  - Fetches programs once for each architecture to a folder of this machine, verifies their SHA-256 and takes them out
    of their archives.
  - What is there already is not fetched again, and no network is needed then.
  - Run it on the controller, with C(delegate_to) and C(run_once).
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is fetched; RV(programs) then tells the place that a missing program would have.
  diff_mode:
    support: none
  idempotent:
    support: full
requirements:
  - python >= 3.11
  - httpx2 >= 2.16
  - tenacity >= 9.0
options:
  programs:
    description: The programs.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the program, and of its file in an archive.
        type: str
        required: true
      version:
        description: Its version.
        type: str
        required: true
      url:
        description:
          - Where it is, the program itself or a C(.tar.gz) with it.
          - C({version}) stands for the version (C(+) as C(%2B)), C({architecture}) for C(amd64) or C(arm64),
            C({machine}) for C(x86_64) or C(aarch64),
            C({suffix}) for nothing or C(-arm64), as k3s names its files.
        type: str
      checksums:
        description: SHA-256 of what the URL answers, by architecture.
        type: dict
      checksums_url:
        description: List of checksums, as C(sha256sum) writes it, for architectures that O(programs[].checksums) does
          not have. Takes the same placeholders.
        type: str
      paths:
        description: Files on this machine instead, by architecture, a program or a C(.tar.gz) with it.
        type: dict
      variable:
        description: Name of the variable that the URL comes from, for messages.
        type: str
  architectures:
    description: Architectures to have each program for.
    type: list
    elements: str
    choices: [amd64, arm64]
    required: true
  cache_directory:
    description: Where programs are kept. C(${XDG_CACHE_HOME:-~/.cache}/wasmfaas/artifacts) is used where it is missing.
    type: path
  artifacts_directory:
    description:
      - A folder that was a O(cache_directory) elsewhere. All programs come from it, nothing is fetched, and
        O(programs[].paths) count for nothing.
    type: path
"""

EXAMPLES = r"""
- name: Have k3s for the architectures of the inventory
  wasmfaas.platform.artifact_download:
    programs:
      - name: k3s
        version: v1.36.4+k3s1
        url: https://github.com/k3s-io/k3s/releases/download/{version}/k3s{suffix}
        checksums_url: https://github.com/k3s-io/k3s/releases/download/{version}/sha256sum-{architecture}.txt
    architectures: [amd64, arm64]
  run_once: true
  delegate_to: localhost
  register: downloaded

- name: Have a shim, as an archive with a pinned checksum
  wasmfaas.platform.artifact_download:
    programs:
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
programs:
  description: Path and SHA-256 of each program (not of its archive), by name and architecture. In check mode the
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
from ansible_collections.wasmfaas.platform.plugins.module_utils.download.binaries import run
from ansible_collections.wasmfaas.platform.plugins.module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            programs=dict(
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
            artifacts_directory=dict(type="path"),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
