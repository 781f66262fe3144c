#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: air_gap_bundle
short_description: Collect what a cluster without internet needs
version_added: 1.0.0
description:
  - Fills a directory to be carried to a controller without internet, where M(wasmfaas.platform.binary_download) and
    M(wasmfaas.platform.k3s_charts) take everything from it.
  - Downloads the charts in O(sources) and the O(definitions), and copies in those of the O(binaries) that lie elsewhere
    on this machine. Files that are in the directory already are kept.
  - Has helm render O(charts) and writes their container images to C(platform-images.txt), each with its origin and with
    the name by which nodes ask for it. Needs no cluster. Without helm the list is not written, and RV(rendered) is
    V(false).
  - Images are found where Kubernetes or an operator looks for them, and in arguments and environment variables of
    containers. Images that an operator hard-codes are not found.
  - Writes C(SHA256SUMS) for C(sha256sum -c), C(images.txt) with the names of all images, and at the end
    C(manifest.json).
  - Runs on the controller.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.chart_sources
attributes:
  check_mode:
    support: full
    details:
      - Charts that are not in the directory yet are not rendered, and count as changed.
  diff_mode:
    support: none
  idempotent:
    support: full
requirements:
  - python >= 3.11
  - httpx2, tenacity and PyYAML, for O(sources) and O(definitions)
  - helm >= 3.12, for O(charts)
options:
  directory:
    description: The directory.
    type: path
    required: true
  binaries:
    description: Binaries as M(wasmfaas.platform.binary_download) returns them; with O(directory) as its
      O(wasmfaas.platform.binary_download#module:cache_directory) they are in place already.
    type: dict
    default: {}
  versions:
    description: Version of each binary, by its name.
    type: dict
    default: {}
  charts:
    description: Charts whose images are listed, as in O(wasmfaas.platform.k3s_charts#module:charts). Only C(name),
      C(namespace) and C(values) are used.
    type: list
    elements: dict
    default: []
  image_registries:
    description: Names of registries, and what nodes ask instead of each, as in the variable
      C(platform_image_registries).
    type: dict
    default: {}
  kubernetes_version:
    description: Version of the cluster, for charts that depend on it. By default the version that helm assumes.
    type: str
    default: ""
  helm:
    description: Name or path of the helm binary.
    type: str
    default: helm
  images:
    description: Further images that the installation needs.
    type: list
    elements: str
    default: []
  images_file:
    description: File with names of further images, one a line. A file that does not exist has none.
    type: path
seealso:
  - module: wasmfaas.platform.binary_download
  - module: wasmfaas.platform.k3s_charts
"""

EXAMPLES = r"""
- name: Collect k3s, and KEDA with the list of its images
  wasmfaas.platform.air_gap_bundle:
    directory: ./bundle
    binaries: "{{ downloaded.binaries }}"
    versions: {k3s: v1.36.4+k3s1}
    sources:
      keda: {repository: "https://kedacore.github.io/charts", version: 2.20.2}
    charts:
      - name: keda
        namespace: keda
        values: {}
    image_registries: {ghcr.io: mirror.example.com/ghcr}
"""

RETURN = r"""
files:
  description: The binaries, charts and definitions in the directory.
  returned: success
  type: list
  elements: dict
  sample:
    - path: k3s/v1.36.4+k3s1/arm64/k3s
      name: k3s
      version: v1.36.4+k3s1
      architecture: arm64
      size: 74252440
      sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
size:
  description: Size of all of them, in bytes.
  returned: success
  type: int
  sample: 74252440
images:
  description: Names of all images, as nodes ask for them.
  returned: success
  type: list
  elements: str
  sample: [docker.io/rancher/mirrored-pause:3.6]
platform_images:
  description: Images of O(charts), each with its origin and with its name for nodes.
  returned: success
  type: list
  elements: dict
  sample: [{source: "ghcr.io/kedacore/keda:2.20.2", name: "mirror.example.com/ghcr/kedacore/keda:2.20.2"}]
without_mirror:
  description: Registries from which nodes pull images of O(charts) themselves.
  returned: success
  type: list
  elements: str
  sample: [quay.io]
rendered:
  description: Whether helm is installed, or there are no O(charts).
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.download.air_gap_bundle import run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            directory=dict(type="path", required=True),
            binaries=dict(type="dict", default={}),
            versions=dict(type="dict", default={}),
            sources=dict(type="dict", default={}),
            definitions=dict(
                type="list",
                elements="dict",
                default=[],
                options=dict(url=dict(type="str"), sha256=dict(type="str"), path=dict(type="path")),
            ),
            charts=dict(type="list", elements="dict", default=[], no_log=True),
            image_registries=dict(type="dict", default={}),
            kubernetes_version=dict(type="str", default=""),
            helm=dict(type="str", default="helm"),
            images=dict(type="list", elements="str", default=[]),
            images_file=dict(type="path"),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
