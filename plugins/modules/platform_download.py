#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: platform_download
short_description: Collect charts and definitions of kinds for an installation without internet
version_added: 1.0.0
description:
  - Fetches archives of charts and files of definitions into the folder that C(wasmfaas.platform.bundle) makes. What is
    there already, from the same place, is kept.
  - M(wasmfaas.platform.k3s_charts) finds them there where the variable C(k3s_artifacts) names the folder. Runs on the
    controller.
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
requirements:
  - python >= 3.11
  - httpx2 and tenacity
  - PyYAML
options:
  charts:
    description: Where charts come from, by their names, as in the option C(sources) of M(wasmfaas.platform.k3s_charts).
    type: dict
    default: {}
  definitions:
    description: Files as in the option C(definitions) of M(wasmfaas.platform.k3s_charts).
    type: list
    elements: dict
    default: []
  directory:
    description: The folder.
    type: path
    required: true
seealso:
  - module: wasmfaas.platform.k3s_bundle
"""

EXAMPLES = r"""
- name: Collect the chart of the autoscaler
  wasmfaas.platform.platform_download:
    charts:
      cluster-autoscaler: {repository: "https://kubernetes.github.io/autoscaler", version: 9.59.0}
    directory: ./bundle
"""

RETURN = r"""
programs:
  description: The files, in the form that M(wasmfaas.platform.k3s_bundle) takes programs.
  returned: success
  type: dict
  sample: {chart-keda: {any: {path: bundle/chart-keda/2.20.2/any/chart-keda, sha256: 9f86…}}}
versions:
  description: Version of each, by its name there.
  returned: success
  type: dict
  sample: {chart-keda: 2.20.2}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.charts.download import run
from ..module_utils.module_run import run_module


def main() -> None:
    run_module(
        AnsibleModule(
            argument_spec=dict(
                charts=dict(type="dict", default={}),
                definitions=dict(type="list", elements="dict", default=[]),
                directory=dict(type="path", required=True),
            ),
            supports_check_mode=True,
        ),
        run,
    )


if __name__ == "__main__":
    main()
