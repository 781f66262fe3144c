#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: platform_images
short_description: List the container images of charts, for a registry without internet
version_added: 1.0.0
description:
  - Has the program helm render charts that M(wasmfaas.platform.platform_download) has put into the folder of
    C(wasmfaas.platform.bundle), and writes C(platform-images.txt) there - on each line where an image is from, and the
    name by which nodes ask for it. Needs no cluster. Runs on the controller.
  - Images are found where Kubernetes or an operator looks for them, and in arguments and environment variables of
    containers. What an operator starts by a
    name that stands in none of them is not found.
  - Without helm it does nothing, and says so in RV(rendered).
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
attributes:
  check_mode:
    support: full
    details:
      - Charts that are not in the folder yet count as changed.
  diff_mode:
    support: none
  idempotent:
    support: full
requirements:
  - python >= 3.11
  - PyYAML
  - helm >= 3.12
options:
  charts:
    description: Charts as in the option of this name of M(wasmfaas.platform.k3s_charts), of which C(name), C(namespace)
      and C(values) count.
    type: list
    elements: dict
    required: true
  sources:
    description: Where charts come from, by their names, as in the option C(sources) of M(wasmfaas.platform.k3s_charts).
    type: dict
    default: {}
  directory:
    description: The folder.
    type: path
    required: true
  image_registries:
    description: Registries by the name that images have, and what nodes ask instead, as in the variable
      C(platform_image_registries).
    type: dict
    default: {}
  kubernetes_version:
    description: Version of the cluster, which charts may ask for.
    type: str
    default: ""
  helm:
    description: The program helm.
    type: str
    default: helm
seealso:
  - module: wasmfaas.platform.platform_download
  - module: wasmfaas.platform.k3s_bundle
"""

EXAMPLES = r"""
- name: List the images of KEDA
  wasmfaas.platform.platform_images:
    charts:
      - name: keda
        namespace: keda
        values: {}
    sources:
      keda: {repository: "https://kedacore.github.io/charts", version: 2.20.2}
    directory: ./bundle
    image_registries: {ghcr.io: mirror.example.com/ghcr}
"""

RETURN = r"""
rendered:
  description: Whether there is a program helm.
  returned: success
  type: bool
images:
  description: Where each image is from, and its name for nodes.
  returned: success
  type: list
  elements: dict
  sample: [{source: "ghcr.io/kedacore/keda:2.20.2", name: "mirror.example.com/ghcr/kedacore/keda:2.20.2"}]
without_mirror:
  description: Registries that nodes ask themselves.
  returned: success
  type: list
  elements: str
  sample: [quay.io]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.download.images import run
from ..module_utils.module_run import run_module


def main() -> None:
    run_module(
        AnsibleModule(
            argument_spec=dict(
                charts=dict(type="list", elements="dict", required=True, no_log=True),
                sources=dict(type="dict", default={}),
                directory=dict(type="path", required=True),
                image_registries=dict(type="dict", default={}),
                kubernetes_version=dict(type="str", default=""),
                helm=dict(type="str", default="helm"),
            ),
            supports_check_mode=True,
        ),
        run,
    )


if __name__ == "__main__":
    main()
